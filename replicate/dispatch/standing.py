"""How the submissions of a campaign stand with SLURM."""

from collections.abc import Sequence
from dataclasses import dataclass

from replicate.campaign import Campaign
from replicate.dispatch import scheduler, submission
from replicate.dispatch.scheduler import Job
from replicate.dispatch.submission import Submission
from replicate.errors import UserError


@dataclass(frozen=True)
class Standing:
    """SLURM's view of all submissions of a campaign at one moment."""

    campaign: Campaign
    submissions: Sequence[Submission]
    jobs: dict[str, Job] | None
    """By id; None if SLURM does not answer. What neither squeue nor sacct knows is left out."""
    strays: Sequence[str] = ()
    """Jobs that SLURM took while the command that submitted them died."""

    def open(self) -> list[str]:
        """Tasks and reports that have not ended as far as SLURM says; with those it says nothing about."""
        known = self.jobs or {}
        names = [task.job for one in self.submissions for task in one.tasks]
        names += [one.report for one in self.submissions if one.report]
        return [name for name in names if name not in known or not known[name].ended]

    def unknown(self) -> list[str]:
        return [name for name in self.open() if name not in (self.jobs or {})]

    def stuck(self) -> dict[str, str]:
        """The reasons of pending jobs that waiting does not mend."""
        known = self.jobs or {}
        return {
            name: known[name].reason for name in self.open() if name in known and known[name].stuck
        }


def look(campaign: Campaign, submissions: Sequence[Submission]) -> Standing:
    """Ask squeue once a user, and sacct once for what squeue does not know or cannot explain."""
    jobs: dict[str, Job] = {}
    called = submission.job_name(campaign.request.name)
    for user in {one.user for one in submissions}:
        found = scheduler.queue(user, called)
        if found is None:
            return Standing(campaign, submissions, None)
        jobs |= found
    strays = _strays(submissions, jobs)
    own = {task.job for one in submissions for task in one.tasks}
    own |= {one.report for one in submissions if one.report}
    # Of a failed job squeue knows no exit code, and not that it was out of memory.
    failed = {name for name, job in jobs.items() if job.ended and job.state != "COMPLETED"}
    past = scheduler.history((own & failed) | (own - set(jobs)), called)
    # Pending or running for sacct alone: slurmctld has lost it.
    jobs |= {name: job for name, job in past.items() if job.ended and name in own}
    return Standing(campaign, submissions, {name: jobs[name] for name in own & set(jobs)}, strays)


def _strays(submissions: Sequence[Submission], jobs: dict[str, Job]) -> list[str]:
    known = {one.name: set(one.jobs) for one in submissions}
    alive = {(_whole(name), job.comment) for name, job in jobs.items() if not job.ended}
    return sorted(job for job, comment in alive if comment in known and job not in known[comment])


def _whole(name: str) -> str:
    """The array of a task; any other job's own id."""
    return name.partition("_")[0]


def cancel(campaign: Campaign) -> list[str]:
    """End every job of a campaign that has not ended; returns their ids.

    Raises:
        UserError: SLURM does not answer, or refuses.
    """
    sent = submission.read_all(campaign)
    standing = look(campaign, sent)
    if standing.jobs is None:
        raise UserError("squeue: SLURM does not answer; try again")
    alive = {_whole(name) for name in standing.open() if name in standing.jobs}
    chosen = list(standing.strays)
    for one in sent:
        mine = [job for job in one.jobs if job in alive]
        if mine:  # first, as accounting may never hear of pending tasks that were cancelled
            submission.write(campaign, one.model_copy(update={"cancelled": True}))
            chosen += mine
    refusal = scheduler.cancel(chosen) if chosen else None
    if refusal is not None:
        raise UserError(f"scancel: {refusal}")
    return chosen

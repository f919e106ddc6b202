"""The jobs of a campaign, as SLURM sees them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from replicate.dispatch.slurm import queue
from replicate.dispatch.slurm.queue import Job, array_of
from replicate.dispatch.slurm.submission import (
    Submission,
    job_name,
    read_submissions,
    write_submission,
)
from replicate.errors import UserError
from replicate.plan.campaign import Campaign


@dataclass(frozen=True)
class JobsView:
    """SLURM's view of all submissions of a campaign at one moment."""

    campaign: Campaign
    submissions: Sequence[Submission]
    jobs: dict[str, Job] | None
    """By id; None if SLURM does not answer. What neither squeue nor sacct knows is left out."""
    orphans: Sequence[str] = ()
    """Jobs that SLURM took while the command that submitted them died."""

    @property
    def open(self) -> dict[str, Job | None]:
        """Tasks and reports that have not ended as far as SLURM says; None for those it does not know."""
        known = self.jobs or {}
        mine = {name: known.get(name) for name in _own_jobs(self.submissions)}
        return {name: job for name, job in mine.items() if job is None or not job.ended}

    @property
    def alive(self) -> dict[str, Job]:
        """Those open jobs that SLURM knows."""
        return {name: job for name, job in self.open.items() if job is not None}

    @property
    def hopeless(self) -> bool:
        """Whether nothing that is left can begin: SLURM knows none of it, or holds every task for a
        reason that waiting does not change. The report alone, once no task is alive, counts as one."""
        reports = {one.report for one in self.submissions}
        tasks = {name: job for name, job in self.alive.items() if name not in reports}
        return all(job.stuck for job in (tasks or self.alive).values())


def query(campaign: Campaign) -> JobsView:
    """Ask squeue once a user, and sacct once for what squeue does not know or cannot explain."""
    submissions = read_submissions(campaign)
    name = job_name(campaign.name)
    queued: dict[str, Job] = {}
    for user in {one.user for one in submissions}:
        jobs = queue.read_queue(user, name)
        if jobs is None:
            return JobsView(campaign, submissions, None)
        queued |= jobs
    own = set(_own_jobs(submissions))
    # Of a failed job squeue knows no exit code, and not that it was out of memory.
    failed = {job for job in own & set(queued) if queued[job].failed}
    past = queue.read_history(failed | (own - set(queued)), name)
    # Pending or running for sacct alone: slurmctld has lost it.
    known = queued | {job: it for job, it in past.items() if it.ended}
    mine = {job: known[job] for job in own & set(known)}
    return JobsView(campaign, submissions, mine, _orphans(submissions, queued))


def _own_jobs(submissions: Iterable[Submission]) -> list[str]:
    """Ids of all tasks, then of all reports."""
    tasks = [task.job for one in submissions for task in one.tasks]
    return [*tasks, *(one.report for one in submissions if one.report)]


def _orphans(submissions: Sequence[Submission], jobs: dict[str, Job]) -> list[str]:
    known = {one.name: set(one.jobs) for one in submissions}
    alive = {(array_of(name), job.comment) for name, job in jobs.items() if not job.ended}
    return sorted(job for job, comment in alive if comment in known and job not in known[comment])


def cancel_campaign(campaign: Campaign) -> list[str]:
    """End every job of a campaign that has not ended; returns their ids.

    Raises:
        UserError: SLURM does not answer, or refuses.
    """
    view = query(campaign)
    if view.jobs is None:
        raise UserError("squeue: SLURM does not answer; try again")
    alive = set(map(array_of, view.alive))
    chosen = list(view.orphans)
    for one in view.submissions:
        mine = [job for job in one.jobs if job in alive]
        if mine:  # first, as accounting may never hear of pending tasks that were cancelled
            write_submission(campaign, one, cancelled=True)
            chosen += mine
    refusal = queue.cancel_jobs(chosen) if chosen else None
    if refusal is not None:
        raise UserError(f"scancel: {refusal}")
    return chosen

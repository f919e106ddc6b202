"""How the submissions of a campaign stand: what SLURM says of their tasks, beside what the records say."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from replicate.campaign import Campaign
from replicate.dispatch import logs, scheduler, submission
from replicate.dispatch.scheduler import Job
from replicate.dispatch.status import Seen
from replicate.dispatch.submission import Submission, Task
from replicate.errors import UserError

LOOKS = 3
"""In a row without a word about a job before it counts as ended."""
SILENCE_SECONDS = 1800
"""Without an answer from SLURM before waiting ends."""
WHY = {
    "CANCELLED": "cancelled",
    "TIMEOUT": "its time limit struck before it could be queued again",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node failed to start",
    "PREEMPTED": "preempted, and not queued again",
    "OUT_OF_MEMORY": "out of memory; raise memory_gb in the profile",
}
OUT_OF_MEMORY = re.compile(r"exceeded (job )?memory limit|oom.kill|out of memory", re.IGNORECASE)


@dataclass(frozen=True)
class Standing:
    """SLURM's view of all submissions of a campaign at one moment."""

    campaign: Campaign
    submissions: Sequence[Submission]
    jobs: dict[str, Job] | None
    """By id; None if SLURM does not answer. What neither squeue nor sacct knows is left out."""

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
    for user in {one.user for one in submissions}:
        found = scheduler.queue(user)
        if found is None:
            return Standing(campaign, submissions, None)
        jobs |= found
    own = {task.job for one in submissions for task in one.tasks}
    own |= {one.report for one in submissions if one.report}
    # Of a failed job squeue knows no exit code, and not that it was out of memory.
    failed = {name for name, job in jobs.items() if job.ended and job.state != "COMPLETED"}
    past = scheduler.history((own & failed) | (own - set(jobs)))
    # Pending or running for sacct alone: slurmctld has lost it.
    jobs |= {name: job for name, job in past.items() if job.ended and name in own}
    return Standing(campaign, submissions, {name: jobs[name] for name in own & set(jobs)})


def lines(standing: Standing, seen: Iterable[Seen]) -> list[str]:
    """What SLURM says: counts, then a line for each task that left runs behind or cannot begin."""
    if not standing.submissions:
        return []
    if standing.jobs is None:
        return ["SLURM does not answer: what is queued is not known"]
    waiting = {one.run.id: one for one in seen if one.share < 1}
    counts: Counter[str] = Counter()
    problems = []
    for sent, task in _latest(standing.submissions):
        missing = [waiting[run] for run in task.runs if run in waiting]
        job = standing.jobs.get(task.job)
        again = any(one.doing == "interrupted" for one in missing)
        if missing:
            counts[_word(job, again)] += 1
        if missing and (job is None or job.ended or job.stuck):
            problems.append(_problem(standing.campaign, sent, task, job, missing))
    summary = ", ".join(f"{number} {word}" for word, number in counts.items())
    return [*([f"SLURM: tasks {summary}"] if summary else []), *problems]


def _latest(submissions: Sequence[Submission]) -> Iterable[tuple[Submission, Task]]:
    """Every task, with only those of its runs that no later submission has."""
    taken: set[str] = set()
    for sent in reversed(submissions):
        for task in sent.tasks:
            left = [run for run in task.runs if run not in taken]
            if left:
                yield sent, task.model_copy(update={"runs": left})
        taken |= {run for task in sent.tasks for run in task.runs}


def _word(job: Job | None, again: bool) -> str:
    if job is None or job.ended:
        return "ended"
    if job.state != "PENDING":
        return job.state.lower()
    reason = f" ({job.reason})" if job.reason else ""
    return f"{'queued again' if again else 'queued'}{reason}"


def _problem(
    campaign: Campaign, sent: Submission, task: Task, job: Job | None, missing: Sequence[Seen]
) -> str:
    log = submission.log(campaign, sent, task.job)
    others = f" and {len(missing) - 1} more" if missing[1:] else ""
    runs = f"{missing[0].run}{others}"
    if job is not None and job.stuck:
        return f"{runs}: task {task.job} cannot begin: {job.reason}; mend it or `replicate cancel`"
    return f"{runs}: task {task.job} ended without a result: {_why(job, sent, log)}; see {log}"


def _why(job: Job | None, sent: Submission, log: Path) -> str:
    said = logs.last_line(log)
    if OUT_OF_MEMORY.search(logs.tail(log)):
        return WHY["OUT_OF_MEMORY"]
    if job is None:
        return WHY["CANCELLED"] if sent.cancelled else f"SLURM no longer knows it; it said: {said}"
    if job.state in WHY:
        return WHY[job.state]
    return f"{job.state.lower()} ({job.reason}): {said}"


class Watch:
    """Asks SLURM now and then whether there is still something to wait for."""

    def __init__(self, campaign: Campaign, every: float, say: Callable[[str], None]) -> None:
        self._campaign = campaign
        self._every = every
        self._say = say
        self._next = 0.0
        self._answered = time.monotonic()
        self._lost = 0
        self._stuck = 0

    def tick(self) -> bool:
        """False when all tasks have ended, or when nothing that is left can begin."""
        now = time.monotonic()
        if now < self._next:
            return True
        standing = look(self._campaign, submission.read_all(self._campaign))
        self._next = now + self._every
        if standing.jobs is None:
            return self._unanswered(now)
        self._answered = now
        return self._judge(standing)

    def _unanswered(self, now: float) -> bool:
        if now - self._answered > SILENCE_SECONDS:
            self._say(
                f"SLURM has not answered for {SILENCE_SECONDS // 60} minutes: no longer waiting"
            )
            return False
        return True

    def _judge(self, standing: Standing) -> bool:
        left, unknown, stuck = standing.open(), standing.unknown(), standing.stuck()
        known = [name for name in left if name not in unknown]
        reports = {one.report for one in standing.submissions}
        tasks = [name for name in known if name not in reports] or known
        self._lost = self._lost + 1 if left and not known else 0
        self._stuck = self._stuck + 1 if known and set(tasks) <= set(stuck) else 0
        if self._lost or self._stuck:
            self._next = time.monotonic() + min(self._every, 2)
        return bool(left) and max(self._lost, self._stuck) < LOOKS


def cancel(campaign: Campaign) -> list[str]:
    """End every job of a campaign that has not ended; returns their ids.

    Raises:
        UserError: SLURM does not answer, or refuses.
    """
    sent = submission.read_all(campaign)
    standing = look(campaign, sent)
    if standing.jobs is None:
        raise UserError("squeue: SLURM does not answer; try again")
    alive = {name.partition("_")[0] for name in standing.open() if name in standing.jobs}
    chosen = []
    for one in sent:
        mine = [job for job in one.jobs if job in alive]
        if mine:  # first, as accounting may never hear of pending tasks that were cancelled
            submission.write(campaign, one.model_copy(update={"cancelled": True}))
            chosen += mine
    refusal = scheduler.cancel(chosen) if chosen else None
    if refusal is not None:
        raise UserError(f"scancel: {refusal}")
    return chosen

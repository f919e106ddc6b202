"""What is said of a campaign's submissions: how many tasks wait or run, and why others left runs behind."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from replicate.dispatch import logs, submission
from replicate.dispatch.scheduler import Job
from replicate.dispatch.standing import Standing
from replicate.dispatch.status import Seen
from replicate.dispatch.submission import Submission, Task

WHY = {
    "CANCELLED": "cancelled",
    "TIMEOUT": "its time limit struck before it could be queued again",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node failed to start",
    "PREEMPTED": "preempted, and not queued again",
    "OUT_OF_MEMORY": "out of memory; raise memory_gb in the profile",
}
NO_LOG = "0:53"
"""The exit code that SLURM gives to a job whose output it cannot write."""
OUT_OF_MEMORY = re.compile(r"exceeded (job )?memory limit|oom.kill|out of memory", re.IGNORECASE)


def about_strays(standing: Standing) -> str:
    return (
        f"a `replicate submit` was interrupted, and left {', '.join(standing.strays)} in the queue: "
        f"`replicate cancel {standing.campaign.request.name}`, then submit again"
    )


def lines(standing: Standing, seen: Iterable[Seen]) -> list[str]:
    """What SLURM says: counts, then a line for each reason why tasks left runs behind or cannot begin."""
    if not standing.submissions:
        return []
    if standing.jobs is None:
        return ["SLURM does not answer: what is queued is not known"]
    waiting = {one.run.id: one for one in seen if one.share < 1}
    counts: Counter[str] = Counter()
    problems: dict[str, list[_Problem]] = {}
    for sent, task in _latest(standing.submissions):
        missing = [waiting[run] for run in task.runs if run in waiting]
        job = standing.jobs.get(task.job)
        again = any(one.doing == "interrupted" for one in missing)
        if missing:
            counts[_word(job, again)] += 1
        if missing and (job is None or job.ended or job.stuck):
            log = submission.log(standing.campaign, sent, task.job)
            what = _what(job, sent, log)
            problems.setdefault(what, []).append(_Problem(task.job, missing, log))
    summary = ", ".join(f"{number} {word}" for word, number in counts.items())
    return [
        *([f"SLURM: tasks {summary}"] if summary else []),
        *(_line(what, same) for what, same in problems.items()),
        *([about_strays(standing)] if standing.strays else []),
    ]


@dataclass(frozen=True)
class _Problem:
    """A task with runs that nobody trains."""

    job: str
    missing: Sequence[Seen]
    log: Path


def _line(what: str, same: Sequence[_Problem]) -> str:
    runs = [str(one.run) for problem in same for one in problem.missing]
    tasks = [problem.job for problem in same]
    place = f"; see {same[0].log}" if same[0].log.exists() else ""
    return f"{_first(runs)}: task {_first(tasks)} {what}{place}"


def _first(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if names[1:] else names[0]


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


def _what(job: Job | None, sent: Submission, log: Path) -> str:
    if job is not None and job.stuck:
        return f"cannot begin: {job.reason}; mend it or `replicate cancel`"
    return f"ended without a result: {_why(job, sent, log)}"


def _why(job: Job | None, sent: Submission, log: Path) -> str:
    said = logs.last_line(log)
    if OUT_OF_MEMORY.search(logs.tail(log)):
        return WHY["OUT_OF_MEMORY"]
    if job is None:
        return WHY["CANCELLED"] if sent.cancelled else f"SLURM no longer knows it; it said: {said}"
    if job.state in WHY:
        return WHY[job.state]
    if job.reason == NO_LOG:
        return "its node could not open its log: is the project on a disk that the nodes see?"
    return f"{job.state.lower()} ({job.reason}): {said}"

"""What is said of a campaign's submissions: how many tasks wait or run, and why others left runs behind."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from replicate.dispatch.crashes import last_line, tail
from replicate.dispatch.slurm.jobs import JobsView
from replicate.dispatch.slurm.queue import Job
from replicate.dispatch.slurm.submission import Submission, log_path
from replicate.plan.state import CampaignState, RunState

REASONS = {
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


def explain_orphans(view: JobsView) -> str:
    return (
        f"a `replicate submit` was interrupted, and left {', '.join(view.orphans)} in the queue: "
        f"`replicate cancel {view.campaign.name}`, then submit again"
    )


def diagnose(view: JobsView, state: CampaignState) -> list[str]:
    """What SLURM says: counts, then a line for each reason why tasks left runs behind or cannot begin."""
    if not view.submissions:
        return []
    if view.jobs is None:
        return ["SLURM does not answer: what is queued is not known"]
    tasks = list(_unfinished(view, state))
    counts = Counter(task.word for task in tasks)
    problems: dict[str, list[_Unfinished]] = {}
    for task in tasks:
        if problem := task.problem:
            problems.setdefault(problem, []).append(task)
    summary = ", ".join(f"{number} {word}" for word, number in counts.items())
    return [
        *([f"SLURM: tasks {summary}"] if summary else []),
        *(_line(problem, same) for problem, same in problems.items()),
        *([explain_orphans(view)] if view.orphans else []),
    ]


@dataclass(frozen=True)
class _Unfinished:
    """A task some of whose runs have not ended, and what SLURM knows of it."""

    id: str
    runs: Sequence[RunState]
    """Those that have not ended and that no later task has."""
    campaign: str
    job: Job | None
    submission: Submission
    log: Path

    @property
    def word(self) -> str:
        """The state in which it is counted."""
        if self.job is None or self.job.ended:
            return "ended"
        if self.job.state != "PENDING":
            return self.job.state.lower()
        again = " again" if any(one.state == "interrupted" for one in self.runs) else ""
        reason = f" ({self.job.reason})" if self.job.reason else ""
        return f"queued{again}{reason}"

    @property
    def problem(self) -> str | None:
        """Why its runs will not end; None while they may."""
        if self.job is None or self.job.ended:
            return f"ended without a result: {self._reason()}"
        if self.job.stuck:
            return f"cannot begin: {self.job.reason}; fix it, or `replicate cancel {self.campaign}`"
        return None

    def _reason(self) -> str:
        job = self.job
        if OUT_OF_MEMORY.search(tail(self.log)):  # SLURM calls some of these merely failed
            return REASONS["OUT_OF_MEMORY"]
        if job is None and self.submission.cancelled:  # accounting may never hear of it
            return REASONS["CANCELLED"]
        if job is None:
            return f"SLURM no longer knows it: {last_line(self.log)}"
        if job.state in REASONS:
            return REASONS[job.state]
        if job.reason == NO_LOG:
            return "its node could not open its log: is the project on a disk that the nodes see?"
        return f"{job.state.lower()} ({job.reason}): {last_line(self.log)}"


def _unfinished(view: JobsView, state: CampaignState) -> Iterator[_Unfinished]:
    """The latest submission answers for a run: what became of earlier ones no longer matters."""
    waiting = {one.run.id: one for one in state.runs if not one.ended}
    for sent in reversed(view.submissions):
        for task in sent.tasks:
            runs = [waiting[run] for run in task.runs if run in waiting]
            job = (view.jobs or {}).get(task.job)
            if runs:
                log = log_path(view.campaign, sent, task.job)
                yield _Unfinished(task.job, runs, view.campaign.name, job, sent, log)
        # Only now: what this submission has is not asked of earlier ones.
        for task in sent.tasks:
            for run in task.runs:
                waiting.pop(run, None)


def _line(problem: str, same: Sequence[_Unfinished]) -> str:
    runs = [str(one.run) for task in same for one in task.runs]
    place = f"; see {same[0].log}" if same[0].log.exists() else ""
    return f"{_first(runs)}: task {_first([task.id for task in same])} {problem}{place}"


def _first(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if names[1:] else names[0]

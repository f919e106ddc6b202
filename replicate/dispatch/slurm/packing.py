"""Which runs share a task of a cluster, and what that costs. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from replicate.dispatch.slurm.profile import Profile
from replicate.plan import forecast
from replicate.plan.runs import Run
from replicate.text import many

SAFE_SHARE = 0.8
"""Of the time limit: a task that ends before it need not be queued again."""
Seconds = Callable[[Run], float]


def pack(runs: Sequence[Run], profile: Profile, seconds: Seconds) -> list[list[Run]]:
    """Tasks: a cell's seeds together, cut only where they exceed the time limit's safe share; small
    cells share a task until it is as long as the tasks that run at once can make use of.

    A run longer than the limit is a task of its own, which is queued again each time.
    """
    most = SAFE_SHARE * profile.minutes * 60
    total = sum(map(seconds, runs))
    least = min(most, max(profile.least_minutes * 60, total / profile.parallel))
    tasks: list[list[Run]] = []
    for cell in _by_cell(runs):
        for piece in _cut(cell, most, seconds):
            length = sum(map(seconds, piece))
            last = sum(map(seconds, tasks[-1])) if tasks else most
            if last < least and last + length <= most:
                tasks[-1] += piece
            else:
                tasks.append(piece)
    return tasks


def _by_cell(runs: Sequence[Run]) -> Iterable[list[Run]]:
    order = {cell: place for place, cell in enumerate(dict.fromkeys(run.cell for run in runs))}
    together = sorted(runs, key=lambda run: (order[run.cell], run.seed))
    return [list(group) for _, group in groupby(together, key=lambda run: run.cell)]


def _cut(cell: Sequence[Run], most: float, seconds: Seconds) -> list[list[Run]]:
    """Pieces of a cell, each at most `most` long or a single run."""
    pieces: list[list[Run]] = []
    for run in cell:
        if pieces and sum(map(seconds, pieces[-1])) + seconds(run) <= most:
            pieces[-1].append(run)
        else:
            pieces.append([run])
    return pieces


def arrays(tasks: Sequence[list[Run]], largest: int) -> list[Sequence[list[Run]]]:
    """The fewest job arrays of at most `largest` tasks."""
    return [tasks[start : start + largest] for start in range(0, len(tasks), largest)]


@dataclass(frozen=True)
class Plan:
    """Tasks, and what they cost."""

    profile: Profile
    arrays: list[Sequence[list[Run]]]
    speeds: forecast.Speeds
    source: str
    """Of the speeds."""

    @property
    def tasks(self) -> list[list[Run]]:
        return [task for array in self.arrays for task in array]

    @property
    def runs(self) -> list[Run]:
        return [run for task in self.tasks for run in task]

    def __str__(self) -> str:
        each = [sum(forecast.seconds(run.spec, self.speeds) for run in task) for task in self.tasks]
        wall = forecast.total(each, self.profile.parallel) / 3600
        unit, factor = ("GPU hours", self.profile.gpus) if self.profile.gpus else ("task hours", 1)
        return (
            f"{many(len(self.runs), 'run')} in {many(len(self.tasks), 'task')}, "
            f"{many(len(self.arrays), 'job')}: "
            f"about {sum(each) / 3600 * factor:.2f} {unit}, "
            f"{wall:.2f} hours of wall time once nodes are free ({self.source})"
        )

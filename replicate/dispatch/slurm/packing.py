"""Which runs share a task of a cluster, and what that costs. Pure."""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from replicate.dispatch.slurm.profile import Profile
from replicate.plan import forecast
from replicate.plan.runs import Run, seeds_of
from replicate.text import duration, many

SAFE_SHARE = 0.8
"""Of the time limit: a task that ends before it need not be queued again."""
Seconds = Callable[[Run], float]


def pack(runs: Sequence[Run], profile: Profile, seconds: Seconds) -> list[list[Run]]:
    """Tasks of about the same length, longest first: as many as run at once, or more where they would
    exceed the time limit's safe share, or fewer where they would be shorter than the profile's least.

    Seeds of a cell share a task as far as that costs no time. A run longer than the limit is a task of its
    own, which is queued again each time.
    """
    most, total = SAFE_SHARE * profile.minutes * 60, sum(map(seconds, runs))
    rounds = math.ceil(total / (most * profile.parallel))
    least = profile.least_minutes * 60
    long_enough = total / least if least else len(runs)
    count = max(1, int(min(len(runs), profile.parallel * rounds, long_enough)))
    tasks = _level(runs, count, seconds)
    # Runs cannot be divided, so level tasks may still be too long: more of them, until none that could be
    # split is.
    while count < len(runs) and any(task[1:] and _length(task, seconds) > most for task in tasks):
        count = min(len(runs), count + (profile.parallel if count >= profile.parallel else 1))
        tasks = _level(runs, count, seconds)
    return tasks


def _level(runs: Sequence[Run], count: int, seconds: Seconds) -> list[list[Run]]:
    """Each run, longest first, goes to the task that is the shortest so far."""
    loads = [(0.0, task) for task in range(count)]
    places: dict[float, list[int]] = {}
    for length in sorted(map(seconds, runs), reverse=True):
        load, task = loads[0]
        heapq.heapreplace(loads, (load + length, task))
        places.setdefault(length, []).append(task)
    # runs of the same length may change places: those of a cell come together
    free = {length: iter(sorted(tasks)) for length, tasks in places.items()}
    tasks: list[list[Run]] = [[] for _ in range(count)]
    for run in _by_cell(runs):
        tasks[next(free[seconds(run)])].append(run)
    return sorted(tasks, key=lambda task: _length(task, seconds), reverse=True)


def _length(task: Iterable[Run], seconds: Seconds) -> float:
    return sum(map(seconds, task))


def _by_cell(runs: Sequence[Run]) -> list[Run]:
    order = {cell: place for place, cell in enumerate(dict.fromkeys(run.cell for run in runs))}
    return sorted(runs, key=lambda run: (order[run.cell], run.seed))


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

    def seconds(self, task: Iterable[Run]) -> float:
        return sum(forecast.seconds(run.spec, self.speeds) for run in task)

    def contents(self) -> Iterator[str]:
        """A line for each task: its cells with their seeds, and its time."""
        for number, task in enumerate(self.tasks):
            cells = groupby(task, key=lambda run: run.cell)
            held = (f"{cell} {seeds_of(some)}" for cell, some in cells)
            yield f"task {number}: {', '.join(held)}: {duration(self.seconds(task))}"

    def __str__(self) -> str:
        each = list(map(self.seconds, self.tasks))
        wall = forecast.total(each, self.profile.parallel)
        unit, factor = ("GPU time", self.profile.gpus) if self.profile.gpus else ("tasks' time", 1)
        return (
            f"{many(len(self.runs), 'run')} in {many(len(self.tasks), 'task')}, "
            f"{many(len(self.arrays), 'job')}: "
            f"about {duration(sum(each) * factor)} of {unit}, "
            f"{duration(wall)} of wall time once nodes are free ({self.source})"
        )

"""How long runs will take: from runs already recorded, else from a few steps tried out.

A run's work is counted in pixels, so that the speed of one network serves another image size too.
Predicted is training and evaluation; a worker also takes some seconds to start.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from replicate.plan.runs import Run, seeds_of
from replicate.plan.state import RunState, look
from replicate.records.record import sound_record
from replicate.specs.spec import Spec
from replicate.text import duration, many

MARGIN = 1.05
"""On a predicted time, where it decides whether a run can still end."""
SAMPLE = 3
"""Recorded runs of a kind that are read: the speed of one machine hardly changes."""
_EVALUATION = 1 / 3  # the work of a test image over that of a training image: no backward pass


class Kind(NamedTuple):
    """What decides a run's speed."""

    network: str
    size: int
    channels: int
    pool: str
    sac: bool
    batch_size: int
    precision: str


Speeds = Mapping[Kind, float]
"""Work a second of one worker, while the others work too."""


def kind(spec: Spec) -> Kind:
    dataset, model, training = spec.dataset, spec.model, spec.training
    return Kind(
        model.network, dataset.size, dataset.channels, model.pool, model.sac,
        training.batch_size, training.precision,
    )  # fmt: skip


def work(spec: Spec) -> float:
    """Pixels to train on, those of the evaluations at a third of the price."""
    tested = spec.epochs * spec.test_images
    return (spec.images_to_train + _EVALUATION * tested) * spec.dataset.size**2


def recorded(done: Sequence[Run], runs_folder: Path) -> dict[Kind, float]:
    """Speeds from the `sample` of finished runs."""
    found = {
        each: [speed for run in own if (speed := _speed(run, runs_folder))]
        for each, own in sample(done).items()
    }
    return {each: median(speeds) for each, speeds in found.items() if speeds}


def sample(done: Sequence[Run]) -> dict[Kind, list[Run]]:
    """The latest few finished runs of each kind."""
    by_kind: dict[Kind, list[Run]] = {}
    for run in done:
        by_kind.setdefault(kind(run.spec), []).append(run)
    return {each: own[-SAMPLE:] for each, own in by_kind.items()}


def assumed(specs: Iterable[Spec], images_per_second: float) -> dict[Kind, float]:
    """Speeds at which every one of them trains that many images a second, evaluations included."""
    return {
        kind(spec): work(spec) * images_per_second / max(1, spec.images_to_train) for spec in specs
    }


def seconds(spec: Spec, speeds: Speeds) -> float:
    """Of one run; by the speed of its own kind, else by the median of those there are, at least one."""
    return work(spec) / speeds.get(kind(spec), median(speeds.values()))


def seconds_left(one: RunState, speeds: Speeds) -> float:
    """Until a run without a result ends that may have been begun."""
    behind = one.epochs_behind / one.run.spec.epochs  # of a damaged file, any number
    return seconds(one.run.spec, speeds) * min(1, max(0, 1 - behind))


def left(run: Run, speeds: Speeds, runs_folder: Path) -> float:
    """As `seconds_left`, of one run looked at now."""
    (one,) = look([run], runs_folder).runs
    return seconds_left(one, speeds)


def latest_epoch(one: RunState) -> float:
    """Seconds that it took, of a run under way; 0 where that is not known."""
    found = (one.progress or {}).get("seconds")
    return found if isinstance(found, int | float) and 0 < found < 10**9 else 0


def fitting(each: Iterable[float], workers: int, span: float) -> int:
    """How many runs end within a span, each begun in its turn by the first free worker if it can end."""
    free = [0.0] * workers
    count = 0
    for one in each:
        if free[0] + MARGIN * one <= span:
            heapq.heapreplace(free, free[0] + one)
            count += 1
    return count


def lines(runs: Iterable[Run], speeds: Speeds) -> Iterator[str]:
    """Each cell with its seeds, and the work of one worker on them where it can be told."""
    cells: dict[str, list[Run]] = {}
    for run in runs:
        cells.setdefault(run.cell, []).append(run)
    for cell, own in cells.items():
        time = f": {duration(sum(seconds(run.spec, speeds) for run in own))}" if speeds else ""
        yield f"{cell} {seeds_of(own)}{time}"


def cost(runs: Sequence[Run], speeds: Speeds, workers: int) -> str:
    """What the runs cost together: images and, where speeds are known, time."""
    text = f"{sum(run.spec.images_to_train for run in runs):,} training images"
    if not runs:
        return text
    if not speeds:
        return f"{text}; no speed is known yet: --calibrate measures it"
    each = (seconds(run.spec, speeds) for run in runs)
    return f"{text}: {duration(total(each, workers))} with {many(workers, 'worker')}"


def total(each: Iterable[float], workers: int) -> float:
    """Until the last worker is done, each run in its turn by the first one free."""
    free = [0.0] * workers
    for one in each:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


def _speed(run: Run, runs_folder: Path) -> float | None:
    found = sound_record(runs_folder / run.folder_name)
    if found is None or found.status != "done" or not found.provenance.seconds:
        return None
    return work(run.spec) / found.provenance.seconds

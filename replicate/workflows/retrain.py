"""Trains the first epochs of recorded runs again, and holds them against the records."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from replicate import machine
from replicate.plan.campaign import Campaign
from replicate.plan.runs import Run
from replicate.records.epoch import Epoch
from replicate.records.origin import Origin
from replicate.records.record import Record
from replicate.results import discrepancies
from replicate.text import many

DECIDE_BITS = ("torch", "torchvision", "numpy", "device", "precision", "threads", "compiled")
"""Fields of an origin: the same bits are due where all are as recorded."""


class Retraining(NamedTuple):
    """How much to train again."""

    runs: int
    epochs: int
    seed: int | None
    data_dir: Path
    cache_dir: Path


@dataclass(frozen=True)
class Again:
    """A run that was trained again."""

    compared: str
    different: list[str]


class _Job(NamedTuple):
    run: Run
    entry: Path
    threads: int
    epochs: int


def retrain(campaign: Campaign, records: Sequence[Record], asked: Retraining) -> Iterator[Again]:
    """Each record's first epochs again, with its own number of threads, several runs at a time.

    Raises:
        UserError: images that this machine does not have.
    """
    from replicate import data

    runs = {run.id: run for run in campaign.runs}
    jobs = [
        _Job(
            run := runs[record.id],
            data.prepare(run.spec, asked.data_dir, asked.cache_dir).resolve(),
            record.provenance.threads,
            min(asked.epochs, len(record.epochs)),
        )
        for record in records
    ]
    threads = max((job.threads for job in jobs), default=1)
    workers = 1 if machine.gpus() else max(1, machine.cores() // threads)
    # A process for each: threads and memory are set once in a process's life.
    with ProcessPoolExecutor(workers, get_context("spawn"), max_tasks_per_child=1) as processes:
        for record, found in zip(records, processes.map(_train, jobs), strict=True):
            yield _held_against(record, *found)


def _train(job: _Job) -> tuple[list[Epoch], dict[str, Any], str]:
    """The first epochs of a run, where they come from, and the fingerprint of their images."""
    from replicate import data
    from replicate.dispatch.code import library_versions
    from replicate.training import engine
    from replicate.training.loop import train
    from replicate.training.outcome import Stopped

    epochs: list[Epoch] = []

    def stop_in_time(epoch: Epoch) -> None:
        epochs.append(epoch)
        if len(epochs) == job.epochs:
            raise Stopped

    spec, images = job.run.spec, data.load(job.entry)
    engine.start(job.threads)
    chosen = engine.choose(spec.training.precision, spec.images_to_train)
    origin = {
        **{"device": chosen.name, "precision": chosen.precision, "threads": chosen.threads},
        **{"compiled": chosen.compiled, **library_versions()},
    }
    with TemporaryDirectory() as folder, suppress(Stopped):
        file = Path(folder) / "checkpoint.pt"
        train(spec, job.run.seed, images, checkpoint=file, on_epoch=stop_in_time)
    return epochs, origin, images.fingerprint


def _held_against(
    record: Record, again: list[Epoch], origin: dict[str, Any], fingerprint: str
) -> Again:
    name = f"{record.cell} seed {record.seed}"
    other = _unlike(record, len(again), origin)
    compare = discrepancies.of_first_losses if other else discrepancies.of_epochs
    different = list(compare(record.epochs, again))
    if fingerprint != record.fingerprint:
        different.insert(0, f"images {record.fingerprint} recorded, {fingerprint} here")
    if not again:
        different.append("no epoch: its loss was not finite")
    compared = f"{name}, {many(len(again), 'epoch')}: {_due(record, again, other)}"
    return Again(compared, [f"{name}: {line}" for line in different])


def _due(record: Record, again: list[Epoch], other: list[str]) -> str:
    """What was to be expected of these epochs, and why no more."""
    if not other:
        return "the same bits due"
    later = discrepancies.drift(record.epochs[1:], again[1:])
    moved = f"; later losses moved by up to {later:.0%}, as rounding grows" if again[1:] else ""
    due = f"the first one's losses due within {discrepancies.LOSS_TOLERANCE:.0%}"
    return f"{due}, since {'; '.join(other)}{moved}"


def _unlike(record: Record, epochs: int, here: dict[str, Any]) -> list[str]:
    """In what these epochs were not recorded as they are trained here."""
    first = record.attempts[0] if record.attempts else None
    # Older records tell of the last attempt alone, and these are the first epochs.
    if first is None and record.provenance.attempts > 1:
        return [f"it was trained in {record.provenance.attempts} attempts"]
    # The epochs asked for reach into an attempt that was made otherwise.
    if first is not None and first.epochs < epochs and record.within:
        return [f"its attempts differ: {', '.join(record.within)}"]
    origin: Origin | Any = first.origin if first else record.provenance
    values = {name: getattr(origin, name) for name in DECIDE_BITS}
    return [
        f"{name} was {old}, is {here[name]}" for name, old in values.items() if old != here[name]
    ]

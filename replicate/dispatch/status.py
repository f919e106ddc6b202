"""What a campaign's runs are doing, from their folders alone. Only looks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from replicate.dispatch.worker import is_claimed
from replicate.plan import Run
from replicate.results import record
from replicate.results.record import CorruptRecord

Doing = Literal["new", "interrupted", "running", "done", "diverged", "failed"]


@dataclass(frozen=True)
class Seen:
    """One run at one moment."""

    run: Run
    doing: Doing
    progress: dict[str, Any] | None
    """The numbers of the latest epoch of a run under way."""

    @property
    def share(self) -> float:
        """How much of the run is behind it, from 0 to 1."""
        if self.doing in ("done", "diverged", "failed"):
            return 1.0
        if self.progress is None:
            return 0.0
        spec = self.run.spec
        return float(self.progress["epoch"] - spec.first_epoch + 1) / spec.epochs


def look(runs: Iterable[Run], runs_folder: Path) -> list[Seen]:
    """Quickly: a record altered in its middle is told from a sound one only when it is read."""
    return [_look(run, runs_folder) for run in runs]


def count(seen: Iterable[Seen]) -> dict[Doing, int]:
    return dict(Counter(one.doing for one in seen))


def summary(seen: Sequence[Seen]) -> str:
    """For example `12 of 32 done, 2 running, 1 failed`."""
    numbers = count(seen)
    parts = [f"{numbers.get('done', 0)} of {len(seen)} done"]
    for doing in ("running", "interrupted", "diverged", "failed"):
        if numbers.get(doing):
            parts.append(f"{numbers[doing]} {doing}")
    return ", ".join(parts)


def done(seen: Iterable[Seen]) -> list[Run]:
    return [one.run for one in seen if one.doing == "done"]


def left(seen: Iterable[Seen], retry_failed: bool = False) -> list[Run]:
    """The runs without a result; failed ones only on request."""
    ended = {"done", "diverged"} if retry_failed else {"done", "diverged", "failed"}
    return [one.run for one in seen if one.doing not in ended]


def _look(run: Run, runs_folder: Path) -> Seen:
    ended = record.glance(f"{runs_folder}/{run.folder_name}")  # a Path would take half the time
    if ended in ("done", "diverged"):
        return Seen(run, ended, None)
    folder = runs_folder / run.folder_name
    if not ended and not (folder / record.ATTEMPTS).exists():
        return Seen(run, "new", None)
    if is_claimed(folder):
        return Seen(run, "running", record.progress(folder))
    return Seen(run, ended or "interrupted", record.progress(folder))


def details(seen: Iterable[Seen], runs_folder: Path) -> list[str]:
    """A line for each run under way or interrupted, and one for all runs that ended for the same reason."""
    lines: list[str] = []
    ended: dict[str, list[Seen]] = {}
    for one in seen:
        if one.doing in ("running", "interrupted"):
            lines.append(f"{one.run}: {one.doing}, {_epoch(one)}")
        elif one.doing in ("failed", "diverged"):
            reason = f"{one.doing}: {_error(runs_folder / one.run.folder_name)}"
            ended.setdefault(reason, []).append(one)
    for reason, same in ended.items():
        place = runs_folder / same[0].run.folder_name / record.RECORD
        others = f" and {len(same) - 1} more" if same[1:] else ""
        lines.append(f"{same[0].run}{others}: {reason}; see {place}")
    return lines


def _error(folder: Path) -> str | None:
    try:
        found = record.read(folder)
    except CorruptRecord:
        return "its record is corrupt"
    return found.error if found else "no record"


def _epoch(one: Seen) -> str:
    if one.progress is None:
        return "no epoch finished"
    number, spec = one.progress["epoch"], one.run.spec
    where = f"epoch {number} of {spec.training.epochs}"
    if number < 1:
        where = f"pretraining epoch {number - spec.first_epoch + 1} of {1 - spec.first_epoch}"
    return f"{where}, {one.progress['accuracy']:.2f} %"

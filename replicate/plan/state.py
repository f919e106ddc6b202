"""What a campaign's runs are doing, from their folders alone. Only looks."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from replicate.plan.runs import Run
from replicate.records import run_folder
from replicate.records.record import CorruptRecord, glance, read_record, read_status
from replicate.records.run_folder import is_claimed

State = Literal["new", "interrupted", "running", "done", "diverged", "failed"]


@dataclass(frozen=True)
class RunState:
    """One run at one moment."""

    run: Run
    state: State
    progress: dict[str, Any] | None = None
    """The numbers of the latest epoch of a run that has not ended."""
    batches: dict[str, Any] | None = None
    """How far the epoch after it is, while the run is under way."""

    @property
    def ended(self) -> bool:
        return self.state in ("done", "diverged", "failed")

    @property
    def share(self) -> float:
        """How much of the run is behind it, from 0 to 1."""
        return float(self.ended) or (self.epochs_behind + self.within) / self.run.spec.epochs

    @property
    def epochs_behind(self) -> int:
        """Finished ones of a run that has not ended."""
        return self.progress["epoch"] - self.run.spec.first_epoch + 1 if self.progress else 0

    @property
    def within(self) -> float:
        """How much of the epoch under way is behind it."""
        now = self.run.spec.first_epoch + self.epochs_behind
        return (
            float(self.batches["share"]) if self.batches and self.batches["epoch"] == now else 0.0
        )

    @property
    def speed(self) -> float:
        """Training images a second; 0 where that is not known."""
        latest = (self.within and self.batches) or self.progress or {}
        return float(latest.get("images_per_second", 0))

    @property
    def pace(self) -> str:
        """Within the epoch under way, in words; empty where none is."""
        if not self.within:
            return ""
        return f", {100 * self.within:.0f} % of the next, {self.speed:.0f} images/s"

    @property
    def seconds_left(self) -> float:
        """By that speed; infinite where it is not known."""
        left = (1 - self.share) * self.run.spec.images_to_train
        return left / self.speed if self.speed else math.inf

    @property
    def epoch(self) -> str:
        """The latest, and its accuracy, in words."""
        if self.progress is None:
            return "no epoch finished"
        number, spec = self.progress["epoch"], self.run.spec
        where = f"epoch {number} of {spec.training.epochs}"
        if number < 1:
            where = f"pretraining epoch {number - spec.first_epoch + 1} of {1 - spec.first_epoch}"
        return f"{where}, {self.progress['accuracy']:.2f} %"


@dataclass(frozen=True)
class CampaignState:
    """All runs of a campaign, or some of them, at one moment."""

    runs: list[RunState]
    runs_folder: Path

    @property
    def ended(self) -> bool:
        return all(one.ended for one in self.runs)

    @property
    def done(self) -> list[Run]:
        return [one.run for one in self.runs if one.state == "done"]

    def left(self, retry_failed: bool = False) -> list[Run]:
        """The runs without a result, whoever trains them; failed ones only on request."""
        again = ("failed",) if retry_failed else ()
        return [one.run for one in self.runs if not one.ended or one.state in again]

    def summary(self) -> str:
        """For example `12 of 32 done, 2 running, 1 failed`."""
        numbers = Counter(one.state for one in self.runs)
        others: tuple[State, ...] = ("running", "interrupted", "diverged", "failed")
        parts = [f"{numbers[state]} {state}" for state in others if numbers[state]]
        return ", ".join([f"{numbers['done']} of {len(self.runs)} done", *parts])

    def details(self) -> list[str]:
        """A line for each run under way or interrupted, and one for all that ended for the same reason."""
        lines: list[str] = []
        without_result: dict[str, list[Run]] = {}
        for one in self.runs:
            if one.state in ("running", "interrupted"):
                lines.append(f"{one.run}: {one.state}, {one.epoch}{one.pace}")
            elif one.state in ("failed", "diverged"):
                reason = f"{one.state}: {_error(self.runs_folder / one.run.folder_name)}"
                without_result.setdefault(reason, []).append(one.run)
        for reason, (run, *more) in without_result.items():
            place = self.runs_folder / run.folder_name / run_folder.RECORD
            others = f" and {len(more)} more" if more else ""
            lines.append(f"{run}{others}: {reason}; see {place}")
        return lines


def look(runs: Iterable[Run], runs_folder: Path, thorough: bool = False) -> CampaignState:
    """Quickly: a record altered in its middle is told from a sound one only by a thorough look."""
    return CampaignState([_look(run, runs_folder, thorough) for run in runs], runs_folder)


def _look(run: Run, runs_folder: Path, thorough: bool) -> RunState:
    folder = runs_folder / run.folder_name
    ended = read_status(folder) if thorough else glance(folder)
    if ended:
        return RunState(run, ended)
    if not (folder / run_folder.ATTEMPTS).exists():
        return RunState(run, "new")
    progress = run_folder.read_progress(folder)
    if not is_claimed(folder):
        return RunState(run, "interrupted", progress)
    return RunState(run, "running", progress, run_folder.read_batches(folder))


def _error(folder: Path) -> str | None:
    try:
        record = read_record(folder)
    except CorruptRecord:
        return "its record is corrupt"
    return record.error if record else "no record"

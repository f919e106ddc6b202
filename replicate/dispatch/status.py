"""What a campaign's runs are doing, from their folders alone. Only looks."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from replicate import plan
from replicate.dispatch.worker import is_claimed
from replicate.plan import Run
from replicate.results import record

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
        return self.progress["epoch"] / self.progress["epochs"] if self.progress else 0.0


def look(runs: Iterable[Run], runs_folder: Path) -> list[Seen]:
    return [_look(run, runs_folder) for run in runs]


def count(seen: Iterable[Seen]) -> dict[Doing, int]:
    return dict(Counter(one.doing for one in seen))


def _look(run: Run, runs_folder: Path) -> Seen:
    folder = runs_folder / run.folder_name
    state = plan.state(run, runs_folder)
    if state == "new" or state in ("done", "diverged"):
        return Seen(run, state, None)
    if is_claimed(folder):
        return Seen(run, "running", record.progress(folder))
    doing: Doing = "interrupted" if state == "started" else "failed"
    return Seen(run, doing, record.progress(folder))


def details(seen: Iterable[Seen], runs_folder: Path) -> list[str]:
    """A line for each run under way or interrupted, and one for all runs that ended for the same reason."""
    lines: list[str] = []
    ended: dict[str, list[Seen]] = {}
    for one in seen:
        if one.doing in ("running", "interrupted"):
            lines.append(f"{one.run}: {one.doing}, {_epoch(one)}")
        elif one.doing in ("failed", "diverged"):
            found = record.read(runs_folder / one.run.folder_name)
            ended.setdefault(f"{one.doing}: {found.error if found else 'no record'}", []).append(
                one
            )
    for reason, same in ended.items():
        place = runs_folder / same[0].run.folder_name / record.RECORD
        others = f" and {len(same) - 1} more" if same[1:] else ""
        lines.append(f"{same[0].run}{others}: {reason}; see {place}")
    return lines


def _epoch(one: Seen) -> str:
    if one.progress is None:
        return "no epoch finished"
    return f"epoch {one.progress['epoch']} of {one.progress['epochs']}, {one.progress['accuracy']:.2f} %"

"""The live view of a campaign under way: a table in a terminal, elsewhere a line now and then."""

import math
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from replicate.plan.state import CampaignState, RunState
from replicate.records.record import sound_record
from replicate.text import console, say

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_LINES = 180.0
SECONDS_OF_PACE = 600.0
"""A machine that was paused, or shared for an hour, soon has its own pace again."""
COLUMNS = ("run", "epoch", "of the next", "accuracy", "images/s", "left")


@contextmanager
def open_view(state: CampaignState) -> Iterator["Dashboard | Lines"]:
    """The view that this stderr can show, on its first state."""
    terminal = console(sys.stderr)
    if not terminal.is_interactive:
        yield Lines(state)
        return
    with Live(console=terminal, refresh_per_second=2) as live:
        yield Dashboard(state, live)


class _View:
    """What is told in either way: time left, and which runs have ended since the last look."""

    def __init__(self, state: CampaignState) -> None:
        self.clock = _Clock(state)
        self._known = {one.run.id for one in state.runs if one.ended}

    def news(self, state: CampaignState) -> Iterator[str]:
        for one in state.runs:
            if one.ended and one.run.id not in self._known:
                self._known.add(one.run.id)
                yield f"{one.run} {one.state}{_accuracy(one, state)}"


class Dashboard(_View):
    """A bar, and a table of the runs under way; above them a line for each run that has ended."""

    def __init__(self, state: CampaignState, live: Live) -> None:
        super().__init__(state)
        self._live = live
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
        )
        self._task = self._bar.add_task("", total=float(len(state.runs)), left="?")

    def show(self, state: CampaignState) -> None:
        for line in self.news(state):
            self._live.console.print(line, highlight=False, markup=False)
        self._bar.update(
            self._task,
            description=state.summary(),
            completed=sum(one.share for one in state.runs),
            left=_hours(self.clock.seconds_left(state)),
        )
        self._live.update(Group(self._bar, _running(state)))


class Lines(_View):
    """A line for each run that has ended since the first state, and one every few minutes."""

    def __init__(self, state: CampaignState) -> None:
        super().__init__(state)
        self._told = time.monotonic()

    def show(self, state: CampaignState) -> None:
        left = _hours(self.clock.seconds_left(state))
        lines = [f"{state.summary()}: {line}, left {left}" for line in self.news(state)]
        if not lines and time.monotonic() - self._told >= SECONDS_BETWEEN_LINES:
            speed = sum(one.speed for one in state.runs if one.state == "running")
            lines = [f"{state.summary()}: {_percent(state)}, {speed:.0f} images/s, left {left}"]
        for line in lines:
            self._told = time.monotonic()
            say(line)


def _accuracy(one: RunState, state: CampaignState) -> str:
    record = sound_record(state.runs_folder / one.run.folder_name)
    return f", {record.accuracy:.2f} %" if record and record.accuracy is not None else ""


def _percent(state: CampaignState) -> str:
    total = sum(one.run.spec.images_to_train for one in state.runs)
    return f"{100 * _images(state) / max(1, total):.1f} % of all"


def _running(state: CampaignState) -> Table:
    table = Table(box=None)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "run" else "right")
    for one in state.runs:
        if one.state == "running":
            table.add_row(str(one.run), *_numbers(one))
    return table


def _numbers(one: RunState) -> tuple[str, ...]:
    return (
        f"{one.epochs_behind}/{one.run.spec.epochs}",
        f"{100 * one.within:.0f} %",
        f"{one.progress['accuracy']:.2f} %" if one.progress else "",
        f"{one.speed:.0f}" if one.speed else "",
        _hours(one.seconds_left),
    )


class _Clock:
    """Time left at the pace of the last minutes, in training images.

    rich's own estimate ends at the last thing that moved: it would not see a standstill.
    """

    def __init__(self, state: CampaignState) -> None:
        self._images = _images(state)
        self._looks: deque[tuple[float, float]] = deque()
        """When, and the images by then: the last minutes, begun by the first batch."""

    def seconds_left(self, state: CampaignState) -> float:
        """Infinite until a pace can be told."""
        now, total = _images(state), sum(one.run.spec.images_to_train for one in state.runs)
        if now == total:
            return 0.0
        if now != self._images or self._looks:  # until the first batch, workers were only starting
            self._looks.append((time.monotonic(), now))
        # One look that is older than the span stays, so that the pace is over no less than that.
        while len(self._looks) > 2 and self._looks[-1][0] - self._looks[1][0] > SECONDS_OF_PACE:
            self._looks.popleft()
        return self._seconds_an_image() * (total - now)

    def _seconds_an_image(self) -> float:
        if len(self._looks) < 2:
            return math.inf
        (begun, before), (ended, now) = self._looks[0], self._looks[-1]
        return (ended - begun) / (now - before) if now > before else math.inf


def _images(state: CampaignState) -> float:
    return sum(one.share * one.run.spec.images_to_train for one in state.runs)


def _hours(seconds: float) -> str:
    """For example 1:02:03."""
    if not math.isfinite(seconds):
        return "?"
    return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02d}:{int(seconds % 60):02d}"

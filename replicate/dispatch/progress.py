"""The live view of a campaign under way: a table in a terminal, one line per run elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from replicate.plan.state import CampaignState, RunState
from replicate.text import say

SECONDS_BETWEEN_LOOKS = 1.0


@contextmanager
def open_view(state: CampaignState) -> Iterator["Dashboard | Lines"]:
    """The view that this stderr can show, on its first state."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(state)
        return
    with Live(console=console, refresh_per_second=2) as live:
        yield Dashboard(state, live)


class Dashboard:
    """A bar, and a table of the runs under way."""

    def __init__(self, state: CampaignState, live: Live) -> None:
        self._live = live
        self._clock = _Clock(state)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
        )
        self._task = self._bar.add_task("", total=float(len(state.runs)), left="?")

    def show(self, state: CampaignState) -> None:
        self._bar.update(
            self._task,
            description=state.summary(),
            completed=sum(one.share for one in state.runs),
            left=self._clock.left(state),
        )
        self._live.update(Group(self._bar, _running(state)))


class Lines:
    """A line for each run that has ended since the first state."""

    def __init__(self, state: CampaignState) -> None:
        self._clock = _Clock(state)
        self._known = {one.run.id for one in state.runs if one.ended}

    def show(self, state: CampaignState) -> None:
        for one in state.runs:
            if one.ended and one.run.id not in self._known:
                self._known.add(one.run.id)
                say(f"{state.summary()}: {one.run} {one.state}, left {self._clock.left(state)}")


def _running(state: CampaignState) -> Table:
    table = Table(box=None)
    for name in ("run", "epoch", "accuracy", "images/s"):
        table.add_column(name, justify="left" if name == "run" else "right")
    for one in state.runs:
        if one.state == "running":
            table.add_row(str(one.run), *_numbers(one))
    return table


def _numbers(one: RunState) -> tuple[str, str, str]:
    spec = one.run.spec
    if one.progress is None:
        return f"0/{spec.epochs}", "", ""
    epoch = f"{one.progress['epoch'] - spec.first_epoch + 1}/{spec.epochs}"
    return epoch, f"{one.progress['accuracy']:.2f} %", f"{one.progress['images_per_second']:.0f}"


class _Clock:
    """Time left at the pace since the beginning, in training images."""

    def __init__(self, state: CampaignState) -> None:
        self._begun = time.monotonic()
        self._first = self._images(state)

    def left(self, state: CampaignState) -> str:
        now = self._images(state)
        total = sum(one.run.spec.images_to_train for one in state.runs)
        if now == self._first:
            return "?"
        seconds = (time.monotonic() - self._begun) / (now - self._first) * (total - now)
        return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02d}:{int(seconds % 60):02d}"

    @staticmethod
    def _images(state: CampaignState) -> float:
        return sum(one.share * one.run.spec.images_to_train for one in state.runs)

"""The live view of a campaign under way: a table in a terminal, a line a run elsewhere."""

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from replicate.dispatch.status import Seen, summary

SECONDS_BETWEEN_LOOKS = 1.0


def follow(console: Console, look: Callable[[], list[Seen]], tick: Callable[[], bool]) -> None:
    """Show what `look` sees until `tick` says that nothing is left to wait for."""
    if console.is_terminal:
        _follow_live(console, look, tick)
    else:
        _follow_lines(console, look, tick)


def _follow_live(
    console: Console, look: Callable[[], list[Seen]], tick: Callable[[], bool]
) -> None:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left {task.fields[left]}"),
    )
    seen = look()
    task = bar.add_task("", total=float(len(seen)), left="?")
    clock = _Clock(seen)
    with Live(console=console, refresh_per_second=2) as live:
        while True:
            working = tick()
            seen = look()
            bar.update(
                task, description=summary(seen), completed=_behind(seen), left=clock.left(seen)
            )
            live.update(Group(bar, _running(seen)))
            if not working:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _follow_lines(
    console: Console, look: Callable[[], list[Seen]], tick: Callable[[], bool]
) -> None:
    seen = look()
    known = {one.run.id for one in seen if one.share == 1}
    clock = _Clock(seen)
    while True:
        working = tick()
        seen = look()
        for one in seen:
            if one.share == 1 and one.run.id not in known:
                known.add(one.run.id)
                line = f"{summary(seen)}: {one.run} {one.doing}, left {clock.left(seen)}"
                console.print(line, highlight=False, soft_wrap=True)
        if not working:
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _running(seen: Sequence[Seen]) -> Table:
    table = Table(box=None)
    for name in ("run", "epoch", "accuracy", "images/s"):
        table.add_column(name, justify="left" if name == "run" else "right")
    for one in seen:
        if one.doing == "running":
            table.add_row(str(one.run), *_numbers(one))
    return table


def _numbers(one: Seen) -> tuple[str, str, str]:
    spec = one.run.spec
    if one.progress is None:
        return f"0/{spec.epochs}", "", ""
    epoch = f"{one.progress['epoch'] - spec.first_epoch + 1}/{spec.epochs}"
    return epoch, f"{one.progress['accuracy']:.2f} %", f"{one.progress['images_per_second']:.0f}"


def _behind(seen: Sequence[Seen]) -> float:
    return sum(one.share for one in seen)


class _Clock:
    """Time left at the pace since the beginning, in training images."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self._begun = time.monotonic()
        self._first = self._images(seen)

    def left(self, seen: Sequence[Seen]) -> str:
        now = self._images(seen)
        total = sum(one.run.spec.images_to_train for one in seen)
        if now == self._first:
            return "?"
        seconds = (time.monotonic() - self._begun) / (now - self._first) * (total - now)
        return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02d}:{int(seconds % 60):02d}"

    @staticmethod
    def _images(seen: Sequence[Seen]) -> float:
        return sum(one.share * one.run.spec.images_to_train for one in seen)

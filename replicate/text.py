"""Numbers as people read them, and lines for them to read."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from math import isfinite
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any, TextIO

from replicate.errors import plain

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 80
"""Columns of a table where there is no terminal."""
NUMBER = 10
"""Characters of an entry that is not folded."""
WORD = 12
"""Characters of a word that is not."""
BEGIN = "begin one with `replicate run --protocol smoke`"
"""What to do where there is no campaign; without its option the command would only miss that."""


def duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    if not isfinite(seconds):
        return "unknown"
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600:,} h {whole % 3600 // 60} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s"
    return f"{seconds:.1f} s"


def many(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = list(parts) or [""]
    return f"{', '.join(others)} and {last}" if others else last


def series(numbers: Iterable[int]) -> str:
    """Whole numbers as text, neighbours joined: 0-3, 5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def size(count: float) -> str:
    """Bytes, such as `12.3 MB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.1f} GB"


def columns() -> int:
    """Of the terminal; 80 where there is none."""
    return get_terminal_size((WIDTH, 24)).columns


def folded(line: str) -> str:
    """As wide as a table: what goes on is indented, and a path stays whole."""
    indent = line[: len(line) - len(line.lstrip())]
    width = columns()
    return fill(
        line.strip(), width, initial_indent=indent, subsequent_indent=f"{indent}    ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = None
) -> str:
    """Rows below headings, by default as wide as the terminal, or 80 columns: what does not fit is folded."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = width or columns()
    body = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style=""
    )
    lines = [[plain(str(entry)) for entry in row] for row in (headings, *rows)]
    entries = list(zip(*lines, strict=True))
    least = [min(WORD, max(map(len, " ".join(column).split()), default=0)) for column in entries]
    room = width - sum(1 + size for size in least[1:])
    for place, column in enumerate(entries):
        # Numbers and words stay whole, and names as far as they leave room for those.
        most = NUMBER if place else min(width * 5 // 8, room)
        whole = max(map(len, column)) <= most
        body.add_column(
            Text(column[0]),
            overflow="fold",
            no_wrap=whole,
            min_width=least[place] if place else None,
        )
    for line in lines[1:]:
        body.add_row(*map(Text, line))
    written = StringIO()
    Console(file=written, width=width, color_system=None, legacy_windows=False).print(body)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def as_json(rows: Iterable[Mapping[str, Any]]) -> str:
    """One object a row; a number that is not known is null."""
    known = [
        {
            key: None if isinstance(value, float) and not isfinite(value) else value
            for key, value in row.items()
        }
        for row in rows
    ]
    return json.dumps(known, indent=1, ensure_ascii=False, allow_nan=False)


def keyed(keys: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """As `as_json`, of rows of values."""
    return as_json(dict(zip(keys, row, strict=True)) for row in rows)


def console(stream: TextIO | None) -> "Console":
    """For what moves: in a terminal alone, whatever FORCE_COLOR says. Log files would fill with frames, and
    so would notebooks, whose `!` pretends to be a terminal."""
    from rich.console import Console

    terminal = stream is not None and stream.isatty()  # None where it was closed, as by `2>&-`
    terminal = terminal and "JPY_PARENT_PID" not in os.environ
    own = Console(file=stream, force_terminal=terminal)
    own.is_interactive = terminal and not own.is_dumb_terminal
    return own


def say(line: str) -> None:
    """To stderr: stdout is for what was asked for."""
    print(plain(line), file=sys.stderr, flush=True)

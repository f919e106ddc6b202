"""Numbers as people read them, and lines for them to read."""

import sys
from math import isfinite
from typing import TYPE_CHECKING, TextIO

from replicate.errors import plain

if TYPE_CHECKING:
    from rich.console import Console


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


def console(stream: TextIO | None) -> "Console":
    """For what moves: in a terminal alone, whatever FORCE_COLOR says. Log files would fill with frames."""
    from rich.console import Console

    terminal = stream is not None and stream.isatty()  # None where it was closed, as by `2>&-`
    own = Console(file=stream, force_terminal=terminal)
    own.is_interactive = terminal and not own.is_dumb_terminal
    return own


def say(line: str) -> None:
    """To stderr: stdout is for what was asked for."""
    print(plain(line), file=sys.stderr, flush=True)

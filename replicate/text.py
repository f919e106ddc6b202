"""Numbers as people read them, and lines for them to read."""

import sys
from collections.abc import Iterable
from math import isfinite

from replicate.errors import plain


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


def series(numbers: Iterable[int]) -> str:
    """Whole numbers as text, neighbours joined: 0-3, 5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def say(line: str) -> None:
    """To stderr: stdout is for what was asked for."""
    print(plain(line), file=sys.stderr, flush=True)

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


def many(number: int, noun: str, nouns: str = "") -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun if number == 1 else nouns or f'{noun}s'}"


def listed(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = list(parts) or [""]
    return f"{', '.join(others)} and {last}" if others else last


def say(line: str) -> None:
    """To stderr: stdout is for what was asked for."""
    print(plain(line), file=sys.stderr, flush=True)

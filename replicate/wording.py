"""Numbers as people read them."""

from math import isfinite


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

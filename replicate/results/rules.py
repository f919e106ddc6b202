"""When the rules of judgement were fixed: a verdict is worth more where its rule is older than its runs."""

from datetime import datetime
from typing import NamedTuple


class Fixed(NamedTuple):
    date: str
    """UTC."""
    commit: str
    """Of docs/statistics.md."""


WRITTEN = Fixed("2026-11-28T17:05:41+00:00", "e0bed73d2560d4c91f3560b11575bdf8b330b3fc")
"""All of them."""


def age(first_run: str) -> str:
    """`before` or `after` the first run that they judge; empty where nobody knows when that began."""
    try:
        began = datetime.fromisoformat(first_run)
        return "before" if datetime.fromisoformat(WRITTEN.date) < began else "after"
    except (ValueError, TypeError):
        return ""

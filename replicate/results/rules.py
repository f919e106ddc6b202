"""When each rule of judgement was fixed: a verdict is worth more where its rule is older than its runs."""

from datetime import datetime
from typing import NamedTuple


class Fixed(NamedTuple):
    date: str
    """UTC."""
    commit: str
    """Of docs/statistics.md."""


WRITTEN = Fixed("2026-11-28T12:42:28+00:00", "27d697a40f6cdc839f87c88d78b3201e83ea7d89")
RULES = {"cells": WRITTEN, "gains": WRITTEN, "overall": WRITTEN, "claims": WRITTEN}


def age(rule: str, first_run: str) -> str:
    """`before` or `after` the first run that it judges; empty where nobody knows when that began."""
    try:
        began = datetime.fromisoformat(first_run)
        return "before" if datetime.fromisoformat(RULES[rule].date) < began else "after"
    except (ValueError, TypeError):
        return ""

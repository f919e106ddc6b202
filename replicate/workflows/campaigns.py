"""Lists the campaigns of a project."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from replicate.plan.campaign import Campaign
from replicate.text import BEGIN, keyed, size, table
from replicate.workflows.each import of_each

HEADINGS = ("campaign", "protocol", "cells", "state", "size", "last change")
KEYS = ("campaign", "protocol", "cells", "state", "bytes", "changed")


def campaigns(root: Path, json: bool = False) -> str:
    """A row for each, as text or as JSON."""
    rows = list(of_each(root, None, _row))
    if json:
        return keyed(KEYS, rows)
    if not rows:
        return f"No campaign yet: {BEGIN}."
    return table(HEADINGS, [(*said, size(count), changed) for *said, count, changed in rows])


def _row(campaign: Campaign) -> Iterator[tuple[Any, ...]]:
    """Its size is that of all below its folder of results/, its time that of the last change there."""
    found = [path.lstat() for path in campaign.results.rglob("*")]
    count, state = sum(one.st_size for one in found), campaign.look().summary()
    changed = datetime.fromtimestamp(max((one.st_mtime for one in found), default=0.0))
    about = (campaign.name, campaign.request.protocol, len(campaign.cells))
    yield (*about, state, count, f"{changed:%Y-%m-%d %H:%M}")

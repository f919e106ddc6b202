"""Lists the campaigns of a project."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from replicate.plan.campaign import Campaign
from replicate.text import size, table
from replicate.workflows.each import of_each

HEADINGS = ("campaign", "protocol", "cells", "state", "size", "last change")


@dataclass(frozen=True)
class Overview:
    """One campaign at one moment."""

    campaign: str
    protocol: str
    cells: int
    state: str
    bytes: int
    """Of all below its folder of results/."""
    changed: str
    """When a file there was last written, local time."""


def overviews(root: Path) -> list[Overview]:
    return list(of_each(root, None, _overview))


def _overview(campaign: Campaign) -> Iterator[Overview]:
    found = [path.lstat() for path in campaign.results.rglob("*")]
    changed = max((one.st_mtime for one in found), default=0.0)
    yield Overview(
        campaign=campaign.name,
        protocol=campaign.request.protocol,
        cells=len(campaign.cells),
        state=campaign.look().summary(),
        bytes=sum(one.st_size for one in found),
        changed=f"{datetime.fromtimestamp(changed):%Y-%m-%d %H:%M}",
    )


def listed(found: list[Overview]) -> str:
    rows = [
        (one.campaign, one.protocol, one.cells, one.state, size(one.bytes), one.changed)
        for one in found
    ]
    return table(HEADINGS, rows)

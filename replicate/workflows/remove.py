"""Puts a campaign away: archives it, or removes it, and says what goes. Nothing else is deleted anywhere."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from replicate.dispatch.slurm.jobs import query
from replicate.errors import UserError
from replicate.files import atomic
from replicate.plan.campaign import Campaign, bare_campaign, results_folder
from replicate.records.run_folder import RECORD, is_claimed
from replicate.text import many, size

ARCHIVE = "archive"
"""The folder beside results/ that archived campaigns are moved to."""


@dataclass(frozen=True)
class Belongings:
    """What there is of a campaign."""

    campaign: Campaign
    folders: tuple[Path, ...]
    """Of results/ and reports/, those that are there."""

    def __str__(self) -> str:
        records = sum(1 for _ in self.campaign.runs_folder.glob(f"*/{RECORD}"))
        sizes = (f"{folder} ({size(_bytes(folder))})" for folder in self.folders)
        return f"{', '.join(sizes)}, with {many(records, 'record')}"


def belongings(root: Path, name: str) -> Belongings:
    """Raises UserError where there is no such campaign, it is being trained, or a folder is a link."""
    campaign = bare_campaign(root, name)
    places = (results_folder(root, name), root / "reports" / name)
    for folder in places:
        if folder.is_symlink():
            raise UserError(f"{folder}: a link: remove or move it by hand, and what it leads to")
    refuse_while_busy(campaign)
    return Belongings(campaign, tuple(folder for folder in places if folder.is_dir()))


def remove(found: Belongings) -> None:
    for folder in found.folders:
        shutil.rmtree(folder)


def archive(found: Belongings) -> Path:
    """Move a campaign to a folder of its own below archive/; returns it. Moved back, all is as before."""
    now = datetime.now(UTC)
    target = found.campaign.root / ARCHIVE / f"{found.campaign.name}-{now:%Y%m%d-%H%M%S}"
    atomic.make_folder(target)
    for folder in found.folders:
        folder.replace(target / folder.parent.name)
    return target


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def refuse_while_busy(campaign: Campaign) -> None:
    """Raises UserError for a campaign that is being trained."""
    if busy := next(_busy(campaign), None):
        raise UserError(f"campaign {campaign.name}: {busy}")


def _busy(campaign: Campaign) -> Iterator[str]:
    for folder in campaign.results.glob("runs/*/"):
        if is_claimed(folder):
            yield f"{folder.name} is being trained: end that first"
    if any(map(is_claimed, campaign.results.glob("logs/dispatcher-*/"))):
        yield "a `replicate run` is under way: end that first"
    if query(campaign).alive:
        yield f"jobs are queued or running: `replicate cancel {campaign.name}` first"

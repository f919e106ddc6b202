"""Takes cells, or seeds that have not ended, out of a campaign; their records stay."""

from collections.abc import Collection, Sequence
from pathlib import Path

from replicate.errors import UserError
from replicate.files import atomic
from replicate.plan.campaign import Campaign, open_campaign, write_request
from replicate.plan.request import seeds_text
from replicate.specs import catalogue
from replicate.text import series
from replicate.workflows.conclude import conclude
from replicate.workflows.remove import refuse_while_busy


def drop(root: Path, pattern: str, name: str, seeds: Sequence[int] | None = None) -> str:
    """Take the matching cells out of a campaign, or seeds of them, and report anew; what has been trained
    stays where it is.

    Raises:
        UserError: nothing matches, a seed has ended, no cell would be left, or the campaign is being trained.
    """
    campaign = open_campaign(root, name)
    request = campaign.request
    dropped = catalogue.select(request.cells, [pattern])
    if seeds is not None:
        _check_seeds(campaign, dropped, seeds)
    kept = {
        cell: left
        for cell, own in request.by_cell.items()
        if (left := _left(own, seeds) if cell in dropped else own)
    }
    if not kept:
        raise UserError(f"{pattern!r}: no cell would be left: `replicate remove {name}`")
    refuse_while_busy(campaign)
    with atomic.alone(campaign.results):
        write_request(campaign.results, request.asking(kept))
    conclude(open_campaign(root, name))
    what, of_them = ("cells", "") if seeds is None else ("seeds", f", seeds {series(seeds)}")
    return (
        f"dropped from {name}: {', '.join(dropped)}{of_them}; their records stay in {campaign.runs_folder},"
        f" and count again when the {what} are named again"
    )


def _left(own: Sequence[int], seeds: Collection[int] | None) -> list[int]:
    return [] if seeds is None else [seed for seed in own if seed not in seeds]


def _check_seeds(campaign: Campaign, cells: Collection[str], seeds: Sequence[int]) -> None:
    """Raises UserError for seeds that nobody asked for, and for one that has ended: whoever could leave out
    single results could choose among them."""
    found = campaign.look(thorough=True).runs
    chosen = [one for one in found if one.run.cell in cells and one.run.seed in seeds]
    if not chosen:
        named = f"--seeds {seeds_text(seeds)}"
        raise UserError(f"{named}: campaign {campaign.name} has no such seed of these cells")
    if ended := next((one.run for one in chosen if one.ended), None):
        raise UserError(
            f"{ended}: has ended, and its result counts, whatever it is: "
            f"`replicate drop {ended.cell} {campaign.name}` takes out all of the cell"
        )

"""Takes cells out of a campaign; their records stay."""

from pathlib import Path

from replicate.errors import UserError
from replicate.files import atomic
from replicate.plan.campaign import open_campaign, write_request
from replicate.specs import catalogue
from replicate.workflows.conclude import conclude
from replicate.workflows.remove import refuse_while_busy


def drop(root: Path, pattern: str, name: str) -> str:
    """Take the matching cells out of a campaign, and report anew; their records stay where they are.

    Raises:
        UserError: no cell matches, none would be left, or the campaign is being trained.
    """
    campaign = open_campaign(root, name)
    request = campaign.request
    dropped = catalogue.select(request.cells, [pattern])
    kept = {cell: one for cell, one in request.by_cell.items() if cell not in dropped}
    if not kept:
        raise UserError(f"{pattern!r}: no cell would be left: `replicate remove {name}`")
    refuse_while_busy(campaign)
    with atomic.alone(campaign.results):
        write_request(campaign.results, request.asking(kept))
    conclude(open_campaign(root, name))
    return (
        f"dropped from {name}: {', '.join(dropped)}; their records stay in {campaign.runs_folder},"
        " and count again when the cells are named again"
    )

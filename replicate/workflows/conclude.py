"""The last step, wherever it is taken: CSV files and report from whatever is there."""

from pathlib import Path

from replicate.plan.campaign import Campaign, open_campaign, reload
from replicate.plan.state import CampaignState
from replicate.text import say

FAILURES = 1
INTERRUPTED = 130
OUT_OF_TIME = 3


def gather(campaign: Campaign) -> None:
    """Write the CSV files, and say which records are left out of them."""
    from replicate.results.aggregate import aggregate

    for line in aggregate(campaign):
        say(f"left out: {line}")


def conclude(campaign: Campaign) -> Path:
    """Returns the path of the report."""
    from replicate.report.render import render

    gather(reload(campaign))
    return render(campaign.root, campaign.request.name)


def conclude_submitted(code: Path, name: str) -> None:
    """By the specs that were submitted, which lie beside their copy of the code."""
    conclude(open_campaign(code, name))


def exit_code(state: CampaignState) -> int:
    return 0 if len(state.done) == len(state.runs) else FAILURES

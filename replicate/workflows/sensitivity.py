"""Trains the other readings of an ambiguity, and shows what the choice changes."""

import sys
from contextlib import redirect_stdout

from replicate.plan.campaign import Campaign
from replicate.report.document import as_text
from replicate.report.sections.ambiguities import changes
from replicate.results.read import read_results
from replicate.results.sensitivity import Effect, effects
from replicate.text import as_json
from replicate.workflows.run import Options, run_campaign


def run_sensitivity(campaign: Campaign, options: Options, json: bool = False) -> int:
    """Train what is missing, report, and print what the choice changes, as text or as JSON; returns the exit
    code."""
    with redirect_stdout(sys.stderr if json else sys.stdout):
        code = run_campaign(campaign, options)
    found = effects(read_results(campaign.root, campaign.name))
    print(as_json(map(_values, found)) if json else as_text(changes(found)))
    return code


def _values(effect: Effect) -> dict[str, object]:
    low, high = effect.gain.interval()
    return {
        **{"entry": effect.entry.id, "base": effect.base, "base_accuracy": effect.base_mean},
        **{"cell": effect.cell, "reading": effect.alternative.title, "accuracy": effect.mean},
        **{"change": effect.gain.mean, "low": low, "high": high, "pairs": effect.n},
        **{"p": effect.p, "verdict": effect.verdict},
    }

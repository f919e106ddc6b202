"""Trains the other readings of an ambiguity, and shows what the choice changes."""

import itertools
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout

from replicate.plan.campaign import Campaign
from replicate.report.document import Table, plain_rows
from replicate.report.tables import interval, signed
from replicate.report.text import as_text
from replicate.results.read import read_results
from replicate.results.sensitivity import Effect, effects
from replicate.text import as_json
from replicate.workflows.run import Options, run_campaign

COLUMNS = ("reading", "accuracy (%)", "change", "95 % interval", "pairs", "p (Holm)", "verdict")
WIDTH = 150
"""Columns in which a reading stands on one line."""


def run_sensitivity(campaign: Campaign, options: Options, json: bool = False) -> int:
    """Train what is missing, report, and print what the choice changes, as text or as JSON; returns the exit
    code."""
    with redirect_stdout(sys.stderr if json else sys.stdout):
        code = run_campaign(campaign, options)
    found = effects(read_results(campaign.root, campaign.name))
    print(as_json(map(_values, found)) if json else changes(found))
    return code


def _values(effect: Effect) -> dict[str, object]:
    low, high = effect.gain.interval()
    return {
        **{"entry": effect.entry.id, "base": effect.base, "base_accuracy": effect.base_mean},
        **{"cell": effect.cell, "reading": effect.alternative.title, "accuracy": effect.mean},
        **{"change": effect.gain.mean, "low": low, "high": high, "pairs": effect.n},
        **{"p": effect.p, "verdict": effect.verdict},
    }


def changes(found: Iterable[Effect]) -> str:
    """One table per cell as text, the default's own accuracy first."""
    groups = itertools.groupby(found, lambda one: (one.entry.id, one.base))
    return "\n\n".join(as_text(_table(list(group)), WIDTH) for _, group in groups)


def _table(same: list[Effect]) -> Table:
    first = same[0]
    default = (f"default: {first.entry.default}", _known(f"{first.base_mean:.2f}"), *[""] * 5)
    caption = (
        f"{first.entry.id}, {first.entry.title}. {first.base}; changes in points, paired by seed:"
    )
    return Table(caption, COLUMNS, plain_rows([default, *map(_row, same)]))


def _row(effect: Effect) -> tuple[object, ...]:
    gain = effect.gain
    between = interval(*gain.interval()) if effect.n > 1 else "needs 2 pairs"
    return (
        *(effect.alternative.title, _known(f"{effect.mean:.2f}"), _known(signed(gain.mean, 2))),
        *(between, effect.n, _known(f"{effect.p:.2g}"), effect.verdict),
    )


def _known(number: str) -> str:
    return "" if "nan" in number else number

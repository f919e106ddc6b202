"""The paper's claims put to the replicated numbers."""

from dataclasses import dataclass

import numpy as np

from replicate.paper import claims
from replicate.paper import tables as paper
from replicate.paper.claims import Finding
from replicate.paper.numbers import Pair, Place
from replicate.paper.tables import Published
from replicate.results.read import Results
from replicate.results.statistics import Gain, paired_gain

JUDGED = ("agrees", "above", "below", "inconclusive")
"""Verdicts of the cells whose means may decide a claim: comparable, and all seeds finished."""


@dataclass(frozen=True)
class Retest:
    """One claim on replicated numbers."""

    finding: Finding
    """By the means alone; `cannot be checked` while one that it needs may not be judged."""
    gains: tuple[tuple[Pair, Gain], ...]
    """The differences that the claim is about, paired by seed, with their intervals."""

    @property
    def told_apart(self) -> int:
        """Differences whose 95 % interval leaves out zero: the others may as well be chance."""
        return sum(bool(gain.low > 0 or gain.high < 0) for _, gain in self.gains)


def claims_on_runs(results: Results) -> list[Retest]:
    """Every claim about what the method does; those about the printed page are not among them."""
    tables = results.paper
    all_claims = claims.read_claims(results.campaign.root)
    by_seed = results.accuracies
    cells = {_place(one): paper.cell_name(one) for one in tables.cells()}
    judged = results.cells[results.cells["verdict"].isin(JUDGED)]
    means = {place: float(judged["mean"].get(cell, np.nan)) for place, cell in cells.items()}

    def gain(pair: Pair) -> Gain:
        return paired_gain(by_seed.get(cells[pair.of], {}), by_seed.get(cells[pair.over], {}))

    return [
        Retest(found, tuple((pair, gain(pair)) for pair in claims.compared(tables, found.claim)))
        for found in claims.retest(tables, means, all_claims)
    ]


def _place(published: Published) -> Place:
    return Place(published.table, published.row, published.column)

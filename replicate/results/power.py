"""How many seeds it takes until a cell, a gain, a claim or the overall answer is settled, and how long.

Planned with the spread that is known: of a cell its own, of one that was not trained its noise floor
times the factor that the trained cells of its table show, or that floor alone. What is asked for is a
power of 80 %, if the printed numbers are the truth.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from replicate.paper import noise
from replicate.paper.claims import Claim, compared
from replicate.paper.tables import Pair, Place, Published, Tables
from replicate.results import verdicts
from replicate.results.claims import Evidence, word
from replicate.results.contrasts import BASELINE
from replicate.results.spread import FEWEST, MOST_PRIOR, WORTH, WORTH_OF_GAINS
from replicate.results.statistics import LEVEL, Estimate, combined, half_unit, predicted

POWER = 0.8
SLACK = float(special.ndtri(POWER))
MOST_SEEDS = 1000
GAINS_OF_A_TABLE = 12


class Planned(NamedTuple):
    """One cell, as far as it is known."""

    published: Published
    floor: float
    """Its noise floor, in points."""
    sd: float
    n: int
    """Seeds there are."""
    seconds: float
    """Of a run; nan where no speed is known."""


class Need(NamedTuple):
    """What it takes to settle one thing."""

    what: str
    word: str
    """What it is expected to say then."""
    seeds: int | None
    """None where no number of seeds settles it."""
    hours: float
    """Of the runs that are missing, one after the other; nan where unknown."""


@dataclass(frozen=True)
class Plan:
    """The tables' cells of one protocol."""

    tables: Tables
    cells: Mapping[Place, Planned]

    def cell_needs(self) -> list[Need]:
        """Until the prediction interval is narrow enough for a word."""
        return [self._cell(one) for one in self.cells.values()]

    def gain_needs(self) -> list[Need]:
        """Until a gain as large as the published one is told from none, after Holm's correction."""
        return [
            self._settled(f"{pair.of} over {BASELINE}", [pair], self._tells(pair))
            for pair in self._all_pairs
        ]

    def overall_needs(self) -> list[Need]:
        """Until the published mean gain over all rows at hand is told from none."""
        by_column: dict[str, list[Pair]] = {}
        for pair in self._all_pairs:
            by_column.setdefault(pair.of.column, []).append(pair)
        return [
            self._settled(f"{column} over {BASELINE}, overall", pairs, self._tells_mean(pairs))
            for column, pairs in by_column.items()
        ]

    def claim_needs(self, claims: Iterable[Claim]) -> list[Need]:
        """Until a claim is supported or contradicted."""
        asked = [(claim, compared(self.tables, claim)) for claim in claims]
        return [
            self._settled(claim.id, pairs, self._says(claim, pairs))
            for claim, pairs in asked
            if pairs and self.cells.keys() >= {place for pair in pairs for place in pair}
        ]

    @cached_property
    def _all_pairs(self) -> list[Pair]:
        """The gains of which both cells are planned."""
        return [pair for pair in self.tables.gains() if self.cells.keys() >= {*pair}]

    def _cell(self, one: Planned) -> Need:
        rounding = half_unit(one.published.value)
        widest = verdicts.WIDEST * one.floor
        alike = [other for place, other in self.cells.items() if place.row == one.published.row]
        prior = _prior(len(alike), WORTH)

        def tells(n: int) -> str:
            # With the degrees of freedom that the other cells will lend, as `spread.moderate` counts them.
            low, high = predicted(0.0, one.sd, (n - 1) * (1 + prior), n, rounding)
            return "told" if high - low <= widest else ""

        seeds, _ = smallest(tells)
        return Need(one.published.place.cell, "", seeds, self._hours([one], seeds))

    def _settled(self, what: str, pairs: Sequence[Pair], tells: Callable[[int], str]) -> Need:
        cells = [self.cells[place] for place in dict.fromkeys(p for pair in pairs for p in pair)]
        seeds, said = smallest(tells)
        return Need(what, said, seeds, self._hours(cells, seeds))

    def _tells(self, pair: Pair) -> Callable[[int], str]:
        return lambda n: _sign(self._estimate(pair, n), (1 - LEVEL) / GAINS_OF_A_TABLE)

    def _tells_mean(self, pairs: Sequence[Pair]) -> Callable[[int], str]:
        methods = len(self.tables.columns(1)) - 1
        return lambda n: _sign(
            combined([self._estimate(pair, n, alone=True) for pair in pairs]), (1 - LEVEL) / methods
        )

    def _says(self, claim: Claim, pairs: Sequence[Pair]) -> Callable[[int], str]:
        def says(n: int) -> str:
            steadied = {pair: self._estimate(pair, n) for pair in pairs}
            plain = {pair: self._estimate(pair, n, alone=True) for pair in pairs}
            found = word(claim, Evidence(self.tables, steadied, plain))
            return "" if found == "not settled" else found

        return says

    def _estimate(self, pair: Pair, n: int, alone: bool = False) -> Estimate:
        """The printed difference, known as well as n seeds let it be."""
        of, over = self.cells[pair.of], self.cells[pair.over]
        alike = [other for other in self._all_pairs if other.of.row == pair.of.row]
        prior = 0 if alone else _prior(len(alike), WORTH_OF_GAINS)
        se = float(np.hypot(of.sd, over.sd) / np.sqrt(n))
        mean = of.published.accuracy - over.published.accuracy
        return Estimate(mean, se, (n - 1) * (1 + prior), SLACK)

    def _hours(self, cells: Sequence[Planned], seeds: int | None) -> float:
        if seeds is None:
            return float("nan")
        return sum(max(seeds - one.n, 0) * one.seconds for one in cells) / 3600


def _prior(alike: int, worth: float) -> float:
    """d0 / d of a family of so many cells with as many seeds each, if they are equally far apart."""
    return min(MOST_PRIOR, worth * (alike - 1)) if alike >= FEWEST else 0.0


def _sign(found: Estimate, alpha: float) -> str:
    low, high = found.interval(alpha)
    return "gain" if low > 0 else "loss" if high < 0 else ""


def smallest(tells: Callable[[int], str]) -> tuple[int | None, str]:
    """The smallest number of seeds, from three on, that tells something, and what; None for none."""
    n = verdicts.FEWEST
    while n <= MOST_SEEDS:
        if said := tells(n):
            return n, said
        n += max(1, n // 20)  # by 5 %: a forecast is no finer than that
    return None, ""


def factors(cells: pd.DataFrame, images: Mapping[str, int]) -> dict[int, float]:
    """By table, the spread that trained cells show over their noise floor: a root mean square.

    Args:
        cells: rows of cells.csv; images: in the test set, by cell.
    """
    known = cells[(cells["n"] > 1) & cells["table"].notna()]
    floors = [
        noise.sd_ref(mean, images[cell])
        for cell, mean in zip(known["cell"], known["mean"], strict=True)
    ]
    squares = (known["sd"] / floors) ** 2 * (known["n"] - 1)
    tables = known["table"].astype(int)
    sums, dfs = squares.groupby(tables).sum(), (known["n"] - 1).groupby(tables).sum()
    found = (sums / dfs) ** 0.5
    return dict(zip(found.index.tolist(), found.tolist(), strict=True))

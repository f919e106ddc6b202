"""Any two cells of a campaign beside each other, with the spreads that data sets share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import hypot

import numpy as np
import pandas as pd

from replicate.paper import noise
from replicate.paper.tables import Tables
from replicate.plan.campaign import Campaign
from replicate.results import images, verdicts
from replicate.results.cells import Answers, scale
from replicate.results.differences import Difference, difference, estimate, family
from replicate.results.origins import ORIGINS, differing, origins
from replicate.results.spread import Family, Spread
from replicate.results.statistics import BySeed, Estimate
from replicate.specs.spec import Spec

BASELINE = "AvgPool"
CellPair = tuple[str, str]
"""Two cells: the first minus the second."""


def by_seed(runs: pd.DataFrame, cells: pd.DataFrame) -> dict[str, dict[int, float]]:
    """Accuracies by cell and seed, of the finished runs of every cell that is not stale."""
    current = cells.loc[cells["verdict"] != "stale", "cell"]
    done = runs[(runs["status"] == "done") & runs["cell"].isin(current)]
    return {
        str(cell): dict(zip(own["seed"].astype(int), own["accuracy"].astype(float), strict=True))
        for cell, own in done.groupby("cell", sort=False)
    }


@dataclass(frozen=True)
class Contrasts:
    """What a campaign's runs say of differences between its cells."""

    campaign: Campaign
    tables: Tables
    runs: pd.DataFrame
    provenance: pd.DataFrame
    cells: pd.DataFrame
    answers: Answers

    @property
    def specs(self) -> dict[str, Spec]:
        return self.campaign.specs

    @cached_property
    def accuracies(self) -> Mapping[str, BySeed]:
        return by_seed(self.runs, self.cells)

    @cached_property
    def states(self) -> dict[str, str]:
        """Of the cells without all their runs: why."""
        return {
            row["cell"]: verdicts.state(
                int(row["n"]),
                int(row["asked"]),
                int(row["failed"]),
                int(row["diverged"]),
                row["verdict"] == "stale",
            )
            for row in self.cells.to_dict("records")
        }

    @cached_property
    def comparable(self) -> bool:
        """Whether these numbers may be set beside the paper's."""
        generated = "generated" in set(self.runs["source"])
        return not generated and all(spec.comparable for spec in self.specs.values())

    @property
    def gains(self) -> list[CellPair]:
        """What each cell of the tables is held against average pooling for, run or not."""
        return [pair.cells for pair in self.tables.gains()]

    def whole(self, *pairs: CellPair) -> bool:
        """Whether their cells have all of their runs."""
        return not any(self.states.get(cell, "not run") for pair in pairs for cell in pair)

    def unstable(self, pair: CellPair) -> bool:
        """Whether a seed of either cell diverged."""
        return any(self.states.get(cell, "").startswith("unstable") for cell in pair)

    def verdict(self, pair: CellPair, p: float) -> str:
        """The word of a difference, by its corrected p value."""
        found = self.difference(pair)
        states = [self.states[cell] for cell in pair]
        asked = self.campaign.request.pairs(*pair)
        return verdicts.gain(states, found.n, asked, found.mean, p)

    @cached_property
    def difference(self) -> Callable[[CellPair], Difference]:
        """Of two cells, calculated once; without a seed where the campaign lacks one of them."""
        return cache(self._difference)

    def _difference(self, pair: CellPair) -> Difference:
        of, over = (self.accuracies.get(cell, {}) for cell in pair)
        if not (of and over):  # claims and gains are about all cells of the tables, here or not
            return difference({}, {}, np.nan, 0.0)
        means = [float(np.mean([*own.values()])) for own in (of, over)]
        floor = hypot(
            *(scale(mean, self.specs[cell]) for mean, cell in zip(means, pair, strict=True))
        )
        return difference(of, over, floor, noise.granularity(self.specs[pair[0]].test_images))

    def spread(self, pair: CellPair) -> Spread:
        """Of a difference, steadied by the gains over average pooling on its data set."""
        found = self.difference(pair)
        shared, members = self._families.get(self._dataset(pair[0]), (Family.of([]), ()))
        return shared.spread(found.sample, found.least, pair in members)

    def estimate(self, pair: CellPair) -> Estimate:
        found = self.difference(pair)
        return estimate(found.mean, self.spread(pair), found.n)

    def on_new_images(self, pair: CellPair) -> tuple[Estimate, float]:
        """The estimate for images that nobody has seen, and McNemar's p value of a single pair."""
        both = self._answered(pair)
        p = images.mcnemar(*(one.right for one in both[0])) if len(both) == 1 else np.nan
        return images.on_new_images(self._change(pair, len(both))), p

    def mean_on_new_images(self, pairs: Sequence[CellPair]) -> Estimate:
        """The estimate of a mean over pairs of cells; those of one data set share their images."""
        rows: dict[str, list[CellPair]] = {}
        for pair in pairs:
            rows.setdefault(self._dataset(pair[0]), []).append(pair)
        return images.mean_on_new_images([self._changes(own) for own in rows.values()])

    def _changes(self, pairs: Sequence[CellPair]) -> list[images.Change]:
        """Of as many seeds each as the pair with the fewest has."""
        n = min(len(self._answered(pair)) for pair in pairs)
        return [self._change(pair, n) for pair in pairs]

    @cached_property
    def _change(self) -> Callable[[CellPair, int], images.Change]:
        """Over the first so many seeds that both cells have answers of."""
        return cache(
            lambda pair, n: images.change(
                (of.right, over.right) for of, over in self._answered(pair)[:n]
            )
        )

    def _answered(self, pair: CellPair) -> list[tuple[images.Seen, images.Seen]]:
        return images.pairs(*(self.answers.get(cell, {}) for cell in pair))

    def mixed(self, pair: CellPair) -> str:
        """In what the runs of the two cells differ that should have been made alike."""
        both = self._kinds[self._kinds["cell"].isin(pair)].assign(pair="")
        return "; ".join(name for _, name, _ in differing(both, "pair"))

    def began(self, *cells: str) -> str:
        """When the first run of any of them began."""
        return min((self._began[one] for one in cells if self._began.get(one)), default="")

    @cached_property
    def _began(self) -> dict[str, str]:
        begun = self.provenance.groupby("cell")["started"]
        return {str(cell): min(own) for cell, own in begun}

    @cached_property
    def made(self) -> pd.DataFrame:
        """The finished runs with their `origins`."""
        return origins(self.runs, self.provenance)

    @cached_property
    def _kinds(self) -> pd.DataFrame:
        """The origins that the runs of each cell have, each once."""
        return self.made[["cell", *ORIGINS]].drop_duplicates()

    @cached_property
    def _families(self) -> dict[str, tuple[Family, set[CellPair]]]:
        """By data set: its gains over average pooling in both tables."""
        members: dict[str, set[CellPair]] = {}
        for pair in self.gains:
            # Seeds that diverged leave a spread of the survivors alone.
            if not self.unstable(pair):
                members.setdefault(self._dataset(pair[0]), set()).add(pair)
        return {
            name: (family([self.difference(pair) for pair in sorted(own)]), own)
            for name, own in members.items()
        }

    def _dataset(self, cell: str) -> str:
        """Its name; empty for a cell of the tables that is not in the campaign."""
        return self.specs[cell].dataset.name if cell in self.specs else ""

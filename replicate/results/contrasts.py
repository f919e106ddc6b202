"""Any two cells of a campaign beside each other, with the spreads that data sets share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import hypot
from typing import Any

import numpy as np
import pandas as pd

from replicate.paper import noise
from replicate.paper.tables import Tables, cell_name
from replicate.plan.campaign import Campaign
from replicate.results import images, verdicts
from replicate.results.cells import Answers, first_runs, scale
from replicate.results.differences import Difference, difference, estimate, family
from replicate.results.origins import ORIGINS, differing, origins
from replicate.results.spread import Family, Spread
from replicate.results.statistics import BySeed, Estimate
from replicate.specs.spec import Spec

BASELINE = "AvgPool"
Pair = tuple[str, str]
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

    def asked(self, pair: Pair) -> int:
        """Seeds that both cells are to have."""
        return self.campaign.request.pairs(*pair)

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
    def gains(self) -> list[Pair]:
        """What each cell of the tables is held against average pooling for."""
        return [pair for table in self.tables.numbers() for pair in self.baseline_pairs(table)]

    def baseline_pairs(self, table: int) -> list[Pair]:
        """Each cell of a table with average pooling in its row, in reading order, run or not."""
        places = {
            (one.row, one.column): cell_name(one)
            for one in self.tables.cells()
            if one.table == table
        }
        return [
            (name, places[row, BASELINE])
            for (row, column), name in places.items()
            if column != BASELINE
        ]

    def difference(self, pair: Pair) -> Difference:
        if pair not in self._known:
            self._known[pair] = self._difference(pair)
        return self._known[pair]

    @cached_property
    def _known(self) -> dict[Pair, Difference]:
        return {}

    def _difference(self, pair: Pair) -> Difference:
        of, over = (self.accuracies.get(cell, {}) for cell in pair)
        floor = hypot(self._floor(pair[0]), self._floor(pair[1]))
        return difference(of, over, floor, self._least(pair[0]))

    def spread(self, pair: Pair) -> Spread:
        """Of a difference, steadied by the gains over average pooling on its data set."""
        found = self.difference(pair)
        shared, members = self._families.get(self._dataset(pair[0]), (Family.of([]), ()))
        return shared.spread(found.sample, found.least, pair in members)

    def estimate(self, pair: Pair) -> Estimate:
        found = self.difference(pair)
        return estimate(found.mean, self.spread(pair), found.n)

    def on_new_images(self, pair: Pair) -> tuple[Estimate, float]:
        """The estimate for images that nobody has seen, and McNemar's p value of a single pair."""
        both = self._answered(pair)
        p = images.mcnemar(*(one.right for one in both[0])) if len(both) == 1 else np.nan
        return images.on_new_images(self._change(pair, len(both))), p

    def mean_on_new_images(self, pairs: Sequence[Pair]) -> Estimate:
        """The estimate of a mean over pairs of cells; those of one data set share their images."""
        rows: dict[str, list[Pair]] = {}
        for pair in pairs:
            rows.setdefault(self._dataset(pair[0]), []).append(pair)
        return images.mean_on_new_images([self._changes(own) for own in rows.values()])

    def _changes(self, pairs: Sequence[Pair]) -> list[images.Change]:
        """Of as many seeds each as the pair with the fewest has."""
        n = min(len(self._answered(pair)) for pair in pairs)
        return [self._change(pair, n) for pair in pairs]

    def _change(self, pair: Pair, n: int) -> images.Change:
        if (pair, n) not in self._changes_known:
            both = self._answered(pair)[:n]
            found = images.change((of.right, over.right) for of, over in both)
            self._changes_known[pair, n] = found
        return self._changes_known[pair, n]

    @cached_property
    def _changes_known(self) -> dict[tuple[Pair, int], images.Change]:
        return {}

    def _answered(self, pair: Pair) -> list[tuple[images.Seen, images.Seen]]:
        of, over = (self._seen.get(cell, {}) for cell in pair)
        return images.pairs(of, over)

    @cached_property
    def _seen(self) -> dict[str, dict[int, images.Seen]]:
        found: dict[str, dict[int, images.Seen]] = {}
        for (cell, seed), own in self.answers.items():
            found.setdefault(cell, {})[seed] = own
        return found

    def mixed(self, pair: Pair) -> str:
        """In what the runs of the two cells differ that should have been made alike."""
        both = self._kinds[self._kinds["cell"].isin(pair)].assign(pair="")
        return "; ".join(name for _, name, _ in differing(both, "pair", ORIGINS))

    def began(self, *cells: str) -> str:
        """When the first run of any of them began."""
        return min((self._began[one] for one in cells if self._began.get(one)), default="")

    @cached_property
    def _began(self) -> dict[str, str]:
        return first_runs(self.provenance)

    @cached_property
    def _kinds(self) -> pd.DataFrame:
        """The origins that the runs of each cell have, each once."""
        return origins(self.runs, self.provenance)[["cell", *ORIGINS]].drop_duplicates()

    @cached_property
    def _families(self) -> dict[str, tuple[Family, set[Pair]]]:
        """By data set: its gains over average pooling in both tables."""
        found: dict[str, tuple[Family, set[Pair]]] = {}
        whole = [pair for pair in self.gains if not any(self._unstable(cell) for cell in pair)]
        for name in {self._dataset(pair[0]) for pair in whole}:
            own = {pair for pair in whole if self._dataset(pair[0]) == name}
            found[name] = family([self.difference(pair) for pair in sorted(own)]), own
        return found

    def _unstable(self, cell: str) -> bool:
        return self.states.get(cell, "").startswith("unstable")

    def _floor(self, cell: str) -> float:
        values: Any = list(self.accuracies.get(cell, {}).values())
        if cell not in self.specs or not values:
            return float("nan")
        return scale(float(np.mean(values)), self.specs[cell])

    def _least(self, cell: str) -> float:
        return noise.granularity(self.specs[cell].test_images) if cell in self.specs else 0.0

    def _dataset(self, cell: str) -> str:
        return self.specs[cell].dataset.name if cell in self.specs else ""

"""How many seeds a cell needs until its verdict can be anything but inconclusive."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from replicate.results.statistics import LEVEL, MARGIN, Interval, half_unit, seeds_needed


@dataclass(frozen=True)
class Need:
    """What one cell needs, from its spread so far."""

    cell: str
    verdict: str
    n: int
    sd: float
    """Of the n accuracies in percent; nan below 2."""
    range: Interval
    """Where the true sd is, with 95 % confidence."""
    rounding: float
    """Half a unit of the published number's last digit."""
    seconds: float
    """Mean time of a run; nan where none is known."""

    def seeds(self, sd: float) -> int | None:
        """Seeds needed at an sd; None where no number of them is enough."""
        return seeds_needed(sd, rounding=self.rounding)

    @property
    def hours(self) -> float:
        """Of the missing runs; nan where no number of seeds is enough, or sd or time is unknown."""
        needed = self.seeds(self.sd) if np.isfinite(self.sd) else None
        return np.nan if needed is None else max(needed - self.n, 0) * self.seconds / 3600


def needs(cells: pd.DataFrame, provenance: pd.DataFrame) -> list[Need]:
    """One for each cell with a published number: the others have no verdict.

    Args:
        cells: of cells.csv; provenance: of provenance.csv.
    """
    seconds = provenance[provenance["seconds"] > 0].groupby("cell")["seconds"].mean()
    return [
        Need(
            cell=cell["cell"],
            verdict=cell["verdict"],
            n=int(cell["n"]),
            sd=float(cell["sd"]),
            range=sd_interval(float(cell["sd"]), int(cell["n"])),
            rounding=half_unit(cell["published"]),
            seconds=float(seconds.get(cell["cell"], np.nan)),
        )
        for _, cell in cells[cells["published"] != ""].iterrows()
    ]


def sd_interval(sd: float, n: int) -> Interval:
    """Confidence interval for the sd of normal values, from that of n of them; nan below n = 2."""
    if n < 2:
        return Interval(np.nan, np.nan)
    tails = special.chdtri(n - 1, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = sd * np.sqrt((n - 1) / tails)
    return Interval(float(low), float(high))


def largest_sd(rounding: float) -> float:
    """Above it the prediction interval is wider than the margin, however many the seeds."""
    return float((MARGIN / 2 - rounding) / special.ndtri((1 + LEVEL) / 2))

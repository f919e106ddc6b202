"""How many seeds a cell needs until its verdict can be anything but inconclusive."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from tabulate import tabulate

from replicate import campaign as campaigns
from replicate.campaign import Campaign
from replicate.errors import UserError
from replicate.results.frames import frame
from replicate.results.statistics import LEVEL, MARGIN, Interval, half_unit, seeds_needed

HEADERS = ("cell", "verdict", "n", "sd so far (95 %)", "seeds needed (95 %)", "hours to go")
LEGEND = f"""\
Seeds needed: with so many, and this sd, the prediction interval is no wider than {MARGIN:g} points,
so that the verdict is agrees, above or below. With fewer, only a discrepancy can be told.
The sd is itself an estimate: in parentheses its 95 % interval, for normal accuracies, and the
seeds that its ends need. Hours to go: one run after the other, at the cell's mean time so far."""


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


def power(root: Path, name: str | None = None) -> str:
    """What the cells of a campaign, or of all of them, need; reads cells.csv and provenance.csv."""
    names = campaigns.names(root) if name is None else [name]
    opened = [campaigns.opened(root, one) for one in names]
    measured = [one for one in opened if name or (one.results / "cells.csv").exists()]
    if not measured:
        return "No campaign with results yet: begin one with `replicate run`."
    return "\n\n".join([*map(_of_campaign, measured), LEGEND])


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


def sd_interval(sd: float, n: int, level: float = LEVEL) -> Interval:
    """Confidence interval for the sd of normal values, from that of n of them; nan below n = 2."""
    if n < 2:
        return Interval(np.nan, np.nan)
    tails = special.chdtri(n - 1, [(1 - level) / 2, (1 + level) / 2])
    low, high = sd * np.sqrt((n - 1) / tails)
    return Interval(float(low), float(high))


def largest_sd(rounding: float, margin: float = MARGIN, level: float = LEVEL) -> float:
    """Above it the prediction interval is wider than the margin, however many the seeds."""
    return float((margin / 2 - rounding) / special.ndtri((1 + level) / 2))


def _of_campaign(campaign: Campaign) -> str:
    if not (campaign.results / "cells.csv").exists():
        raise UserError(
            f"{campaign.results / 'cells.csv'}: not there; make it with `replicate aggregate`"
        )
    cells, provenance = (frame(campaign, file) for file in ("cells.csv", "provenance.csv"))
    rows = [tuple(_row(need)) for need in needs(cells, provenance)]
    table = tabulate(rows, HEADERS, disable_numparse=True, tablefmt="simple")
    return f"campaign {campaign.request.name}\n{table}"


def _row(need: Need) -> Iterator[Any]:
    yield from (need.cell, need.verdict, need.n)
    if need.n < 2:
        yield from ("two seeds tell", "", "")
        return
    low, high = need.range
    yield f"{need.sd:.3f} ({low:.3f} to {high:.3f})"
    yield f"{_count(need, need.sd)} ({_count(need, low)} to {_count(need, high)})"
    yield f"{need.hours:.1f}" if np.isfinite(need.hours) else ""


def _count(need: Need, sd: float) -> str:
    seeds = need.seeds(sd)
    if seeds is not None:
        return str(seeds)
    return f"never: sd above {largest_sd(need.rounding):.3f}" if sd == need.sd else "never"

"""cells.csv: what the runs of each cell say together, and of the published number."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from replicate.paper import noise
from replicate.plan.campaign import Campaign
from replicate.results import images, statistics, verdicts
from replicate.results.csv_files import rounded, table_of
from replicate.results.images import Seen
from replicate.results.origins import mixed
from replicate.results.spread import Family, Sample, Spread
from replicate.results.statistics import Interval, half_unit
from replicate.specs.resolve import Cell
from replicate.specs.spec import Spec

LAST, BEST = "accuracy", "best_accuracy"
"""The two readings of a published number: of the last epoch, or of the best one (A12)."""
Answers = Mapping[str, Mapping[int, Seen]]
"""By cell, then by seed."""


@dataclass(frozen=True)
class Seeds:
    """The runs of one cell."""

    cell: Cell
    asked: int
    runs: pd.DataFrame
    """Rows of runs.csv."""
    answers: Sequence[Seen]

    @property
    def spec(self) -> Spec:
        return self.cell.spec

    @cached_property
    def done(self) -> pd.DataFrame:
        return self.runs[self.runs["status"] == "done"]

    def values(self, reading: str) -> np.ndarray:
        """Accuracies in percent."""
        found: np.ndarray = self.done[reading].dropna().to_numpy(dtype=float)
        return found

    def count(self, status: str) -> int:
        return int((self.runs["status"] == status).sum())

    @cached_property
    def state(self) -> str:
        counts = self.count("failed"), self.count("diverged")
        stale = self.runs["stale"].astype(str).eq("True").any()
        return verdicts.state(len(self.done), self.asked, *counts, bool(stale))

    @property
    def comparable(self) -> bool:
        return self.spec.comparable and "generated" not in set(self.runs["source"])

    @property
    def tells_of_others(self) -> bool:
        """Whether its spread is that of whole runs of today's spec."""
        return self.state == "" or self.state.startswith("incomplete")

    @property
    def family(self) -> tuple[str, bool]:
        """Cells of one data set; other readings do not change the words of the tables' cells."""
        return self.spec.dataset.name, self.spec.published is not None

    def sample(self, reading: str) -> Sample:
        n, mean, sd = statistics.summary(self.values(reading))
        return Sample(float(sd), n, scale(float(mean), self.spec))


def scale(accuracy: float, spec: Spec) -> float:
    """A cell's noise floor, never below what rounding makes; nan for no accuracy."""
    return max(noise.granularity(spec.test_images), noise.sd_ref(accuracy, spec.test_images))


def cells_table(
    campaign: Campaign, runs: pd.DataFrame, provenance: pd.DataFrame, answers: Answers
) -> pd.DataFrame:
    """One row per cell of the campaign, with or without runs.

    Args:
        runs: of runs.csv; provenance: of provenance.csv; answers: of the records.
    """
    seeds = list(_seeds(campaign, runs, answers))
    last, best = spreads(seeds, LAST), spreads(seeds, BEST)
    differ = mixed(runs, provenance)
    rows = []
    for one in seeds:
        name, facts = one.cell.name, _facts(one)
        judged = rounded(_judged(one, facts["mean"], last[name], best[name]))
        rows.append({**facts, **judged, "mixed": "; ".join(differ.get(name, ())) or None})
    return table_of(rows, "cells.csv")


def spreads(seeds: Sequence[Seeds], reading: str) -> dict[str, Spread]:
    """Of each cell, steadied by those of its family; of one that tells of no other, its own."""
    samples = {one.cell.name: one.sample(reading) for one in seeds}
    families, alone = _families(seeds, samples), Family.of([])
    return {
        one.cell.name: (families[one.family] if one.tells_of_others else alone).spread(
            samples[one.cell.name], _least(one)
        )
        for one in seeds
    }


def _families(
    seeds: Sequence[Seeds], samples: Mapping[str, Sample]
) -> dict[tuple[str, bool], Family]:
    """Of the cells that tell of each other."""
    members: dict[tuple[str, bool], list[Seeds]] = {}
    for one in seeds:
        if one.tells_of_others:
            members.setdefault(one.family, []).append(one)
    return {
        key: Family.of([samples[one.cell.name] for one in own], _least(own[0]))
        for key, own in members.items()
    }


def _least(one: Seeds) -> float:
    return noise.granularity(one.spec.test_images)


def _seeds(campaign: Campaign, runs: pd.DataFrame, answers: Answers) -> Iterator[Seeds]:
    by_cell, none = dict(tuple(runs.groupby("cell"))), runs.iloc[:0]
    for cell in campaign.cells:
        own, seen = by_cell.get(cell.name, none), answers.get(cell.name, {})
        asked = len(campaign.request.seeds_of(cell.name))
        yield Seeds(cell, asked, own, [seen[seed] for seed in own["seed"] if seed in seen])


def _facts(one: Seeds) -> dict[str, Any]:
    """What needs no judgement."""
    spec, printed = one.spec, one.spec.published
    n, mean, sd = statistics.summary(one.values(LAST))
    low, high = statistics.t_interval(one.values(LAST))
    return {
        "cell": one.cell.name,
        "table": printed.table if printed else None,
        "row": printed.row if printed else spec.dataset.title,
        "column": printed.column if printed else spec.method.title,
        "dataset": spec.dataset.name,
        "method": spec.method.name,
        "protocol": spec.protocol.name,
        "published": printed.value if printed else None,
        **{"asked": one.asked, "n": n, "failed": one.count("failed")},
        **{"diverged": one.count("diverged"), "mean": mean, "sd": sd, "low": low, "high": high},
        "best_mean": one.done[BEST].mean() if n else None,
        "delta": mean - printed.accuracy if printed else None,
    }


def _judged(one: Seeds, mean: float, last: Spread, best: Spread) -> dict[str, Any]:
    predicted, own = _predicted(one, LAST, last), one.sample(LAST)
    plain = statistics.prediction_interval(one.values(LAST), _rounding(one.spec))
    return {
        "verdict": _verdict(one, predicted),
        "sd_ref": sd_ref(one.spec, float(mean)),
        "spread": last.sd,
        "df": last.df,
        "noisy": str(last.noisy or own.sd > verdicts.NOISY * own.scale),
        "predicted_low": predicted.low,
        "predicted_high": predicted.high,
        "plain_low": plain.low,
        "plain_high": plain.high,
        "best_verdict": _verdict(one, _predicted(one, BEST, best)),
        "calibration": images.calibration(one.answers),
    }


def sd_ref(spec: Spec, mean: float) -> float:
    """The noise floor at the published number, known before any run; at the mean without one."""
    return noise.sd_ref(spec.published.accuracy if spec.published else mean, spec.test_images)


def _rounding(spec: Spec) -> float:
    return half_unit(spec.published.value) if spec.published else 0.0


def _predicted(one: Seeds, reading: str, spread: Spread) -> Interval:
    n, mean, _ = statistics.summary(one.values(reading))
    return statistics.predicted(mean, spread.sd, spread.df, n, _rounding(one.spec))


def _verdict(one: Seeds, interval: Interval) -> str:
    printed = one.spec.published.value if one.spec.published else None
    widest = verdicts.WIDEST * sd_ref(one.spec, np.nan)
    return verdicts.cell(one.state, one.comparable, len(one.done), printed, interval, widest)

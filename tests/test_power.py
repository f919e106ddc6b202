"""`replicate power` against tabulated quantiles and the definition of the verdict."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from replicate.results import aggregate, power, statistics
from replicate.workflows import power as command

CELL, AVERAGE = "table1/cifar10/flexpool", "table1/cifar10/avgpool"
Replicate = Callable[..., tuple[int, str, str]]


def need(sd: float, n: int) -> power.Need:
    cells = pd.DataFrame(
        {
            "cell": [CELL],
            "verdict": ["inconclusive"],
            "n": [n],
            "sd": [sd],
            "published": ["91.91"],
        }
    )
    provenance = pd.DataFrame({"cell": [CELL, CELL], "seconds": [3600.0, 7200.0]})
    (found,) = power.needs(cells, provenance)
    return found


@pytest.mark.parametrize(
    ("n", "low", "high"),  # sqrt((n - 1) / chi2) with tabulated chi2 at 0.975 and 0.025
    [(2, 0.4461, 31.910), (5, 0.5991, 2.8736), (10, 0.6878, 1.8256)],
)
def test_the_sd_is_an_estimate(n: int, low: float, high: float) -> None:
    assert power.sd_interval(1.0, n) == pytest.approx((low, high), rel=1e-3)


def test_the_interval_of_the_sd_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    sds = rng.normal(0, 0.3, (20_000, 4)).std(axis=1, ddof=1)
    scale = power.sd_interval(1.0, 4)
    covered = ((sds * scale.low <= 0.3) & (sds * scale.high >= 0.3)).mean()
    assert covered == pytest.approx(0.95, abs=0.006)  # four Monte-Carlo standard errors


@pytest.mark.parametrize("sd", [0.05, 0.2, 0.3, 0.4, 0.45])
def test_with_the_seeds_needed_no_verdict_is_inconclusive(sd: float) -> None:
    seeds = need(sd, 3).seeds(sd)
    assert seeds is not None

    def verdict(n: int) -> str:
        values = np.linspace(-1, 1, n)
        values = 91.91 + values * sd / values.std(ddof=1)
        return statistics.verdict(values, "91.91", asked=n)

    assert verdict(seeds) == "agrees"
    assert seeds == 2 or verdict(seeds - 1) == "inconclusive"


def test_hours_are_those_of_the_missing_runs() -> None:
    """The width is 2 · (t · sd · √(1 + 1/n) + 0.005), with tabulated t at n - 1 degrees."""
    widths = {
        n: 2 * (t * 0.3 * (1 + 1 / n) ** 0.5 + 0.005)
        for n, t in {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}.items()
    }
    smallest = min(n for n, width in widths.items() if width <= 2)
    found = need(0.3, 3)
    assert found.seeds(0.3) == smallest == 5
    assert found.hours == pytest.approx((smallest - 3) * 1.5)
    assert need(0.01, 5).hours == 0
    assert np.isnan(need(0.9, 5).hours)
    assert np.isnan(need(float("nan"), 1).hours)


def test_never_begins_where_it_says() -> None:
    limit = power.largest_sd(0.005)
    assert limit == pytest.approx((1 - 0.005) / 1.95996, rel=1e-5)
    assert statistics.seeds_needed(limit * 1.001) is None
    assert statistics.seeds_needed(limit * 0.999) is not None


def test_a_cell_without_a_published_number_has_no_verdict_to_wait_for(records: Any) -> None:
    campaign = records.begin([CELL, "extensions/sensitivity/a11-1e-4"])
    aggregate.aggregate(campaign)
    text = command.power(campaign.root, "made")
    assert CELL in text
    assert "extensions" not in text


def test_the_table_of_a_campaign(
    records: Any, replicate: Replicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    cells = [AVERAGE, CELL, "table1/cifar10/flexpool-reg"]
    campaign = records.begin(cells, seeds=3)
    for seed, (close, wide) in enumerate(((91.5, 90.0), (91.8, 92.0), (92.1, 94.0))):
        records.leave(campaign, AVERAGE, seed, close, provenance={"seconds": 7200.0})
        records.leave(campaign, CELL, seed, wide)
    records.leave(campaign, cells[2], 0)
    aggregate.aggregate(campaign)
    before = {path: path.stat().st_mtime_ns for path in campaign.root.rglob("*")}
    code, out, _ = replicate("power", "made")
    assert code == 0
    assert {path: path.stat().st_mtime_ns for path in campaign.root.rglob("*")} == before
    average, flex, reg = (
        next(line for line in out.splitlines() if line.split()[:1] == [cell]) for cell in cells
    )
    assert "0.300 (0.156 to 1.885)" in average
    assert "5 (3 to never)" in average
    assert average.split()[-1] == "4.0"
    assert "never: sd above 0.508" in flex
    assert "two seeds tell" in reg
    assert "The sd is itself an estimate" in out
    assert replicate("power")[1] == out


def test_without_results(records: Any, replicate: Replicate) -> None:
    code, out, _ = replicate("power")
    assert code == 0
    assert "No campaign with results yet" in out
    records.begin([CELL])
    code, _, err = replicate("power", "made")
    assert code == 2
    assert "cells.csv: not there" in err
    code, _, err = replicate("power", "absent")
    assert code == 2
    assert "no campaign 'absent'" in err


def test_the_widest_interval_is_the_margin_that_verdicts_use(project: Path) -> None:
    assert f"no wider than {statistics.MARGIN:g} points" in command.LEGEND

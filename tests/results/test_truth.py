"""An invented campaign of known truth, and the committed one: what is said of them is what is so."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from replicate.paper.noise import sd_ref
from replicate.paper.tables import cell_name, read_tables
from replicate.results import aggregate
from replicate.results.read import Results, read_results
from tests import making
from tests.making import Records

ROOT = Path(__file__).parents[2]
PRINTED = {cell_name(one): one for one in read_tables(ROOT).cells()}
GAINS = {"AvgPool": 0.0, "FlexPool": 0.0, "FlexPool + Reg": 0.05, "FlexPool + Reg + Dropout": 0.45}
"""Points over average pooling, on every data set."""


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """32 cells and five seeds, as far apart as the noise floor says; SAC is worth 0.3 points."""
    root = making.project(tmp_path_factory.mktemp("invented"))
    records = Records(root)
    campaign = records.begin(list(PRINTED), seeds=5)
    rng = np.random.default_rng(12)
    base = {"CIFAR10": 91.0, "Fashion-MNIST": 93.0, "CIFAR100": 66.0, "ImageNet": 47.0}
    for name, cell in PRINTED.items():
        truth = base[cell.row] + GAINS[cell.column] + 0.3 * (cell.table == 2)
        for seed in range(5):
            value = rng.normal(truth, sd_ref(truth, 10_000))
            records.leave(campaign, name, seed, round(float(value), 2))
    aggregate.aggregate(campaign)
    return read_results(root, "made")


@pytest.mark.parametrize(("column", "word"), [
    ("FlexPool", "not settled"), ("FlexPool + Reg", "not settled"), ("FlexPool + Reg + Dropout", "gain"),
])  # fmt: skip
def test_the_overall_answer_is_the_truth(invented: Results, column: str, word: str) -> None:
    found = invented.overall.query("scope == 'both'").set_index("question")
    row = found.loc[f"{column} over AvgPool"]
    assert row["rows"] == 8
    assert row["low"] <= GAINS[column] <= row["high"]
    assert row["verdict"] == word
    assert row["high"] - row["low"] < 0.5


def test_sac_is_worth_what_it_was_given(invented: Results) -> None:
    row = invented.overall.query("scope == 'all columns'").iloc[0]
    assert row["low"] <= 0.3 <= row["high"]
    assert (row["rows"], row["verdict"]) == (16, "gain")


@pytest.mark.parametrize("kind", ["", "plain_", "welch_"])
def test_the_intervals_of_the_gains_hold_the_truth(invented: Results, kind: str) -> None:
    """24 of 95 %, of which three at a time share their baseline, and so stand or fall together."""
    truth = invented.gains["column"].map(GAINS)
    held = invented.gains[f"{kind}low"].le(truth) & truth.le(invented.gains[f"{kind}high"])
    assert held.sum() >= 18


def test_no_gain_is_said_where_there_is_none(invented: Results) -> None:
    none = invented.gains[invented.gains["column"] != "FlexPool + Reg + Dropout"]
    assert set(none["verdict"]) == {"not settled"}
    assert "loss" not in set(invented.gains["verdict"])


def test_moderated_spreads_are_nearer_to_the_truth(invented: Results) -> None:
    cells = invented.cells
    own, shared = (np.log(cells[name] / cells["sd_ref"]).std() for name in ("sd", "spread"))
    assert shared < 0.6 * own


def test_the_committed_campaign_has_the_answers_found_by_hand() -> None:
    """By an independent recomputation: over the four rows without CIFAR-100 and ImageNet, and over all."""
    results = read_results(ROOT, "short-cpu")
    without = results.gains.query("row in ('CIFAR10', 'Fashion-MNIST')").groupby(
        "column", sort=False
    )["gain"]
    assert list(without.mean()) == pytest.approx([-0.50, -1.26, -2.02], abs=0.005)
    found = results.overall.query("scope == 'both'")
    assert list(found["gain"]) == pytest.approx([-6.99, -2.15, -5.10], abs=0.005)
    assert list(found["rows"]) == [8, 8, 8]
    assert list(found["verdict"]) == ["loss", "loss", "loss"]
    rules = results.gains.groupby("rule")["row"].unique().map(set).to_dict()
    assert rules == {"after": {"CIFAR10", "Fashion-MNIST"}, "before": {"CIFAR100", "ImageNet"}}


# --- what is said of single things


def test_mixed_origins_of_a_gain_are_marked(records: Any) -> None:
    campaign = records.begin(["table1/cifar10/avgpool", "table1/cifar10/flexpool"], seeds=3)
    for index, cell in enumerate(campaign.specs):
        for seed in range(3):
            origin = {"torch": f"2.1{index}"}
            records.leave(campaign, cell, seed, 91.0 + index + seed / 10, provenance=origin)
    aggregate.aggregate(campaign)
    results = read_results(campaign.root, "made")
    assert set(results.cells["mixed"]) == {""}
    assert list(results.gains["mixed"]) == ["torch"]


def test_the_readings_of_a_published_number_can_differ(records: Any) -> None:
    """The best epoch is a point above the last one here."""

    def epochs(last: float) -> list[Any]:
        return [making.epoch(1, last + 1.0), making.epoch(2, last)]

    campaign = records.begin(["table1/cifar10/flexpool"], seeds=5)
    for seed in range(5):
        records.leave(
            campaign, "table1/cifar10/flexpool", seed, 91.9, epochs=epochs(91.9 + seed / 100)
        )
    aggregate.aggregate(campaign)
    (row,) = read_results(campaign.root, "made").cells.itertuples()
    assert (row.verdict, row.best_verdict) == ("consistent", "higher")


def test_frames_say_what_the_files_say(invented: Results) -> None:
    folder = invented.campaign.results
    for name in ("gains", "overall", "claims"):
        written = pd.read_csv(folder / f"{name}.csv")
        assert len(written) == len(getattr(invented, name))
        assert f"{name}.csv" in (folder / "SHA256SUMS").read_text()

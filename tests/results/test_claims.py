"""The paper's claims on replicated numbers, made up so that each outcome is known."""

from pathlib import Path
from typing import Any

import pytest

from replicate.paper.tables import cell_name, read_tables
from replicate.results import aggregate
from replicate.results.claims import Retest, claims_on_runs
from replicate.results.read import read_results

ROOT = Path(__file__).parents[2]
PRINTED = {cell_name(one): one for one in read_tables(ROOT).cells()}


def results_of(
    records: Any, cells: list[str], protocol: str = "paper", **made: Any
) -> dict[str, Retest]:
    """Two seeds of every cell, at the printed number ± 0.1, or as `made` says."""
    campaign = records.begin(cells, protocol=protocol)
    for name in cells:
        middle = made.get(name, PRINTED[name].accuracy)
        for seed, offset in enumerate((-0.1, 0.1)):
            records.leave(campaign, name, seed, middle + offset)
    aggregate.aggregate(campaign)
    return {
        one.finding.claim.id: one for one in claims_on_runs(read_results(campaign.root, "made"))
    }


def test_at_the_printed_numbers_the_outcomes_are_the_audits(records: Any) -> None:
    found = results_of(records, list(PRINTED))
    assert found["C02"].finding.outcome == "holds"
    assert found["C03"].finding.outcome == "fails"
    assert found["C06"].finding.outcome == "fails"
    assert "C11" not in found, "a number repeated in the text is no matter of runs"
    assert len(found["C02"].gains) == 4
    pair, gain = found["C02"].gains[0]
    assert (pair.of.row, pair.of.column, pair.over.column) == ("CIFAR10", "FlexPool", "AvgPool")
    assert gain.n == 2
    assert gain.mean == pytest.approx(91.91 - 91.63)
    assert found["C02"].told_apart == 4, "equal seeds differ equally: the interval has no width"


def test_one_cell_turns_the_claims_that_rest_on_it(records: Any) -> None:
    found = results_of(records, list(PRINTED), **{"table1/cifar10/flexpool": 91.0})
    assert found["C02"].finding.outcome == "fails"
    assert "AvgPool 91.63, FlexPool 91.00" in found["C02"].finding.says.replace(
        "Table 1 CIFAR10 ", ""
    )


def test_a_missing_mean_leaves_a_claim_open(records: Any) -> None:
    found = results_of(records, [name for name in PRINTED if name != "table1/cifar10/flexpool"])
    assert found["C02"].finding.outcome == "cannot be checked"
    assert found["C02"].gains[0][1].n == 0


@pytest.mark.parametrize("protocol", ["short", "smoke"])
def test_what_is_not_comparable_decides_no_claim(records: Any, protocol: str) -> None:
    found = results_of(records, list(PRINTED), protocol)
    assert {one.finding.outcome for one in found.values()} == {"cannot be checked"}
    assert found["C02"].gains[0][1].n == 2


def test_differences_that_may_be_chance_are_not_told_apart(records: Any) -> None:
    cells = ["table1/cifar10/avgpool", "table1/cifar10/flexpool"]
    campaign = records.begin(cells)
    for name, values in zip(cells, ((91.0, 92.0), (92.0, 91.5)), strict=True):
        for seed, value in enumerate(values):
            records.leave(campaign, name, seed, value)
    aggregate.aggregate(campaign)
    found = {
        one.finding.claim.id: one for one in claims_on_runs(read_results(campaign.root, "made"))
    }
    assert found["C02"].told_apart == 0

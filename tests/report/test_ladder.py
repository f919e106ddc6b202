"""The section of the ladder: its rungs, their gains and costs, and what the placebo tells."""

from typing import Any

import pytest

from replicate.results.read import read_results
from tests import making
from tests.report.reading import markdown, rows, section

LADDER = [
    "table1/fashion-mnist/avgpool",
    "table1/fashion-mnist/flexpool",
    *(f"extensions/ladder/{name}" for name in ("flatten", "placebo", "shared")),
]


@pytest.mark.parametrize(
    ("placebo_gains", "shown", "alarms"),
    [
        # mean 0.1, sd 0.2, and t(0.975, 2 degrees of freedom) = 4.303
        ([0.3, -0.1, 0.1], "+0.10 / −0.40 to +0.60 (3)", 0),
        ([1.3, 0.9, 1.1], "+1.10 / +0.60 to +1.60 (3)", 1),
    ],
)
def test_the_ladder_has_its_rungs_in_order_with_gain_and_cost(
    make, placebo_gains: list[float], shown: str, alarms: int
) -> None:
    def edit(cell: str, seed: int) -> dict[str, Any]:
        gain = {LADDER[0]: 0.0, LADDER[3]: placebo_gains[seed]}.get(cell)
        ended = {} if gain is None else {"epochs": [making.epoch(1, 90.0 + seed + gain)]}
        return {"parameters": 1000 * LADDER.index(cell), **ended}

    root = make(cells=LADDER, seeds=3, edit=edit)
    found = rows(root, "The ladder")
    names = ["AvgPool", "Placebo", "One map", "FlexPool", "No pool"]
    assert [row[0].partition(":")[0].split(" for")[0] for row in found] == names
    assert [row[3] for row in found] == ["0", "3,000", "4,000", "1,000", "2,000"]
    assert [row[4] for row in found] == ["unknown"] * 5
    assert found[0][2] == "baseline"
    assert found[1][2] == shown
    text = section(root, "Position, channels or parameters")
    assert f"the interval of {alarms} of 1 placebo leaves out 0; 1 of 20 does so by chance" in text
    mean = read_results(root, "paper").cells.loc[LADDER[4], "mean"]
    assert found[2][1].startswith(f"{mean:.2f} ± ")


def test_a_gain_over_runs_that_were_made_otherwise_says_so(make) -> None:
    def edit(cell: str, seed: int) -> dict[str, Any]:
        return {"provenance": {"device": "AMD EPYC"}} if cell == LADDER[3] else {}

    root = make(cells=LADDER, seeds=3, edit=edit)
    gains = {row[0].partition(" / ")[0]: row[2] for row in rows(root, "Cells outside")}
    assert gains[LADDER[3]].endswith("(3) / mixed device")
    assert gains[LADDER[4]].endswith("(3)")
    assert rows(root, "The ladder")[1][2].endswith("(3) / mixed device")


def test_no_ladder_without_its_own_cells(make) -> None:
    assert "The ladder" not in markdown(make(cells=LADDER[:2], seeds=3))


def test_a_rung_of_one_seed_has_no_gain(make) -> None:
    assert [row[2] for row in rows(make(cells=LADDER[::4], seeds=1), "The ladder")] == [
        "baseline",
        "fewer than 2 pairs",
    ]

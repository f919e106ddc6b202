"""What stands in the entries of the tables."""

from typing import Any

import numpy as np
import pytest

from replicate.paper.tables import Published
from replicate.report import tables
from replicate.report.sections import learned, problems
from replicate.report.sections.gains import content
from replicate.report.tables import accuracy, signed
from replicate.results.read import Results, read_results
from replicate.text import duration

PRINTED = Published(table=1, row="CIFAR10", column="FlexPool", value="91.91")
CELL = {
    "cell": "table1/cifar10/flexpool", "asked": 5, "n": 5, "failed": 0, "diverged": 0, "mean": 92.004,
    "sd": 0.1251, "best_mean": 92.1, "verdict": "consistent", "mixed": "", "progress": "",
}  # fmt: skip
NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ("92.00 ± 0.13 (5)", f"published 91.91, Δ{NBSP}+0.09", "consistent")),
        ({"mean": 91.0, "verdict": "lower"}, ("91.00 ± 0.13 (5)", f"published 91.91, Δ{NBSP}−0.91", "lower")),
        ({"n": 1, "asked": 1, "sd": float("nan"), "verdict": "not comparable"},
         ("92.00 (1)", f"published 91.91, Δ{NBSP}+0.09")),
        ({"n": 3, "failed": 1, "diverged": 1, "verdict": "incomplete (3/5 seeds)", "mixed": "torch"},
         ("92.00 ± 0.13 (3/5)", f"published 91.91, Δ{NBSP}+0.09", "1 failed, 1 diverged",
          "mixed torch", "incomplete")),
        ({"n": 0, "diverged": 5, "verdict": "failed"}, ("diverged", "published 91.91", "5 diverged")),
        ({"n": 0, "failed": 5, "verdict": "failed"}, ("failed", "published 91.91", "5 failed")),
        ({"n": 0, "verdict": "not run"}, ("not run", "published 91.91")),
        ({"noisy": "True", "best_verdict": "higher"},
         ("92.00 ± 0.13 (5)", f"published 91.91, Δ{NBSP}+0.09", "noisy, best epoch: higher", "consistent")),
        ({"noisy": "False", "best_verdict": "consistent"},
         ("92.00 ± 0.13 (5)", f"published 91.91, Δ{NBSP}+0.09", "consistent")),
        ({"verdict": "stale"}, ("92.00 ± 0.13 (5)", f"published 91.91, Δ{NBSP}+0.09", "stale")),
    ],
)  # fmt: skip
def test_accuracy(changes: dict[str, object], lines: tuple[str, ...]) -> None:
    assert accuracy({**CELL, **changes}, PRINTED).lines == lines


def test_as_many_decimals_as_printed() -> None:
    entry = accuracy(CELL, PRINTED.model_copy(update={"value": "91.9"}))
    assert entry.lines[:2] == ("92.0 ± 0.1 (5)", f"published 91.9, Δ{NBSP}+0.1")


def test_signed() -> None:
    assert [signed(value, 1) for value in (-1.25, 0.0, 2.0)] == ["−1.2", "+0.0", "+2.0"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.26, "0.3 s"), (59.4, "59.4 s"), (61.2, "1 min 1 s"), (3599.7, "1 h 0 min"), (90000, "25 h 0 min"),
     (float("nan"), "unknown")],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_two_tables_with_sixteen_cells_each(full: Results) -> None:
    found = list(tables.grids(full, "Table {}", accuracy, whole=True))
    assert [table.caption for table in found] == [
        "Table 1: Single classifier",
        "Table 2: With simple auxiliary classifiers (SAC)",
    ]
    for table in found:
        assert [row[0].lines[0] for row in table.rows] == [
            "CIFAR10",
            "Fashion-MNIST",
            "CIFAR100",
            "ImageNet",
        ]
        assert all(len(row) == 5 for row in table.rows)
        assert all(item.lines[1].startswith("published") for row in table.rows for item in row[1:])
    second = found[1].rows[2][4]
    assert second.lines[1].startswith("published 65.57,")
    assert second.sort == full.cells.loc["table2/cifar100/flexpool-reg-dropout", "mean"]


def test_cells_outside_the_campaign_are_not_run(make) -> None:
    results = read_results(make(cells=["table1/cifar10/avgpool"], seeds=1), "paper")
    entries = [
        item
        for table in tables.grids(results, "{}", accuracy, whole=True)
        for row in table.rows
        for item in row[1:]
    ]
    assert len(entries) == 32
    assert sum(item.lines[0] == "not run" for item in entries) == 31


def test_gains_are_paired_by_seed(make) -> None:
    fates = {
        ("table1/cifar10/avgpool", 0): ("missing", ""),
        ("table2/cifar10/avgpool", 0): ("failed", "x"),
    }
    cells = [f"table{t}/cifar10/{m}" for t in (1, 2) for m in ("avgpool", "flexpool-reg")]
    results = read_results(make(cells=cells, seeds=3, fates=fates), "paper")
    found = results.gains.set_index("cell")
    assert list(found.index) == ["table1/cifar10/flexpool-reg", "table2/cifar10/flexpool-reg"]
    assert list(found["n"]) == [2, 2]
    assert found["published"].tolist() == pytest.approx([0.24, 2.55])
    by_hand = [
        float(seed["accuracy"].iloc[1] - seed["accuracy"].iloc[0])
        for number, seed in results.runs[results.runs["table"] == 1].groupby("seed")
        if number > 0
    ]
    assert found["gain"].iloc[0] == pytest.approx(sum(by_hand) / 2)


def test_a_gain_has_its_word_and_what_it_says_of_the_published_one(full: Results) -> None:
    own = full.gains.set_index("cell").loc["table1/cifar10/flexpool"]
    lines = content(full.gains)({"cell": "table1/cifar10/flexpool"}, PRINTED).lines
    assert lines[2] == f"published +0.28, ours {own['against']}"
    assert lines[3] == f"{tables.chance(own['holm'])}, {own['verdict']}"


def test_gains_of_what_is_not_comparable_have_their_word_alone(make) -> None:
    cells = ["table1/cifar10/avgpool", "table1/cifar10/flexpool"]
    results = read_results(make("short", "short", cells=cells, seeds=3), "short")
    lines = content(results.gains)({"cell": cells[1]}, PRINTED).lines
    assert lines[2] == "published +0.28"
    assert lines[3].endswith((", gain", ", loss", ", not settled"))


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ([], "none"),
        ([0], "seed 0"),
        ([0, 1, 2], "seeds 0–2"),
        ([4, 0, 2, 3], "seeds 0, 2–4"),
    ],
)
def test_series_of_seeds(seeds: list[int], text: str) -> None:
    assert problems._series(seeds) == text


def test_channel_sums_by_hand(make) -> None:
    def edit(cell: str, seed: int) -> dict[str, Any]:
        sums = [(0.5, 1.0), (2.0, 1.0)][seed]
        return {"pools": [np.array(sums)[:, None, None]]}

    results = read_results(make(cells=["table1/cifar10/flexpool"], seeds=2, edit=edit), "paper")
    (row,) = learned.channel_sums(results).rows
    # R is 0.25 for the first seed and 1 for the second.
    assert [item.lines for item in row] == [
        ("Table 1, CIFAR10",),
        ("stage 3: 1.000 (0.575 to 1.850), R 0.625",),
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(229.04, "229"), (6.454e-5, "6.45·10⁻⁵"), (12345.0, "1.23·10⁴"), (0.0, "0")]
)
def test_no_number_is_written_as_a_program_writes_it(value: float, text: str) -> None:
    assert learned.power_of_ten(value) == text

"""What each section says, of small campaigns; nothing is drawn."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from replicate.errors import UserError
from replicate.report.document import Table
from replicate.report.render import as_markdown
from replicate.report.sections.overview import document
from replicate.results import aggregate
from replicate.results.read import read_results
from tests.report.conftest import aged

AVERAGE, FLEX, REG = (
    f"table1/cifar10/{method}" for method in ("avgpool", "flexpool", "flexpool-reg")
)
PAIR = [AVERAGE, FLEX]
COST = "Mean time and speed of a run, parameters and FLOPs, Table 1"


def markdown(root: Path, name: str = "paper") -> str:
    return as_markdown(document(read_results(root, name))).decode()


def section(root: Path, title: str, name: str = "paper") -> str:
    return markdown(root, name).split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(root: Path, caption: str, name: str = "paper") -> list[list[str]]:
    """The entries of the table whose caption begins so, the lines of each joined by a slash."""
    blocks = [
        block for part in document(read_results(root, name)).sections for block in part.blocks
    ]
    (table,) = (
        block for block in blocks if isinstance(block, Table) and block.caption.startswith(caption)
    )
    return [[" / ".join(entry.lines) for entry in row] for row in table.rows]


def headings(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, re.MULTILINE)


def test_a_note_stands_beside_the_counts(make) -> None:
    note = "Tiny ImageNet: a sample is all there was."
    root = make(cells=PAIR, seeds=1, note=note)
    counts, said = section(root, "What went wrong").strip().split("\n\n")[:2]
    assert counts.endswith("30 of the paper's 32 cells are not part of this campaign.")
    assert said == note


def test_a_stale_cell_enters_no_gain(make) -> None:
    def edit(frames: dict[str, pd.DataFrame]) -> None:
        aged(frames, FLEX)

    root = make("fresh", cells=PAIR, seeds=3)
    make("aged", cells=PAIR, seeds=3, edit=edit)
    assert "Gains, Table 1" in section(root, "Gains over AvgPool", "fresh")
    assert "No gain has two paired seeds yet" in section(root, "Gains over AvgPool", "aged")
    assert rows(root, "Cells whose spec changed", "aged") == [[FLEX]]


def test_extensions_have_a_table_of_their_own(make) -> None:
    extra = "extensions/sensitivity/a03-10"
    root = make(cells=[REG, extra], seeds=2)
    for caption in ("Table 1", "Table 2"):
        assert extra not in str(rows(root, caption))
    (own,) = rows(root, "Cells outside the paper's tables")
    assert own[0] == extra
    mean = read_results(root, "paper").cells.loc[extra, "mean"]
    assert own[1].startswith(f"{mean:.2f} ± ")


def test_the_tables_alone_have_no_extensions(make) -> None:
    assert "outside the paper's tables" not in markdown(make(cells=PAIR, seeds=1))


def test_a_sensitivity_run_shows_what_the_reading_changes(make) -> None:
    root = make(cells=[REG, "extensions/sensitivity/a03-10"], seeds=2)
    (change,) = rows(root, "What another reading changes")
    runs = read_results(root, "paper").runs.pivot_table(
        index="seed", columns="cell", values="accuracy"
    )
    gain = (runs["extensions/sensitivity/a03-10"] - runs[REG]).mean()
    assert change[0] == f"A03 / {REG}"
    assert change[1] == "A factor of 10"
    assert change[3].replace("−", "-") == f"{gain:+.2f}"
    assert "(2 pairs)" in change[4]


def test_every_open_point_has_a_row(make) -> None:
    found = rows(make(cells=PAIR, seeds=1), "Ledger of ambiguities")
    assert [row[0][:3] for row in found] == [f"A{number:02d}" for number in range(1, 20)]
    assert found[2][2] == "A factor of 1, since none is printed."
    assert found[2][3].startswith("A factor of 0.001; ")
    assert "What another reading changes" not in markdown(make("none", cells=PAIR, seeds=1), "none")


def test_every_claim_has_a_row_and_both_outcomes(make) -> None:
    row = [f"table1/{name}/{method}" for name in ("cifar10", "fashion-mnist", "cifar100", "tiny-imagenet")
           for method in ("avgpool", "flexpool")]  # fmt: skip
    root = make(cells=row, seeds=3)
    found = {row[0]: row for row in rows(root, "Claims on the printed")}
    assert list(found) == [f"C{number:02d}" for number in range(1, 26)]
    assert found["C02"][3].startswith("holds / CIFAR10 +0.28, Fashion-MNIST +0.97")
    assert found["C02"][4] in ("supported", "contradicted", "not settled")
    assert found["C04"][4] == "cannot be tested / 4 of 4 differences are not there yet"
    assert found["C11"][4] == "cannot be tested / speaks of the printed page alone"


def test_the_differences_behind_a_claim_stand_below_it(make) -> None:
    names = ("cifar10", "fashion-mnist", "cifar100", "tiny-imagenet")
    row = [f"table1/{name}/{method}" for name in names for method in ("avgpool", "flexpool")]
    root = make(cells=row, seeds=3)
    behind = [row for row in rows(root, "The differences behind") if row[0] == "C02"]
    assert len(behind) == 4
    _, difference, mean, interval, pairs = behind[0]
    assert difference == "table1/cifar10/flexpool over table1/cifar10/avgpool"
    means = read_results(root, "paper").cells["mean"]
    expected = means["table1/cifar10/flexpool"] - means["table1/cifar10/avgpool"]
    assert float(mean.replace("−", "-")) == pytest.approx(expected, abs=0.005)
    low, high = (float(end.replace("−", "-")) for end in interval.split(" to "))
    assert low < expected < high
    assert pairs == "3"


def test_a_protocol_that_is_not_comparable_checks_no_claim(make) -> None:
    root = make("short", protocol="short", cells=PAIR, seeds=2)
    again = {row[4] for row in rows(root, "Claims on the printed", "short")}
    why = ("not trained as the paper did", "speaks of the printed page alone")
    assert again == {f"cannot be tested / {one}" for one in why}


def test_a_setting_is_why_numbers_cannot_be_compared(make) -> None:
    root = make(cells=PAIR, seeds=1, settings={"training.epochs": "50"})
    first = markdown(root).splitlines()[0]
    assert first == "> **Not comparable with the paper: setting training.epochs=50.**"


def test_protocol_and_setting_are_both_named(make) -> None:
    root = make("short", "short", cells=PAIR, seeds=1, settings={"training.epochs": "1"})
    first = markdown(root, "short").splitlines()[0]
    assert first.startswith("> **Not comparable with the paper: protocol short (")
    assert first.endswith("; setting training.epochs=1.**")


def test_the_precision_alone_is_no_reason_against_a_comparison(make) -> None:
    """As in the specs: the paper names none (A18)."""
    root = make(cells=PAIR, seeds=1, settings={"training.precision": "bfloat16"})
    assert markdown(root).startswith("# FlexPooling replicated")
    assert "Verdicts: inconclusive 2." in section(root, "Summary")
    assert "--set training.precision=bfloat16" in section(root, "Commands")


def test_the_commands_of_the_whole_and_of_each_cell(make) -> None:
    found = section(make("made", cells=PAIR, seeds=2), "Commands", "made")
    ending = "--protocol paper --seeds 2 --campaign made"
    assert re.findall(r"^replicate .*$", found, re.MULTILINE) == [
        f"replicate run {AVERAGE} {FLEX} {ending}",
        "replicate report made",
        f"replicate run {AVERAGE} {ending}",
        f"replicate run {FLEX} {ending}",
    ]


def test_predicted_against_spent_by_hand(make) -> None:
    """Runs of seeds 0, 1, 2 take 600, 660 and 720 s; the first was predicted at 500, the others at 250."""

    def edit(frames: dict[str, pd.DataFrame]) -> None:
        predicted = frames["forecast.csv"].query("cell == @FLEX").copy()
        predicted["predicted"] = [500.0, 250.0, 250.0]
        frames["forecast.csv"] = predicted

    root = make(cells=PAIR, seeds=3, edit=edit, fates={(FLEX, 2): ("diverged", "x")})
    found = section(root, "Predicted and spent time")
    assert "2 of 5 finished runs have a prediction" in found
    assert "12 min 30 s in all. They took 21 min 0 s, 1.68 times." in found
    first, *_ = rows(root, "Time spent over time predicted (runs), Table 1")
    assert first[1:4] == [
        "no prediction",
        "1.68 times (2) / predicted 12 min 30 s / spent 21 min 0 s",
        "not run",
    ]


def test_without_predictions_it_says_so(make) -> None:
    root = make(cells=PAIR, seeds=2)
    (root / "results" / "paper" / "forecast.csv").unlink()
    assert section(root, "Predicted and spent time").strip() == "No prediction was kept."


@pytest.mark.parametrize(
    ("files", "lost"),
    [
        (["epochs.csv.gz"], ["Learning curves"]),
        (["provenance.csv"], ["Cost", "Predicted and spent time"]),
        (["pools.csv.gz", "maps.csv.gz"], ["What FlexPool learned"]),
    ],
)
def test_a_missing_file_costs_its_own_section_alone(
    make, files: list[str], lost: list[str]
) -> None:
    root = make(cells=PAIR, seeds=2)
    whole = headings(markdown(root))
    for file in files:
        (root / "results" / "paper" / file).unlink()
    assert set(lost) <= set(whole)
    assert headings(markdown(root)) == [title for title in whole if title not in lost]


@pytest.mark.parametrize(
    ("seeds", "days"), [(1, "Begun on 2026-01-01."), (2, "Begun from 2026-01-01 to 2026-01-02.")]
)
def test_the_provenance_says_when(make, seeds: int, days: str) -> None:
    root = make(cells=PAIR, seeds=seeds)
    assert days in section(root, "Provenance")
    (root / "results" / "paper" / "provenance.csv").unlink()
    assert "Begun" not in section(root, "Provenance")


def test_cells_csv_alone_cannot_be_believed(make) -> None:
    root = make(cells=PAIR, seeds=2)
    for path in (root / "results" / "paper").glob("*.csv*"):
        if path.name != "cells.csv":
            path.unlink()
    with pytest.raises(UserError, match=r"cells\.csv: line 2: n '2', but runs\.csv gives '0'"):
        read_results(root, "paper")


def test_a_folder_that_cannot_be_written_is_one_line(
    project: Path, replicate: Callable[..., tuple[int, str, str]], records
) -> None:
    aggregate.aggregate(records.begin([AVERAGE], seeds=1))
    (project / "reports").touch()
    code, out, err = replicate("report", "made")
    assert (code, out) == (2, "")
    assert "reports" in err
    assert len(err.splitlines()) == 1


def _measured(frames: dict[str, pd.DataFrame]) -> None:
    runs = frames["runs.csv"]
    flexible = runs["cell"].str.endswith("flexpool") | runs["cell"].str.endswith("a03-10")
    runs["parameters"] = 269_722 + 4096 * flexible
    runs["flops"] = 81_106_176 + 4096 * flexible


def test_the_cost_of_the_layer_stands_beside_the_time(make) -> None:
    root = make(cells=PAIR, seeds=2, edit=_measured)
    average, flexible = rows(root, COST)[0][1:3]
    assert average == "10 min 30 s / 12,346 images/s / 269,722 parameters / 81.106 MFLOPs"
    assert flexible.split(" / ")[2:] == ["273,818 parameters", "81.110 MFLOPs"]
    assert "FLOPs are the floating-point operations" in section(root, "Cost")


def test_extensions_have_a_cost_table_of_their_own_with_network_and_pool(make) -> None:
    pool, network = "extensions/pools/gem", "extensions/networks/vgg16/flexpool"
    root = make(cells=[*PAIR, pool, network], seeds=2, edit=_measured)
    found = rows(root, "Cost outside the paper's tables")
    assert [row[:3] for row in found] == [[network, "vgg16", "flex"], [pool, "resnet20", "gem"]]
    assert found[0][3:] == [
        *("10 min 30 s", "12,346 images/s", "273,818 parameters", "81.110 MFLOPs")
    ]
    for caption in ("Table 1", "Table 2", "Mean time and speed of a run, parameters and FLOPs, T"):
        blocks = [
            block
            for part in document(read_results(root, "paper")).sections
            for block in part.blocks
        ]
        shown = [b for b in blocks if isinstance(b, Table) and b.caption.startswith(caption)]
        assert shown
        assert "extensions" not in str(shown)


def test_runs_recorded_before_costs_were_have_a_time_alone(make) -> None:
    """In a runs.csv with empty columns, and in one without them."""

    def drop(frames: dict[str, pd.DataFrame]) -> None:
        frames["runs.csv"] = frames["runs.csv"].drop(columns=["parameters", "flops"])

    make("blank", cells=PAIR, seeds=1)
    root = make("old", cells=PAIR, seeds=1, edit=drop)
    for name in ("blank", "old"):
        cell = rows(root, COST, name)[0][1]
        assert cell == "10 min 0 s / 12,346 images/s"
        assert "FLOPs are" not in section(root, "Cost", name)


LADDER = [
    "table1/fashion-mnist/avgpool",
    "table1/fashion-mnist/flexpool",
    *(f"extensions/ladder/{name}" for name in ("flatten", "placebo", "shared")),
]


def test_the_ladder_has_its_rungs_in_order_with_gain_and_cost(make) -> None:
    def edit(frames: dict[str, pd.DataFrame]) -> None:
        runs = frames["runs.csv"]
        runs["parameters"] = runs["cell"].map({cell: 1000 * n for n, cell in enumerate(LADDER)})
        placebo, base = (runs["cell"] == cell for cell in (LADDER[3], LADDER[0]))
        chance = pd.Series([0.3, -0.1, 0.1], index=runs.index[placebo])
        runs.loc[placebo, "accuracy"] = chance + runs.loc[base, "accuracy"].to_numpy()

    root = make(cells=LADDER, seeds=3, edit=edit)
    found = rows(root, "The ladder")
    names = ["AvgPool", "Placebo", "One map", "FlexPool", "No pool"]
    assert [row[0].partition(":")[0].split(" for")[0] for row in found] == names
    assert [row[3] for row in found] == ["0", "3,000", "4,000", "1,000", "2,000"]
    assert [row[4] for row in found] == ["unknown"] * 5
    assert found[0][2] == "baseline"
    # mean 0.1, sd 0.2, and t(0.975, 2 degrees of freedom) = 4.303
    assert found[1][2] == "+0.10 / −0.40 to +0.60 (3)"
    mean = read_results(root, "paper").cells.loc[LADDER[4], "mean"]
    assert found[2][1].startswith(f"{mean:.2f} ± ")


def test_no_ladder_without_its_own_cells(make) -> None:
    assert "The ladder" not in markdown(make(cells=LADDER[:2], seeds=3))


def test_a_rung_of_one_seed_has_no_gain(make) -> None:
    assert [row[2] for row in rows(make(cells=LADDER[::4], seeds=1), "The ladder")] == [
        "baseline",
        "fewer than 2 pairs",
    ]

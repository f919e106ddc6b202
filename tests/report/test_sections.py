"""What each section says, of small campaigns; nothing is drawn."""

import re
from collections.abc import Callable
from itertools import starmap
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from replicate.errors import UserError
from replicate.plan.campaign import Campaign
from replicate.plan.runs import Run
from replicate.records import run_folder
from replicate.report.document import Figure, Table
from replicate.report.sections.overview import document
from replicate.results import aggregate
from replicate.results.read import read_results
from replicate.specs import catalogue
from tests import making
from tests.report.conftest import age
from tests.report.reading import headings, markdown, rows, section

AVERAGE, FLEX, REG = (
    f"table1/cifar10/{method}" for method in ("avgpool", "flexpool", "flexpool-reg")
)
PAIR = [AVERAGE, FLEX]
COST = "Every cell: mean time"


def test_a_note_stands_beside_the_counts(make) -> None:
    note = "Tiny ImageNet: a sample is all there was."
    root = make(cells=PAIR, seeds=1, note=note)
    counts, said = section(root, "What went wrong").strip().split("\n\n")[:2]
    assert counts.endswith("30 of the paper's 32 cells are not part of this campaign.")
    assert said == note


def test_a_stale_cell_enters_no_gain(make) -> None:
    root = make("fresh", cells=PAIR, seeds=3)
    assert "Gains, Table 1" in section(root, "Gains over AvgPool", "fresh")
    make("aged", cells=PAIR, seeds=3, alter=lambda campaign: age(campaign, FLEX))
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
    found = rows(make(cells=PAIR, seeds=1), "Ambiguities, with the readings taken")
    assert [row[0][:3] for row in found] == [f"A{number:02d}" for number in range(1, 20)]
    assert found[2][2] == "A factor of 1, since none is printed."
    assert found[2][3].startswith("A factor of 0.001; ")
    assert "What another reading changes" not in markdown(make("none", cells=PAIR, seeds=1), "none")


def test_every_claim_has_a_row_and_both_outcomes(make) -> None:
    row = [f"table1/{name}/{method}" for name in ("cifar10", "fashion-mnist", "cifar100", "tiny-imagenet")
           for method in ("avgpool", "flexpool")]  # fmt: skip
    root = make(cells=row, seeds=3)
    found = {row[0][:3]: row for row in rows(root, "Claim sheets")}
    assert list(found) == [f"C{number:02d}" for number in range(1, 26)]
    assert found["C02"][2].startswith("holds / CIFAR10 +0.28, Fashion-MNIST +0.97")
    assert found["C02"][3] in ("supported", "contradicted", "not settled")
    assert found["C04"][3] == "cannot be tested / 4 of 4 differences are not there yet"
    assert found["C11"][3] == "cannot be tested / speaks of the printed page alone"


def test_every_claim_has_the_command_that_tests_it_and_its_cost(make) -> None:
    """A run of 100 epochs takes 600 s here, whatever its cell."""
    root = make(cells=PAIR, seeds=1)
    found = {row[0][:3]: row[4] for row in rows(root, "Claim sheets")}
    ending = "--protocol paper --seeds 5 --campaign claim-"
    cells = "'table1/*/avgpool' 'table1/*/flexpool'"
    cost, command = found["C02"].split(" / ")
    assert command == f"replicate run {cells} {ending}c02"
    assert re.fullmatch(r"40 runs, \d+ h \d+ min", cost)
    assert found["C06"].endswith(f"replicate run table2 {ending}c06")
    assert found["C20"].endswith(f"replicate run {ending}c20")
    assert found["C11"] == "seconds, no training / replicate audit"
    names = catalogue.cell_names(root)
    for cell in catalogue.select(names, ["table1/*/avgpool", "table1/*/flexpool"]):
        assert cell.startswith("table1/")
        assert cell.endswith(("/avgpool", "/flexpool"))


def test_a_claim_is_tested_in_the_precision_whose_speed_is_known(make) -> None:
    """The paper prints none (A18); the command in another one would not take the hours that are said."""
    make(cells=PAIR, seeds=1)
    root = make("fast", cells=PAIR, seeds=1, settings={"training.precision": "bfloat16"})
    plain, fast = (
        {row[0][:3]: row[4].split(" / ") for row in rows(root, "Claim sheets", name)}["C02"]
        for name in ("paper", "fast")
    )
    assert fast == [plain[0], f"{plain[1]} --set training.precision=bfloat16"]


def test_without_any_run_a_claim_costs_images(make) -> None:
    root = make(cells=PAIR, seeds=1, fates={(cell, 0): ("missing", "") for cell in PAIR})
    found = {row[0][:3]: row[4] for row in rows(root, "Claim sheets")}
    assert found["C02"].startswith("40 runs, 260,000,000 training images / ")


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
    again = {row[3] for row in rows(root, "Claim sheets", "short")}
    why = ("not trained as the paper did", "speaks of the printed page alone")
    assert again == {f"cannot be tested / {one}" for one in why}


def test_a_setting_is_why_numbers_cannot_be_compared(make) -> None:
    root = make(cells=PAIR, seeds=1, settings={"training.epochs": "50"})
    first = markdown(root).splitlines()[2]
    assert first == "> **Not comparable with the paper: setting training.epochs=50.**"


def test_protocol_and_setting_are_both_named(make) -> None:
    root = make("short", "short", cells=PAIR, seeds=1, settings={"training.epochs": "1"})
    first = markdown(root, "short").splitlines()[2]
    assert first.startswith("> **Not comparable with the paper: protocol short (")
    assert first.endswith("; setting training.epochs=1.**")


def test_the_precision_alone_is_no_reason_against_a_comparison(make) -> None:
    """As in the specs: the paper names none (A18)."""
    root = make(cells=PAIR, seeds=1, settings={"training.precision": "bfloat16"})
    assert "Not comparable" not in markdown(root)
    assert "Of the paper's: 2 inconclusive, 30 not in this campaign." in section(root, "The answer")
    assert "--set training.precision=bfloat16" in section(root, "Cost and commands")


def test_the_commands_of_the_whole_and_of_each_cell(make) -> None:
    root = make("made", cells=PAIR, seeds=2)
    found = section(root, "Cost and commands", "made")
    ending = "--protocol paper --seeds 2 --campaign made"
    assert re.findall(r"^replicate .*$", found, re.MULTILINE) == [
        f"replicate run {AVERAGE} {FLEX} {ending}",
        "replicate report made",
    ]
    assert [row[-1] for row in rows(root, COST, "made")] == [
        f"replicate run {AVERAGE} {ending}",
        f"replicate run {FLEX} {ending}",
    ]


def test_predicted_against_spent_by_hand(make) -> None:
    """Runs of seeds 0, 1, 2 take 600, 660 and 720 s; the first was predicted at 500, the others at 250."""

    def predicted(campaign: Campaign) -> None:
        making.predict(campaign, dict(zip(_flexible(campaign), [500.0, 250.0, 250.0], strict=True)))

    root = make(cells=PAIR, seeds=3, alter=predicted, fates={(FLEX, 2): ("diverged", "x")})
    found = section(root, "Cost and commands")
    assert "2 of 5 finished runs have a prediction" in found
    assert "12 min 30 s in all. They took 21 min 0 s, 1.68 times." in found
    assert [row[6] for row in rows(root, COST)] == [
        "no prediction",
        "1.68 times (2) / predicted 12 min 30 s / spent 21 min 0 s",
    ]


def test_without_predictions_it_says_so(make) -> None:
    root = make(cells=PAIR, seeds=2)
    (root / "results" / "paper" / "forecast.csv").unlink()
    assert "No prediction was kept." in section(root, "Cost and commands")


@pytest.mark.parametrize(
    ("files", "lost"),
    [
        (["epochs.csv.gz"], []),
        (["provenance.csv"], []),
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


def _measured(cell: str, seed: int) -> dict[str, int]:
    more = 4096 * cell.endswith("flexpool")
    return {"parameters": 269_722 + more, "flops": 81_106_176 + more}


def test_the_cost_of_the_layer_stands_beside_the_time(make) -> None:
    root = make(cells=PAIR, seeds=2, edit=_measured)
    average, flexible = rows(root, COST)
    assert average[:6] == [
        *(AVERAGE, "resnet20, avg", "10 min 30 s", "12,346 images/s", "269,722", "81.106 M")
    ]
    assert flexible[4:6] == ["273,818", "81.110 M"]
    assert "FLOPs are the floating-point operations" in section(root, "Cost and commands")


def test_extensions_have_a_cost_with_network_and_pool(make) -> None:
    pool, network = "extensions/pools/gem", "extensions/networks/vgg16/flexpool"
    root = make(cells=[*PAIR, pool, network], seeds=2, edit=_measured)
    found = rows(root, COST)[2:]
    assert [row[:2] for row in found] == [[network, "vgg16, flex"], [pool, "resnet20, gem"]]
    assert found[0][2:6] == ["10 min 30 s", "12,346 images/s", "273,818", "81.110 M"]
    for caption in ("Table 1", "Table 2"):
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

    make("blank", cells=PAIR, seeds=1)
    root = make("old", cells=PAIR, seeds=1)
    path = making.unsealed(root, "old") / "runs.csv"
    pd.read_csv(path, dtype=str).drop(columns=["parameters", "flops"]).to_csv(path, index=False)
    for name in ("blank", "old"):
        assert rows(root, COST, name)[0][2:6] == ["10 min 0 s", "12,346 images/s", "", ""]
        assert "FLOPs are" not in section(root, "Cost and commands", name)


# --- states


def _flexible(campaign: Campaign) -> list[Run]:
    return [run for run in campaign.runs if run.cell == FLEX]


def _begun(epochs: list[int]) -> Callable[[Campaign], None]:
    """Runs of plain FlexPool, from seed 0 on, that have begun and left no record of their end."""

    def begin(campaign: Campaign) -> None:
        for run, epoch in zip(_flexible(campaign), epochs, strict=False):
            making.reach(campaign, run, epoch)

    return begin


def _damage(campaign: Campaign) -> None:
    (run,) = _flexible(campaign)
    record = campaign.runs_folder / run.folder_name / run_folder.RECORD
    record.write_text(record.read_text().replace("0.1", "0.2"))


def test_a_run_under_way_is_unfinished_never_not_run(make) -> None:
    fates = {(FLEX, seed): ("missing", "") for seed in range(3)}
    root = make(cells=PAIR, seeds=3, fates=fates, alter=_begun([61, 12]))
    (first, *_) = rows(root, "Table 1: ")
    assert first[2] == "unfinished (epochs 12 and 61 of 100) / published 91.91"
    (incomplete,) = rows(root, "Cells without all their runs")
    assert incomplete == [
        FLEX,
        "0",
        "3",
        "0",
        "0",
        "unfinished (epochs 12 and 61 of 100)",
        "seed 2",
    ]
    assert "Of 6 runs: 3 finished, 2 unfinished, 1 not begun." in section(root, "What went wrong")
    cells = section(root, "The answer").partition("- **Cells:** ")[2].splitlines()[0]
    assert "1 unfinished" in cells
    assert "not run" not in cells


def test_a_finished_seed_does_not_hide_one_under_way(make) -> None:
    root = make(cells=PAIR, seeds=2, fates={(FLEX, 0): ("missing", "")}, alter=_begun([7]))
    (first, *_) = rows(root, "Table 1: ")
    assert "(1/2)" in first[2]
    assert "unfinished (epoch 7 of 100)" in first[2]


def test_a_corrupt_record_is_named_with_its_reason(make) -> None:
    root = make(cells=PAIR, seeds=1, alter=_damage)
    assert rows(root, "Records that cannot be believed") == [
        [f"{FLEX} seed 0", "its checksum is wrong"]
    ]
    (first, *_) = rows(root, "Table 1: ")
    assert first[2] == "1 record left out / published 91.91"
    assert "1 left out (corrupt)" in section(root, "The answer")


@pytest.mark.parametrize(
    ("cells", "said"), [([AVERAGE], "the run finished"), (PAIR, "all 2 runs finished")]
)
def test_nothing_went_wrong_in_one_run_or_more(make, cells: list[str], said: str) -> None:
    assert (
        section(make(cells=cells, seeds=1), "What went wrong")
        .strip()
        .startswith(f"Nothing: {said}.")
    )


def test_a_finished_seed_that_fell_on_the_way_is_named(make) -> None:
    """Its mean and spread would else be all that a reader sees of it."""

    def edit(cell: str, seed: int) -> dict[str, Any]:
        reached = [80.0, 39.0, 41.0, 70.0] if (cell, seed) == (FLEX, 1) else [80.0, 40.0, 70.0]
        return {"epochs": list(starmap(making.epoch, enumerate(reached, 1)))}

    root = make(cells=PAIR, seeds=2, edit=edit)
    assert rows(root, "Finished runs that fell") == [[FLEX, "1", "80.00", "39.00", "2", "70.00"]]
    answer = section(root, "The answer")
    assert "1 run fell by half." in answer


# --- the first screen


ANSWERS = (
    "Scope",
    "Cells",
    "Claims",
    "What went wrong",
    "Not to be concluded",
    "Deviations",
    "Authors",
    "The paper",
)


@pytest.mark.parametrize("protocol", ["paper", "short"])
def test_the_first_sixty_lines_are_the_answer(whole: Path, protocol: str) -> None:
    first = "\n".join(markdown(whole, protocol).splitlines()[:60])
    assert [title for title in ANSWERS if f"- **{title}:** " not in first] == []
    assert "| **FlexPool over AvgPool**<br>both, 8 pairs of cells |" in first
    assert "(figures/gains.svg)" in first
    assert "arXiv 2606.14926v1" in first
    assert "## What went wrong" in first


def test_why_nothing_is_comparable_is_said_once(whole: Path) -> None:
    text = markdown(whole, "short")
    assert text.count("as paper, but 10 epochs") == 1
    beside = text.count("<br>**Not comparable with the paper.** ")
    assert beside == 4, "forest plot, trend, Figures 2 and 4"


def test_a_campaign_that_is_not_comparable_gives_the_internal_answer(whole: Path) -> None:
    found = rows(whole, "Mean gains over the data sets", "short")
    assert len(found) == 4
    assert all(row[2].split(",")[0] in ("gain", "loss", "not settled") for row in found)
    assert "ours" not in str(found)


@pytest.mark.parametrize(
    ("part", "scope", "others"),
    [
        ("table1/fashion-mnist/", "Table 1, 1 pair", 0),
        ("/fashion-mnist/", "both, 2 pairs", 10),
        ("/avgpool", "AvgPool, 4 pairs", 0),
    ],
)
def test_a_mean_is_called_by_what_it_is_over(make, part: str, scope: str, others: int) -> None:
    """One table's, or one column's, is not called that of all, and is told once."""
    root = make(cells=[cell for cell in make.cells if part in cell], seeds=2)
    first, *_ = means = rows(root, "Mean gains over the data sets")
    assert first[0].endswith(f" / {scope} of cells")
    assert len(re.findall("pairs? of cells<?", markdown(root))) == len(means) + others


def test_extensions_alone_come_first_and_the_empty_tables_are_folded(make) -> None:
    folder = "extensions/networks/vgg16"
    cells = [f"{folder}/avgpool", f"{folder}/flexpool"]
    results = read_results(make("own", cells=cells, seeds=3), "own")
    report = document(results)
    answer = report.sections[0].blocks
    assert [row[0].lines[0] for row in answer[0].rows] == cells
    assert answer[0].rows[1][0].lines[1] == cells[0]
    assert [block.name for block in answer if isinstance(block, Figure)] == ["gains-own"]
    means = results.cells["mean"]
    gain = answer[0].rows[1][2].lines[0].replace("−", "-")
    assert float(gain) == pytest.approx(means[cells[1]] - means[cells[0]], abs=0.006)
    names = {figure.name for figure in report.figures}
    assert names >= {"gains-own", "curves-own", "maps-own"}
    printed = [
        b
        for s in report.sections
        for b in s.blocks
        if isinstance(b, Table) and "Table" in b.caption[:5]
    ]
    assert [(table.caption[:8], table.folded) for table in printed] == [
        ("Table 1:", True),
        ("Table 2:", True),
    ]

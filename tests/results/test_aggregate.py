"""From records to CSV files and the report: what counts, what does not, every guard firing."""

import csv
import gzip
import io
import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor as Pool
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from replicate.errors import UserError
from replicate.plan.campaign import Campaign, open_campaign
from replicate.records import run_folder
from replicate.records.origin import Attempt, Origin
from replicate.records.record import Answers
from replicate.report.render import as_markdown
from replicate.report.sections.overview import document
from replicate.results import aggregate
from replicate.results import rows as run_rows
from replicate.results.contrasts import by_seed
from replicate.results.read import read_results

CELL, AVERAGE = "table1/cifar10/flexpool", "table1/cifar10/avgpool"


def rows(campaign: Campaign, name: str) -> list[dict[str, str]]:
    content = (campaign.results / name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def verdict(campaign: Campaign, cell: str = CELL) -> str:
    aggregate.aggregate(campaign)
    (own,) = (row for row in rows(campaign, "cells.csv") if row["cell"] == cell)
    return own["verdict"]


def text(campaign: Campaign) -> str:
    """The report, on one line and without markdown's escapes."""
    aggregate.aggregate(campaign)
    report = as_markdown(document(read_results(campaign.root, campaign.request.name))).decode()
    return " ".join(report.replace("\\", "").split())


def change_spec(root: Path, old: str, new: str) -> None:
    path = root / "experiments/protocols/paper.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def whole(records: Any) -> Campaign:
    """Both seeds of FlexPool and of AvgPool, made alike."""
    campaign = records.begin([AVERAGE, CELL])
    for cell, values in {CELL: (91.8, 92.0), AVERAGE: (91.5, 91.9)}.items():
        for seed, value in enumerate(values):
            pools = [np.full((2, 2, 2), 0.5)] if cell == CELL else None
            records.leave(campaign, cell, seed, value, pools=pools)
    return campaign


def test_cells_by_hand(whole: Campaign) -> None:
    """Accuracies 91.8 and 92.0: mean 91.9, sd √0.02, t(1) = 12.706 for the interval of the mean."""
    aggregate.aggregate(whole)
    _, cell = rows(whole, "cells.csv")
    assert cell["cell"] == CELL
    assert (cell["n"], cell["asked"], cell["failed"], cell["diverged"]) == ("2", "2", "0", "0")
    assert (cell["published"], cell["row"], cell["column"]) == ("91.91", "CIFAR10", "FlexPool")
    assert float(cell["mean"]) == pytest.approx(91.9)
    assert float(cell["sd"]) == pytest.approx(0.02**0.5)
    assert float(cell["low"]) == pytest.approx(91.9 - 12.7062 * 0.1, abs=1e-4)
    assert float(cell["high"]) == pytest.approx(91.9 + 12.7062 * 0.1, abs=1e-4)
    assert float(cell["best_mean"]) == pytest.approx(91.9)
    assert float(cell["delta"]) == pytest.approx(-0.01)
    assert cell["verdict"] == "inconclusive"
    assert cell["mixed"] == ""


def test_a_row_a_run_epoch_channel_and_position(whole: Campaign) -> None:
    assert aggregate.aggregate(whole) == []
    runs = rows(whole, "runs.csv")
    assert [(run["cell"], run["seed"], run["accuracy"]) for run in runs] == [
        (AVERAGE, "0", "91.5"),
        (AVERAGE, "1", "91.9"),
        (CELL, "0", "91.8"),
        (CELL, "1", "92.0"),
    ]
    assert {(run["status"], run["stale"], run["epochs"], run["best_epoch"]) for run in runs} == {
        ("done", "False", "2", "2")
    }
    assert len(rows(whole, "provenance.csv")) == 4
    assert len(rows(whole, "epochs.csv.gz")) == 8
    pools = rows(whole, "pools.csv.gz")
    assert [(row["seed"], row["channel"], row["sum"]) for row in pools] == [
        (seed, channel, "2.0") for seed in "01" for channel in "01"
    ]
    maps = rows(whole, "maps.csv.gz")
    assert [(row["cell"], row["head"], row["row"], row["column"]) for row in maps] == [
        (CELL, "0", row, column) for row in "01" for column in "01"
    ]
    assert {row["weight"] for row in maps} == {"0.5"}
    assert {row["between_seeds"] for row in maps} == {"0.0"}


def test_a_map_is_the_mean_over_channels_and_seeds(records: Any) -> None:
    campaign = records.begin([CELL])
    records.leave(campaign, CELL, 0, pools=[np.array([[[1.0, 2.0]], [[3.0, 6.0]]])])
    records.leave(campaign, CELL, 1, pools=[np.array([[[4.0, 0.0]], [[4.0, 2.0]]])])
    aggregate.aggregate(campaign)
    maps = rows(campaign, "maps.csv.gz")
    assert [row["weight"] for row in maps] == ["3.0", "2.5"]
    assert [float(row["between_seeds"]) for row in maps] == pytest.approx([2 / 2**0.5, 3 / 2**0.5])


def test_the_share_of_negative_weights_is_that_of_each_channel(records: Any) -> None:
    campaign = records.begin([CELL], seeds=1)
    weights = np.array([[[1.0, -2.0], [-0.0, 3.0]], [[-1.0, -2.0], [-3.0, 0.5]]])
    records.leave(campaign, CELL, 0, pools=[weights])
    aggregate.aggregate(campaign)
    assert [row["negative"] for row in rows(campaign, "pools.csv.gz")] == ["0.25", "0.75"]
    assert {row["between_seeds"] for row in rows(campaign, "maps.csv.gz")} == {""}


def test_many_records_are_read_in_several_processes(
    whole: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    aggregate.aggregate(whole)
    before = {path.name: path.read_bytes() for path in whole.results.glob("*.csv*")}
    asked = []
    monkeypatch.setattr(run_rows, "ProcessPoolExecutor", lambda *a: asked.append(a) or Pool(*a))
    monkeypatch.setattr(run_rows, "_CHUNK", 2)
    aggregate.aggregate(whole)
    assert len(asked) == 1
    assert {path.name: path.read_bytes() for path in whole.results.glob("*.csv*")} == before


def test_the_same_records_give_the_same_bytes(whole: Campaign) -> None:
    def contents() -> dict[str, bytes]:
        aggregate.aggregate(whole)
        return {path.name: path.read_bytes() for path in whole.results.glob("*.csv*")}

    assert contents() == contents()
    assert len(contents()) == 9


def test_runs_csv_knows_nothing_of_attempts_and_time(whole: Campaign, records: Any) -> None:
    aggregate.aggregate(whole)
    before = (whole.results / "runs.csv").read_bytes()
    provenance = {"attempts": 7, "seconds": 999.0, "started": "2027-01-01T00:00:00+00:00"}
    records.leave(whole, CELL, 0, 91.8, provenance=provenance)
    aggregate.aggregate(whole)
    assert (whole.results / "runs.csv").read_bytes() == before
    assert "7" in {row["attempts"] for row in rows(whole, "provenance.csv")}


def test_failed_and_diverged_seeds_are_counted(records: Any) -> None:
    campaign = records.begin([CELL], seeds=3)
    records.leave(campaign, CELL, 0, 91.8)
    records.leave(campaign, CELL, 1, 20.0, status="diverged", error="the loss was not finite")
    records.leave(campaign, CELL, 2, None)
    assert verdict(campaign) == "unstable (1 of 2 diverged)"
    (cell,) = rows(campaign, "cells.csv")
    assert (cell["n"], cell["failed"], cell["diverged"]) == ("1", "1", "1")
    runs = rows(campaign, "runs.csv")
    assert [run["accuracy"] for run in runs] == ["91.8", "", ""]
    assert [run["best_epoch"] for run in runs] == ["2", "2", ""]
    assert list(read_results(campaign.root, "made").runs["best_epoch"].dropna()) == [2, 2]
    report = text(campaign)
    assert "out of memory" in report
    assert "the loss was not finite" in report


def test_fewer_seeds_than_asked_are_incomplete(records: Any) -> None:
    campaign = records.begin([CELL], seeds=3)
    records.leave(campaign, CELL, 0)
    records.leave(campaign, CELL, 2)
    assert verdict(campaign) == "incomplete (2/3 seeds)"
    assert re.search(r"\(2/3\)\*\*<br>[^|]*<br>incomplete \|", text(campaign))


def test_a_campaign_without_runs_is_not_run(records: Any) -> None:
    assert verdict(records.begin([CELL])) == "not run"


def test_a_changed_spec_makes_its_cells_stale(whole: Campaign) -> None:
    assert verdict(whole) != "stale"
    change_spec(whole.root, "epochs: 100", "epochs: 101")
    changed = open_campaign(whole.root, "made")
    assert verdict(changed) == "stale"
    assert {run["stale"] for run in rows(changed, "runs.csv")} == {"True"}
    assert "Cells whose spec changed after they were run" in text(changed)


def test_one_stale_seed_is_enough(whole: Campaign, records: Any) -> None:
    change_spec(whole.root, "epochs: 100", "epochs: 101")
    changed = open_campaign(whole.root, "made")
    records.leave(changed, CELL, 0, 80.0)
    assert verdict(changed) == "stale"


def test_stale_runs_are_forgotten_once_they_are_run_again(whole: Campaign, records: Any) -> None:
    aggregate.aggregate(whole)
    change_spec(whole.root, "epochs: 100", "epochs: 101")
    changed = open_campaign(whole.root, "made")
    for seed, value in enumerate((80.0, 80.2)):
        records.leave(changed, CELL, seed, value)
    assert verdict(changed) == "inconclusive", "two seeds have no word"
    assert verdict(changed, AVERAGE) == "stale"
    own = [run for run in rows(changed, "runs.csv") if run["cell"] == CELL]
    assert [(run["seed"], run["accuracy"], run["stale"]) for run in own] == [
        ("0", "80.0", "False"),
        ("1", "80.2", "False"),
    ]
    for name in ("provenance.csv", "epochs.csv.gz", "pools.csv.gz"):
        ids = {row["run_id"] for row in rows(changed, name) if row["cell"] == CELL}
        assert ids <= {run["run_id"] for run in own}, name


def test_of_two_stale_runs_the_later_stands(records: Any) -> None:
    first = records.begin([CELL], seeds=1)
    records.leave(first, CELL, 0, 70.0, provenance={"started": "2026-02-02T00:00:00+00:00"})
    for epochs, value, day in (("101", 80.0, 3), ("102", 75.0, 1)):
        change_spec(first.root, "epochs: 10", f"epochs: {epochs} #")
        started = {"started": f"2026-02-0{day}T00:00:00+00:00"}
        records.leave(open_campaign(first.root, "made"), CELL, 0, value, provenance=started)
    change_spec(first.root, "epochs: 10", "epochs: 103 #")
    changed = open_campaign(first.root, "made")
    aggregate.aggregate(changed)
    (run,) = rows(changed, "runs.csv")
    assert (run["accuracy"], run["stale"]) == ("80.0", "True")


def test_a_published_number_that_changes_makes_nothing_stale(whole: Campaign) -> None:
    for path in (f"{CELL}.yaml", "paper/tables.yaml"):
        file = whole.root / "experiments" / path
        assert "91.91" in file.read_text()
        file.write_text(file.read_text().replace("91.91", "95.91"))
    assert verdict(open_campaign(whole.root, "made")) == "inconclusive"
    assert rows(whole, "cells.csv")[1]["published"] == "95.91"


def test_runs_whose_records_are_gone_are_not_forgotten(whole: Campaign) -> None:
    aggregate.aggregate(whole)
    before = (whole.results / "runs.csv").read_bytes()
    shutil.rmtree(next(whole.runs_folder.glob("*-s1-*")))
    with pytest.raises(
        UserError, match=r"holds 1 run whose records are not in .* such as .* seed 1: bring them"
    ):
        aggregate.aggregate(whole)
    assert (whole.results / "runs.csv").read_bytes() == before
    (whole.results / "runs.csv").unlink()  # as the message says
    assert aggregate.aggregate(whole) == []
    assert len(rows(whole, "runs.csv")) == 3


def test_a_run_that_is_being_done_again_is_not_gone(whole: Campaign) -> None:
    aggregate.aggregate(whole)
    run_folder.set_aside(next(whole.runs_folder.glob("*flexpool-s1-*")), "failed")
    assert verdict(whole) == "incomplete (1/2 seeds)"


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-20]),
        lambda file: file.write_text("a foreign file"),
        lambda file: file.write_text(file.read_text().replace("92.0", "93.0")),
    ],
)
def test_a_corrupt_record_is_reported_and_left_out(
    whole: Campaign, damage: Callable[[Path], Any]
) -> None:
    aggregate.aggregate(whole)
    file = next(whole.runs_folder.glob("*flexpool-s1-*")) / run_folder.RECORD
    damage(file)
    (line,) = aggregate.aggregate(whole)
    assert line.startswith(str(file))
    assert len(rows(whole, "runs.csv")) == 3
    (absent,) = rows(whole, "absent.csv")
    assert [absent[name] for name in ("cell", "seed", "state")] == [CELL, "1", "left out"]
    assert absent["why"] in line
    assert str(whole.root) not in absent["why"], "a report has no path of this machine"
    assert verdict(whole) == "incomplete (1/2 seeds)"
    file.unlink()
    shutil.rmtree(file.parent)
    (whole.results / "runs.csv").unlink()
    aggregate.aggregate(whole)
    assert not (whole.results / "absent.csv").exists()


def test_a_run_that_has_begun_stands_with_its_epoch(whole: Campaign) -> None:
    folder = next(whole.runs_folder.glob("*flexpool-s1-*"))
    (folder / run_folder.RECORD).unlink()
    (folder / run_folder.ATTEMPTS).touch()
    aggregate.aggregate(whole)
    (absent,) = rows(whole, "absent.csv")
    assert [absent[name] for name in ("cell", "seed", "state", "epoch")] == [
        CELL,
        "1",
        "unfinished",
        "0",
    ]
    progress = {"epoch": 1, "accuracy": 50.0, "images_per_second": 100.0}
    (folder / run_folder.PROGRESS).write_text(json.dumps(progress))
    aggregate.aggregate(whole)
    (absent,) = rows(whole, "absent.csv")
    assert absent["epoch"] == "1"
    assert absent["epochs"] == str(whole.specs[CELL].training.epochs)


def test_a_stray_file_among_the_runs_is_reported(whole: Campaign) -> None:
    (whole.runs_folder / "notes.txt").write_text("mine")
    (line,) = aggregate.aggregate(whole)
    assert "notes.txt" in line
    assert len(rows(whole, "runs.csv")) == 4


def test_a_copied_run_counts_once(whole: Campaign) -> None:
    folder = next(whole.runs_folder.glob("*flexpool-s1-*"))
    shutil.copytree(folder, folder.with_name("a copy"))
    aggregate.aggregate(whole)
    assert len(rows(whole, "runs.csv")) == 4


def test_runs_of_a_cell_outside_the_campaign_are_left_out(whole: Campaign, records: Any) -> None:
    (whole.results / "campaign.json").unlink()
    alone = records.begin([CELL], name="made")
    aggregate.aggregate(alone)
    for name in ("runs.csv", "provenance.csv", "epochs.csv.gz", "cells.csv"):
        assert {row["cell"] for row in rows(alone, name)} == {CELL}


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("commit", {"provenance": {"commit": "1" * 40}}),
        ("device", {"provenance": {"device": "NVIDIA H200"}}),
        ("torch", {"provenance": {"torch": "2.12.0"}}),
        ("precision", {"provenance": {"precision": "bfloat16"}}),
        ("fingerprint", {"fingerprint": "e" * 64}),
        ("source", {"source": "folder"}),
        ("commit", {"provenance": {"commit": None}}),
    ],
)
def test_seeds_of_mixed_origins_are_flagged(
    whole: Campaign, records: Any, column: str, other: dict[str, Any]
) -> None:
    records.leave(whole, CELL, 1, 92.0, **other)
    aggregate.aggregate(whole)
    flags = {row["cell"]: row["mixed"] for row in rows(whole, "cells.csv")}
    assert flags == {AVERAGE: "", CELL: column}


def test_the_report_names_every_mixed_origin(whole: Campaign, records: Any) -> None:
    assert "Mixed origins" not in text(whole)
    records.leave(whole, CELL, 1, 92.0, source="folder", provenance={"numpy": "2.5.0"})
    report = text(whole)
    assert rows(whole, "cells.csv")[1]["mixed"] == "source; numpy"
    for words in ("Mixed origins", CELL, "folder", "2.5.0"):
        assert words in report[report.index("Mixed origins") :]


@pytest.mark.parametrize(
    ("codes", "commits", "mixed"),
    [
        (("a", "a"), ("1", "2"), ""),  # a commit of a text, a moved file
        (("a", "b"), ("1", "1"), "code"),  # an edit that nobody has committed
        ((None, None), ("1", "2"), "commit"),  # records of an earlier version of the suite
        ((None, "a"), ("1", "1"), "code; commit"),
        (("a", "a"), (None, "2"), ""),  # an archive without git
    ],
)
def test_digests_tell_codes_apart_and_commits_only_where_there_are_none(
    whole: Campaign, records: Any, codes: Any, commits: Any, mixed: str
) -> None:
    for seed, (code, commit) in enumerate(zip(codes, commits, strict=True)):
        records.leave(whole, CELL, seed, 92.0, provenance={"code": code, "commit": commit})
    aggregate.aggregate(whole)
    flags = {row["cell"]: row["mixed"] for row in rows(whole, "cells.csv")}
    assert flags == {AVERAGE: "", CELL: mixed}


def test_attempts_that_differ_mix_a_run_within(whole: Campaign, records: Any) -> None:
    attempts = [Attempt(1, Origin(torch="2.14", commit="1")), Attempt(1, Origin(torch="2.15"))]
    records.leave(whole, CELL, 1, 92.0, attempts=attempts)
    aggregate.aggregate(whole)
    flags = {row["cell"]: row["mixed"] for row in rows(whole, "cells.csv")}
    assert flags == {AVERAGE: "", CELL: "within"}
    assert [row["within"] for row in rows(whole, "provenance.csv")] == ["", "", "", "torch"]
    report = text(whole)
    assert f"| {CELL} | attempts of seed 1 | torch |" in report


def test_records_say_which_images_were_right_or_that_they_lack_it(
    whole: Campaign, records: Any
) -> None:
    answers = Answers("f" * 64, np.packbits(np.arange(10_000) < 9_200).tobytes())
    records.leave(whole, CELL, 1, 92.0, answers=answers)
    aggregate.aggregate(whole)
    assert [row["right"] for row in rows(whole, "runs.csv")] == ["", "", "", "9200"]
    assert "Only 1 of the 4 records says which test images" in text(whole)


def test_threads_and_failed_seeds_mix_nothing(whole: Campaign, records: Any) -> None:
    records.leave(whole, AVERAGE, 1, 91.9, provenance={"threads": 8})
    records.leave(whole, CELL, 1, None, provenance={"device": "unknown"})
    aggregate.aggregate(whole)
    assert {row["mixed"] for row in rows(whole, "cells.csv")} == {""}


@pytest.mark.parametrize(
    ("protocol", "settings"),
    [("smoke", {}), ("short", {}), ("paper", {"training.epochs": "50"})],
)
def test_what_is_not_comparable_never_reaches_a_verdict(
    records: Any, protocol: str, settings: dict[str, str]
) -> None:
    campaign = records.begin([CELL], protocol=protocol, settings=settings)
    for seed in range(2):
        records.leave(campaign, CELL, seed, 91.9)
    assert verdict(campaign) == "not comparable"
    report = text(campaign)
    assert "Not comparable with the paper" in report
    assert "Of the paper's: 1 not comparable" in report


def test_generated_images_never_reach_a_verdict(records: Any) -> None:
    """Whatever the spec says: the record knows what the run has seen."""
    campaign = records.begin([CELL])
    for seed in range(2):
        records.leave(campaign, CELL, seed, 91.9, source="generated")
    assert verdict(campaign) == "not comparable"


def test_accuracies_leave_out_stale_cells_and_unfinished_runs() -> None:
    cells = pd.DataFrame({"cell": ["a", "b"], "verdict": ["consistent", "stale"]})
    runs = pd.DataFrame(
        {
            **{"cell": ["a", "a", "b"], "seed": [0, 1, 0]},
            **{"status": ["done", "failed", "done"], "accuracy": [90.0, np.nan, 80.0]},
        }
    )
    assert by_seed(runs, cells) == {"a": {0: 90.0}}


def test_bits_give_intervals_on_new_images_and_mcnemars_p_value(records: Any) -> None:
    """Of 10,000 images the method alone gets 300 right and the baseline alone 200, seed by seed."""
    campaign = records.begin([AVERAGE, CELL], seeds=2)
    base, better = np.arange(10_000) < 9000, np.arange(10_000) < 9300
    better[:200] = False
    for seed in range(2):
        for cell, right in ((AVERAGE, base), (CELL, better)):
            answers = Answers("f" * 64, np.packbits(right).tobytes())
            records.leave(campaign, cell, seed, float(right.sum()) / 100, answers=answers)
    aggregate.aggregate(campaign)
    (gain,) = read_results(campaign.root, "made").gains.itertuples()
    sd = 100 * np.sqrt((0.05 - 0.01**2) / 9_999)
    assert gain.gain == pytest.approx(1.0)
    assert (gain.images_low, gain.images_high) == pytest.approx(
        (1 - 12.7062 * sd, 1 + 12.7062 * sd), rel=1e-4
    )
    assert np.isnan(gain.mcnemar), "two pairs have an interval"
    assert read_results(campaign.root, "made").cells["calibration"].tolist() == [0.0, 0.0]
    alone = records.begin([AVERAGE, CELL], seeds=1, name="alone")
    for cell, right in ((AVERAGE, base), (CELL, better)):
        answers = Answers("f" * 64, np.packbits(right).tobytes())
        records.leave(alone, cell, 0, float(right.sum()) / 100, answers=answers)
    aggregate.aggregate(alone)
    (single,) = read_results(alone.root, "alone").gains.itertuples()
    assert single.mcnemar == pytest.approx(8.9e-6, rel=0.05), "z = (300 - 200 - 1) / √500 = 4.43"
    assert np.isnan(single.images_low)

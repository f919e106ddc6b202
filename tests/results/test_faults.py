"""Faults put into copies of a campaign's files: each is one line that names the place, never a trace.

Checksums are left out, as whoever changes a file on purpose would leave them out.
"""

import gzip
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from replicate.errors import UserError
from replicate.files import checksums as sums
from replicate.records.record import Answers
from replicate.results import aggregate
from replicate.results.read import read_results
from tests import making
from tests.making import Records

ROOT = Path(__file__).parents[2]
CELLS = [f"table1/cifar10/{name}" for name in ("avgpool", "flexpool", "flexpool-reg")]
Frame = pd.DataFrame


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = making.project(tmp_path_factory.mktemp("sound"))
    records = Records(root)
    campaign = records.begin(CELLS, seeds=3)
    for index, cell in enumerate(CELLS):
        for seed in range(3):
            right = 9100 + 50 * index + 10 * seed
            bits = bytes([255] * (right // 8) + [0] * (1250 - right // 8))
            right = 8 * (right // 8)
            answers = Answers("f" * 64, bits)
            odd = {"batch-means": right / 100}
            records.leave(campaign, cell, seed, right / 100, answers=answers, oddities=odd)
    aggregate.aggregate(campaign)
    making.unsealed(root, "made")
    return root


def put(column: str, value: object, row: int = 0) -> Callable[[Frame], Frame]:
    def change(frame: Frame) -> Frame:
        frame.loc[row, column] = value
        return frame

    return change


def swap(one: str, other: str) -> Callable[[Frame], Frame]:
    return lambda frame: frame.rename(columns={one: other, other: one})


def exchange(frame: Frame, column: str, one: str, other: str) -> Frame:
    return frame.assign(**{column: frame[column].replace({one: other, other: one})})


def double(frame: Frame) -> Frame:
    return pd.concat([frame, frame.iloc[:1].assign(run_id="0" * 12, stale="True")])


def drop(frame: Frame) -> Frame:
    return frame.iloc[1:]


FAULTS: dict[str, tuple[str, Callable[[Frame], Frame], str]] = {
    "an accuracy": ("runs.csv", put("accuracy", "91.5"), "accuracy '91.5', but epochs.csv.gz says"),
    "a best accuracy": ("runs.csv", put("best_accuracy", "95.0"), "best_accuracy '95.0'"),
    "accuracy and loss swapped": ("runs.csv", swap("accuracy", "train_loss"), "accuracy"),
    "the images it got right": ("runs.csv", put("right", "9001"), "but by its accuracy it is '9096.0'"),
    "a doubled seed": ("runs.csv", double, "a second row of 'table1/cifar10/avgpool'"),
    "a seed that nobody asked for": ("runs.csv", put("seed", "7"), "'7', but the seeds asked for are '0-2'"),
    "a run of another spec": ("runs.csv", put("run_id", "0" * 12), "stale 'False'"),
    "a run called stale": ("runs.csv", put("stale", "True"), "stale 'True'"),
    "two seeds swapped": ("runs.csv", lambda f: exchange(f, "seed", "0", "1"), "stale"),
    "another data set": ("runs.csv", put("dataset", "cifar100"), "but by its spec it is 'cifar10'"),
    "another method": ("runs.csv", put("method", "flexpool"), "method 'flexpool'"),
    "another protocol": ("runs.csv", put("protocol", "short"), "protocol 'short'"),
    "a diverged run": ("runs.csv", put("status", "diverged"), "cells.csv"),
    "a missing run": ("runs.csv", drop, "runs.csv has no such run of this seed"),
    "generated images": ("runs.csv", put("source", "generated"), "cells.csv"),
    "a mean": ("cells.csv", put("mean", "92.5"), "mean '92.5', but runs.csv gives"),
    "an sd": ("cells.csv", put("sd", "0.01"), "sd '0.01'"),
    "an end of an interval": ("cells.csv", put("low", "90.0"), "low '90.0'"),
    "ends of an interval swapped": ("cells.csv", swap("low", "high"), "low"),
    "a verdict": ("cells.csv", put("verdict", "consistent"), "'consistent', but runs.csv gives 'lower'"),
    "a published number": ("cells.csv", put("published", "91.64"), "'91.64', but runs.csv gives '91.63'"),
    "a count": ("cells.csv", put("n", "4"), "n '4', but runs.csv gives '3'"),
    "seeds asked for": ("cells.csv", put("asked", "2"), "asked '2'"),
    "a difference": ("cells.csv", put("delta", "0.0"), "delta '0.0'"),
    "a mark that is gone": ("cells.csv", put("noisy", "x"), "noisy 'x'"),
    "a cell that is gone": ("cells.csv", drop, "2 rows, but runs.csv gives 3"),
    "a spread": ("cells.csv", put("spread", "0.001"), "spread '0.001'"),
    "a gain": ("gains.csv", put("gain", "2.0"), "gain '2.0', but runs.csv gives"),
    "a p value": ("gains.csv", put("holm", "0.001"), "holm '0.001'"),
    "a word of a gain": ("gains.csv", put("verdict", "loss"), "verdict 'loss'"),
    "a gain that is gone": ("gains.csv", drop, "1 rows, but runs.csv gives 2"),
    "an overall answer": ("overall.csv", put("gain", "3.0"), "gain '3.0'"),
    "a published mean": ("overall.csv", put("published", "3.0"), "published '3.0'"),
    "a claim": ("claims.csv", put("verdict", "supported"), "verdict 'supported'"),
    "what the audit found": ("claims.csv", put("printed", "holds"), "printed 'holds'"),
    "an epoch's accuracy": ("epochs.csv.gz", put("accuracy", "95.0", 1), "runs.csv: line 2: accuracy"),
    "epochs of another run": ("epochs.csv.gz", put("run_id", "0" * 12), "epochs.csv.gz: line 2: run_id"),
    "provenance of another cell": ("provenance.csv", put("cell", CELLS[1]), "provenance.csv: line 2: run_id"),
    "another machine": ("provenance.csv", put("torch", "2.99"), "mixed '', but runs.csv gives 'torch'"),
    "an odd accuracy of another seed": ("oddities.csv", put("seed", "2"), "oddities.csv: line 2: run_id"),
}  # fmt: skip


def change(path: Path, how: Callable[[Frame], Frame]) -> None:
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    frame = how(pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False))
    written = frame.to_csv(index=False).encode()
    path.write_bytes(gzip.compress(written) if path.suffix == ".gz" else written)


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def test_nothing_is_wrong_with_the_campaign_itself(copy: Path) -> None:
    assert len(read_results(copy, "made").runs) == 9


def test_there_are_enough_of_them() -> None:
    assert len(FAULTS) >= 25


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen(copy: Path, name: str) -> None:
    file, how, said = FAULTS[name]
    change(copy / "results/made" / file, how)
    with pytest.raises(UserError) as caught:
        read_results(copy, "made")
    (line,) = str(caught.value).splitlines()
    assert said in line
    assert line.endswith("make it again with `replicate aggregate made`")


@pytest.mark.parametrize("name", ["a mean", "a gain", "an accuracy"])
def test_what_is_made_again_is_sound(copy: Path, name: str) -> None:
    """The next command, followed."""
    from replicate.plan.campaign import open_campaign

    file, how, _ = FAULTS[name]
    change(copy / "results/made" / file, how)
    assert aggregate.aggregate(open_campaign(copy, "made")) == []
    assert len(read_results(copy, "made").runs) == 9


def test_a_fault_is_one_line_of_the_command_line(
    copy: Path, replicate: Callable[..., tuple[int, str, str]]
) -> None:
    change(copy / "results/made/cells.csv", put("mean", "92.5"))
    code, out, err = replicate("report", "made", "--root", str(copy))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_specs_that_print_other_numbers_than_the_tables(copy: Path) -> None:
    path = copy / "experiments/paper/tables.yaml"
    path.write_text(path.read_text().replace("91.63", "91.64"))
    with pytest.raises(UserError, match=r"experiments/table1/cifar10/avgpool\.yaml: published"):
        read_results(copy, "made")


def test_a_record_whose_spec_is_not_its_id_is_left_out(records: Any) -> None:
    campaign = records.begin(CELLS, seeds=1)
    records.leave(campaign, CELLS[0], 0, 91.0)
    other = campaign.specs[CELLS[1]].model_dump(mode="json")
    folder = records.leave(
        campaign, CELLS[1], 0, 91.0, spec={**other, "loss": {"penalty_weight": 9}}
    )
    (line,) = aggregate.aggregate(campaign)
    assert line.startswith(str(folder))
    assert "its spec is not that of its id" in line


def test_a_seed_that_nobody_asked_for_is_left_out(records: Any) -> None:
    campaign = records.begin(CELLS[:1], seeds=2)
    for seed in range(2):
        records.leave(campaign, CELLS[0], seed, 91.0 + seed)
    path = campaign.results / "campaign.json"
    path.write_text(path.read_text().replace('"seeds": 2', '"seeds": 1'))
    (campaign.results / sums.FILE).unlink()
    from replicate.plan.campaign import open_campaign

    (line,) = aggregate.aggregate(open_campaign(records.root, "made"))
    assert "seed 1: the seeds asked for are 0" in line
    assert len(read_results(records.root, "made").runs) == 1

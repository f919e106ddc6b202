"""A precision that this machine lacks: the rest is done, the lack is said, and nothing is changed by it."""

import errno
import shlex
from pathlib import Path

import pytest

from replicate.dispatch import worker
from replicate.dispatch.context import WorkerContext
from replicate.dispatch.precision import lacking
from replicate.errors import UserError
from replicate.plan.campaign import open_campaign
from replicate.plan.state import look
from replicate.records import run_folder
from replicate.records.origin import Origin
from replicate.training import checkpoint, engine
from replicate.workflows import verify
from replicate.workflows.retrain import Again, Retraining
from replicate.workflows.verify import Step
from tests.dispatch.processes import Command
from tests.making import Records

CELL = "table1/cifar10/avgpool"
READING = "extensions/sensitivity/a18-bfloat16"
BFLOAT16 = {"training.precision": "bfloat16"}
LACK = "precision bfloat16: this machine's cpu lacks it"


@pytest.fixture(autouse=True)
def old_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_computes_bfloat16", lambda _: False)


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_what_is_lacking() -> None:
    assert lacking(["float32", "auto", "bfloat16"]) == {"bfloat16": LACK}


def test_what_keeps_from_training_at_all_is_no_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(*_: object) -> None:
        raise UserError("REPLICATE_ENGINE=fast: choose from eager, captured, compiled")

    monkeypatch.setattr(engine, "choose", choose)
    with pytest.raises(UserError, match="REPLICATE_ENGINE"):
        lacking(["bfloat16"])


def test_a_refused_run_leaves_the_campaign_as_it_was(replicate: Command, records: Records) -> None:
    """Its seeds and its note, and a failed run failed. What is advised is not refused."""
    campaign = records.begin([CELL], settings=BFLOAT16)
    records.leave(campaign, CELL, 0, accuracy=None)
    before = files(records.root / "results")
    asked = ["run", CELL, "--campaign", "made", "--seeds", "9", "--note", "more", "--retry-failed"]
    code, _, said = replicate(*asked)
    assert code == 2
    assert said == f"error: {LACK}; use --precision float32 with another --campaign\n"
    assert files(records.root / "results") == before
    advised = ["plan", CELL, "--precision", "float32", "--protocol", "paper", "--campaign", "other"]
    assert replicate(*advised)[0] == 0


def test_a_campaign_that_is_refused_is_not_begun(replicate: Command, records: Records) -> None:
    asked = ["run", CELL, "--protocol", "smoke", "--campaign", "new"]
    code, _, said = replicate(*asked, "--precision", "bfloat16")
    assert (code, said) == (2, f"error: {LACK}; use --precision float32\n")
    assert not (records.root / "results" / "new").exists()


def test_a_cells_own_precision(replicate: Command, records: Records) -> None:
    """No option takes the place of it: the cell would be another one."""
    code, _, said = replicate("run", CELL, READING, "--protocol", "smoke")
    assert (code, said) == (
        2,
        f"error: {LACK}; leave out {READING}, or train it on a machine that has it\n",
    )


def test_a_campaign_that_is_finished_asks_for_nothing(replicate: Command, records: Records) -> None:
    campaign = records.begin([CELL], settings=BFLOAT16, seeds=1)
    records.leave(campaign, CELL, 0)
    assert replicate("run", "--campaign", "made")[0] == 0


@pytest.mark.parametrize(("settings", "warned"), [(BFLOAT16, True), ({}, False)])
def test_a_plan_says_it(
    replicate: Command, records: Records, settings: dict[str, str], warned: bool
) -> None:
    """And is made all the same: it may be one for a cluster."""
    records.begin([CELL], settings=settings)
    code, out, _ = replicate("plan", CELL, "--campaign", "made")
    assert code == 0
    assert out.endswith(f"not on this machine: {LACK}\n") == warned


@pytest.mark.parametrize("before", [[], [{"started": "2026-01-01", "worker": "elsewhere"}]])
def test_a_checkpoint_in_it_ends_the_worker_and_not_the_run(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: list[dict[str, str]]
) -> None:
    """`auto` begins in it where it is to be had: the run goes on there, and did not begin here. The others
    are trained."""
    campaign = records.begin([CELL], settings={"training.precision": "auto"})
    run = campaign.runs[0]
    folder = campaign.runs_folder / run.folder_name
    state = {"run_id": run.id, "fingerprint": "f", "precision": "bfloat16", "epochs": []}
    checkpoint.save(folder / run_folder.CHECKPOINT, state)
    saved = (folder / run_folder.CHECKPOINT).read_bytes()
    if before:
        run_folder.write_attempts(folder, before)
    images = type("Images", (), {"fingerprint": "f"})()
    monkeypatch.setattr("replicate.data.load", lambda _: images)
    trained: list[int] = []

    def train(_: object, seed: int, *__: object, **___: object) -> None:
        trained.append(seed)
        raise UserError("a spec that cannot be trained")

    monkeypatch.setattr("replicate.training.loop.train", train)
    context = WorkerContext(campaign.runs_folder, {run.images: tmp_path}, Origin(), 1, 30.0)
    with pytest.raises(OSError, match=LACK) as trouble:
        worker.work(campaign.runs, context)
    assert trained == [1]
    assert trouble.value.errno == errno.ENODEV
    assert not (folder / run_folder.RECORD).exists()
    assert (folder / run_folder.CHECKPOINT).read_bytes() == saved
    assert run_folder.read_attempts(folder) == before
    assert look([run], campaign.runs_folder).runs[0].state == ("interrupted" if before else "new")


def test_only_runs_that_can_be_trained_again_are_drawn(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = records.begin([CELL, READING], seeds=2)
    for run in campaign.runs:
        records.leave(campaign, run.cell, run.seed)
    drawn: list[str] = []

    def retrain(_: object, chosen: list[verify.Record], __: object) -> list[Again]:
        drawn.extend(record.cell for record in chosen)
        return []

    monkeypatch.setattr(verify, "retrain", retrain)
    monkeypatch.setattr(verify, "_made_again", lambda title, *_: Step(title))
    asked = Retraining(4, 1, 7, Path("data"), Path("cache"))
    *_, step = verify.steps(open_campaign(records.root, "made"), asked)
    assert drawn == [CELL, CELL]
    assert step.compared == ["2 runs of 2, drawn by --seed 7"]
    assert step.not_compared == [f"2 runs: {LACK}"]


def test_where_none_can_be_trained_again_the_rest_is_verified(
    replicate: Command, records: Records
) -> None:
    records.fill({CELL: [90.0]}, settings=BFLOAT16)
    assert replicate("report", "made")[0] == 0
    code, out, said = replicate("verify", "made", "--runs", "1")
    assert (code, said) == (0, "")
    assert f"5. Training: nothing compared\n   not compared: 1 run: {LACK}\n" in out
    assert out.endswith("made: no difference\n")


@pytest.mark.parametrize("able", [True, False])
def test_readings_that_cannot_be_trained_are_left_out(
    replicate: Command, records: Records, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    """No processor has TF32, which must not keep it from bfloat16."""
    asked: list[list[str]] = []

    def run(campaign: object, *_: object) -> int:
        asked.append([cell.name for cell in campaign.cells])
        return 0

    monkeypatch.setattr(engine, "_computes_bfloat16", lambda _: able)
    monkeypatch.setattr("replicate.workflows.sensitivity.run_sensitivity", run)
    code, _, said = replicate(*shlex.split("sensitivity A18 --protocol smoke"))
    if able:
        assert (code, asked) == (0, [["table1/cifar10/flexpool", READING]])
        assert said == "A18: left out: precision tf32: this machine's cpu lacks it\n"
    else:
        assert (code, asked) == (2, [])
        assert said == f"error: A18: {LACK.replace('bfloat16', 'tf32')}; {LACK}\n"

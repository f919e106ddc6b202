"""`replicate run` with real processes and real training: what is promised when things go wrong."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from replicate.records import record, run_folder
from replicate.report import render
from tests.dispatch.processes import TINY, Command, last_attempts, progress, wait_for
from tests.faults.campaigns import OPTIONS
from tests.faults.children import Death

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
CELL = "table1/cifar10/flexpool-reg-dropout"
Start = Callable[..., Command]
Forked = Callable[..., Death]


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In what is forked."""
    monkeypatch.setattr(render, "_drawn", lambda _: b"<svg/>")


def _runs(project: Path, campaign: str = "smoke") -> Path:
    return project / "results" / campaign / "runs"


@pytest.mark.end_to_end
def test_a_failing_run_leaves_the_others_alone(project: Path, forked: Forked) -> None:
    method = project / "experiments" / "table1" / "cifar10" / "flexpool.yaml"
    method.write_text(method.read_text() + "training:\n  batch_size: 100\n  drop_last: true\n")
    arguments = ["table1/cifar10", *TINY[:4], "--set", "generated.train_images=60"]
    arguments += ["--set", "generated.test_images=60", "--set", "training.epochs=1"]
    arguments += ["--threads", "1"]
    end = forked("run", *arguments)
    assert end.code == 1, end.said
    assert "3 of 4 done, 1 failed" in end.said
    frame = pd.read_csv(project / "results" / "smoke" / "runs.csv").set_index("cell")
    assert frame["status"].to_dict() == {
        "table1/cifar10/avgpool": "done",
        "table1/cifar10/flexpool": "failed",
        "table1/cifar10/flexpool-reg": "done",
        "table1/cifar10/flexpool-reg-dropout": "done",
    }
    parameters = frame["parameters"].dropna().to_dict()
    assert set(parameters) == set(frame.index) - {"table1/cifar10/flexpool"}
    assert parameters["table1/cifar10/avgpool"] == 269_722
    assert parameters["table1/cifar10/flexpool-reg"] == 269_722 + 64 * 8 * 8
    assert frame.loc["table1/cifar10/flexpool-reg", "flops"] > 81_000_000
    (folder,) = _runs(project).glob("table1-cifar10-flexpool-s0-*")
    failed = record.read_record(folder)
    assert failed is not None
    assert failed.trace is not None
    assert "Traceback" in failed.trace

    assert "3 of 4 done, 1 failed" in forked("run", *arguments).said
    assert record.read_record(folder) == failed, "a failed run is not tried again unasked"
    retried = forked("run", *arguments, "--retry-failed").said
    assert re.search(r"^0 training images: .* with 1 worker$", retried, re.MULTILINE), retried
    tried = record.read_record(folder)
    assert tried is not None
    assert tried.provenance.attempts == 2
    assert (folder / "record-failed-1.json").exists(), "the earlier failure is kept"


def test_ctrl_c_leaves_a_state_from_which_the_same_command_goes_on(
    project: Path, command: Start
) -> None:
    arguments = [CELL, *OPTIONS, "--set", "training.epochs=60"]
    first = command("run", *arguments)
    wait_for(lambda: progress(_runs(project)))
    first.interrupt()
    code, output = first.end()
    assert code == 130, output
    assert "CSV files and report are written; press Ctrl-C again to skip them" in output
    assert "the same command resumes from here" in output
    _, logs = command("logs", CELL).end()
    assert "Traceback" not in logs
    assert re.search(r"epoch \d+ of 60, \d+\.\d\d %, loss .*, \d+ images/s\n", logs)
    assert re.search(r"^interrupted, epoch \d+ of 60", logs, re.MULTILINE)
    assert "interrupted, epoch" in output
    reached = max(progress(_runs(project)).values())

    second = command("run", *arguments)
    wait_for(lambda: max(progress(_runs(project)).values(), default=0) > reached)
    second.process.terminate()  # by `kill`, a job's end, a machine that goes down
    assert second.end()[0] == 130
    (log,) = _runs(project).glob(f"*/{run_folder.ATTEMPTS}")
    assert len(log.read_text().splitlines()) == 2


def test_a_worker_does_not_outlive_its_dispatcher(project: Path, command: Start) -> None:
    running = command("run", CELL, *OPTIONS, "--set", "training.epochs=1000")
    wait_for(lambda: progress(_runs(project)))
    (attempt,) = last_attempts(_runs(project)).values()
    running.process.kill()
    wait_for(lambda: not Path(f"/proc/{attempt['pid']}").exists(), 60)


def test_a_campaign_keeps_its_protocol_and_settings(project: Path, forked: Forked) -> None:
    assert forked("run", CELL, *OPTIONS, "--set", "training.epochs=1").code == 0
    end = forked("run", CELL, "--protocol", "short", "--campaign", "smoke")
    assert end.code == 2
    assert (
        "campaign 'smoke' was begun with protocol smoke, not short: choose another --campaign"
        in end.said
    )
    request = json.loads((project / "results" / "smoke" / "campaign.json").read_text())
    assert request["protocol"] == "smoke"


def test_a_second_ctrl_c_says_what_it_leaves_behind(project: Path, command: Start) -> None:
    running = command("run", CELL, *TINY, "--set", "training.epochs=60")
    wait_for(lambda: progress(_runs(project)))
    for _ in range(2):
        os.kill(running.process.pid, signal.SIGINT)
        time.sleep(0.5)
    code, output = running.end()
    assert code == 130
    assert "Traceback" not in output
    assert "CSV files and report are as they were; the same command resumes and writes" in output
    assert not (project / "reports").exists()

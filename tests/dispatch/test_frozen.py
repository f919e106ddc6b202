"""Workers run a copy of the code: edits meanwhile reach none of them, and later ones are told."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from replicate.dispatch import code as provenance
from replicate.records import record
from replicate.records.record import Record
from tests.dispatch.processes import TINY, Command, last_attempts, progress, wait_for

CELL = "table1/cifar10/flexpool"
MINUTES = (*TINY, "--set", "training.epochs=20", "--checkpoint-seconds", "0")
Start = Callable[..., Command]


@pytest.fixture
def checkout(project: Path) -> Path:
    """The project, with code of its own to edit."""
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(provenance.PACKAGE, project / "replicate", ignore=hidden)
    return project


def runs(checkout: Path) -> Path:
    return checkout / "results" / "smoke" / "runs"


def ended(checkout: Path) -> Record:
    (folder,) = runs(checkout).iterdir()
    found = record.read_record(folder)
    assert found is not None
    return found


def test_edits_reach_no_worker(checkout: Path, command: Start) -> None:
    """Neither one at work nor one that takes its place."""
    running = command("run", CELL, *MINUTES, code=checkout)
    wait_for(lambda: progress(runs(checkout)))
    (checkout / "replicate" / "training" / "trainer.py").write_text("raise SystemExit('edited')")
    (attempt,) = last_attempts(runs(checkout)).values()
    os.kill(int(str(attempt["pid"])), signal.SIGKILL)
    code, output = running.end()
    assert code == 0, output
    found = ended(checkout)
    assert found.provenance.attempts == 2
    assert found.provenance.code == provenance.code_digest()
    assert found.within == ()


def test_a_run_gone_on_with_by_other_code_says_so(checkout: Path, command: Start) -> None:
    """In its record, its log, the CSV files and the report; a commit of a text would not."""
    first = command("run", CELL, *MINUTES, code=checkout)
    wait_for(lambda: max(progress(runs(checkout)).values(), default=0) >= 2)
    first.interrupt()
    assert first.end()[0] == 130
    edited = checkout / "replicate" / "training" / "trainer.py"
    edited.write_text(
        edited.read_text().replace("_EVALUATION_BATCH = 1000", "_EVALUATION_BATCH = 10")
    )
    code, output = command("run", CELL, *MINUTES, code=checkout).end()
    assert code == 0, output
    before, after = ended(checkout).attempts
    assert before.origin.code == provenance.code_digest() != after.origin.code
    assert before.epochs + after.epochs == 20
    logs = [path.read_text() for path in (checkout / "results/smoke/logs").rglob("*.err")]
    assert sum("not as it began: code" in log for log in logs) == 1
    frame = pd.read_csv(checkout / "results/smoke/provenance.csv")
    assert list(frame["within"]) == ["code"]
    report = (checkout / "reports/smoke/report.md").read_text()
    assert "mixed within" in report
    assert "attempts of seed 0" in report

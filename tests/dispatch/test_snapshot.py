"""Workers run a copy of the code: edits meanwhile reach none of them, and later ones are told."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from replicate.dispatch import code as provenance
from replicate.records import record
from replicate.records.record import Record
from tests.dispatch.processes import Command, last_attempts, progress, wait_for
from tests.faults.campaigns import OPTIONS

CELL = "table1/cifar10/flexpool"
EPOCHS = 60
SECONDS = (*OPTIONS, f"--set=training.epochs={EPOCHS}")
Start = Callable[..., Command]


@pytest.fixture
def checkout(project: Path) -> Path:
    """The project, with code of its own to edit."""
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(provenance.PACKAGE, project / "replicate", ignore=hidden)
    edit(project, "report/render.py", "picture(figure.draw())", 'b"<svg/>"')  # which takes seconds
    return project


def edit(checkout: Path, name: str, old: str, new: str) -> None:
    path = checkout / "replicate" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def runs(checkout: Path) -> Path:
    return checkout / "results" / "smoke" / "runs"


def ended(checkout: Path) -> Record:
    (folder,) = runs(checkout).iterdir()
    found = record.read_record(folder)
    assert found is not None
    return found


def test_edits_reach_no_worker(checkout: Path, command: Start) -> None:
    """Neither one at work nor one that takes its place when it is killed, in the same command."""
    running = command("run", CELL, *SECONDS, code=checkout)
    wait_for(lambda: progress(runs(checkout)))
    (checkout / "replicate" / "training" / "trainer.py").write_text("raise SystemExit('edited')")
    (attempt,) = last_attempts(runs(checkout)).values()
    os.kill(int(str(attempt["pid"])), signal.SIGKILL)
    code, output = running.end()
    assert code == 0, output
    line = rf"^1 of 1 done: {CELL} seed 0 done, \d+\.\d\d %, left 0:00:00$"
    assert re.search(line, output, re.MULTILINE), output
    found = ended(checkout)
    assert found.provenance.attempts == 2
    assert found.provenance.code == provenance.code_digest()
    assert found.within == ()


def test_a_run_gone_on_with_by_other_code_says_so(checkout: Path, command: Start) -> None:
    """In its record, its log, the CSV files and the report; a commit of a text would not."""
    first = command("run", CELL, *SECONDS, code=checkout)
    wait_for(lambda: progress(runs(checkout)))
    first.interrupt()
    assert first.end()[0] == 130
    edit(checkout, "training/trainer.py", "_EVALUATION_BATCH = 1000", "_EVALUATION_BATCH = 10")
    code, output = command("run", CELL, *SECONDS, code=checkout).end()
    assert code == 0, output
    before, after = ended(checkout).attempts
    assert before.origin.code == provenance.code_digest() != after.origin.code
    assert before.epochs + after.epochs == EPOCHS
    logs = [path.read_text() for path in (checkout / "results/smoke/logs").rglob("*.err")]
    assert sum("not as it began: code" in log for log in logs) == 1
    frame = pd.read_csv(checkout / "results/smoke/provenance.csv")
    assert list(frame["within"]) == ["code"]
    report = (checkout / "reports/smoke/report.md").read_text()
    assert "mixed within" in report
    assert "attempts of seed 0" in report

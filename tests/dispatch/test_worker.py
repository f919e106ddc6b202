"""What a worker writes while it trains, and how it ends."""

import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import replicate.training.loop  # noqa: F401  what a child would import, each time for seconds
from replicate.dispatch import code as provenance
from replicate.dispatch import worker
from replicate.dispatch.attempt import Attempt, record_failure
from replicate.dispatch.context import WorkerContext
from replicate.files import atomic
from replicate.records import record, run_folder
from replicate.records.origin import Origin
from tests import making
from tests.dispatch.processes import wait_for

CELL = "table1/cifar10/flexpool"


@pytest.fixture
def attempt(records: Any) -> Attempt:
    campaign = records.begin([CELL])
    run = campaign.runs[0]
    folder = campaign.runs_folder / run.folder_name
    folder.mkdir(parents=True)
    context = WorkerContext(
        campaign.runs_folder, {}, Origin(commit="c" * 40, dirty=False), 3, 30.0, "w"
    )
    return Attempt(run, folder, context)


def test_progress_is_written_at_most_once_a_second(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each writing is flushed to the disk: a tenth of a GPU's epoch. The last epoch is always told."""
    now, written = 0.0, []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(atomic, "write_text", lambda path, _: written.append((path.name, number)))
    for number in range(1, 101):
        attempt._after_epoch(making.epoch(number))
        now += 0.17
    told = [told for name, told in written if name == run_folder.PROGRESS]
    assert told[:3] == [1, 7, 13]
    assert told[-1] == 100
    assert len(told) == 18


def test_an_attempt_notes_where_it_comes_from_before_it_trains(
    attempt: Attempt,
) -> None:
    attempt._note_beginning()
    ((begun,)) = run_folder.read_attempts(attempt.folder)
    origin = begun["origin"]
    assert origin["code"] == provenance.code_digest()
    assert origin["commit"] == "c" * 40
    assert origin["threads"] == 3
    assert {"python", "torch", "torchvision", "numpy"} <= origin.keys()


def test_a_failed_run_says_which_code_failed(attempt: Attempt) -> None:
    attempt._note_beginning()
    record_failure(attempt.run, attempt.context, "out of memory", "trace")
    found = record.read_record(attempt.folder)
    assert found is not None
    assert (found.status, found.error) == ("failed", "out of memory")
    assert found.provenance.code == provenance.code_digest()
    assert found.answers is None
    assert found.attempts == []
    assert Path(attempt.folder, run_folder.ATTEMPTS).exists()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_however_often_it_is_interrupted_it_ends_once(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C comes from the terminal and from who ends the workers, maybe at the same moment."""
    monkeypatch.setattr(Attempt, "carry_out", lambda _: time.sleep(60))
    for _ in range(20):  # one alone may be lucky
        arguments = ([attempt.run], attempt.context)
        process = get_context("fork").Process(target=worker.work, args=arguments)
        process.start()
        assert process.pid is not None
        wait_for(lambda: run_folder.is_claimed(attempt.folder))
        while process.is_alive():
            os.kill(process.pid, signal.SIGINT)
        assert process.exitcode == 1
        assert capfd.readouterr().err == "interrupted\n"
        assert not run_folder.is_claimed(attempt.folder)

"""What is shown of a campaign under way, from states that are made up."""

import io
import json
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from replicate.dispatch import progress
from replicate.dispatch.attempt import Attempt, begins
from replicate.dispatch.progress import Dashboard, Lines
from replicate.plan.campaign import Campaign
from replicate.records import run_folder
from replicate.records.run_folder import claimed
from replicate.workflows import follow
from tests import making
from tests.dispatch.test_worker import attempt  # noqa: F401
from tests.making import Records

CELLS = ["table1/cifar10/avgpool", "table1/cifar10/flexpool"]


@pytest.fixture
def campaign(records: Records) -> Campaign:
    return records.begin(CELLS, seeds=1)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, to be set."""
    time = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


@pytest.fixture
def show(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What a look now adds to a log file."""
    lines = Lines(campaign.look())

    def show() -> str:
        lines.show(campaign.look())
        return capsys.readouterr().err

    return show


def write(campaign: Campaign, name: str, seed: int = 0, **values: float) -> Path:
    folder = campaign.runs_folder / campaign.runs[seed].folder_name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / run_folder.ATTEMPTS).write_text('{"started": "2026-01-01", "worker": "worker-0"}\n')
    (folder / name).write_text(json.dumps(values))
    return folder


def test_the_epoch_under_way_counts(campaign: Campaign) -> None:
    folder = write(campaign, run_folder.BATCHES, epoch=1, share=0.25, images_per_second=500)
    with claimed(folder):
        one = campaign.look().runs[0]
        assert one.share == 0.25 / 100
        assert one.speed == 500
        assert one.seconds_left == (1 - 0.0025) * 100 * 50_000 / 500
        write(campaign, run_folder.PROGRESS, epoch=3, accuracy=50, images_per_second=400)
        one = campaign.look().runs[0]
        assert (one.share, one.speed) == (0.03, 400), "an epoch that is behind it counts once"
        write(campaign, run_folder.BATCHES, epoch=4, share=0.5, images_per_second=450)
        one = campaign.look().runs[0]
        assert (one.share, one.speed) == (0.035, 450)
        (line,) = campaign.look().details()
        assert line.endswith(
            "seed 0: running, epoch 3 of 100, 50.00 %, 50 % of the next, 450 images/s"
        )
    assert campaign.look().runs[0].share == 0.03, "interrupted, it begins the epoch again"


@pytest.mark.parametrize("text", ["", "[]", '{"epoch": 1}', '{"epoch": 1, "share": "x"}'])
def test_a_torn_file_says_nothing(campaign: Campaign, text: str) -> None:
    folder = write(campaign, run_folder.BATCHES)
    (folder / run_folder.BATCHES).write_text(text)
    with claimed(folder):
        one = campaign.look().runs[0]
    assert (one.within, one.speed, one.seconds_left) == (0, 0, math.inf)


def test_a_line_every_few_minutes(
    campaign: Campaign, now: list[float], show: Callable[[], str]
) -> None:
    folder = write(campaign, run_folder.BATCHES, epoch=1, share=0.0, images_per_second=500)
    with claimed(folder):
        assert show() == ""
        write(campaign, run_folder.BATCHES, epoch=1, share=0.2, images_per_second=500)
        now[0] += 10
        assert show() == ""
        write(campaign, run_folder.BATCHES, epoch=1, share=0.4, images_per_second=500)
        now[0] += 180
        line = "0 of 2 done, 1 running: 0.2 % of all, 500 images/s, left 49:54:00\n"
        assert show() == line, "10,000 images in 180 s, of 10,000,000"
        now[0] += 100
        assert show() == ""


def test_an_interrupted_run_has_no_speed(
    campaign: Campaign, now: list[float], show: Callable[[], str]
) -> None:
    making.reach(campaign, campaign.runs[1], 1)  # at 1000 images/s, when it was trained
    with claimed(write(campaign, run_folder.BATCHES, epoch=1, share=0.2, images_per_second=500)):
        show()
        now[0] += 180
        line = show()
    assert line.startswith("0 of 2 done, 1 running, 1 interrupted: 0.6 % of all, 500 images/s")


def test_the_time_left_forgets_a_pause(
    campaign: Campaign, now: list[float], show: Callable[[], str]
) -> None:
    batches = {"epoch": 1, "images_per_second": 12.5}
    folder = write(campaign, run_folder.BATCHES, share=0.0, **batches)
    with claimed(folder):
        show()
        for look in range(1, 11):
            write(campaign, run_folder.BATCHES, share=look / 20, **batches)
            now[0] += 9 * 3600 if look == 4 else 200  # for 2,500 images
            line = show()
    assert line.endswith("12 images/s, left 221:40:00\n"), "9,975,000 at 12.5 a second"


def test_finished_runs_show_their_accuracy(
    campaign: Campaign, records: Records, show: Callable[[], str]
) -> None:
    records.leave(campaign, CELLS[0], 0, accuracy=81.234)
    assert show() == f"1 of 2 done: {CELLS[0]} seed 0 done, 81.23 %, left ?\n"
    records.leave(campaign, CELLS[1], 0, accuracy=None)
    assert show() == f"1 of 2 done, 1 failed: {CELLS[1]} seed 0 failed, left 0:00:00\n"


def test_the_table_of_a_terminal(
    campaign: Campaign, records: Records, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with Live(console=terminal, auto_refresh=False) as live:
        view = Dashboard(campaign.look(), live)
        folder = write(campaign, run_folder.BATCHES, 1, epoch=1, share=0.25, images_per_second=500)
        records.leave(campaign, CELLS[0], 0, accuracy=81.234)
        with claimed(folder):
            view.show(campaign.look())
            live.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert f"{CELLS[0]} seed 0 done, 81.23 %" in text
    assert re.search(rf"{CELLS[1]} seed 0 +0/100 +25 % +500 +2:46:15", text), text


def test_steps_are_told_once_a_second(
    attempt: Attempt,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, told = 0.0, []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for step in range(1, 21):
        attempt._after_step(1, step / 20)
        told.append(run_folder.read_batches(attempt.folder))
        now += 0.25
    shares = sorted({one["share"] for one in told if one})
    assert shares == [0.25, 0.45, 0.65, 0.85]
    assert told[-1]["images_per_second"] == pytest.approx(0.05 * 50_000 / 0.25)
    attempt._after_epoch(making.epoch(1))
    assert run_folder.read_progress(attempt.folder), "an epoch is told however late its steps were"


def test_a_log_has_a_line_an_epoch(
    attempt: Attempt,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    attempt._after_epoch(making.epoch(3))
    line = "table1/cifar10/flexpool seed 0: epoch 3 of 100, 50.00 %, loss 1, 1000 images/s\n"
    assert capsys.readouterr().err == line


def test_a_log_has_the_trace_of_a_failure(
    attempt: Attempt,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(_: object) -> None:
        raise ValueError("the reason")

    monkeypatch.setattr(Attempt, "_train", fails)
    attempt.carry_out()
    begun, *trace = capsys.readouterr().err.splitlines()
    assert begun == begins(attempt.run)
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == "ValueError: the reason"


def log(campaign: Campaign, text: str) -> list[str]:
    """What `logs` shows of the second cell, whose worker wrote this."""
    write(campaign, run_folder.PROGRESS, 1, epoch=2, accuracy=50, images_per_second=1)
    folder = campaign.results / "logs" / "dispatcher-1" / "worker-0"
    folder.mkdir(parents=True)
    (folder / "1_0_log.err").write_text(text)
    _, *lines = follow.log_lines(campaign.root, campaign.name, CELLS[1], 3)
    return lines


def test_logs_are_of_the_cell_alone(campaign: Campaign) -> None:
    first, second = map(begins, campaign.runs)
    text = f"{second}\nold\n{first}\n1\n{second}\na\nb\nc\nd\n{first}\n2\n"
    assert log(campaign, text) == ["b", "c", "d", "interrupted, epoch 2 of 100, 50.00 %"]


def test_a_log_without_a_word(campaign: Campaign) -> None:
    assert log(campaign, "") == ["(empty)", "interrupted, epoch 2 of 100, 50.00 %"]

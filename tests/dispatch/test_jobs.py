"""What is said of submissions, from made-up answers of SLURM and made-up records."""

from itertools import islice
from pathlib import Path

import pytest

from replicate.dispatch.slurm import queue, submission, wait
from replicate.dispatch.slurm.diagnosis import diagnose
from replicate.dispatch.slurm.jobs import cancel_campaign, query
from replicate.dispatch.slurm.queue import Job
from replicate.dispatch.slurm.submission import Submission, SubmittedTask
from replicate.dispatch.slurm.wait import MAX_HOPELESS, await_jobs
from replicate.errors import UserError
from replicate.plan.campaign import Campaign
from tests.making import Records

CELLS = ["table1/cifar10/avgpool", "table1/cifar10/flexpool"]


class Slurm:
    """Answers for squeue and sacct."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.queue: dict[str, Job] | None = {}
        self.history: dict[str, Job] = {}
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        patch.setattr(queue, "read_queue", lambda user, name: self.queue)
        patch.setattr(queue, "read_history", self._history)
        patch.setattr(
            queue, "cancel_jobs", self.cancelled.extend
        )  # returns None, as when all is well

    def _history(self, ids: set[str], name: str) -> dict[str, Job]:
        self.asked = sorted(ids)
        return {name: job for name, job in self.history.items() if name in ids}


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Slurm:
    return Slurm(monkeypatch)


@pytest.fixture
def campaign(records: Records) -> Campaign:
    """Two cells with two seeds, a task each, submitted as array 5 with the report 6."""
    begun = records.begin(CELLS, seeds=2)
    tasks = [
        SubmittedTask(job=f"5_{index}", runs=[run.id for run in begun.runs if run.cell == cell])
        for index, cell in enumerate(CELLS)
    ]
    _write(begun, "slurm-1", tasks, report="6")
    return begun


def _write(campaign: Campaign, name: str, tasks: list[SubmittedTask], report: str | None) -> None:
    submission.logs_folder(campaign, name).mkdir(parents=True)
    values = {"name": name, "user": "me", "code": "/code", "submitted": "2026-01-01T00:00:00+00:00"}
    submission.write_submission(
        campaign, Submission(**values, tasks=tasks, report=report, cancelled=False)
    )


def _log(campaign: Campaign, job: str, text: str) -> Path:
    path = submission.logs_folder(campaign, "slurm-1") / f"{job}_0_log.err"
    path.write_text(text)
    return path


def _lines(campaign: Campaign) -> list[str]:
    return diagnose(query(campaign), campaign.look())


def test_tasks_are_counted_by_what_slurm_says(campaign: Campaign, slurm: Slurm) -> None:
    slurm.queue = {"5_0": Job("RUNNING"), "5_1": Job("PENDING", "Priority")}
    assert _lines(campaign) == ["SLURM: tasks 1 running, 1 queued (Priority)"]
    assert slurm.asked == ["6"], "sacct is asked only for what squeue does not know"


def test_a_task_that_comes_back_is_queued_again(campaign: Campaign, slurm: Slurm) -> None:
    folder = campaign.runs_folder / campaign.runs[0].folder_name
    folder.mkdir(parents=True)
    (folder / "attempts.jsonl").write_text("{}\n")
    slurm.queue = {"5_0": Job("PENDING", "BeginTime"), "5_1": Job("RUNNING")}
    assert _lines(campaign) == ["SLURM: tasks 1 queued again (BeginTime), 1 running"]


def test_tasks_whose_runs_have_records_are_not_mentioned(
    campaign: Campaign, records: Records, slurm: Slurm
) -> None:
    for cell in CELLS:
        for seed in (0, 1):
            records.leave(campaign, cell, seed)
    slurm.queue = {"5_0": Job("FAILED"), "5_1": Job("CANCELLED")}
    assert _lines(campaign) == []


@pytest.mark.parametrize(
    ("job", "log", "why"),
    [
        (Job("OUT_OF_MEMORY"), "", "out of memory; raise memory_gb in the profile"),
        (Job("FAILED", "0:9"), "slurmstepd: error: StepId=5.0 exceeded memory limit\n", "out of memory"),
        (Job("NODE_FAIL"), "", "its node failed"),
        (Job("TIMEOUT"), "", "its time limit struck"),
        (Job("CANCELLED"), "", "cancelled"),
        (Job("FAILED", "3:0"), "Traceback\nOSError: full\nsrun: error: n1\n", "failed (3:0): OSError: full"),
        (Job("FAILED", "0:53"), "", "its node could not open its log"),
        (Job("COMPLETED", "0:0"), "", "completed (0:0): nothing in its log"),
    ],
)  # fmt: skip
def test_a_task_that_left_runs_behind(
    campaign: Campaign, slurm: Slurm, job: Job, log: str, why: str
) -> None:
    path = _log(campaign, "5_1", log)
    slurm.queue = {"5_0": Job("RUNNING")}
    slurm.history = {"5_1": job}
    _, line = _lines(campaign)
    start = f"{CELLS[1]} seed 0 and 1 more: task 5_1 ended without a result: {why}"
    assert line.startswith(start)
    assert line.endswith(f"; see {path}")


def test_tasks_with_the_same_end_share_a_line(campaign: Campaign, slurm: Slurm) -> None:
    slurm.queue = {"5_0": Job("NODE_FAIL"), "5_1": Job("NODE_FAIL")}
    assert _lines(campaign) == [
        "SLURM: tasks 2 ended",
        f"{CELLS[0]} seed 0 and 3 more: task 5_0 and 1 more ended without a result: its node failed",
    ]


def test_a_task_that_slurm_has_forgotten(campaign: Campaign, slurm: Slurm) -> None:
    _log(campaign, "5_1", "my last words\n")
    slurm.queue = {"5_0": Job("RUNNING")}
    slurm.history = {"5_1": Job("RUNNING")}  # sacct alone: slurmctld has lost it
    assert "SLURM no longer knows it: my last words" in _lines(campaign)[1]


def test_a_later_submission_answers_for_its_runs(campaign: Campaign, slurm: Slurm) -> None:
    runs = [run.id for run in campaign.runs]
    _write(campaign, "slurm-2", [SubmittedTask(job="7", runs=runs)], report=None)
    slurm.queue = {"5_0": Job("FAILED"), "5_1": Job("FAILED"), "7": Job("RUNNING")}
    assert _lines(campaign) == ["SLURM: tasks 1 running"]


def test_a_task_that_cannot_begin(campaign: Campaign, slurm: Slurm) -> None:
    slurm.queue = {"5_0": Job("PENDING", "PartitionConfig"), "5_1": Job("RUNNING")}
    assert _lines(campaign)[1].startswith(
        f"{CELLS[0]} seed 0 and 1 more: task 5_0 cannot begin: PartitionConfig;"
        " fix it, or `replicate cancel made`"
    )


def test_no_answer_decides_nothing(campaign: Campaign, slurm: Slurm) -> None:
    slurm.queue = None
    assert _lines(campaign) == ["SLURM does not answer: what is queued is not known"]
    assert _looks(campaign, 10) == 10
    with pytest.raises(UserError, match="does not answer"):
        cancel_campaign(campaign)


def test_waiting_ends_when_slurm_stays_silent(
    campaign: Campaign,
    slurm: Slurm,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    slurm.queue = None
    monkeypatch.setattr(wait, "SILENCE_SECONDS", -1)
    assert _looks(campaign) == 0
    assert "has not answered" in capsys.readouterr().err


def _looks(campaign: Campaign, most: int = MAX_HOPELESS) -> int:
    """How often SLURM is asked before waiting ends."""
    return len(list(islice(await_jobs(campaign, 0), most)))


RUNNING = MAX_HOPELESS
GIVEN_UP = MAX_HOPELESS - 1


@pytest.mark.parametrize(
    ("queue", "history", "expected"),
    [
        ({"5_0": "RUNNING", "5_1": "COMPLETED", "6": "PENDING"}, {}, RUNNING),
        ({"5_0": "FAILED", "5_1": "COMPLETED", "6": "COMPLETED"}, {}, 0),
        ({"5_0": "FAILED", "5_1": "COMPLETED", "6": "RUNNING"}, {}, RUNNING),
        ({"6": "COMPLETED"}, {"5_0": "FAILED", "5_1": "TIMEOUT"}, 0),
        ({}, {}, GIVEN_UP),
        ({}, {"5_0": "RUNNING", "5_1": "PENDING", "6": "PENDING"}, GIVEN_UP),
        ({"6": "RUNNING"}, {}, RUNNING),
    ],
)
def test_waiting_ends_when_nothing_is_left(
    campaign: Campaign,
    slurm: Slurm,
    queue: dict[str, str],
    history: dict[str, str],
    expected: int,
) -> None:
    slurm.queue = {name: Job(state) for name, state in queue.items()}
    slurm.history = {name: Job(state) for name, state in history.items()}
    assert _looks(campaign) == expected


def test_waiting_ends_when_nothing_can_begin(campaign: Campaign, slurm: Slurm) -> None:
    stuck = Job("PENDING", "PartitionNodeLimit")
    slurm.queue = {"5_0": stuck, "5_1": stuck, "6": Job("PENDING", "Dependency")}
    assert _looks(campaign) == GIVEN_UP
    slurm.queue["5_0"] = Job("RUNNING")
    assert _looks(campaign) == RUNNING


def test_jobs_of_an_interrupted_submission_are_known_by_their_comment(
    campaign: Campaign, slurm: Slurm
) -> None:
    running, pending = Job("RUNNING", comment="slurm-1"), Job("PENDING", comment="slurm-1")
    slurm.queue = {"5_0": running, "5_1": running, "6": pending, "8": Job("RUNNING", comment="x")}
    slurm.queue |= {"7_0": pending, "7_1": pending, "9": Job("COMPLETED", comment="slurm-1")}
    assert _lines(campaign)[1:] == [
        "a `replicate submit` was interrupted, and left 7 in the queue: "
        "`replicate cancel made`, then submit again"
    ]
    assert cancel_campaign(campaign) == ["7", "5", "6"]


def test_cancel_ends_what_is_alive_and_remembers(campaign: Campaign, slurm: Slurm) -> None:
    slurm.queue = {"5_0": Job("COMPLETED"), "5_1": Job("PENDING"), "6": Job("PENDING")}
    assert cancel_campaign(campaign) == ["5", "6"]
    assert slurm.cancelled == ["5", "6"]
    slurm.queue = {}
    assert "ended without a result: cancelled" in _lines(campaign)[1]

"""What SLURM's programs print, as captured from 22.05, and programs that fail."""

from pathlib import Path

import pytest

from replicate.dispatch.slurm import queue
from replicate.dispatch.slurm.queue import Job
from replicate.errors import UserError


def _program(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_squeue() -> None:
    jobs = queue.parse_queue("7|RUNNING|None|mine\n8_0|PENDING|Resources|\n8_1|PENDING|a|b|c\n")
    assert jobs == {
        "7": Job("RUNNING", "", "mine"),
        "8_0": Job("PENDING", "Resources"),
        "8_1": Job("PENDING", "a", "b|c"),
    }


def test_sacct_ranges_and_lines_of_their_own() -> None:
    text = (
        "9_[0,2-3,5%2]|PENDING|0:0\n9_2|FAILED|9:0\n9_2.batch|FAILED|9:0\n10|CANCELLED by 0|0:0\n"
    )
    jobs = queue.parse_history(text)
    assert {name: job.state for name, job in jobs.items()} == {
        **{"9_0": "PENDING", "9_2": "FAILED", "9_3": "PENDING", "9_5": "PENDING"},
        "10": "CANCELLED",
    }
    assert jobs["9_2"].reason == "9:0"


def test_a_line_of_its_own_counts_before_the_range_too() -> None:
    jobs = queue.parse_history("9_2|FAILED|9:0\n9_[1-3]|PENDING|0:0\n")
    assert jobs["9_2"].state == "FAILED"


def test_memory_is_only_in_the_step() -> None:
    text = "4_1|FAILED|0:125\n4_1.batch|FAILED|0:125\n4_1.0|OUT_OF_MEMORY|0:125\n"
    assert queue.parse_history(text)["4_1"].state == "OUT_OF_MEMORY"


def test_a_failing_squeue_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "squeue", "echo '7|RUNNING|None|'; exit 1", monkeypatch)
    assert queue.read_queue("me", "mine") is None
    _program(
        tmp_path, "squeue", '[ "$*" != "${*#*-n mine}" ] && echo "7|RUNNING|None|"', monkeypatch
    )
    assert queue.read_queue("me", "mine") == {"7": Job("RUNNING")}


def test_a_slow_squeue_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "squeue", "exec sleep 20", monkeypatch)
    monkeypatch.setattr(queue, "TIMEOUT_SECONDS", 0.2)
    assert queue.read_queue("me", "mine") is None


def test_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queue.read_queue("me", "mine") is None
    assert queue.read_history(["1_2"], "mine") == {}
    with pytest.raises(UserError, match="is this a login node"):
        queue.max_array_size()


def test_sacct_is_asked_once_with_whole_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path, "sacct", f'echo "$SLURM_BITSTR_LEN $*" >>{tmp_path}/asked', monkeypatch)
    queue.read_history(["12_3", "12_4", "13"], "mine")
    asked = (tmp_path / "asked").read_text()
    assert asked == "0 -n -P -o JobID,State,ExitCode -j 12,13 --name mine\n"
    queue.read_history([], "mine")
    assert len((tmp_path / "asked").read_text().splitlines()) == 1


@pytest.mark.parametrize(("text", "size"), [("MaxArraySize            = 1001", 1001)])
def test_the_array_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, size: int
) -> None:
    _program(tmp_path, "scontrol", f"echo 'MaxJobCount = 5'; echo '{text}'", monkeypatch)
    assert queue.max_array_size() == size


@pytest.mark.parametrize(
    ("reason", "stuck"),
    [
        ("PartitionConfig", True),
        ("PartitionNodeLimit", True),
        ("ReqNodeNotAvail, UnavailableNodes:n1", True),
        ("JobHeldUser", True),
        ("launch failed requeued held", True),
        ("DependencyNeverSatisfied", True),
        ("InvalidAccount", True),
        ("Resources", False),
        ("Priority", False),
        ("Dependency", False),
        ("BeginTime", False),
        ("JobArrayTaskLimit", False),
        ("QOSMaxJobsPerUserLimit", False),
        ("", False),
    ],
)
def test_reasons_that_do_not_resolve(reason: str, stuck: bool) -> None:
    assert Job("PENDING", reason).stuck is stuck
    assert not Job("RUNNING", reason).stuck

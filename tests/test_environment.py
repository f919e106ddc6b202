"""What an environment lacks, sets or forbids: a command works all the same, or says why not in a line."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import torch

from replicate import machine, options
from replicate.dispatch import calibration, worker
from replicate.dispatch.attempt import _trouble
from replicate.dispatch.context import WorkerContext
from replicate.dispatch.slurm import submit
from replicate.dispatch.slurm.profile import read_profile
from replicate.errors import UserError
from replicate.records.origin import Origin
from replicate.text import console
from replicate.training import engine
from replicate.workflows import run as local
from tests.dispatch.processes import ROOT, Command
from tests.making import Records

CELL = "table1/cifar10/avgpool"
Replicate = Callable[..., tuple[int, str, str]]


def start(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-m", "replicate", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True)


@pytest.mark.processes
@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonesuch"])
def test_a_notebooks_backend_stops_no_report(project: Path, records: Records, backend: str) -> None:
    campaign = records.begin([CELL])
    for seed in (0, 1):
        records.leave(campaign, CELL, seed)
    assert start(project, "aggregate", "made").returncode == 0
    done = start(project, "report", "made", MPLBACKEND=backend)
    assert (done.returncode, done.stdout) == (0, b"reports/made/report.md\n"), done.stderr


@pytest.mark.processes
def test_a_terminal_that_lacks_a_sign_of_the_text(project: Path) -> None:
    done = start(project, "audit", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"\\u2248" in done.stdout or b"\\u2014" in done.stdout or b"\\u" in done.stdout


@pytest.mark.parametrize("name", ["--data-dir", "--cache-dir"])
def test_a_tilde_is_the_home(
    replicate: Replicate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Shells leave it as it is in `--data-dir=~/x`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "x").touch()
    if name == "--data-dir":
        _, output, _ = replicate("data", "list", f"{name}=~/x")
        assert f"{tmp_path}/x is a file" in output
    assert options.place(Path("~/x")) == tmp_path / "x"


def test_a_tilde_in_the_environment(
    replicate: Replicate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("REPLICATE_DATA_DIR", "~/x")
    _, output, _ = replicate("data", "list")
    assert f"not in {tmp_path}/x: will be downloaded" in output


def test_nobodys_home(replicate: Replicate) -> None:
    code, _, errors = replicate("data", "list", "--data-dir=~nobody-of-that-name/x")
    assert code == 2
    assert errors.startswith("error: ~nobody-of-that-name/x: no such user")


def test_a_profile_in_the_home(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shipped = project / "experiments" / "clusters" / "cpu.yaml"
    (tmp_path / "mine.yaml").write_text(shipped.read_text())
    assert read_profile(project, "~/mine.yaml") == read_profile(project, "cpu")


def test_a_system_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(machine, "_quota", lambda: sys.maxsize)
    assert machine.cores() == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 8), (None, 8), ("?", 8)],
)
def test_a_container_allows_fewer_processors_than_it_shows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, expected: int
) -> None:
    if text is not None:
        (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert machine.cores() == expected


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "read-only /dev/shm"),
        BrokenProcessPool("killed"),
        OSError(38, "x"),
    ],
)
def test_an_estimate_stops_no_campaign(
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(calibration, "_measure", fails)
    campaign = records.begin([CELL])
    with pytest.raises(UserError, match="speed cannot be measured"):
        calibration.calibrate([run.spec for run in campaign.runs], 1, 1)
    assert local._measured(campaign.runs, local.Size(1, 1, ())) == {}
    assert "no time is predicted" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["50%accuracy", "%jobs", "100%4x"])
def test_a_path_in_which_a_job_number_would_be_put(
    tmp_path: Path, project: Path, name: str, monkeypatch: pytest.MonkeyPatch, replicate: Replicate
) -> None:
    other = tmp_path / name
    project.rename(other)
    code, _, errors = replicate("run", CELL, "--protocol", "smoke", "--root", str(other))
    assert code == 2
    assert "rename that folder" in errors
    assert not (other / "results").exists()


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(submit.pwd, "getpwuid", unknown)
    assert submit._user() == str(os.getuid())


class Terminal:
    """A stream that says whether it is a terminal."""

    def __init__(self, terminal: bool) -> None:
        self.isatty = lambda: terminal


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"])
def test_nothing_moves_in_a_log_file(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    assert not console(Terminal(False)).is_interactive
    assert not console(Terminal(False)).is_terminal
    monkeypatch.setenv("TERM", "xterm")
    assert console(Terminal(True)).is_interactive
    monkeypatch.setenv("TERM", "dumb")
    assert not console(Terminal(True)).is_interactive


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (ValueError("a bug"), None),
        (torch.OutOfMemoryError("CUDA out of memory"), None),
        (OSError(errno.ENOSPC, "full"), OSError),
        (torch.AcceleratorError("device lost"), torch.AcceleratorError),
    ],
)
def test_machine_trouble_is_told_from_a_runs_failure(
    error: Exception, trouble: type[Exception] | None
) -> None:
    """Also where a library has wrapped it."""
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("while compiling") from cause
    except RuntimeError as wrapped:
        found = _trouble(wrapped)
    assert (found and type(found)) == trouble


def test_a_precision_that_this_machine_lacks(
    project: Path, replicate: Replicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before training: no run is recorded as failed for it."""
    monkeypatch.setattr(engine, "_computes_bfloat16", lambda _: False)
    tiny = ["--set=generated.train_images=20", "--set=generated.test_images=20"]
    code, _, errors = replicate(
        "run", CELL, "--protocol", "smoke", "--precision", "bfloat16", *tiny
    )
    assert code == 2
    assert "error: precision bfloat16: this machine's" in errors
    assert not list((project / "results").glob("*/runs/*/record.json"))


def test_a_card_that_is_gone(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker must not go on with the processor, a hundred times slower and another device."""
    campaign = records.begin([CELL])
    context = WorkerContext(tmp_path, {}, Origin(), 1, 30, dispatcher=tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr(engine, "gpus", lambda: 0)
    with pytest.raises(OSError, match=r"^\[Errno 19\] GPU 3 is gone"):
        worker.work(campaign.runs, context)


@pytest.mark.processes
def test_a_home_that_cannot_be_written(project: Path) -> None:
    tiny = ["--set=generated.train_images=100", "--set=generated.test_images=100"]
    done = start(
        project, "run", CELL, "--protocol", "smoke", *tiny, "--set=training.epochs=1",
        HOME="/proc/1/nonesuch", XDG_CACHE_HOME="",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.processes
def test_images_that_vanish_are_no_runs_failure(
    project: Path, command: Callable[..., Command]
) -> None:
    """Whoever shares the cache may have emptied it."""
    campaign = ["run", CELL, "--protocol", "smoke", "--workers", "1"]
    (project / "sitecustomize.py").write_text(VANISH)
    done = start(project, *campaign, PYTHONPATH=f"{project}:{ROOT}")
    assert done.returncode == 2, done.stderr
    (line,) = [one for one in done.stderr.decode().splitlines() if one.startswith("error: ")]
    assert "workers die of what this machine lacks: OSError: [Errno 5] cache entry" in line
    assert "0 of 1 done, 1 interrupted" in start(project, "status").stdout.decode()


VANISH = """
import os, shutil
if "SUBMITIT_FOLDER" in os.environ or "SUBMITIT_LOCAL_JOB_ID" in os.environ:
    shutil.rmtree(".cache", ignore_errors=True)
"""

"""What is asked of sbatch, with programs that only write down how they were called."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dispatch.processes import TINY

Replicate = Callable[..., tuple[int, str, str]]
FOUR = ("table1/cifar10", *TINY, "--set", "training.epochs=1")


class Programs:
    """Pretended sbatch, squeue, scontrol and srun at the head of PATH."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.asked = folder / "asked"
        folder.mkdir()
        patch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        self.write("srun", "true")
        self.write("squeue", "true")
        self.write("scontrol", "echo 'MaxArraySize = 3'")
        self.write(
            "sbatch",
            f'cat "$1" >>{self.asked}; env | grep -E "^(SLURM|SBATCH)_" >>{self.asked}\n'
            f"echo 1 >>{folder}/count\n"
            f'echo "Submitted batch job $(wc -l <{folder}/count)"',
        )

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def options(self) -> list[str]:
        """The #SBATCH lines of every request, in order."""
        lines = self.asked.read_text().splitlines()
        return [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    return Programs(tmp_path / "programs", monkeypatch)


def _files(project: Path) -> set[Path]:
    return set(project.rglob("*"))


def test_a_dry_run_prints_what_submit_asks_for(
    project: Path, replicate: Replicate, programs: Programs
) -> None:
    before = _files(project)
    arguments = ("submit", *FOUR, "--cluster", "one-gpu")
    code, output, _ = replicate(*arguments, "--dry-run")
    assert code == 0
    assert _files(project) == before
    assert not programs.asked.exists()
    for line in (
        *("--partition=gpu", "--qos=normal", "--time=720", "--gpus-per-node=1", "--mem=40GB"),
        *("--cpus-per-task=32", "--nodes=1", "--signal=USR2@120", "--requeue"),
    ):
        assert f"#SBATCH {line}\n" in output
    assert "of GPU time" in output
    assert "assumed by the profile" in output


@pytest.fixture
def profile(project: Path) -> str:
    """One task a cell."""
    text = (project / "experiments" / "clusters" / "cpu.yaml").read_text()
    path = project / "mine.yaml"
    text = text.replace("least_minutes: 10.0", "least_minutes: 0.0")
    text = text.replace("modules: []", "modules: [cuda/12]").replace("{}", "{A: b c}")
    path.write_text(text.replace("setup: []", "setup: [umask 002]"))
    return str(path)


def test_arrays_fit_the_limit_and_the_report_comes_last(
    project: Path,
    replicate: Replicate,
    programs: Programs,
    profile: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_CONF"):  # as inside a job
        monkeypatch.setenv(name, "x")
    for name in ("SBATCH_TIMELIMIT", "SBATCH_ACCOUNT"):  # which go before what a request says
        monkeypatch.setenv(name, "y")
    code, output, errors = replicate("submit", *FOUR, "--cluster", profile)
    assert code == 0, errors
    assert "4 runs in 4 tasks, 2 jobs: " in output
    assert "submitted as 1, 2, 3; " in output
    asked = programs.options()
    assert [line for line in asked if line.startswith("--array")] == ["--array=0-2%3"]
    assert [line for line in asked if line.startswith("--dep")] == ["--dependency=afterany:1:2"]
    text = programs.asked.read_text()
    assert "SLURM_CONF=x\n" in text
    assert "SLURM_JOB_ID" not in text
    assert "SBATCH_TIMELIMIT" not in text
    assert "SBATCH_ACCOUNT=y\n" in text, "the profile leaves it to the cluster"
    start = text.index("# setup\n")
    (code_folder,) = (project / "results" / "smoke" / "code").iterdir()
    setup = text[start : text.index("# command")].splitlines()[1:-1]
    assert setup == [
        "export A='b c'",
        "module load cuda/12 || { echo 'module cuda/12 cannot be loaded' >&2; exit 1; }",
        "umask 002",
        "[ $? -eq 0 ] || { echo 'this line of `setup` failed: umask 002' >&2; exit 1; }",
        f"cd {code_folder} || exit 1  # `python -m` looks for modules here first",
        f"export PYTHONPATH={code_folder}${{PYTHONPATH:+:$PYTHONPATH}}",
    ]
    (written,) = (project / "results" / "smoke" / "logs").glob("*/submission.json")
    sent = json.loads(written.read_text())
    assert [task["job"] for task in sent["tasks"]] == ["1_0", "1_1", "1_2", "2"]
    assert sent["report"] == "3"


def test_what_is_queued_is_not_submitted_twice(
    replicate: Replicate, programs: Programs, profile: str
) -> None:
    replicate("submit", *FOUR, "--cluster", profile)
    programs.write("squeue", "echo '1_0|RUNNING|None|'; echo '1_1|FAILED|x|'; echo '2|PENDING|x|'")
    _, output, _ = replicate("submit", *FOUR, "--cluster", profile)
    assert "2 runs in 2 tasks, 1 job: " in output
    programs.write("squeue", "exit 1")
    code, _, errors = replicate("submit", *FOUR, "--cluster", profile)
    assert code == 2
    assert "what is queued is not known" in errors


def test_a_refusal_is_one_line_and_keeps_what_was_taken(
    project: Path, replicate: Replicate, programs: Programs, profile: str
) -> None:
    programs.write(
        "sbatch",
        f"[ -e {programs.asked} ] && {{ echo 'sbatch: error: no such partition' >&2; exit 1; }}\n"
        f"touch {programs.asked}; echo 'Submitted batch job 1'",
    )
    code, _, errors = replicate("submit", *FOUR, "--cluster", profile)
    assert code == 2
    assert "error: SLURM refuses the request: no such partition (1 had been submitted" in errors
    (written,) = (project / "results" / "smoke" / "logs").glob("*/submission.json")
    assert len(json.loads(written.read_text())["tasks"]) == 3


def test_jobs_of_an_interrupted_submission_are_not_doubled(
    project: Path, replicate: Replicate, programs: Programs, profile: str
) -> None:
    programs.write("sbatch", "kill -9 $PPID")  # SLURM has taken the job
    command = [sys.executable, "-m", "replicate", "submit", *FOUR, "--cluster", profile]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    (written,) = (project / "results" / "smoke" / "logs").glob("*/submission.json")
    programs.write("squeue", f"echo '1_0|RUNNING|None|{written.parent.name}'")
    code, _, errors = replicate("submit", *FOUR, "--cluster", profile)
    assert code == 2
    assert "interrupted, and left 1 in the queue: `replicate cancel smoke`" in errors


def test_a_machine_without_slurm(replicate: Replicate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonesuch")
    code, _, errors = replicate("submit", *FOUR, "--cluster", "cpu")
    assert code == 2
    assert errors.startswith("error: scontrol show config: SLURM does not answer")


def test_a_dry_run_needs_no_slurm(
    project: Path, replicate: Replicate, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it could not ask, and what each task holds."""
    monkeypatch.setenv("PATH", "/nonesuch")
    code, output, errors = replicate(
        "submit", *FOUR, "--cluster", profile, "--dry-run", "--seeds=3"
    )
    assert code == 0, errors
    assert "what is queued is not known, and MaxArraySize is taken to be 1001" in errors
    assert "#SBATCH --array=0-11" in output
    lines = [line for line in output.splitlines() if line.startswith("task ")]
    assert len(lines) == 12
    assert lines[1].startswith("task 1: table1/cifar10/avgpool seed 1: ")
    assert not (project / "results").exists()

"""A login node of the test cluster: commands in a project, and what the cluster does around them."""

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from replicate.records import run_folder
from tests import making
from tests.dispatch.processes import wait_for
from tests.faults.campaigns import SETTINGS

CLUSTER = Path(__file__).with_name("cluster.sh")
SITE = Path(__file__).with_name("site")
CHECKOUT = Path(__file__).parents[2]
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "srun")
_SMALL = {**SETTINGS, "training.batch_size": "100", "dataset.fit": "resize"}
_TINY = (
    "--protocol",
    "smoke",
    "--campaign",
    "smoke",
    *(f"--set={k}={v}" for k, v in _SMALL.items()),
)
QUICK = (*_TINY, "--set=training.epochs=1")
"""Runs that take no time, of any cell."""
LONG_CELL = "table1/cifar10/flexpool-reg-dropout"
LONG = (LONG_CELL, *_TINY, "--set=training.epochs=60", "--seeds", "2")
"""Two runs, of which the first takes half a minute in a job; they share a task where one runs at a time."""
PROFILE = {
    **{"partition": "main", "account": None, "qos": None, "constraint": None},
    **{"minutes": 60, "gpus": 0, "cpus": 1, "memory_gb": 2.0, "parallel": 8, "least_minutes": 0.0},
    **{"images_per_second": 3000.0, "modules": [], "setup": []},
}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SITE)}
Rows = dict[str, dict[str, str]]


def missing() -> list[str]:
    """What this machine lacks for a cluster."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return [name for name in PROGRAMS if not shutil.which(name, path=path)] + (
        [] if os.geteuid() == 0 else ["root"]
    )


def cluster(*arguments: str, **variables: str) -> str:
    """cluster.sh, which must succeed."""
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [str(CLUSTER), *arguments], capture_output=True, text=True, timeout=180, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def slurm(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def hold_the_nodes(partition: str = "main") -> str:
    """Occupy the whole cluster; returns the job, to be cancelled."""
    job = slurm(
        *("sbatch", "--parsable", "-p", partition, "-N", "3", "--exclusive", "-o", "/dev/null"),
        *("--wrap", "sleep 600"),
    ).strip()

    def holds() -> bool:
        state, reason = slurm("squeue", "-h", "-j", job, "-o", "%T|%r").strip().split("|")
        if reason.endswith("held"):
            # A node remembers another job of this id, takes it for the same one, and is drained.
            cluster("start")
            slurm("scontrol", "release", job)
        return state == "RUNNING"

    wait_for(holds)
    return job


def empty_the_queue() -> None:
    jobs = set(slurm("squeue", "-h", "-o", "%F").split())
    if jobs:
        subprocess.run(["scancel", "--quiet", *jobs], timeout=60)
        wait_for(lambda: not slurm("squeue", "-h", "-o", "%F").split(), 120)


@dataclass
class Login:
    """A project on the cluster's shared disk."""

    project: Path
    code: Path = CHECKOUT
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def beside(self, name: str) -> "Login":
        """Another project on the same disk."""
        return replace(self, project=making.project(self.project.with_name(name)))

    def profile(self, environment: dict[str, str] | None = None, **changes: object) -> str:
        """Write a profile; returns its path, for --cluster."""
        path = self.project / "test-profile.yaml"
        variables = {"environment": ENVIRONMENT | (environment or {})}
        path.write_text(yaml.safe_dump({**PROFILE, **variables, **changes}))
        return str(path)

    def call(self, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        places = {"PYTHONPATH": f"{self.code}:{SITE}", "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, "-m", "replicate", *arguments],
            cwd=folder or self.project,
            env=self.environment | places,
            capture_output=True,
            text=True,
            timeout=500,
        )

    def good(self, *arguments: str) -> str:
        """Output of a command that must succeed."""
        done = self.call(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def submit(self, *arguments: str, **profile: object) -> str:
        return self.good(
            "submit", *arguments, "--cluster", self.profile(**profile), "--checkpoint-seconds", "0"
        )

    def wait(self, campaign: str = "smoke", code: int = 0) -> str:
        done = self.call("wait", campaign, "--every", "1")
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def runs_folder(self, campaign: str = "smoke") -> Path:
        return self.project / "results" / campaign / "runs"

    def rows(self, name: str = "runs", campaign: str = "smoke") -> Rows:
        path = self.project / "results" / campaign / f"{name}.csv"
        with path.open(newline="") as file:
            return {row["run_id"]: row for row in csv.DictReader(file)}

    def ended(self, campaign: str = "smoke") -> int:
        return len(list(self.runs_folder(campaign).glob(f"*/{run_folder.RECORD}")))

    def attempts(self) -> list[int]:
        return sorted(int(row["attempts"]) for row in self.rows("provenance").values())

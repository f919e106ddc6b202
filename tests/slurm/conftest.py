"""One cluster for all tests of a process, and one undisturbed local campaign to hold them against."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.login import (
    CHECKOUT,
    CLUSTER,
    LONG,
    QUICK,
    Login,
    Rows,
    cluster,
    empty_the_queue,
    missing,
)


def _place(worker: str) -> dict[str, str]:
    """Of the cluster of one of several pytest processes, beside each other on this machine."""
    if worker == "master":
        return {}
    folder = os.environ.get("CLUSTER_DIR", "/tmp/flexpool-slurm")
    port = 26900 + 100 * int(worker.removeprefix("gw"))
    return {"CLUSTER_DIR": f"{folder}/{worker}", "CLUSTER_PORT": str(port)}


@pytest.fixture(scope="session")
def running_cluster(worker_id: str) -> Iterator[None]:
    lacking = missing()
    if lacking:
        pytest.skip(f"no {', '.join(lacking)}: tests/slurm/cluster.sh install, as root")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _place(worker_id).items():
            patch.setenv(name, value)
        found = subprocess.run([str(CLUSTER), "status"], capture_output=True, text=True).stdout
        cluster("start")
        for pair in cluster("env").removeprefix("export ").split():
            patch.setenv(*pair.split("=", 1))
        patch.delenv("SLURM_JOB_ID", raising=False)
        yield
        if "ctld up" not in found:  # nor does it stop a cluster that it found running
            cluster("stop")


@pytest.fixture
def login(running_cluster: None, project: Path) -> Iterator[Login]:
    """A project on a cluster with an empty queue and all its nodes, which is left so."""
    yield Login(project, environment=dict(os.environ))
    cluster("start")
    empty_the_queue()


def _undisturbed(folder: Path, *arguments: str) -> Rows:
    shutil.copytree(CHECKOUT / "experiments", folder / "experiments")
    local = Login(folder)
    local.good("run", *arguments, "--workers", "2", "--threads", "1")
    return local.rows()


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """runs.csv of all 32 cells, trained on this machine."""
    return _undisturbed(tmp_path_factory.mktemp("quick"), *QUICK)


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """runs.csv of the two long runs."""
    return _undisturbed(tmp_path_factory.mktemp("long"), *LONG)

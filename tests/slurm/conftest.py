"""One cluster for all tests, and undisturbed local campaigns to hold them against."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import making
from tests.slurm.login import (
    CLUSTER,
    LONG,
    QUICK,
    Login,
    Rows,
    cluster,
    empty_the_queue,
    missing,
)


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[None]:
    lacking = missing()
    if lacking:
        pytest.skip(f"no {', '.join(lacking)}: tests/slurm/cluster.sh install, as root")
    with pytest.MonkeyPatch.context() as patch:
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
    local = Login(making.project(folder))
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

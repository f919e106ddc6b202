"""Time limits, preemption, lost nodes, a restarted controller: the numbers stay those of a quiet campaign."""

import subprocess

import pytest

from tests.dispatch.processes import progress, wait_for
from tests.slurm.login import LONG, Login, Rows, cluster, slurm

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.xdist_group("slurm")]


TWO = (*LONG, "--seeds", "2")


def _first_two(rows: Rows) -> Rows:
    return {run: row for run, row in rows.items() if row["seed"] in ("0", "1")}


def _under_way(login: Login, epoch: int = 5) -> None:
    wait_for(lambda: max(progress(login.runs_folder()).values(), default=0) >= epoch)


def _node() -> str:
    return slurm("squeue", "-h", "-t", "running", "-n", "replicate-smoke", "-o", "%N").strip()


def test_a_time_limit_in_the_middle_of_a_run(login: Login, long: Rows) -> None:
    login.submit(*LONG, "--seeds", "4", minutes=1)
    login.wait()
    assert login.rows() == long
    assert max(login.attempts()) >= 2, "the limit never struck"


@pytest.mark.parametrize("partition", ["main", "hard"])
def test_preemption(login: Login, long: Rows, partition: str) -> None:
    login.submit(*TWO, partition=partition)
    _under_way(login)
    slurm("sbatch", "-p", "high", "-N", "3", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 5")
    wait_for(lambda: "queued again" in login.good("status", "smoke"), 60)
    login.wait()
    assert login.rows() == _first_two(long)
    assert login.attempts()[-1] == 2


def test_a_node_that_crashes(login: Login, long: Rows) -> None:
    login.submit(*TWO)
    _under_way(login)
    cluster("node-crash", _node())
    login.wait()
    assert login.rows() == _first_two(long)
    assert login.attempts()[-1] == 2


def test_a_node_whose_slurmd_is_killed(login: Login, long: Rows) -> None:
    """SLURM starts the task again elsewhere while its first self still trains."""
    login.submit(*TWO)
    _under_way(login)
    cluster("node-kill", _node())
    login.wait()
    assert login.rows() == _first_two(long)


@pytest.mark.parametrize("how", ["ctld-stop", "ctld-kill"])
def test_the_controller_is_restarted_under_a_running_array(
    login: Login, long: Rows, how: str
) -> None:
    login.submit(*TWO)
    _under_way(login)
    cluster(how)
    status = login.good("status", "smoke")
    assert "SLURM does not answer" in status
    assert subprocess.run(["squeue"], capture_output=True).returncode != 0
    cluster("ctld-start")
    login.wait()
    assert login.rows() == _first_two(long)

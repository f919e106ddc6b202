"""Time limits, preemption, lost nodes, a restarted controller: the numbers stay those of a quiet campaign.

Faults that leave each other alone strike at the same time, each a project of its own.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.dispatch.processes import progress, wait_for
from tests.slurm.login import LONG, Login, Rows, cluster, hold_the_nodes, slurm

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def _epoch(login: Login) -> int:
    return max(progress(login.runs_folder()).values(), default=0)


def _under_way(login: Login, epoch: int = 5) -> None:
    try:
        wait_for(lambda: _epoch(login) >= epoch)
    except AssertionError as error:
        raise AssertionError(login.call("status", "smoke").stdout) from error


def _node(login: Login) -> str:
    (folder,) = (login.project / "results" / "smoke" / "logs").glob("slurm-*")
    jobs = slurm("squeue", "-h", "-t", "running", "-o", "%N|%k").splitlines()
    (node,) = (line.split("|")[0] for line in jobs if line.endswith(f"|{folder.name}"))
    return node


def test_a_time_limit_in_the_middle_of_a_run_seen_from_another_login(
    login: Login, long: Rows
) -> None:
    # under way at 70 s, when SLURM may first warn of a limit of two minutes, and past 120 s
    login.submit(*LONG, parallel=1, minutes=2, environment={"EPOCH_SECONDS": "2.5"})
    _under_way(login, 1)
    bare = {name: os.environ[name] for name in ("PATH", "SLURM_CONF")}
    other = Login(login.project, environment=bare)
    there = ("--root", str(login.project))
    before = set(login.project.rglob("*_log.*"))
    status = other.call("status", *there, folder=Path("/"))
    assert status.returncode == 0, status.stderr
    assert "seed 0: running, epoch " in status.stdout
    assert "SLURM: tasks 1 running" in status.stdout
    logs = other.call("logs", "table1/cifar10/*", *there, folder=Path("/")).stdout
    assert f"seed 1: {login.project}/results/smoke/logs/slurm-" in logs
    assert set(login.project.rglob("*_log.*")) == before, "looking has started something"
    login.wait()
    assert login.rows() == long
    assert login.attempts()[-1] >= 2, "the limit never struck"


def test_preemption_with_grace_and_without(login: Login, long: Rows) -> None:
    both = {"main": login, "hard": login.beside("hard")}
    held = hold_the_nodes()
    for partition, one in both.items():
        one.submit(*LONG, parallel=1, partition=partition, memory_gb=5.0)
    slurm("scancel", held)
    for one in both.values():
        _under_way(one)
    preemptor = hold_the_nodes("high")
    saved = {}
    for partition, one in both.items():
        assert "queued again" in one.good("status", "smoke")
        (saved[partition],) = progress(one.runs_folder()).values()
    slurm("scancel", preemptor)
    for partition, one in both.items():
        wait_for(lambda one=one, then=saved[partition]: _epoch(one) != then)
        assert _epoch(one) > saved[partition] >= 5, "it began anew"
    for one in both.values():
        one.wait()
        assert one.rows() == long
        assert one.attempts()[-1] == 2


def test_a_node_that_crashes_and_one_whose_slurmd_is_killed(login: Login, long: Rows) -> None:
    """SLURM starts the task of the second again elsewhere while its first self still trains."""
    other = login.beside("other")
    held = hold_the_nodes()
    for one in (login, other):
        one.submit(*LONG, parallel=1, memory_gb=5.0)
    slurm("scancel", held)
    for one in (login, other):
        _under_way(one)
    crashed, deaf = _node(login), _node(other)
    assert crashed != deaf
    cluster("node-crash", crashed)
    cluster("node-kill", deaf)
    for one in (login, other):
        one.wait()
        assert one.rows() == long
    assert login.attempts()[-1] == 2


def test_the_controller_is_killed_and_restarted_under_a_running_array(
    login: Login, long: Rows
) -> None:
    login.submit(*LONG)
    _under_way(login)
    # told to stop, it saves its jobs, which the kill then spares
    for how in ("ctld-stop", "ctld-kill"):
        cluster(how)
        assert _epoch(login), "it has ended too early"
        if how == "ctld-kill":
            assert "SLURM does not answer" in login.good("status", "smoke")
        cluster("ctld-start")
    login.wait()
    assert login.rows() == long


def test_a_controller_that_dies_before_it_saved_a_job(login: Login, long: Rows) -> None:
    """The job is lost, its processes are killed, and SLURM gives its id to the next."""
    state = Path(os.environ["SLURM_CONF"]).parents[1] / "state" / "job_state"
    cluster("ctld-stop")
    before = state.read_bytes()
    cluster("ctld-start")
    login.submit(*LONG, parallel=1)
    _under_way(login)
    job = slurm("squeue", "-h", "-t", "running", "-o", "%A").strip()
    cluster("ctld-kill")
    state.write_bytes(before)
    cluster("ctld-start")
    login.wait(code=1)
    wait_for(lambda: "1 interrupted" in login.good("status", "smoke"))
    # while its node still ends the lost job, another of that id drains it
    steps = ["pgrep", "-f", f"^slurmstepd: .{job}[.]"]
    wait_for(lambda: subprocess.run(steps, stdout=subprocess.DEVNULL).returncode)
    stranger = hold_the_nodes()
    assert stranger == job
    lost = f"task {stranger} ended without a result: SLURM no longer knows it"
    assert lost in " ".join(login.good("status", "smoke").split())
    login.good("cancel", "smoke")
    assert slurm("squeue", "-h", "-j", stranger, "-o", "%T").strip() == "RUNNING"
    slurm("scancel", stranger)
    login.submit(*LONG, parallel=1, environment={"EPOCH_SECONDS": "0"})
    login.wait()
    assert login.rows() == long
    assert login.attempts()[-1] == 2

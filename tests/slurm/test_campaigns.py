"""Campaigns on a real SLURM: submitted, left alone, come back to."""

import resource
import shutil

import pytest

from replicate.records import record
from tests.dispatch.processes import wait_for
from tests.slurm.login import (
    CHECKOUT,
    QUICK,
    Login,
    Rows,
    cluster,
    hold_the_nodes,
    slurm,
)

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
FOUR = "table1/cifar10"
TWO = ("table1/cifar10/avgpool", "table1/cifar10/flexpool")
THREE = (*TWO, "table1/cifar10/flexpool-reg")


def _part(rows: Rows, *cells: str) -> Rows:
    return {run: row for run, row in rows.items() if row["cell"] in cells}


def test_all_32_cells_equal_a_local_campaign(login: Login, quick: Rows) -> None:
    drawing = {"PYTHONPATH": str(CHECKOUT)}
    output = login.submit(*QUICK, "--wait", parallel=6, environment=drawing)
    assert "32 runs in" in output
    assert "32 of 32 done" in output
    assert login.rows() == quick
    report = login.project / "reports" / "smoke" / "report.md"
    assert "32 of the paper's 32 cells" in report.read_text()
    assert "nothing is to do" in login.submit(*QUICK)


def _processor_seconds() -> float:
    """Of all commands so far: other tests do not change it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_thousand_runs_are_one_array_within_ten_seconds(login: Login) -> None:
    login.submit(FOUR, *QUICK, "--dry-run")
    held = hold_the_nodes()
    before = _processor_seconds()
    output = login.submit(FOUR, *QUICK, "--seeds", "250", images_per_second=0.004)
    assert _processor_seconds() - before < 10
    assert "1000 runs in" in output
    assert ", 1 job:" in output
    assert "submitted as" in output
    queued = slurm("squeue", "-h", "-r", "-n", "replicate-smoke", "-o", "%F")
    assert len(set(queued.split())) == 2, "one array and the report"
    assert "queued (" in login.good("status", "smoke")
    assert "1000 runs in the queue already" in login.submit(
        FOUR, *QUICK, "--seeds", "250", images_per_second=0.004
    )
    login.good("cancel", "smoke")
    slurm("scancel", held)


def test_a_failing_run_and_one_that_crashes_leave_the_others_alone(login: Login) -> None:
    spec = login.project / "experiments" / "table1" / "cifar10" / "flexpool.yaml"
    spec.write_text(spec.read_text() + "training:\n  batch_size: 200\n  drop_last: true\n")
    crashing = {"CRASHING": "table1/cifar10/flexpool-reg"}
    login.submit(FOUR, *QUICK, least_minutes=1.0, environment=crashing)
    output = login.wait(code=1)
    assert "2 of 4 done, 2 failed" in output
    assert "table1/cifar10/flexpool seed 0: failed: " in output
    assert "flexpool-reg seed 0: failed: its worker died 2 times: " in output
    login.submit(FOUR, *QUICK, "--retry-failed", least_minutes=1.0)
    assert "3 of 4 done, 1 failed" in login.wait(code=1)
    (folder,) = login.runs_folder().glob("table1-cifar10-flexpool-s0-*")
    found = record.read_record(folder)
    assert found is not None
    assert found.provenance.attempts == 2
    assert login.call("run", FOUR, *QUICK, "--campaign", "local", "--threads", "1").returncode == 1
    assert login.rows() == login.rows(campaign="local")


def test_an_array_limit_below_the_campaign(login: Login, quick: Rows) -> None:
    cluster("ctld-stop")
    cluster("start", CLUSTER_MAX_ARRAY="2")
    try:
        output = login.submit(*THREE, *QUICK)
        assert "3 runs in 3 tasks, 2 jobs:" in output
        login.wait()
    finally:
        cluster("ctld-stop")
        cluster("start")
    assert login.rows() == _part(quick, *THREE)


def test_without_accounting(login: Login, quick: Rows) -> None:
    cluster("dbd-stop")
    try:
        login.submit(*TWO, *QUICK)
        login.wait()
        assert login.rows() == _part(quick, *TWO)
        memory = login.submit("table2/cifar10/avgpool", *QUICK, setup=["kill -9 $$"])
        assert "1 run in" in memory
        output = login.wait(code=1)
        assert "ended without a result" in output
        assert "_0_log.err" in output
    finally:
        cluster("dbd-start")


def test_cancelled_jobs_are_named_and_done_when_submitted_again(login: Login, quick: Rows) -> None:
    held = hold_the_nodes()
    login.submit(*TWO, *QUICK)
    queued = slurm("squeue", "-h", "-r", "-n", "replicate-smoke", "-o", "%i").split()
    first = next(job for job in queued if job.endswith("_0"))
    slurm("scancel", first)  # by hand, while pending: SLURM keeps no trace of such a task
    slurm("scancel", held)
    output = login.wait(code=1)
    assert f"task {first} ended without a result" in output
    assert "1 of 2 done" in output
    again = hold_the_nodes()
    login.submit(*TWO, *QUICK)
    assert "cancelled: " in login.good("cancel", "smoke")
    output = login.wait(code=1)
    assert "ended without a result: cancelled" in output
    slurm("scancel", again)
    login.submit(*TWO, *QUICK)
    login.wait()
    assert login.rows() == _part(quick, *TWO)


def test_later_edits_do_not_reach_queued_jobs(login: Login, quick: Rows) -> None:
    code = ("replicate", "experiments")
    checkout = login.project.parent / "checkout"
    for name in code:
        shutil.copytree(CHECKOUT / name, checkout / name)
    editor = Login(checkout, checkout, login.environment)
    held = hold_the_nodes()
    editor.submit(TWO[0], *QUICK)
    for path in checkout.glob("replicate/**/*.py"):
        path.write_text("raise ImportError('edited')\n")
    for path in checkout.glob("experiments/**/*.yaml"):
        path.write_text("edited: true\n")
    slurm("scancel", held)
    wait_for(lambda: (checkout / "reports" / "smoke" / "report.md").exists(), 180)
    assert editor.rows() == _part(quick, TWO[0])

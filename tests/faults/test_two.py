"""Several processes on the same results: each run is trained by one of them, and nothing is overwritten."""

import csv
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from replicate.plan.campaign import read_request
from replicate.records import run_folder
from replicate.records.run_folder import read_attempts
from replicate.report import render
from tests.dispatch.processes import wait_for
from tests.faults.campaigns import CELLS, OPTIONS, outcome
from tests.faults.children import Child, child, command
from tests.faults.hosts import need_root, on_another_host

pytestmark = [
    pytest.mark.root,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
RUN = ["run", *CELLS, *OPTIONS, "--seeds", "3"]
LONG = ["run", *CELLS, *OPTIONS, "--set", "training.epochs=40"]


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "render", lambda root, campaign: root / "report.md")
    need_root()


@pytest.fixture
def elsewhere(project: Path) -> Callable[..., Callable[[], None]]:
    """A command on the project as another machine sees it."""
    place = project.with_name("elsewhere")
    return lambda *arguments: on_another_host(
        project, place, lambda seen: command(seen, *arguments)
    )


def results(project: Path) -> Path:
    return project / "results" / "smoke"


def test_two_hosts_share_the_runs(
    project: Path, elsewhere: Callable[..., Callable[[], None]]
) -> None:
    assert child(command(project, *RUN), project).code == 0
    wanted = outcome(results(project))
    shutil.rmtree(results(project))
    for _ in range(3):
        both = [Child(command(project, *RUN), project), Child(elsewhere(*RUN), project)]
        ends = [one.end() for one in both]
        assert [one.code for one in ends] == [0, 0], [one.said for one in ends]
        assert outcome(results(project)) == wanted
        folders = list((results(project) / "runs").iterdir())
        assert [len(read_attempts(folder)) for folder in folders] == [1] * 6, (
            "each was trained once"
        )
        shutil.rmtree(results(project))


def test_two_requests_for_one_campaign_add_up(project: Path) -> None:
    both = [Child(command(project, "run", cell, *OPTIONS), project) for cell in CELLS]
    ends = [one.end() for one in both]
    assert [one.code for one in ends] == [0, 0], [one.said for one in ends]
    request = read_request(project, "smoke")
    assert request is not None
    assert set(request.cells) == set(CELLS)
    with (results(project) / "runs.csv").open(newline="") as file:
        assert {row["cell"] for row in csv.DictReader(file)} == set(CELLS)


def test_a_host_that_dies_loses_its_claim(
    project: Path, elsewhere: Callable[..., Callable[[], None]]
) -> None:
    """The other host waits for the run, takes it over where it stood, and ends well."""
    assert child(command(project, *LONG), project).code == 0
    wanted = outcome(results(project))
    shutil.rmtree(results(project))
    other = Child(elsewhere(*LONG), project)
    runs = results(project) / "runs"
    wait_for(lambda: list(runs.glob(f"*/{run_folder.CHECKPOINT}")))
    here = Child(command(project, *LONG), project)
    wait_for(lambda: len(list(runs.glob(f"*/{run_folder.CHECKPOINT}"))) == 2)
    _signal_all(other.pid, signal.SIGSTOP)  # it hangs, and holds its run
    wait_for(lambda: list(runs.glob(f"*/{run_folder.RECORD}")))
    time.sleep(0.2)  # nothing is left here but to wait
    _signal_all(other.pid, signal.SIGKILL)
    assert other.end().killed
    end = here.end()
    assert end.code == 0, end.said
    assert "2 of 2 done" in end.said
    assert outcome(results(project)) == wanted
    assert sorted(len(read_attempts(folder)) for folder in runs.iterdir()) == [1, 2]


def _signal_all(pid: int, what: signal.Signals) -> None:
    """To all processes of a machine, parents first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(pid, what)
    for one in children:
        _signal_all(int(one), what)

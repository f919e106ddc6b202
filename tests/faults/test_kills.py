"""Killed at every point of what it does to files, each command ends, called again, with the same numbers."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from replicate.campaign import Campaign
from replicate.dispatch.worker import attempts
from replicate.report import render
from replicate.results import aggregate
from tests.dispatch.processes import Command, wait_for
from tests.faults.campaigns import CELLS, OPTIONS, litter, outcome, training
from tests.faults.children import child, command
from tests.faults.injector import Mode

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
MODES: list[Mode] = ["kill", "power cut"]
Action = Callable[[], object]
Begin = Callable[..., Campaign]
Start = Callable[..., Command]
LEAST_KILLS = {"worker": 90, "run": 60, "aggregate": 60, "report": 20}


def kill_everywhere(
    root: Path, mode: Mode, action: Action, points: Iterable[int], sound: Action
) -> int:
    """Kill at each point, always from the files as they are now, and mend by doing it again.

    `sound` says whether what came of it is right. Returns the number of kills.
    """
    before = root.with_name("before")
    shutil.copytree(root, before, symlinks=True)
    kills = 0
    for at in points:
        shutil.rmtree(root)
        shutil.copytree(before, root, symlinks=True)
        death = child(action, root, at, mode)
        if not death.killed:
            assert death.code == 0, death.said
            break
        kills += 1
        place = f"{mode} {death.points[-1]}"
        mended = child(action, root)
        assert mended.code == 0, f"{place}: {mended.said}"
        assert sound(), place
    print(f"{kills} kills")
    return kills


def every() -> Iterable[int]:
    return range(1, 10_000)


def results(campaign: Campaign) -> tuple[dict[str, bytes], list[str]]:
    """The files made from the records, and what is left of no use."""
    aggregate.aggregate(campaign)
    return outcome(campaign.results), litter(campaign.results)


@pytest.fixture
def undisturbed(begin: Begin, tmp_path: Path) -> dict[str, bytes]:
    campaign = begin("undisturbed", CELLS[1:])
    child(training(campaign, tmp_path / "cache"), campaign.root)
    found, _ = results(campaign)
    shutil.rmtree(campaign.results)
    return found


@pytest.mark.parametrize("mode", MODES)
def test_a_worker(begin: Begin, undisturbed: dict[str, bytes], tmp_path: Path, mode: Mode) -> None:
    """Attempts, lock, checkpoints, progress, pools, record."""
    campaign = begin(cells=CELLS[1:])
    action = training(campaign, tmp_path / "cache")
    kills = kill_everywhere(
        campaign.root, mode, action, every(), lambda: results(campaign) == (undisturbed, [])
    )
    assert kills >= LEAST_KILLS["worker"]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_worker_again_and_again(
    begin: Begin, undisturbed: dict[str, bytes], tmp_path: Path, seed: int
) -> None:
    """A run that is killed at random until it ends by itself."""
    campaign, draw = begin(cells=CELLS[1:]), random.Random(seed)
    action, kills = training(campaign, tmp_path / "cache"), 0
    while child(action, campaign.root, draw.randint(1, 100), draw.choice(MODES)).killed:
        kills += 1
        assert kills < 100
    assert results(campaign) == (undisturbed, [])
    print(f"{kills} kills")


@pytest.fixture
def trained(begin: Begin, tmp_path: Path) -> Campaign:
    campaign = begin("smoke", seeds=2)
    assert child(training(campaign, tmp_path / "cache"), campaign.root).code == 0
    return campaign


@pytest.mark.parametrize("mode", MODES)
def test_aggregate(trained: Campaign, mode: Mode) -> None:
    """Every CSV file, first written and written again."""
    root = trained.root
    half = next(trained.runs_folder.glob("*-s1-*"))
    half.rename(root / "later")
    aggregate.aggregate(trained)
    (root / "later").rename(half)
    expected = root.with_name("expected")
    shutil.copytree(root, expected)
    wanted, _ = results(Campaign(expected, trained.request, trained.cells))

    def sound() -> bool:
        return outcome(trained.results) == wanted and not litter(trained.results)

    kills = kill_everywhere(root, mode, command(root, "aggregate", "smoke"), every(), sound)
    assert kills >= LEAST_KILLS["aggregate"]


def test_report(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file of a report is whole or absent at any time, and the same at the end."""
    campaign = begin("smoke", CELLS[:1])
    assert child(training(campaign, tmp_path / "cache"), campaign.root).code == 0
    aggregate.aggregate(campaign)
    folder = campaign.root / "reports" / "smoke"
    render.render(campaign.root, "smoke")
    wanted = files(folder)
    shutil.rmtree(folder)
    action = command(campaign.root, "report", "smoke")
    draw = random.Random(0)
    at, kills = 1, 0
    while (death := child(action, campaign.root, at)).killed:
        place = death.points[-1]
        assert files(folder).items() <= wanted.items(), place
        at, kills = at + draw.randint(1, 5), kills + 1
    assert death.code == 0, death.said
    assert files(folder) == wanted
    assert litter(folder) == []
    print(f"{kills} kills")
    assert kills >= LEAST_KILLS["report"]


def files(folder: Path) -> dict[str, bytes]:
    """The files of a report that somebody may look at."""
    every = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp")
    return {str(path.relative_to(folder)): path.read_bytes() for path in every}


@pytest.mark.parametrize("mode", MODES)
def test_run(project: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """The pool's own files: the data cache, campaign.json, logs; what workers and report do is above."""
    monkeypatch.setattr(render, "render", lambda root, campaign: root / "report.md")
    action = command(project, "run", *CELLS, *OPTIONS)
    once = child(action, project)
    assert once.code == 0, once.said
    wanted = outcome(project / "results" / "smoke")
    for name in ("results", ".cache"):
        shutil.rmtree(project / name)
    own = [at for at, what in enumerate(once.points, 1) if "/runs/" not in what]

    def sound() -> bool:
        left = litter(project / "results") + litter(project / ".cache")
        return outcome(project / "results" / "smoke") == wanted and not left

    assert kill_everywhere(project, mode, action, own, sound) >= LEAST_KILLS["run"]


@pytest.mark.slow
def test_the_whole_command_at_random(project: Path, start: Start) -> None:
    """Real processes, two workers: all of them killed at once, twice, some seconds after it goes on."""
    settings = ["--set=training.epochs=30", "--workers", "2", "--seeds", "4"]
    arguments = ["run", *CELLS, *OPTIONS, *settings]
    once = child(command(project, *arguments), project)
    assert once.code == 0, once.said
    results = project / "results" / "smoke"
    wanted = outcome(results)
    shutil.rmtree(results)
    draw = random.Random(0)
    for _ in range(2):
        before = newest(results)
        running = start(*arguments)
        wait_for(lambda before=before: newest(results) > before)  # type: ignore[misc]
        time.sleep(draw.uniform(0, 2))
        assert running.process.poll() is None, running.end()
        os.killpg(running.process.pid, signal.SIGKILL)
        running.end()
    code, output = start(*arguments).end()
    assert code == 0, output
    assert outcome(results) == wanted
    assert sum(len(attempts(folder)) for folder in (results / "runs").iterdir()) > 8


def newest(results: Path) -> float:
    """When a checkpoint was last written."""
    return max((path.stat().st_mtime for path in results.glob("runs/*/checkpoint.pt")), default=0.0)

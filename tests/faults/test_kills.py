"""Killed at every point of what it does to files, each command ends, called again, with the same numbers."""

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from msgspec import structs

from replicate.files import atomic
from replicate.plan.campaign import Campaign
from replicate.records import run_folder
from replicate.records.record import read_record
from replicate.records.run_folder import read_attempts
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
Points = Iterable[tuple[int, str]]
"""By number and name."""
LEAST_KILLS = {"worker": 25, "aggregate": 15, "run": 15, "report": 20}
TELLING = {"kill": r"amid|after (?!flushing|locking)", "power cut": r"after (?!locking)"}
"""Points that can leave another disk than the point before: no death undoes a lock, no kill what is
not flushed, and a power cut takes half a write as it takes the whole."""


def kill_everywhere(
    root: Path,
    mode: Mode,
    action: Action,
    mend: Action,
    found: Action,
    choose: Callable[[list[str]], Points] = lambda names: enumerate(names, 1),
) -> int:
    """Kill at each chosen point that tells, always from the files as they are now, and mend.

    What is then `found` must be what an undisturbed `action` leaves. Returns the number of kills.
    """
    before = root.with_name("before")
    copy_files(root, before)
    once = child(action, root)
    assert once.code == 0, once.said
    wanted, kills = found(), 0
    for at in telling(choose(once.points), mode):
        copy_files(before, root)
        death = child(action, root, at, mode)
        if not death.killed:
            assert death.code == 0, death.said
            break
        kills += 1
        mend()
        assert found() == wanted, f"{mode} {death.points[-1]}"
    print(f"{kills} kills")
    return kills


def copy_files(source: Path, target: Path) -> None:
    """All that commands write, in place of what is there."""
    for name in ("results", ".cache"):
        if (target / name).exists():
            shutil.rmtree(target / name)
        if (source / name).exists():
            shutil.copytree(source / name, target / name)


def telling(points: Points, mode: Mode) -> list[int]:
    return [at for at, name in points if re.match(TELLING[mode], name)]


def first_of_each(names: list[str]) -> Points:
    """The first point of each name: checksums are noted again and again."""
    plain = [re.sub(r"[0-9a-f]{32}", "", name) for name in names]
    first = {name: at for at, name in reversed(list(enumerate(plain, 1)))}
    return sorted((at, name) for name, at in first.items())


def again(action: Action, root: Path) -> Action:
    def mend() -> None:
        end = child(action, root)
        assert end.code == 0, end.said

    return mend


def results(campaign: Campaign) -> tuple[dict[str, bytes], list[str]]:
    """The files made from the records, and what is left of no use."""
    aggregate.aggregate(campaign)
    return outcome(campaign.results), litter(campaign.results)


def recorded(campaign: Campaign) -> object:
    """What the only run of a campaign has left, but for times and attempts."""
    (folder,) = campaign.runs_folder.iterdir()
    record = read_record(folder)
    assert record is not None
    facts = structs.asdict(record)
    del facts["provenance"], facts["attempts"]
    timeless = {"seconds": 0.0, "images_per_second": 0.0}
    facts["epochs"] = [structs.replace(epoch, **timeless) for epoch in record.epochs]
    return facts, (folder / run_folder.POOLS).read_bytes(), litter(campaign.results)


@pytest.mark.parametrize("mode", MODES)
def test_a_file(tmp_path: Path, mode: Mode) -> None:
    """The old one or the new one at every moment, and the new one as soon as it is written."""
    root = tmp_path / "root"
    root.mkdir()
    path, old, new = root / "file", "old" * 10_000, "new" * 10_000

    def action() -> None:
        atomic.write_text(path, new)
        (root / "next").touch()

    at, seen = 1, []
    path.write_text(old)
    while (death := child(action, root, at, mode)).killed:
        seen.append((path.read_text(), death.points[-1].endswith("/next")))
        path.write_text(old)
        at += 1
    assert death.code == 0, death.said
    assert {text for text, later in seen if not later} == {old, new}
    assert {text for text, later in seen if later} == {new}


@pytest.fixture
def undisturbed(begin: Begin, tmp_path: Path) -> dict[str, bytes]:
    campaign = begin("undisturbed", CELLS[1:])
    child(training(campaign, tmp_path / "cache"), campaign.root)
    found, _ = results(campaign)
    shutil.rmtree(campaign.results)
    return found


@pytest.mark.parametrize("mode", MODES)
def test_a_worker(begin: Begin, tmp_path: Path, mode: Mode) -> None:
    """Attempts, lock, checkpoints, progress, pools, record."""
    campaign = begin(cells=CELLS[1:])
    action = training(campaign, tmp_path / "cache")
    kills = kill_everywhere(
        *(campaign.root, mode, action, again(action, campaign.root)), lambda: recorded(campaign)
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
    kills = kill_everywhere(
        *(root, mode, command(root, "aggregate", "smoke"), lambda: aggregate.aggregate(trained)),
        lambda: (outcome(trained.results), litter(trained.results)),
        first_of_each,
    )
    assert kills >= LEAST_KILLS["aggregate"]


def test_report(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file of a report is whole or absent at any time, and the same at the end."""
    monkeypatch.setattr(render, "_drawn", lambda figure: 5000 * b"svg")
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
    # One place within the copy of the code is as good as another.
    others = re.compile(r"/runs/|\.csv|/code/\.[^/]+/")
    action = command(project, "run", *CELLS, *OPTIONS)

    def own(names: list[str]) -> Points:
        return ((at, name) for at, name in first_of_each(names) if not others.search(name))

    def found() -> object:
        left = litter(project / "results") + litter(project / ".cache")
        return outcome(project / "results" / "smoke"), left

    kills = kill_everywhere(project, mode, action, again(action, project), found, own)
    assert kills >= LEAST_KILLS["run"]


@pytest.mark.slow
def test_the_whole_command_at_random(project: Path, start: Start) -> None:
    """Real processes, two workers: all of them killed at once, some time after the first checkpoint."""
    settings = ["--set=training.epochs=15", "--workers", "2", "--seeds", "4"]
    arguments = ["run", *CELLS, *OPTIONS, *settings]
    once = child(command(project, *arguments), project)
    assert once.code == 0, once.said
    results = project / "results" / "smoke"
    wanted = outcome(results)
    shutil.rmtree(results)
    running = start(*arguments)
    wait_for(lambda: list(results.glob(f"runs/*/{run_folder.CHECKPOINT}")))
    time.sleep(random.uniform(0, 1))
    assert running.process.poll() is None, running.end()
    os.killpg(running.process.pid, signal.SIGKILL)
    running.end()
    code, output = start(*arguments).end()
    assert code == 0, output
    assert outcome(results) == wanted
    assert sum(len(read_attempts(folder)) for folder in (results / "runs").iterdir()) > 8

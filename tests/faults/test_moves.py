"""Clocks that jump, and results that move: neither changes a number."""

import datetime
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.dispatch import worker
from replicate.plan.campaign import Campaign
from replicate.report import render
from tests.faults.campaigns import CELLS, OPTIONS, outcome, training
from tests.faults.children import child, command
from tests.faults.hosts import need_root, on_another_host

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
RUN = ["run", *CELLS, *OPTIONS]


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "render", lambda root, campaign: root / "report.md")


@pytest.fixture
def wanted(project: Path) -> dict[str, bytes]:
    assert child(command(project, *RUN), project).code == 0
    found = outcome(project / "results" / "smoke")
    shutil.rmtree(project / "results")
    shutil.rmtree(project / ".cache")
    return found


def with_a_mad_clock(action: Callable[[], None]) -> Callable[[], None]:
    """Every look at the clock of the day jumps by up to ten years, back or forth."""

    def act() -> None:
        draw, now = random.Random(0), time.time()
        time.time = lambda: now + draw.uniform(-3e8, 3e8)
        time.time_ns = lambda: int(1e9 * time.time())

        class Mad(datetime.datetime):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
                return datetime.datetime.fromtimestamp(time.time(), tz)

        worker.datetime = Mad  # type: ignore[misc]
        action()

    return act


def test_a_clock_that_jumps(project: Path, wanted: dict[str, bytes]) -> None:
    """Killed and taken up again, under a clock that is now years late and now years early."""
    action = with_a_mad_clock(command(project, *RUN))
    for at in (40, 80, 120):
        assert child(action, project, at).killed
    end = child(action, project)
    assert end.code == 0, end.said
    assert outcome(project / "results" / "smoke") == wanted


@pytest.mark.root
def test_a_project_that_moves(
    project: Path, wanted: dict[str, bytes], begin: Callable[..., Campaign], tmp_path: Path
) -> None:
    """Killed, moved, taken up, killed, moved again, and ended by another machine with an empty cache."""
    need_root()
    campaign = begin("smoke")
    for number, at in enumerate((60, 30)):
        assert child(training(campaign, tmp_path / f"cache-{number}"), campaign.root, at).killed
        moved = campaign.root.rename(tmp_path / f"moved-{number}")
        campaign = replace(campaign, root=moved)
    host = on_another_host(moved, tmp_path / "seen", lambda seen: command(seen, *RUN))
    end = child(host, moved)
    assert end.code == 0, end.said
    assert outcome(campaign.results) == wanted

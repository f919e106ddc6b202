from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from replicate.plan.campaign import Campaign, Request, resolve_campaign, save_campaign
from replicate.specs import catalogue
from tests.dispatch.processes import Command
from tests.faults.campaigns import CELLS, SETTINGS


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Children are forked, and OpenMP's threads do not come along."""
    torch.set_num_threads(1)


@pytest.fixture
def begin(project: Path) -> Callable[..., Campaign]:
    """Begin a campaign of tiny runs."""

    def begin(
        name: str = "tiny", cells: tuple[str, ...] = CELLS, seeds: int = 1, **more: str
    ) -> Campaign:
        chosen = catalogue.select(catalogue.cell_names(project), cells)
        settings = SETTINGS | more
        wanted = Request(name=name, protocol="smoke", settings=settings, cells=chosen, seeds=seeds)
        campaign = resolve_campaign(project, wanted)
        save_campaign(campaign)
        return campaign

    return begin


@pytest.fixture
def start(command: Callable[..., Command]) -> Callable[..., Command]:
    """Start commands in `project` as processes of their own; here `command` is what a child does."""
    return command

"""Over many recorded runs, each command does the same work for each further run."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from unittest import mock

import pytest

from benchmarks.harness import write_campaign
from replicate import cli
from replicate.plan.campaign import open_campaign
from replicate.report.sections.overview import document
from replicate.results import aggregate
from replicate.results.read import read_results

SIZES = (32, 96, 224)  # below the number of folders from which aggregate starts processes
TOLERANCE = 1.1


def plan(root: Path) -> None:
    with mock.patch("sys.argv", ["replicate", "plan", "--campaign", "many", "--root", str(root)]):
        cli.app(standalone_mode=False)


def status(root: Path) -> None:
    with mock.patch("sys.argv", ["replicate", "status", "--root", str(root)]):
        cli.app(standalone_mode=False)


def aggregated(root: Path) -> None:
    aggregate.aggregate(open_campaign(root, "many"))


def report(root: Path) -> None:
    document(read_results(root, "many"))


def calls(action: Callable[[Path], None], root: Path) -> int:
    """How many functions are called, Python's and the libraries'."""
    count = 0

    def see(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        action(root)
    finally:
        sys.setprofile(None)
    return count


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    roots = {size: tmp_path_factory.mktemp(f"runs-{size}") for size in SIZES}
    for size, root in roots.items():
        write_campaign(root, size)
        aggregated(root)
    return roots


@pytest.mark.parametrize("action", [plan, status, aggregated, report])
def test_the_work_for_one_more_run_does_not_grow(
    made: dict[int, Path], action: Callable[[Path], None]
) -> None:
    action(made[SIZES[0]])  # what is done once a process
    few, some, many = (calls(action, made[size]) for size in SIZES)
    early = (some - few) / (SIZES[1] - SIZES[0])
    late = (many - some) / (SIZES[2] - SIZES[1])
    print(f"{action.__name__}: {early:.1f}, then {late:.1f} calls a run more")
    assert late <= TOLERANCE * early + 1

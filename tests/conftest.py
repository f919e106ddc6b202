"""Fixtures shared by all tests, which of them are quick, and which stay together."""

import copy
import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from xdist.scheduler import LoadScopeScheduling

from replicate import cli
from replicate.errors import UserError
from replicate.files import yaml_lines
from replicate.specs.spec import Spec
from tests import making
from tests.dispatch.processes import ROOT, Command
from tests.making import Records

if TYPE_CHECKING:
    from tests.faults.children import Death

pytest_plugins = ["pytester", "tests.guard"]

Parse = Callable[[str, Path], yaml_lines.Document]
NOT_QUICK = frozenset(
    {"faults", "hostile", "processes", "slurm", "browser", "latex", "realdata", "gpu", "slow"}
)
"""Markers of tests that `./run_all.sh test` leaves out."""
STARTING = frozenset({"command", "forked", "holder", "start"})
"""Fixtures that start processes."""
LONGEST = "tests/slurm/"
"""Tests on one cluster, which take as long as all others: begun first."""
TOGETHER = (LONGEST, "::test_real_")
"""In the ids of tests that share a cluster, or images that take long to decode."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out what takes long or needs more")


def _mark(item: pytest.Item) -> None:
    """By folder, and by the fixture that starts processes."""
    for folder in {"faults", "hostile"}.intersection(item.path.parts):
        item.add_marker(folder)
    starts = STARTING.intersection(getattr(item, "fixturenames", ()))
    if starts and not item.get_closest_marker("end_to_end"):
        item.add_marker("processes")


def _markers(item: pytest.Item) -> set[str]:
    return {marker.name for marker in item.iter_markers()}


def _leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if NOT_QUICK & _markers(item)]
    items[:] = [item for item in items if not NOT_QUICK & _markers(item)]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.config.getoption("quick"):
        terminalreporter.write_line(
            "left out: what takes long, starts processes, kills them, gives them odd input, or needs a "
            "cluster, a browser, LaTeX, a GPU or the real images: ./run_all.sh test all"
        )


@pytest.hookimpl(tryfirst=True)  # before pytest reads -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        _mark(item)
    if config.getoption("quick"):
        _leave_out(config, items)
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


class Together(LoadScopeScheduling):
    """Hands tests to processes one by one, but for those that share what would else be made in each."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        alone = module if _shares(module) else nodeid
        return next((part for part in TOGETHER if part in nodeid), alone)


@functools.cache
def _shares(module: str) -> bool:
    path = ROOT / module
    return path.is_file() and 'scope="module"' in path.read_text()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)


def _parsed_once(parse: Parse) -> Parse:
    known = functools.lru_cache(1000)(lambda text: parse(text, Path()))

    def parsed(text: str, path: Path) -> yaml_lines.Document:
        try:
            document = known(text)
            return replace(document, path=path, value=copy.deepcopy(document.value))
        except UserError:
            return parse(text, path)  # whose message names the path

    return parsed


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """Most tests read the same specs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_lines, "parse", _parsed_once(yaml_lines.parse))
        yield


@pytest.fixture(scope="session", autouse=True)
def built_once() -> Iterator[None]:
    """The command line, which tests call thousands of times in a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def unflushed() -> Iterator[None]:
    """Power cuts are those of tests/faults, whose children flush for real."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return making.project(tmp_path / "project")


@pytest.fixture
def replicate(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command line in `project`: exit code, output and errors."""
    monkeypatch.chdir(project)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["replicate", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        written = capsys.readouterr()
        return int(stop.value.code or 0), written.out, written.err

    return run


@pytest.fixture
def spec() -> Spec:
    """Table 1, CIFAR-10, FlexPool, as the paper trains it."""
    return making.spec()


@pytest.fixture
def records(project: Path) -> Records:
    return Records(project)


@pytest.fixture
def command(project: Path) -> Iterator[Callable[..., Command]]:
    """Start commands in `project`; none outlives the test."""
    begun: list[Command] = []

    def start(*arguments: str, folder: Path = project, code: Path = ROOT) -> Command:
        begun.append(Command(folder, *arguments, code=code))
        return begun[-1]

    yield start
    for one in begun:
        with suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.communicate()


@pytest.fixture
def forked(project: Path) -> Callable[..., "Death"]:
    """Carry out commands in `project`, each in a child of this process: torch need not be imported anew."""
    import torch

    from tests.faults import children

    torch.set_num_threads(1)  # others do not come along
    return lambda *arguments: children.child(children.command(project, *arguments), project)

"""Fixtures shared by all tests, and the guard against silent skips."""

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from replicate import catalogue, cli
from replicate.spec import Spec

pytest_plugins = ["pytester"]

REQUIRED = frozenset(filter(None, os.environ.get("FLEXPOOL_REQUIRE", "").split(",")))
"""Markers whose tests must not be skipped, as in FLEXPOOL_REQUIRE=realdata,slurm."""


def _required(item: pytest.Item) -> frozenset[str]:
    return REQUIRED.intersection(marker.name for marker in item.iter_markers())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and _required(item) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"FLEXPOOL_REQUIRE forbids to skip this test: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and REQUIRED:  # a whole module: which markers it has is not known
        report.outcome = "failed"
        report.longrepr = f"FLEXPOOL_REQUIRE forbids to skip a module: {report.longreprtext}"
    return report


class NoTest(pytest.Item):
    """Fails in the place of the tests that a required marker should have selected."""

    def runtest(self) -> None:
        pytest.fail(f"FLEXPOOL_REQUIRE: no test is marked {self.name}", pytrace=False)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    absent = REQUIRED.difference(*map(_required, items))
    items.extend(NoTest.from_parent(session, name=marker) for marker in sorted(absent))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder of its own: the shipped experiments/, and nothing yet done."""
    shutil.copytree(Path(__file__).parents[1] / "experiments", tmp_path / "project" / "experiments")
    return tmp_path / "project"


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
def spec(project: Path) -> Spec:
    """Table 1, CIFAR-10, FlexPool, as the paper trains it."""
    (cell,) = catalogue.load(project, ["table1/cifar10/flexpool"], "paper")
    return cell.spec

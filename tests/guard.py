"""The guard against silent skips: a pytest plugin that needs nothing but pytest."""

import os
from collections.abc import Generator

import pytest

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

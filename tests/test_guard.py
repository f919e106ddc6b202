"""The guard: with FLEXPOOL_REQUIRE a marked test may not be skipped."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.processes
GUARD = Path(__file__).with_name("guard.py").read_text()
SKIPPED = """
import pytest
@pytest.mark.realdata
def test_data(): pytest.skip("no images")
@pytest.mark.skipif(True, reason="no cluster")
@pytest.mark.slurm
def test_cluster(): pass
@pytest.mark.realdata
def test_present(): pass
def test_other(): pytest.skip("unmarked")
@pytest.mark.realdata
@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(GUARD)
    pytester.makeini("[pytest]\nmarkers =\n realdata\n slurm\n")
    pytester.makepyfile(SKIPPED)
    return pytester


def test_these_tests_are_guarded(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("tests.guard")


@pytest.mark.parametrize(
    ("required", "failed", "errors", "options"),  # a skip by mark happens in the set-up: an error
    [("", 0, 0, ""), ("realdata", 1, 0, ""), ("realdata,slurm", 1, 1, "-n1")],
)
def test_a_required_test_that_skips_fails(
    project: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    required: str,
    failed: int,
    errors: int,
    options: str,
) -> None:
    monkeypatch.setenv("FLEXPOOL_REQUIRE", required)
    result = project.runpytest_subprocess(*options.split())
    skipped = 3 - failed - errors
    result.assert_outcomes(passed=1, failed=failed, errors=errors, skipped=skipped, xfailed=1)
    assert result.ret == bool(required)
    if required:
        result.stdout.fnmatch_lines(["*FLEXPOOL_REQUIRE forbids to skip this test*"])


def test_a_module_that_skips_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest(GUARD)
    pytester.makepyfile("import pytest\npytest.importorskip('no_such_module')")
    monkeypatch.setenv("FLEXPOOL_REQUIRE", "realdata")
    result = pytester.runpytest_subprocess()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*FLEXPOOL_REQUIRE forbids to skip a module*no_such_module*"])


def test_a_required_marker_without_a_test_fails(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXPOOL_REQUIRE", "realdata,brwoser")
    result = project.runpytest_subprocess("-n1")
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=2, skipped=2, xfailed=1)
    result.stdout.fnmatch_lines(["*FLEXPOOL_REQUIRE: no test is marked brwoser*"])

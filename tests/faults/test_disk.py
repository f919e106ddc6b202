"""A full or read-only disk: a clear line, nothing lost, and the same command ends once it is mended."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from replicate.records import record, run_folder
from replicate.report import render
from tests.faults.campaigns import CELLS, OPTIONS, outcome
from tests.faults.children import Death, child, command
from tests.faults.hosts import apart, mount, need_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
RUN = ["run", *CELLS, *OPTIONS]


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "render", lambda root, campaign: root / "report.md")
    need_root()


@pytest.fixture
def wanted(project: Path) -> dict[str, bytes]:
    """What an undisturbed campaign leaves."""
    assert child(command(project, *RUN), project).code == 0
    found = outcome(project / "results" / "smoke")
    shutil.rmtree(project / "results" / "smoke")
    return found


def play(scenario: Callable[[], object], project: Path) -> None:
    """Where the mounts are nobody else's."""
    end = child(apart(scenario), project)
    assert end.code == 0, end.said


def replicate(project: Path, *arguments: str) -> Death:
    return child(command(project, *arguments), project)


def is_one_line(end: Death, *words: str) -> bool:
    """Whether a command ended with one line of error that has these words."""
    errors = [line for line in end.said.splitlines() if line.startswith("error: ")]
    whole = len(errors) == 1 and "Traceback" not in end.said
    return end.code == 2 and whole and all(word in errors[0] for word in words)


@pytest.mark.parametrize("size", ["48k", "512k", "2m", "5m"])
def test_no_room_for_results(project: Path, wanted: dict[str, bytes], size: str) -> None:
    """At the beginning, for the first checkpoint, for the second beside the first."""
    folder = project / "results"

    def scenario() -> None:
        mount("-t", "tmpfs", "-o", f"size={size}", "none", str(folder))
        full = replicate(project, *RUN)
        assert is_one_line(full, "No space left") or is_one_line(full, "bytes are free"), full.said
        records = [
            record.read_status(path.parent) for path in folder.glob(f"*/runs/*/{run_folder.RECORD}")
        ]
        assert "failed" not in records, "that the disk is full is no run's fault"
        mount("-o", "remount,size=64m", str(folder))
        mended = replicate(project, *RUN)
        assert mended.code == 0, mended.said
        assert outcome(folder / "smoke") == wanted

    play(scenario, project)


def test_no_room_for_csv_files(project: Path) -> None:
    """With room for so many pages, of which the largest needs six: the earlier files stay as they were.

    A campaign keeps a copy of the code, of about one MiB, beside its runs.
    """
    folder = project / "results"
    folder.mkdir()

    def scenario() -> None:
        mount("-t", "tmpfs", "-o", "size=10m", "none", str(folder))
        assert replicate(project, *RUN, "--seeds", "16").code == 0
        wanted = outcome(folder / "smoke")
        ballast = folder / "ballast"
        for room in (0, 1, 2, 5):
            fill(ballast, leave=4096 * room)
            full = replicate(project, "aggregate", "smoke")
            assert is_one_line(full, "No space left"), full.said
            assert outcome(folder / "smoke") == wanted
            ballast.unlink()
            assert replicate(project, "aggregate", "smoke").code == 0
            assert outcome(folder / "smoke") == wanted

    play(scenario, project)


def fill(path: Path, leave: int) -> None:
    with path.open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(4096)):
                pass
        file.truncate(file.tell() - leave)


def test_results_that_are_read_only(project: Path, wanted: dict[str, bytes]) -> None:
    folder = project / "results"

    def scenario() -> None:
        assert replicate(project, "run", CELLS[0], *OPTIONS).code == 0
        mount("--bind", str(folder), str(folder))
        mount("-o", "remount,ro,bind", str(folder))
        assert is_one_line(replicate(project, *RUN), "cannot be written", "Read-only file system")
        assert is_one_line(replicate(project, "aggregate", "smoke"), "Read-only file system")
        for looking in (["status"], ["plan", CELLS[0], "--campaign", "smoke"]):
            seen = replicate(project, *looking)
            assert "1 of 1 done" in seen.said, seen.said
        mount("-o", "remount,rw,bind", str(folder))
        assert replicate(project, *RUN).code == 0
        assert outcome(folder / "smoke") == wanted

    play(scenario, project)

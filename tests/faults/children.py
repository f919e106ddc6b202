"""Children of this process that do the product's work: forked, as torch takes seconds to import."""

import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit

import replicate.data.generator
import replicate.report.render
import replicate.results.aggregate
import replicate.training.loop
import replicate.workflows.run  # noqa: F401  what a child would import, each time for seconds
from replicate import cli
from replicate.dispatch.code import code_digest
from replicate.dispatch.snapshot import Copied
from tests.faults.injector import Faults, Mode

_sleep = time.sleep
LONGEST_PAUSE = 0.02  # where the product would wait for seconds


@dataclass(frozen=True)
class Death:
    """What a child did to files, and how it ended."""

    points: list[str]
    """Every point that it came by."""
    killed: bool
    code: int
    said: str


class Child:
    """A process under way."""

    def __init__(
        self, action: Callable[[], object], root: Path, at: int = 0, mode: Mode = "kill"
    ) -> None:
        scratch = Path(tempfile.mkdtemp(dir=root.parent))
        self._trace, self._log = scratch / "trace", scratch / "log"
        self._trace.touch()
        self._log.touch()
        code_digest()  # kept: else each child would reckon it anew
        self.pid = os.fork()
        if self.pid == 0:
            trace = os.open(self._trace, os.O_WRONLY | os.O_APPEND)
            _be_a_child(action, Faults(root, at, mode, trace, scratch), self._log)

    def end(self) -> Death:
        """Wait for it."""
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        points = self._trace.read_text().splitlines()
        return Death(points, code == -signal.SIGKILL, code, self._log.read_text(errors="replace"))


def child(action: Callable[[], object], root: Path, at: int = 0, mode: Mode = "kill") -> Death:
    """Do something in a child of this process, which dies at point `at`; 0: it does not."""
    return Child(action, root, at, mode).end()


def _be_a_child(action: Callable[[], object], faults: Faults, log: Path) -> None:
    code = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(output, stream)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", closefd=False) for stream in (1, 2))
        logging.getLogger().handlers.clear()  # pytest's
        submitit.LocalExecutor = ForkedExecutor  # type: ignore[assignment,misc]
        time.sleep = lambda seconds: _sleep(min(seconds, LONGEST_PAUSE))
        faults.install()
        action()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def command(project: Path, *arguments: str) -> Callable[[], None]:
    """`replicate` with these arguments, to be done in a child."""

    def call() -> None:
        os.chdir(project)
        sys.argv = ["replicate", *arguments]
        cli.main()

    return call


class ForkedExecutor:
    """Stands in for submitit's: a worker is forked, in place of a new interpreter that imports torch."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)

    def update_parameters(self, **values: Any) -> None:
        pass

    def submit(self, copied: Copied, *arguments: Any) -> "ForkedJob":
        """What is forked runs the code of its parent, not the copy."""
        job, action = ForkedJob(self.folder), copied.work
        pid = os.fork()
        if pid == 0:
            job.carry_out(action, arguments)
        job.pid = pid
        return job


class ForkedJob:
    """As far as the pool knows submitit's jobs."""

    def __init__(self, folder: Path) -> None:
        self.pid = 0
        self.folder, self.paths = folder, self
        self.stderr, self.result_pickle = folder / "0_0_log.err", folder / "0_0_result.pkl"
        self._ended = False

    def carry_out(self, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """In the worker's own process, which dies at no point: only its parent does."""
        code = 1
        try:
            os.dup2(os.open(self.stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            action(*arguments)
            self.result_pickle.write_bytes(b"done")
            code = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def done(self) -> bool:
        if not self._ended:
            self._ended = os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
        return self._ended

    def exception(self) -> None:
        return None

    def cancel(self, check: bool = True) -> None:
        os.kill(self.pid, signal.SIGKILL)

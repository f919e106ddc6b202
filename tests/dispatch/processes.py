"""Small real campaigns: `replicate run` as a process of its own, on generated images."""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from replicate.records import run_folder

ROOT = Path(__file__).parents[2]
TINY = (
    "--protocol",
    "smoke",
    "--campaign",
    "smoke",
    "--set",
    "generated.train_images=100",
    "--set",
    "generated.test_images=100",
)


def _ignore_interrupts() -> None:
    """As a script does that starts a command with `&`; children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Command:
    """A `replicate` command under way in a project."""

    def __init__(self, project: Path, *arguments: str, code: Path = ROOT) -> None:
        """`code`: the folder whose replicate/ is run."""
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(code),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "replicate", *arguments],
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_ignore_interrupts,
        )

    def end(self, seconds: float = 300) -> tuple[int, str]:
        """Wait for the exit code and the output."""
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, output

    def interrupt(self) -> None:
        """As Ctrl-C does: to the whole group of processes."""
        os.killpg(self.process.pid, signal.SIGINT)


def wait_for(what: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"waited in vain: {traceback.extract_stack(limit=2)[0].line}"
        time.sleep(0.05)


def progress(runs: Path) -> dict[str, int]:
    """The latest epoch of every run under way, by folder name."""
    found = {
        path.parent.name: run_folder.read_progress(path.parent)
        for path in runs.glob(f"*/{run_folder.PROGRESS}")
    }
    return {name: one["epoch"] for name, one in found.items() if one}


def last_attempts(runs: Path) -> dict[str, dict[str, object]]:
    return {
        path.parent.name: json.loads(path.read_text().splitlines()[-1])
        for path in runs.glob(f"*/{run_folder.ATTEMPTS}")
    }

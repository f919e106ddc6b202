"""Crashes of workers, counted against the run each had begun: a run that crashes its workers is given up."""

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from replicate.dispatch.attempt import record_failure
from replicate.dispatch.context import WorkerContext
from replicate.errors import UserError
from replicate.plan.runs import Run
from replicate.records.run_folder import claimed, is_claimed, last_worker

MAX_CRASHES = 2
MIN_ROOM = 2**20  # bytes; with less, a worker cannot even say why it died
_LACK = re.compile(r"\w+: \[Errno \d+\] ")
"""How the line of an OSError begins: no spec and no seed can cause one."""


class Crashes:
    """What one dispatcher has seen of them."""

    def __init__(self, runs: Sequence[Run], context: WorkerContext) -> None:
        self._left = list(runs)
        self._context = context
        self._count: Counter[str | None] = Counter()

    def free(self) -> list[Run]:
        """Runs to do that no live process holds."""
        folder = self._context.runs_folder
        return [run for run in self.left() if not is_claimed(folder / run.folder_name)]

    def left(self) -> list[Run]:
        """Runs to do, whoever holds them; each is looked at until it has ended."""
        self._left = self._context.left(self._left)
        return self._left

    def record_crash(self, worker: str, log: Path) -> None:
        """Count the crash of a worker; a run that it befell too often is recorded as failed.

        Raises:
            UserError: workers die before they begin a run, or of the machine's trouble.
        """
        folder = self._context.runs_folder
        begun = (run for run in self.free() if last_worker(folder / run.folder_name) == worker)
        run = next(begun, None)
        key = run.id if run else None
        self._count[key] += 1
        if self._count[key] < MAX_CRASHES:
            return
        if lack := self._lack(log):
            raise UserError(
                f"{folder}: workers die of what this machine lacks: {lack}; "
                f"fix that; the same command resumes; see {log}"
            )
        if run is None:
            raise UserError(f"workers die before they begin a run: {last_line(log)}; see {log}")
        with claimed(folder / run.folder_name) as mine:
            if mine:
                error = f"its worker died {MAX_CRASHES} times: {last_line(log)}; see {log}"
                record_failure(run, self._context, error, tail(log))

    def _lack(self, log: Path) -> str | None:
        line = last_line(log)
        if _LACK.match(line):
            return line
        free = shutil.disk_usage(self._context.runs_folder).free
        return f"{free} bytes are free" if free < MIN_ROOM else None


def tail(log: Path, characters: int = 4000) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - characters))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def last_line(log: Path) -> str:
    """What a process said last; what SLURM's own programs say of it counts only where it said nothing."""
    lines = [line.strip() for line in tail(log).split("\n") if line.strip()]
    own = [line for line in lines if not line.startswith(("srun: ", "slurmstepd: "))]
    return (own or lines or ["nothing in its log"])[-1]

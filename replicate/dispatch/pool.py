"""A bounded pool of worker processes on this machine, over submitit's local executor.

submitit's executor has no queue, gives every job the same GPU, knows GPUs by number alone, and
calls a crashed job finished. So the pool starts one long-lived job a worker, gives each its own
GPU, and takes the truth about a run from its folder alone.
"""

import os
import shlex
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import submitit

from replicate.dispatch.context import WorkerContext
from replicate.dispatch.crashes import Crashes
from replicate.dispatch.snapshot import Copied
from replicate.dispatch.worker import fitting, work
from replicate.errors import UserError
from replicate.machine import environment
from replicate.plan.runs import Run
from replicate.records.run_folder import claimed

NO_LIMIT_MINUTES = 365 * 24 * 60  # submitit's default would end a worker after two minutes
OVERTIME_SECONDS = 3.0
"""Past the deadline, for an epoch that takes longer than the one before and for its checkpoint."""


@dataclass(frozen=True)
class Size:
    """How much of this machine to use."""

    workers: int
    threads: int
    cards: tuple[str, ...]
    """Of the GPUs, as CUDA_VISIBLE_DEVICES names them."""


class Pool:
    """Workers that go through a list of runs, replaced when they die."""

    def __init__(
        self, runs: Sequence[Run], context: WorkerContext, size: Size, logs: Path, code: Path
    ) -> None:
        """`code`: the folder whose replicate/ the workers run, and none other."""
        self._runs = runs
        self._context = context
        self._code = code
        self._size = size
        self._logs = logs
        self._jobs: dict[int, submitit.Job[None]] = {}
        self._crashes = Crashes(runs, context)

    def start(self) -> None:
        self._start_for(len(self._free()))

    def supervise(self) -> bool:
        """Replace workers that died; False when every run has ended, this pool's or another's, or time is up.

        Runs that others hold are waited for, where there is no deadline: they may die, too. With one,
        a worker ends by itself before it; not so in an epoch that is far longer than the time left.

        Raises:
            UserError: the last workers die before they begin a run, or of the machine's trouble.
        """
        for slot, job in list(self._jobs.items()):
            if job.done():
                del self._jobs[slot]
                if self._replaceable(job) and self._free():
                    self._start(slot)
        # As when the runs that another command held are free, since it died.
        if not self._jobs:
            self._start_for(len(self._free()))
        if self._context.until is None:
            return bool(self._jobs) or bool(self._crashes.left())
        return bool(self._jobs) and time.time() < self._context.until + OVERTIME_SECONDS

    def _replaceable(self, job: submitit.Job[None]) -> bool:
        """Whether another worker would fare better; raises as `supervise`, once no other is left."""
        # Without a result file, submitit would wait a quarter of a minute before it says no.
        if job.paths.result_pickle.exists() and job.exception() is None:
            return True
        try:
            self._crashes.record_crash(job.paths.folder.name, job.paths.stderr)
        except UserError:
            if not self._jobs:
                raise
            return False
        return True

    def _free(self) -> list[Run]:
        """Runs that a new worker would begin."""
        return fitting(self._crashes.free(), self._runs, self._context)

    def stop(self) -> None:
        """End all workers and wait until they are gone."""
        for job in self._jobs.values():
            job.cancel(check=False)
        while not all(job.done() for job in self._jobs.values()):
            time.sleep(0.05)
        self._jobs.clear()

    def _start_for(self, runs: int) -> None:
        for slot in range(min(self._size.workers, runs)):
            self._start(slot)

    def _start(self, slot: int) -> None:
        name = f"worker-{slot}-{uuid.uuid4().hex[:8]}"
        executor = submitit.LocalExecutor(self._logs / name, python=self._python(slot))
        executor.update_parameters(timeout_min=NO_LIMIT_MINUTES)
        with (
            environment(**self._variables()),
            _errors_to(executor.folder / "controller.log"),
        ):
            copied = Copied(self._code, work)
            self._jobs[slot] = executor.submit(
                copied, self._runs, replace(self._context, worker=name)
            )

    def _variables(self) -> dict[str, str]:
        path = [str(self._code), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            "OMP_NUM_THREADS": str(self._size.threads),
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONSAFEPATH": "1",  # `python -m` would look for modules in the current folder first
        }

    def _python(self, slot: int) -> str:
        """The command of a worker's Python, with one GPU or none: submitit would set none."""
        cards = self._size.cards
        card = cards[slot % len(cards)] if cards else ""
        return shlex.join(["/usr/bin/env", f"CUDA_VISIBLE_DEVICES={card}", sys.executable])


@contextmanager
def presence(folder: Path) -> Iterator[Path]:
    """A folder claimed as long as this process lives, so that workers know that someone waits."""
    own = folder / f"dispatcher-{uuid.uuid4().hex[:8]}"
    own.mkdir(parents=True)
    with claimed(own):
        yield own


@contextmanager
def _errors_to(path: Path) -> Iterator[None]:
    """Give processes started inside another stderr: Ctrl-C makes submitit's controllers print traces."""
    terminal = os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)

"""A bounded pool of worker processes on this machine, over submitit's local executor.

submitit's executor has no queue, gives every job the same GPU, and calls a crashed job finished.
So the pool starts one long-lived job a worker, gives each its own GPU, and takes the truth about
a run from its folder alone.
"""

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import submitit

from replicate.dispatch.deaths import Deaths
from replicate.dispatch.worker import Shift, claimed, work
from replicate.plan import Run

NO_LIMIT_MINUTES = 365 * 24 * 60  # submitit's default would end a worker after two minutes


@dataclass(frozen=True)
class Size:
    """How much of this machine to use."""

    workers: int
    threads: int
    gpus: int


class Pool:
    """Workers that go through a list of runs, replaced when they die."""

    def __init__(self, runs: Sequence[Run], shift: Shift, size: Size, logs: Path) -> None:
        self._runs = runs
        self._shift = shift
        self._size = size
        self._logs = logs
        self._jobs: dict[int, submitit.Job[None]] = {}
        self._deaths = Deaths(runs, shift)

    def start(self) -> None:
        self._start_for(len(self._runs))

    def tick(self) -> bool:
        """Replace workers that died; False when every run has ended, this pool's or another's.

        Runs that others hold are waited for: they may die, too.

        Raises:
            UserError: workers die before they begin a run, or because of the disk.
        """
        for slot, job in list(self._jobs.items()):
            if job.done():
                del self._jobs[slot]
                if not _ended_well(job):
                    self._deaths.bury(job.paths.folder.name, job.paths.stderr)
                if self._deaths.free():
                    self._start(slot)
        if not self._jobs:
            self._start_for(len(self._deaths.free()))
        return bool(self._jobs) or bool(self._deaths.left())

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
        executor = submitit.LocalExecutor(self._logs / name)
        gpus = (slot % self._size.gpus,) if self._size.gpus else ()
        executor.update_parameters(
            timeout_min=NO_LIMIT_MINUTES, gpus_per_node=len(gpus), visible_gpus=gpus
        )
        with (
            _environment(OMP_NUM_THREADS=str(self._size.threads)),
            _errors_to(executor.folder / "controller.log"),
        ):
            self._jobs[slot] = executor.submit(work, self._runs, replace(self._shift, worker=name))


def _ended_well(job: submitit.Job[None]) -> bool:
    """Without a result file, submitit would wait a quarter of a minute before it says no."""
    return job.paths.result_pickle.exists() and job.exception() is None


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


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set variables for the processes started inside."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value

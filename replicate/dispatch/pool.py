"""A bounded pool of worker processes on this machine, over submitit's local executor.

submitit's executor has no queue, gives every job the same GPU, and calls a crashed job finished.
So the pool starts one long-lived job a worker, gives each its own GPU, and takes the truth about
a run from its folder alone.
"""

import os
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import submitit

from replicate.dispatch.worker import Shift, attempts, claimed, is_claimed, record_failure, work
from replicate.plan import Run, to_do

NO_LIMIT_MINUTES = 365 * 24 * 60  # submitit's default would end a worker after two minutes
DEATHS_ALLOWED = 2


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
        self._deaths: Counter[str] = Counter()

    def start(self) -> None:
        for slot in range(min(self._size.workers, len(self._runs))):
            self._start(slot)

    def tick(self) -> bool:
        """Replace dead workers; False when there is nothing left that this pool can do."""
        for slot, job in list(self._jobs.items()):
            if job.done():
                del self._jobs[slot]
                self._bury(job)
                if self._open_runs():
                    self._start(slot)
        return bool(self._jobs)

    def stop(self) -> None:
        for job in self._jobs.values():
            job.cancel(check=False)

    def _open_runs(self) -> list[Run]:
        """Runs to do that no live process holds."""
        folder = self._shift.runs_folder
        left = to_do(self._runs, folder)
        return [run for run in left if not is_claimed(folder / run.folder_name)]

    def _start(self, slot: int) -> None:
        name = f"worker-{slot}-{uuid.uuid4().hex[:8]}"
        executor = submitit.LocalExecutor(self._logs / name)
        gpus = (slot % self._size.gpus,) if self._size.gpus else ()
        executor.update_parameters(
            timeout_min=NO_LIMIT_MINUTES, gpus_per_node=len(gpus), visible_gpus=gpus
        )
        with _environment(OMP_NUM_THREADS=str(self._size.threads)):
            self._jobs[slot] = executor.submit(work, self._runs, replace(self._shift, worker=name))

    def _bury(self, job: submitit.Job[None]) -> None:
        """Count a death against the run it struck; a run that kills its workers is given up."""
        name = job.paths.folder.name
        for run in self._open_runs():
            folder = self._shift.runs_folder / run.folder_name
            begun = attempts(folder)
            if not begun or begun[-1]["worker"] != name:
                continue
            self._deaths[run.id] += 1
            if self._deaths[run.id] == DEATHS_ALLOWED:
                log = job.paths.stderr
                with claimed(folder) as mine:
                    if mine:
                        text = f"its worker died {DEATHS_ALLOWED} times without a word; see {log}"
                        record_failure(run, self._shift, text, _tail(log))


@contextmanager
def presence(folder: Path) -> Iterator[Path]:
    """A folder claimed as long as this process lives, so that workers know that someone waits."""
    own = folder / f"dispatcher-{uuid.uuid4().hex[:8]}"
    own.mkdir(parents=True)
    with claimed(own):
        yield own


def _tail(path: Path, characters: int = 4000) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-characters:]
    except OSError:
        return None


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

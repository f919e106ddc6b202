"""What a cluster's jobs run: tasks, which train runs, and the report, which comes after them all.

The state is in the runs' folders, so a task that is queued again simply begins again: finished runs
are skipped, the others go on from their checkpoints. It may begin while its first self still runs
on a node that SLURM has lost sight of: claims keep the two apart.
"""

import signal
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import NoReturn

from replicate.dispatch.context import WorkerContext
from replicate.dispatch.crashes import Crashes
from replicate.dispatch.slurm import queue
from replicate.dispatch.slurm.submission import LOG
from replicate.dispatch.snapshot import insist_on
from replicate.dispatch.worker import work
from replicate.plan.runs import Run
from replicate.records import run_folder

REQUEUE_SECONDS = 20  # to wait for a slurmctld that is away; less than the notice that SLURM gives
CLAIM_SECONDS = 900
"""Longer than file systems keep the locks of a dead node. Of all its waiting together: a node is not to stand
idle while another job trains run after run."""
PAUSE_SECONDS = 5
MAX_IDLE = 3
SIGNALS = (signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT)
"""Of SLURM, to tasks that it wants to leave."""
Moments = tuple[tuple[bool, float], ...]


@dataclass
class Task:
    """Runs that share a job."""

    runs: Sequence[Run]
    context: WorkerContext
    code: Path
    minutes: int
    """The job's time limit."""
    logs: Path
    _began: float = field(default=0.0, init=False)
    _before: Moments = field(default=(), init=False)

    def __call__(self) -> None:
        insist_on(self.code)
        self._began = time.monotonic()
        self._before = self._moments()
        crashes = Crashes(self.runs, self.context)
        waited = 0
        while left := self.context.left(self.runs):
            if crashes.free():
                self._train(crashes)
            # Whoever ended a run: only waiting in which nothing happens adds up.
            if self.context.left(self.runs) != left:
                continue
            if waited >= CLAIM_SECONDS:
                sys.exit(f"{left[0]} is held by another process, such as another job's")
            time.sleep(PAUSE_SECONDS)
            waited += PAUSE_SECONDS

    def _train(self, crashes: Crashes) -> None:
        """In a process of its own: neither a run that crashes it, nor long work in one piece, keeps this one
        from its duties."""
        context = replace(self.context, worker=f"slurm-{_job()}-{uuid.uuid4().hex[:4]}")
        process = get_context("fork").Process(target=_work, args=(self.runs, context))
        # Python drops what a handler raises while it forks; a blocked signal would reach another thread.
        notices: list[int] = []
        before = {
            number: signal.signal(number, lambda number, _: notices.append(number))
            for number in SIGNALS
        }
        process.start()
        try:
            for number, handler in before.items():
                signal.signal(number, handler)
            for notice in notices:
                signal.raise_signal(notice)
            process.join()
        finally:  # SystemExit comes out of `checkpoint`
            process.kill()
            process.join()
        code = process.exitcode or 0
        if code == -signal.SIGKILL:
            sys.exit("the training process was killed, as when it is out of memory")
        if code < 0:
            print(f"the training process crashed: {signal.Signals(-code).name}", file=sys.stderr)
            crashes.record_crash(context.worker, self.logs / LOG.format(_job()))
        elif code:
            sys.exit(code)

    def checkpoint(self) -> NoReturn:
        """Called on SLURM's notice of the time limit or of preemption: queue this job again, and leave.

        The job leaves from here, before submitit would write its own state and queue the job: what
        is killed in the middle of that ends for good.
        """
        if self._idle() >= MAX_IDLE:
            sys.exit(
                f"{MAX_IDLE} times, {self.minutes} minutes were too short for one checkpoint: "
                "raise `minutes` in the profile"
            )
        end = time.monotonic() + REQUEUE_SECONDS
        while not queue.requeue_job(_job()) and time.monotonic() < end:
            time.sleep(1)
        sys.exit("SLURM asked this task to leave: it is queued again")

    def _moments(self) -> Moments:
        """Which runs have ended, and when the others were last saved."""
        folders = [self.context.runs_folder / run.folder_name for run in self.runs]
        return tuple(
            ((folder / run_folder.RECORD).exists(), _modified(folder / run_folder.CHECKPOINT))
            for folder in folders
        )

    def _idle(self) -> int:
        """How often this job has used up its time without saving anything."""
        counter = self.logs / f"{_job()}_idle.log"
        whole = time.monotonic() - self._began > self.minutes * 60 / 4
        if self._moments() != self._before or not whole:
            return 0
        with counter.open("a", encoding="utf-8") as file:
            file.write("nothing was saved\n")
        return len(counter.read_text(encoding="utf-8").splitlines())


def _work(runs: Sequence[Run], context: WorkerContext) -> None:
    """What SLURM signals is for the task to answer."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    work(runs, context)


def _job() -> str:
    import submitit

    return submitit.JobEnvironment().job_id


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

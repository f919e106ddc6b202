"""Deaths of workers, counted against the runs they struck: a run that kills its workers is given up."""

import errno
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from replicate.dispatch.logs import last_line, tail
from replicate.dispatch.worker import Shift, attempts, claimed, is_claimed, record_failure
from replicate.errors import UserError
from replicate.plan import Run, to_do

DEATHS_ALLOWED = 2
LEAST_ROOM = 2**20  # bytes; with less, a worker cannot even say why it died
_DISK = tuple(
    f"[Errno {number}]" for number in (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT)
)


class Deaths:
    """What one dispatcher has seen of them."""

    def __init__(self, runs: Sequence[Run], shift: Shift) -> None:
        self._left = list(runs)
        self._shift = shift
        self._count: Counter[str] = Counter()

    def free(self) -> list[Run]:
        """Runs to do that no live process holds."""
        folder = self._shift.runs_folder
        return [run for run in self.left() if not is_claimed(folder / run.folder_name)]

    def left(self) -> list[Run]:
        """Runs to do, whoever holds them; each is looked at until it has ended."""
        self._left = to_do(self._left, self._shift.runs_folder)
        return self._left

    def bury(self, worker: str, log: Path) -> None:
        """Count the death of a worker; a run struck too often is recorded as failed.

        Raises:
            UserError: workers die before they begin a run, or because of the disk.
        """
        struck = next((run for run in self.free() if self._last_worker(run) == worker), None)
        culprit = struck.id if struck else ""
        self._count[culprit] += 1
        if self._count[culprit] < DEATHS_ALLOWED:
            return
        if trouble := self._trouble_with_disk(log):
            raise UserError(
                f"{self._shift.runs_folder}: workers die of the disk: {trouble}; "
                "mend that, and the same command goes on"
            )
        if struck is None:
            raise UserError(f"workers die before they begin a run: {last_line(log)}; see {log}")
        with claimed(self._shift.runs_folder / struck.folder_name) as mine:
            if mine:
                error = f"its worker died {DEATHS_ALLOWED} times: {last_line(log)}; see {log}"
                record_failure(struck, self._shift, error, tail(log))

    def _trouble_with_disk(self, log: Path) -> str | None:
        said = last_line(log)
        if any(number in said for number in _DISK):
            return said
        free = shutil.disk_usage(self._shift.runs_folder).free
        return f"{free} bytes are free" if free < LEAST_ROOM else None

    def _last_worker(self, run: Run) -> str | None:
        begun = attempts(self._shift.runs_folder / run.folder_name)
        return begun[-1].get("worker") if begun else None

"""What every worker of a command is told."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from replicate.dispatch.code import code_digest, library_versions
from replicate.plan.forecast import Speeds
from replicate.plan.runs import Images, Run
from replicate.plan.state import look
from replicate.records.origin import Origin


@dataclass(frozen=True)
class WorkerContext:
    """What a worker needs to know besides its runs."""

    runs_folder: Path
    entries: dict[Images, Path]
    """Where the prepared images of each spec are."""
    code: Origin
    """As far as `read_code` knows it."""
    threads: int
    checkpoint_seconds: float
    worker: str = ""
    """Its name."""
    dispatcher: Path | None = None
    """A folder claimed as long as someone waits for this worker; None where nobody does."""
    until: float | None = None
    """When training must stop, in seconds since 1970; None where it need not."""
    speeds: Speeds = field(default_factory=dict)
    """Known when the worker was started: only a run that can still end is begun."""

    @property
    def origin(self) -> Origin:
        """What can be told of it before a run has begun: the code is that of this very process."""
        own = {"code": code_digest(), "threads": self.threads, **library_versions()}
        return structs.replace(self.code, **own)

    def left(self, runs: Iterable[Run]) -> list[Run]:
        """Those without a result: no damaged record may pass for one, so all of each is read."""
        return look(runs, self.runs_folder, thorough=True).left()

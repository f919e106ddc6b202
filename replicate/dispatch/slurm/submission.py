"""What was handed to a cluster: submission.json in a folder of its own below the campaign's logs,
beside submitit's files and the tasks' logs. Written by submit and cancel, read by everything else."""

from pathlib import Path
from typing import Any

from replicate.dispatch.slurm.queue import array_of
from replicate.errors import UserError
from replicate.files import atomic
from replicate.files.typed import RESTORE, StrictModel, read_json
from replicate.plan.campaign import Campaign

FILE = "submission.json"
LOG = "{}_0_log.err"
"""As submitit names it, of the only process of a job."""


class SubmittedTask(StrictModel):
    """One job, or one task of a job array."""

    job: str
    """Its id, such as 12_3."""
    runs: list[str]
    """Ids of its runs."""


class Submission(StrictModel):
    """The jobs of one `replicate submit`."""

    name: str
    user: str
    code: str
    """The folder of the code that they run."""
    submitted: str
    """UTC."""
    tasks: list[SubmittedTask]
    report: str | None
    """The job that aggregates and reports once all others have ended; None if it was never submitted."""
    cancelled: bool

    @property
    def jobs(self) -> list[str]:
        """Ids of whole jobs and arrays, and of the report's."""
        arrays = dict.fromkeys(array_of(task.job) for task in self.tasks)
        return [*arrays, *([self.report] if self.report else [])]


def job_name(campaign: str) -> str:
    """Of every job of a campaign."""
    return f"replicate-{campaign}"


def logs_folder(campaign: Campaign, name: str) -> Path:
    return campaign.results.resolve() / "logs" / name


def log_path(campaign: Campaign, submission: Submission, job: str) -> Path:
    """Where a job's errors are written; its output is beside it, ending in .out."""
    return logs_folder(campaign, submission.name) / LOG.format(job)


def write_submission(campaign: Campaign, submission: Submission, **changes: Any) -> Submission:
    """With these changes; returns what is written."""
    written = submission.model_copy(update=changes)
    folder = logs_folder(campaign, submission.name)
    atomic.write_text(folder / FILE, written.model_dump_json(indent=1) + "\n")
    return written


def read_submissions(campaign: Campaign) -> list[Submission]:
    """A campaign's submissions, oldest first."""
    paths = sorted((campaign.results / "logs").glob(f"*/{FILE}"))
    return [_read(path) for path in paths]


def _read(path: Path) -> Submission:
    submission = read_json(path, Submission)
    if submission.name != path.parent.name:  # it is written again below its name
        raise UserError(f"{path}: is submission {submission.name!r}; {RESTORE}")
    return submission

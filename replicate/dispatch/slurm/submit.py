"""Submits a campaign to SLURM and returns at once."""

import os
import pwd
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from submitit.core.utils import FailedJobError

from replicate.dispatch.context import WorkerContext
from replicate.dispatch.slurm import submission
from replicate.dispatch.slurm.packing import Plan
from replicate.dispatch.slurm.sbatch import Requests, refusal, submit_jobs
from replicate.dispatch.slurm.submission import Submission, SubmittedTask, write_submission
from replicate.dispatch.slurm.task import Task
from replicate.errors import UserError
from replicate.plan.campaign import Campaign
from replicate.plan.runs import Run


def _user() -> str:
    """As squeue knows it: by number, where it has no name, as in some containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def submit_plan(
    campaign: Campaign,
    plan: Plan,
    context: WorkerContext,
    code: Path,
    last: Callable[[], None],
) -> Submission:
    """One request an array, and the report's; what SLURM has taken is written down at once.

    The first writing comes before the first request: jobs that SLURM took while this process died
    are known by their comment, which is the submission's name.
    """
    done = _begun(code)
    requests = Requests(
        campaign.name, plan.profile, code, submission.logs_folder(campaign, done.name)
    )
    requests.logs.mkdir(parents=True)
    write_submission(campaign, done)
    try:
        for array in plan.arrays:
            tasks = _send_array(array, requests, context, len(plan.arrays))
            done = write_submission(campaign, done, tasks=[*done.tasks, *tasks])
        (report,) = submit_jobs(requests.report(done.jobs), [last], plan.profile)
    except FailedJobError as error:
        before = f" ({', '.join(done.jobs)} had been submitted before)" if done.tasks else ""
        raise UserError(f"SLURM refuses the request: {refusal(error)}{before}") from None
    return write_submission(campaign, done, report=report)


def _begun(code: Path) -> Submission:
    """Of nothing yet."""
    now = datetime.now(UTC)
    return Submission(
        name=f"slurm-{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}",
        user=_user(),
        code=str(code),
        submitted=now.isoformat(timespec="seconds"),
        tasks=[],
        report=None,
        cancelled=False,
    )


def _send_array(
    array: Sequence[list[Run]], requests: Requests, context: WorkerContext, arrays: int
) -> list[SubmittedTask]:
    """One of so many."""
    profile, code, logs = requests.profile, requests.code, requests.logs
    tasks = [Task(runs, context, code, profile.minutes, logs) for runs in array]
    taken = submit_jobs(requests.tasks(arrays), tasks, profile)
    ids = [[run.id for run in runs] for runs in array]
    return [SubmittedTask(job=job, runs=runs) for job, runs in zip(taken, ids, strict=True)]

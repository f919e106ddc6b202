"""Submits a campaign to SLURM and returns at once."""

import os
import pwd
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from replicate.dispatch.slurm import submission
from replicate.dispatch.slurm.packing import Plan
from replicate.dispatch.slurm.sbatch import Refused, Requests, submit_jobs
from replicate.dispatch.slurm.submission import Submission, logs_folder, write_submission
from replicate.dispatch.slurm.task import Task
from replicate.dispatch.worker import WorkerContext
from replicate.errors import UserError
from replicate.plan.campaign import Campaign


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
    now = datetime.now(UTC)
    done = Submission(
        name=f"slurm-{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}",
        user=_user(),
        code=str(code),
        submitted=now.isoformat(timespec="seconds"),
        tasks=[],
        report=None,
        cancelled=False,
    )
    logs = logs_folder(campaign, done.name)
    logs.mkdir(parents=True)
    requests = Requests(campaign.request.name, plan.profile, code, logs)
    write_submission(campaign, done)
    try:
        for array in plan.arrays:
            tasks = [Task(runs, context, code, plan.profile.minutes, logs) for runs in array]
            taken = submit_jobs(requests.tasks(len(plan.arrays)), tasks, plan.profile)
            new = [
                submission.Task(job=job, runs=[run.id for run in runs])
                for job, runs in zip(taken, array, strict=True)
            ]
            done = done.model_copy(update={"tasks": [*done.tasks, *new]})
            write_submission(campaign, done)
        (report,) = submit_jobs(requests.report(done.jobs), [last], plan.profile)
    except Refused as refusal:
        before = f" ({', '.join(done.jobs)} had been submitted before)" if done.tasks else ""
        raise UserError(f"SLURM refuses the request: {refusal}{before}") from None
    done = done.model_copy(update={"report": report})
    write_submission(campaign, done)
    return done

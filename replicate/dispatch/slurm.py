"""Submits a campaign to SLURM and returns at once."""

import os
import pwd
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from replicate import campaign as campaigns
from replicate import forecast, plan
from replicate.campaign import Campaign
from replicate.dispatch import (
    explain,
    local,
    packing,
    profile,
    provenance,
    sbatch,
    scheduler,
    snapshot,
    standing,
    status,
    submission,
)
from replicate.dispatch.profile import Profile
from replicate.dispatch.submission import Submission
from replicate.dispatch.task import Report, Task
from replicate.dispatch.worker import Shift
from replicate.errors import UserError
from replicate.plan import Run
from replicate.wording import many


@dataclass(frozen=True)
class Options:
    """How to use the cluster; none of it changes what a run is."""

    cluster: str
    retry_failed: bool
    checkpoint_seconds: float
    data_dir: Path
    cache_dir: Path


def submit(campaign: Campaign, options: Options) -> None:
    """Prepare the data, hand everything to SLURM, and return.

    Raises:
        UserError: data or results that cannot be used, or a request that SLURM refuses.
    """
    wanted = plan_of(campaign, options)
    if wanted is None:
        return
    local.check_results(campaign)
    entries = local.prepare(campaign, options.data_dir, options.cache_dir, Console(stderr=True))
    campaigns.save(campaign)
    if options.retry_failed:
        local.reopen_failed(campaign)
    forecast.remember(campaign.results, wanted.runs, wanted.speeds)
    shift = Shift(
        worker="",
        runs_folder=campaign.runs_folder.resolve(),
        entries=entries,
        code=provenance.code(campaign.root),
        threads=wanted.profile.cpus,
        checkpoint_seconds=options.checkpoint_seconds,
        dispatcher=None,
    )
    code = snapshot.make_project(snapshot.take(campaign), campaign)
    done = _send(campaign, wanted, shift, code)
    print(wanted)
    name = campaign.request.name
    print(f"submitted as {', '.join(done.jobs)}; `replicate status {name}` shows them")


def dry_run(campaign: Campaign, options: Options) -> None:
    """Print the sbatch requests of `submit` and what they cost. Writes nothing."""
    wanted = plan_of(campaign, options)
    if wanted is None:
        return
    requests = sbatch.Requests(
        campaign.request.name,
        wanted.profile,
        snapshot.folder(campaign),
        submission.logs(campaign, "slurm-<time>"),
    )
    for array in wanted.arrays:
        print(sbatch.text(requests.tasks(len(wanted.arrays)), len(array)), end="\n\n")
    print(sbatch.text(requests.report(["<tasks>"]), 1), end="\n\n")
    print(wanted)


def plan_of(campaign: Campaign, options: Options) -> packing.Plan | None:
    """What is neither done nor queued, packed; None, having said so, where there is nothing."""
    chosen = profile.read(campaign.root, options.cluster)
    largest = scheduler.largest_array()
    busy = _busy(campaign)
    to_do = plan.to_do(campaign.runs, campaign.runs_folder, options.retry_failed)
    left = [run for run in to_do if run.id not in busy]
    if left:
        return _plan(campaign, left, chosen, largest)
    print(_nothing(campaign, busy))
    return None


def _plan(campaign: Campaign, left: Sequence[Run], chosen: Profile, largest: int) -> packing.Plan:
    seen = status.look(campaign.runs, campaign.runs_folder)
    speeds, source = forecast.recorded(status.done(seen), campaign.runs_folder), "speed as recorded"
    if not speeds:
        speed = chosen.images_per_second
        speeds = forecast.assumed([run.spec for run in left], speed)
        source = f"{speed:g} images/s, assumed by the profile"
    tasks = packing.pack(left, chosen, lambda run: forecast.seconds(run.spec, speeds))
    return packing.Plan(chosen, packing.arrays(tasks, largest), speeds, source)


def _busy(campaign: Campaign) -> set[str]:
    """Ids of the runs that earlier submissions still have in the queue."""
    now = standing.look(campaign, submission.read_all(campaign))
    if now.jobs is None:
        raise UserError("squeue: SLURM does not answer, so what is queued is not known; try again")
    if now.strays:
        raise UserError(explain.about_strays(now))
    alive = {name for name in now.open() if name in now.jobs}
    tasks = [task for earlier in now.submissions for task in earlier.tasks if task.job in alive]
    return {run for task in tasks for run in task.runs}


def _nothing(campaign: Campaign, busy: set[str]) -> str:
    name = campaign.request.name
    if busy:
        queued = many(len(busy), "run")
        return f"campaign {name}: {queued} in the queue already, nothing else is to do"
    return f"campaign {name}: nothing is to do; `replicate submit --retry-failed` trains failed runs again"


def _send(campaign: Campaign, wanted: packing.Plan, shift: Shift, code: Path) -> Submission:
    """One request an array, and the report's; what SLURM has taken is written down at once.

    The first writing comes before the first request: jobs that SLURM took while this process died
    are known by their comment, which is the submission's name.
    """
    now = datetime.now(UTC)
    done = Submission(
        name=f"slurm-{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}",
        user=pwd.getpwuid(os.getuid()).pw_name,
        code=str(code),
        submitted=now.isoformat(timespec="seconds"),
        tasks=[],
        report=None,
        cancelled=False,
    )
    logs = submission.logs(campaign, done.name)
    logs.mkdir(parents=True)
    requests = sbatch.Requests(campaign.request.name, wanted.profile, code, logs)
    submission.write(campaign, done)
    try:
        for array in wanted.arrays:
            tasks = [Task(runs, shift, code, wanted.profile.minutes, logs) for runs in array]
            taken = sbatch.submit(requests.tasks(len(wanted.arrays)), tasks)
            new = [
                submission.Task(job=job, runs=[run.id for run in runs])
                for job, runs in zip(taken, array, strict=True)
            ]
            done = done.model_copy(update={"tasks": [*done.tasks, *new]})
            submission.write(campaign, done)
        (report,) = sbatch.submit(requests.report(done.jobs), [Report(code, campaign.request.name)])
    except sbatch.Refused as refusal:
        before = f" ({', '.join(done.jobs)} had been submitted before)" if done.tasks else ""
        raise UserError(f"SLURM refuses the request: {refusal}{before}") from None
    done = done.model_copy(update={"report": report})
    submission.write(campaign, done)
    return done

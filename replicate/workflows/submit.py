"""Hands a campaign to SLURM, and returns."""

import shlex
from dataclasses import dataclass, replace
from functools import partial

from replicate.dispatch.slurm.diagnosis import explain_orphans
from replicate.dispatch.slurm.jobs import query
from replicate.dispatch.slurm.packing import Plan, arrays, pack
from replicate.dispatch.slurm.profile import read_profile
from replicate.dispatch.slurm.queue import max_array_size
from replicate.dispatch.slurm.sbatch import Requests, request_text
from replicate.dispatch.slurm.submission import logs_folder
from replicate.dispatch.slurm.submit import submit_plan
from replicate.dispatch.snapshot import Copied, make_project, snapshot_folder, take_snapshot
from replicate.errors import UserError
from replicate.plan import forecast
from replicate.plan.campaign import Campaign
from replicate.plan.runs import Run
from replicate.results import predictions
from replicate.text import folded, many, say
from replicate.workflows.conclude import conclude_submitted
from replicate.workflows.prepare import TrainingOptions, prepare

USUAL_SIZE = 1001
"""SLURM's own MaxArraySize."""


@dataclass(frozen=True)
class Options(TrainingOptions):
    """How to use the cluster."""

    cluster: str


def submit_campaign(campaign: Campaign, options: Options) -> None:
    """Prepare the data, hand everything to SLURM, and return.

    Raises:
        UserError: data or results that cannot be used, or a request that SLURM refuses.
    """
    plan = _plan(campaign, options)
    if plan is None:
        return
    context = replace(prepare(campaign, options), threads=plan.profile.cpus)
    predictions.remember(campaign.results, plan.runs, plan.speeds)
    name = campaign.request.name
    code = make_project(take_snapshot(campaign), campaign)
    last = partial(Copied(code, conclude_submitted), code, name)
    submission = submit_plan(campaign, plan, context, code, last)
    print(plan)
    print(f"submitted as {', '.join(submission.jobs)}; `replicate status {name}` shows them")


def print_requests(campaign: Campaign, options: Options) -> None:
    """Print the sbatch requests of `submit_campaign` and what they cost. Writes nothing."""
    plan = _plan(campaign, options, dry=True)
    if plan is None:
        return
    logs = logs_folder(campaign, "slurm-<time>")
    code = snapshot_folder(campaign)
    requests = Requests(campaign.request.name, plan.profile, code, logs)
    for array in plan.arrays:
        print(request_text(requests.tasks(len(plan.arrays)), len(array)), end="\n\n")
    print(request_text(requests.report(["<tasks>"]), 1), end="\n\n")
    print(*map(folded, plan.contents()), plan, sep="\n")


def _plan(campaign: Campaign, options: Options, dry: bool = False) -> Plan | None:
    """What is neither done nor queued, packed; None, having said so, where there is nothing.

    Dry, it needs no SLURM, and says what could not be asked.
    """
    profile = read_profile(campaign.root, options.cluster)
    max_tasks, queued = _queue(campaign, dry)
    state = campaign.look(thorough=True)
    left = [run for run in state.left(options.retry_failed) if run.id not in queued]
    if not left:
        print(_nothing(campaign, queued, options.cluster))
        return None
    speeds, source = _speeds(campaign, left, profile.images_per_second)
    tasks = pack(left, profile, lambda run: forecast.seconds(run.spec, speeds))
    return Plan(profile, arrays(tasks, max_tasks), speeds, source)


def _queue(campaign: Campaign, dry: bool) -> tuple[int, dict[str, str]]:
    """SLURM's limit of an array's tasks, and what is queued already, as in `_queued_runs`."""
    try:
        return max_array_size(), _queued_runs(campaign)
    except UserError as error:
        if not dry:
            raise
        say(
            f"{error}; so what is queued is not known, and MaxArraySize is taken to be {USUAL_SIZE}"
        )
        return USUAL_SIZE, {}


def _speeds(campaign: Campaign, left: list[Run], assumed: float) -> tuple[forecast.Speeds, str]:
    """As this campaign's runs went, else as the profile assumes; and which of the two."""
    done = campaign.whole.look().done
    if recorded := forecast.recorded(done, campaign.runs_folder):
        return recorded, "speed as recorded"
    source = f"{assumed:g} images/s, assumed by the profile"
    return forecast.assumed([run.spec for run in left], assumed), source


def _queued_runs(campaign: Campaign) -> dict[str, str]:
    """Ids of the runs that earlier submissions still have in the queue, with the states of their jobs."""
    view = query(campaign)
    if view.jobs is None:
        raise UserError("squeue: SLURM does not answer, so what is queued is not known; try again")
    if view.orphans:
        raise UserError(explain_orphans(view))
    tasks = [task for earlier in view.submissions for task in earlier.tasks]
    alive = view.alive
    return {run: alive[task.job].state for task in tasks if task.job in alive for run in task.runs}


def _nothing(campaign: Campaign, queued: dict[str, str], cluster: str) -> str:
    name, state = campaign.request.name, campaign.look()
    if "COMPLETING" in queued.values():  # such as after `cancel`
        return f"campaign {name}: SLURM is still ending its tasks: submit again in a minute"
    if queued:
        runs = many(len(queued), "run")
        return f"campaign {name}: {runs} in the queue already, nothing else is to do"
    said = f"campaign {name}: nothing is to do: {state.summary()}"
    if state.left(retry_failed=True):
        command = f"replicate submit --campaign {name} --cluster {shlex.quote(cluster)}"
        said += f"; `{command} --retry-failed` trains failed runs again"
    return said

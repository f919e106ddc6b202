"""Submits a campaign to SLURM, through submitit, and returns at once.

submitit writes the sbatch requests, carries the tasks to the jobs, and calls Task.checkpoint on
SLURM's signal. It is asked for nothing else: the truth about a run is its record.
"""

import os
import pwd
import shlex
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import submitit
from rich.console import Console
from submitit.core.utils import FailedJobError

from replicate import campaign as campaigns
from replicate import forecast, plan
from replicate.campaign import Campaign
from replicate.dispatch import (
    local,
    packing,
    profile,
    provenance,
    scheduler,
    snapshot,
    status,
    submission,
)
from replicate.dispatch.profile import Profile
from replicate.dispatch.submission import Submission
from replicate.dispatch.task import Report, Task
from replicate.dispatch.worker import Shift
from replicate.errors import UserError
from replicate.forecast import Speeds
from replicate.plan import Run

NOTICE_SECONDS = 120
"""Before the time limit, or a sixth of it; SLURM may be early or late by half a minute."""
REPORT = {"timeout_min": 30, "mem_gb": 4, "cpus_per_task": 1}


@dataclass(frozen=True)
class Options:
    """How to use the cluster; none of it changes what a run is."""

    cluster: str
    retry_failed: bool
    checkpoint_seconds: float
    data_dir: Path
    cache_dir: Path


@dataclass(frozen=True)
class Plan:
    """Tasks, and what they cost."""

    profile: Profile
    arrays: list[Sequence[list[Run]]]
    speeds: Speeds
    source: str
    """Of the speeds."""

    @property
    def tasks(self) -> list[list[Run]]:
        return [task for array in self.arrays for task in array]

    @property
    def runs(self) -> list[Run]:
        return [run for task in self.tasks for run in task]

    def __str__(self) -> str:
        each = [sum(forecast.seconds(run.spec, self.speeds) for run in task) for task in self.tasks]
        hours, wall = sum(each) / 3600, forecast.total(each, self.profile.parallel) / 3600
        unit = (
            f"{hours * self.profile.gpus:.2f} GPU hours"
            if self.profile.gpus
            else f"{hours:.2f} task hours"
        )
        return (
            f"{_many(len(self.runs), 'run')} in {_many(len(self.tasks), 'task')}, "
            f"{_many(len(self.arrays), 'job')}: "
            f"about {unit}, {wall:.2f} hours of wall time once nodes are free ({self.source})"
        )


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
    done = _Submitter(campaign, wanted, shift, snapshot.take(campaign)).submit()
    print(wanted)
    name = campaign.request.name
    print(f"submitted as {', '.join(done.jobs)}; `replicate status {name}` shows them")


def dry_run(campaign: Campaign, options: Options) -> None:
    """Print the sbatch requests of `submit` and what they cost. Writes nothing."""
    wanted = plan_of(campaign, options)
    if wanted is None:
        return
    code = snapshot.folder(campaign)
    logs = submission.logs(campaign, "slurm-<time>")
    for array in wanted.arrays:
        executor = _tasks_executor(campaign, wanted, code, logs)
        print(_request(executor, len(array)), end="\n\n")
    last = _report_executor(campaign, wanted.profile, code, logs, ["<tasks>"])
    print(_request(last, 1), end="\n\n")
    print(wanted)


def plan_of(campaign: Campaign, options: Options) -> Plan | None:
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


def _plan(campaign: Campaign, left: Sequence[Run], chosen: Profile, largest: int) -> Plan:
    seen = status.look(campaign.runs, campaign.runs_folder)
    speeds, source = forecast.recorded(status.done(seen), campaign.runs_folder), "speed as recorded"
    if not speeds:
        speed = chosen.images_per_second
        speeds = forecast.assumed([run.spec for run in left], speed)
        source = f"{speed:g} images/s, assumed by the profile"
    tasks = packing.pack(left, chosen, lambda run: forecast.seconds(run.spec, speeds))
    return Plan(chosen, packing.arrays(tasks, largest), speeds, source)


def _busy(campaign: Campaign) -> set[str]:
    """Ids of the runs that earlier submissions still have in the queue."""
    busy: set[str] = set()
    for earlier in submission.read_all(campaign):
        jobs = scheduler.queue(earlier.user)
        if jobs is None:
            raise UserError(
                "squeue: SLURM does not answer, so what is queued is not known; try again"
            )
        for task in earlier.tasks:
            if task.job in jobs and not jobs[task.job].ended:
                busy |= set(task.runs)
    return busy


def _nothing(campaign: Campaign, busy: set[str]) -> str:
    name = campaign.request.name
    if busy:
        return f"campaign {name}: {_many(len(busy), 'run')} are in the queue already, nothing else is to do"
    return f"campaign {name}: nothing is to do; `replicate submit --retry-failed` trains failed runs again"


@dataclass(frozen=True)
class _Submitter:
    campaign: Campaign
    plan: Plan
    shift: Shift
    code: Path

    def submit(self) -> Submission:
        """One request an array, and the report's; what SLURM has taken is written down at once."""
        now = datetime.now(UTC)
        done = Submission(
            name=f"slurm-{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}",
            user=pwd.getpwuid(os.getuid()).pw_name,
            code=str(self.code),
            submitted=now.isoformat(timespec="seconds"),
            tasks=[],
            report=None,
            cancelled=False,
        )
        logs = submission.logs(self.campaign, done.name)
        logs.mkdir(parents=True)
        try:
            for array in self.plan.arrays:
                done = done.model_copy(update={"tasks": [*done.tasks, *self._array(array, logs)]})
                submission.write(self.campaign, done)
            executor = _report_executor(
                self.campaign, self.plan.profile, self.code, logs, done.jobs
            )
            with _outside_jobs():
                report = executor.submit(Report(self.code, self.campaign.request.name))
        except FailedJobError as error:
            begun = f" ({', '.join(done.jobs)} had been submitted before)" if done.tasks else ""
            raise UserError(f"SLURM refuses the request: {_sbatch_says(error)}{begun}") from None
        done = done.model_copy(update={"report": report.job_id})
        submission.write(self.campaign, done)
        return done

    def _array(self, array: Sequence[list[Run]], logs: Path) -> list[submission.Task]:
        executor = _tasks_executor(self.campaign, self.plan, self.code, logs)
        with _outside_jobs(), executor.batch():
            jobs = [
                executor.submit(Task(runs, self.shift, self.code, self.plan.profile.minutes, logs))
                for runs in array
            ]
        return [
            submission.Task(job=job.job_id, runs=[run.id for run in runs])
            for job, runs in zip(jobs, array, strict=True)
        ]


def _tasks_executor(
    campaign: Campaign, wanted: Plan, code: Path, logs: Path
) -> submitit.AutoExecutor:
    chosen = wanted.profile
    resources: dict[str, Any] = {
        "timeout_min": chosen.minutes,
        "mem_gb": chosen.memory_gb,
        "cpus_per_task": chosen.cpus,
        "slurm_array_parallelism": max(1, chosen.parallel // len(wanted.arrays)),
        "slurm_signal_delay_s": min(NOTICE_SECONDS, chosen.minutes * 10),
        "slurm_constraint": chosen.constraint,
    }
    if chosen.gpus:
        resources["gpus_per_node"] = chosen.gpus
    return _executor(campaign, chosen, code, logs, resources)


def _report_executor(
    campaign: Campaign, chosen: Profile, code: Path, logs: Path, after: Sequence[str]
) -> submitit.AutoExecutor:
    resources = {**REPORT, "slurm_dependency": f"afterany:{':'.join(after)}"}
    return _executor(campaign, chosen, code, logs, resources)


def _executor(
    campaign: Campaign, chosen: Profile, code: Path, logs: Path, resources: dict[str, Any]
) -> submitit.AutoExecutor:
    executor = submitit.AutoExecutor(logs, cluster="slurm")
    common = {
        "nodes": 1,
        "tasks_per_node": 1,
        "name": f"replicate-{campaign.request.name}",
        "slurm_partition": chosen.partition,
        "slurm_account": chosen.account,
        "slurm_qos": chosen.qos,
        "slurm_setup": _setup(chosen, code),
        "slurm_additional_parameters": {"requeue": True},
    }
    given = {key: value for key, value in {**common, **resources}.items() if value is not None}
    executor.update_parameters(**given)
    return executor


def _setup(chosen: Profile, code: Path) -> list[str]:
    """Shell lines before Python: what fails ends the job, with a word of its own in the log."""
    place = shlex.quote(str(code))
    return [
        *(f"export {key}={shlex.quote(value)}" for key, value in chosen.environment.items()),
        *(
            f"module load {name} || {{ echo 'module {name} cannot be loaded' >&2; exit 1; }}"
            for name in chosen.modules
        ),
        *chosen.setup,
        f"cd {place} || exit 1  # `python -m` looks for modules here first",
        f"export PYTHONPATH={place}${{PYTHONPATH:+:$PYTHONPATH}}",
    ]


def _request(executor: submitit.AutoExecutor, tasks: int) -> str:
    """The text of the sbatch file that submitit would write."""
    slurm = executor._executor
    assert isinstance(slurm, submitit.SlurmExecutor)
    if tasks > 1:
        slurm.parameters["map_count"] = tasks
    return str(slurm._make_submission_file_text(slurm._submitit_command_str, "dry-run")).rstrip()


def _sbatch_says(error: FailedJobError) -> str:
    lines = [line for line in str(error).splitlines() if line.startswith("sbatch: error:")]
    return "; ".join(line.removeprefix("sbatch: error:").strip() for line in lines) or str(
        error
    ).replace("\n", " ")


@contextmanager
def _outside_jobs() -> Iterator[None]:
    """Without what SLURM sets inside a job, which sbatch would take for wishes; SLURM_CONF stays."""
    inside = {
        key: os.environ.pop(key)
        for key in list(os.environ)
        if key.startswith("SLURM_") and key != "SLURM_CONF"
    }
    try:
        yield
    finally:
        os.environ.update(inside)


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

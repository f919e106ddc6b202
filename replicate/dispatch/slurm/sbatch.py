"""The requests to sbatch, over submitit.

submitit writes them, carries tasks to the jobs, and calls Task.checkpoint on SLURM's signal. It is
asked for nothing else: the truth about a run is its record.
"""

import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from submitit import AutoExecutor, SlurmExecutor
from submitit.core.utils import FailedJobError

from replicate.dispatch.slurm.profile import Profile
from replicate.dispatch.slurm.submission import job_name
from replicate.machine import environment

NOTICE_SECONDS = 120
"""Before the time limit, or a sixth of it; SLURM may be early or late by half a minute."""
# submitit wants srun to be here even to write a request; a dry run has none, and all else asks scontrol first
SlurmExecutor.affinity = classmethod(lambda cls: 1)  # type: ignore[method-assign,assignment]
REPORT = {"timeout_min": 30, "mem_gb": 4, "cpus_per_task": 1}


@dataclass(frozen=True)
class Requests:
    """What all jobs of a submission have in common."""

    campaign: str
    profile: Profile
    code: Path
    logs: Path
    """A folder named after the submission."""

    def tasks(self, arrays: int) -> AutoExecutor:
        """One of so many arrays, or jobs."""
        profile = self.profile
        resources: dict[str, Any] = {
            "timeout_min": profile.minutes,
            "mem_gb": profile.memory_gb,
            "cpus_per_task": profile.cpus,
            "gpus_per_node": profile.gpus or None,
            # of each array: SLURM knows no limit for several, so more arrays than `parallel` exceed it
            "slurm_array_parallelism": max(1, profile.parallel // arrays),
            "slurm_signal_delay_s": min(NOTICE_SECONDS, profile.minutes * 10),
            "slurm_constraint": profile.constraint,
        }
        return self._executor(resources)

    def report(self, after: Sequence[str]) -> AutoExecutor:
        return self._executor({**REPORT, "slurm_dependency": f"afterany:{':'.join(after)}"})

    def _executor(self, resources: dict[str, Any]) -> AutoExecutor:
        executor = AutoExecutor(self.logs, cluster="slurm")
        common = {
            "nodes": 1,
            "tasks_per_node": 1,
            "name": job_name(self.campaign),
            "slurm_comment": self.logs.name,
            "slurm_partition": self.profile.partition,
            "slurm_account": self.profile.account,
            "slurm_qos": self.profile.qos,
            "slurm_setup": _setup(self.profile, self.code),
            "slurm_additional_parameters": {"requeue": True},
        }
        given = {key: value for key, value in {**common, **resources}.items() if value is not None}
        executor.update_parameters(**given)
        return executor


def submit_jobs(
    executor: AutoExecutor, work: Sequence[Callable[[], None]], profile: Profile
) -> list[str]:
    """Ids of the jobs, one for each piece of work; more than one make an array.

    Raises:
        FailedJobError: SLURM refuses.
    """
    with environment(**_overriding(profile)), redirect_stderr(StringIO()), executor.batch():
        jobs = [executor.submit(one) for one in work]
    return [job.job_id for job in jobs]


def request_text(executor: AutoExecutor, tasks: int) -> str:
    """The file that `submit_jobs` would hand to sbatch."""
    slurm = executor._executor
    assert isinstance(slurm, SlurmExecutor)
    if tasks > 1:
        slurm.parameters["map_count"] = tasks
    return str(slurm._make_submission_file_text(slurm._submitit_command_str, "dry-run")).rstrip()


def _unless_it_failed(line: str) -> str:
    word = shlex.quote(f"this line of `setup` failed: {line}")
    return f"[ $? -eq 0 ] || {{ echo {word} >&2; exit 1; }}"


def _setup(profile: Profile, code: Path) -> list[str]:
    """Shell lines before Python: what fails ends the job, with a word of its own in the log."""
    place = shlex.quote(str(code))
    return [
        *(f"export {key}={shlex.quote(value)}" for key, value in profile.environment.items()),
        *(
            f"module load {name} || {{ echo 'module {name} cannot be loaded' >&2; exit 1; }}"
            for name in profile.modules
        ),
        *(f"{line}\n{_unless_it_failed(line)}" for line in profile.setup),
        f"cd {place} || exit 1  # `python -m` looks for modules here first",
        f"export PYTHONPATH={place}${{PYTHONPATH:+:$PYTHONPATH}}",
    ]


def refusal(error: FailedJobError) -> str:
    """What sbatch says, in a line."""
    lines = [line for line in str(error).splitlines() if line.startswith("sbatch: error:")]
    said = "; ".join(line.removeprefix("sbatch: error:").strip() for line in lines)
    return said or str(error).replace("\n", " ")


def _overriding(profile: Profile) -> dict[str, None]:
    """What sbatch would take for wishes that go before the request's: of a job around this process, and the
    user's own, but for those that the profile leaves open."""
    names = ("partition", "account", "qos", "constraint")
    kept = {f"SBATCH_{name.upper()}" for name in names if getattr(profile, name) is None}
    given = {key for key in os.environ if key.startswith(("SLURM_", "SBATCH_"))}
    return dict.fromkeys(given - kept - {"SLURM_CONF"})

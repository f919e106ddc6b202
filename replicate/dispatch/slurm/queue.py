"""What SLURM says of jobs: squeue for all that it knows, sacct only for jobs that squeue does not know.

None of it decides whether a run is done: that is its record's to say. A call that fails, or takes
too long, says nothing at all.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from replicate.errors import UserError

TIMEOUT_SECONDS = 30
ENDED = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
)
HOPELESS = re.compile(
    r"Bad|DependencyNeverSatisfied|Invalid|JobHeld|PartitionConfig|PartitionDown|PartitionInactive"
    r"|PartitionNodeLimit|PartitionTimeLimit|ReqNodeNotAvail|held|AssocMax\w*PerJob|QOSMax\w*PerJob"
    r"|QOSMinGRES|QOSUsageThreshold"
)
"""Reasons of pending jobs that do not resolve without someone's help."""


@dataclass(frozen=True)
class Job:
    """A job or a task of an array, as SLURM sees it."""

    state: str
    reason: str = ""
    """Why it is pending; of an ended one, the exit code."""
    comment: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def failed(self) -> bool:
        return self.ended and self.state != "COMPLETED"

    @property
    def stuck(self) -> bool:
        """Pending for a reason that waiting does not change."""
        return self.state == "PENDING" and bool(HOPELESS.search(self.reason))


def array_of(name: str) -> str:
    """The array of a task; any other job's own id."""
    return name.partition("_")[0]


def read_queue(user: str, name: str) -> dict[str, Job] | None:
    """All jobs of a user with a name, by id, tasks as 12_3; None if slurmctld does not answer.

    The name matters: a slurmctld that dies before it has saved its state gives ids a second time.
    """
    # No -j: one unknown id would fail the call.
    command = ["squeue", "-h", "-r", "-t", "all", "-u", user, "-n", name, "-o", "%i|%T|%r|%k"]
    output = _output(command)
    return None if output is None else parse_queue(output)


def parse_queue(output: str) -> dict[str, Job]:
    jobs = {}
    for line in output.splitlines():
        name, state, reason, comment = line.split("|", 3)
        jobs[name] = Job(state, "" if reason == "None" else reason, comment)
    return jobs


def read_history(ids: Iterable[str], name: str) -> dict[str, Job]:
    """What accounting says of jobs and tasks with a name; nothing where there is none, or no answer."""
    numbers = sorted(set(map(array_of, ids)))
    if not numbers:
        return {}
    command = ["sacct", "-n", "-P", "-o", "JobID,State,ExitCode", "-j", ",".join(numbers)]
    command += ["--name", name]
    return parse_history(_output(command) or "")


def parse_history(output: str) -> dict[str, Job]:
    """By job or task id. A line of a task's own beats that of a range; a step out of memory makes a
    job so, which SLURM calls merely failed."""
    jobs: dict[str, Job] = {}
    own: set[str] = set()
    short_of_memory: set[str] = set()
    for line in output.splitlines():
        name, state, code = line.split("|", 2)
        name, _, step = name.partition(".")
        state = state.split()[0]  # CANCELLED by 1000
        if step:
            short_of_memory |= {name} if state == "OUT_OF_MEMORY" else set()
            continue
        for one in _expanded(name):
            if "[" not in name or one not in own:
                jobs[one] = Job(state, code)
        own |= set() if "[" in name else {name}
    return jobs | {name: Job("OUT_OF_MEMORY") for name in short_of_memory}


def _expanded(name: str) -> Iterator[str]:
    """The ids of 12, of 12_3 and of 12_[3,5-7%2]."""
    array, bracket, indices = name.partition("_[")
    if not bracket:
        yield name
        return
    for part in indices.rstrip("]").partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            yield from (f"{array}_{index}" for index in range(int(first), int(last or first) + 1))


def max_array_size() -> int:
    """How many tasks an array may have.

    Raises:
        UserError: SLURM does not answer, or has no arrays.
    """
    output = _output(["scontrol", "show", "config"])
    if output is None:
        raise UserError(
            "scontrol show config: SLURM does not answer; is this a login node of the cluster?"
        )
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", output, re.MULTILINE)
    if found is None or int(found[1]) < 1:
        raise UserError("this cluster allows no job arrays: scontrol show config, MaxArraySize")
    return int(found[1])


def cancel_jobs(ids: Iterable[str]) -> str | None:
    """Ask SLURM to end jobs; a line of what it says if it refuses."""
    done = _call(["scancel", *ids])
    return None if done.returncode == 0 else " ".join(done.stderr.split())


def requeue_job(name: str) -> bool:
    return _call(["scontrol", "requeue", name]).returncode == 0


def _output(command: list[str]) -> str | None:
    done = _call(command)
    return done.stdout if done.returncode == 0 else None


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A program that is missing or too slow has failed."""
    # Without the variable, a long list of array indices is cut to 64 characters.
    environment = {**os.environ, "SLURM_BITSTR_LEN": "0"}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))

"""Variants measured in turns: all of a round, then all of the next, so that noise strikes all alike.

A team is a variant's processes. All teams are built first; then each in its turn works while the
others wait.
"""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

Work = Callable[[], int]
"""Does a block of work; returns the number of images."""
Build = Callable[..., Work]
"""Prepares it in a fresh process; module-level, so that it can be sent there."""


@dataclass(frozen=True)
class Team:
    build: Build
    arguments: Mapping[str, Any]
    processes: int = 1


@dataclass(frozen=True)
class Measured:
    speeds: list[float]
    """Images a second of all processes together, one a round."""
    mebibytes: float
    """The most that a process of the team ever held."""


def compete(teams: Mapping[str, Team], rounds: int) -> dict[str, Measured]:
    """A first round that warms up and does not count, then `rounds` that do."""
    with ExitStack() as stack:
        ready = {
            name: [_start(stack, team) for _ in range(team.processes)]
            for name, team in teams.items()
        }
        for own in ready.values():
            _answers(own)
        speeds: dict[str, list[float]] = {name: [] for name in teams}
        memory: dict[str, float] = {}
        for number in range(rounds + 1):
            for name, own in ready.items():
                speed, memory[name] = _block(own)
                if number:
                    speeds[name].append(speed)
    return {name: Measured(speeds[name], memory[name]) for name in teams}


def _block(own: Sequence[Connection]) -> tuple[float, float]:
    for connection in own:
        connection.send(True)
    answers = _answers(own)
    return sum(images / seconds for images, seconds, _ in answers), max(a[2] for a in answers)


def _answers(own: Sequence[Connection]) -> list[Any]:
    answers = [connection.recv() for connection in own]
    for answer in answers:
        if isinstance(answer, str):
            raise RuntimeError(answer)
    return answers


def _start(stack: ExitStack, team: Team) -> Connection:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, team))
    process.start()
    theirs.close()
    stack.callback(process.join)
    stack.callback(ours.close)  # ends it
    return ours


def _serve(connection: Connection, team: Team) -> None:
    try:
        work = team.build(**team.arguments)
        connection.send(None)
        while connection.recv():
            begun = time.perf_counter()
            images = work()
            connection.send((images, time.perf_counter() - begun, _peak()))
    except EOFError:
        pass
    except BaseException:
        connection.send(traceback.format_exc())
        raise


def _peak() -> float:
    """MiB that this process has held at most, without pages of files that it shares."""
    facts = {}
    with open("/proc/self/status", encoding="utf-8") as file:  # noqa: PTH123
        for line in file:
            key, _, value = line.partition(":")
            facts[key] = value
    shared = int(facts["RssFile"].split()[0])
    return (int(facts["VmHWM"].split()[0]) - shared) / 1024

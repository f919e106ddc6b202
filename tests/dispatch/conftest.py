import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.dispatch.processes import Command


@pytest.fixture
def command(project: Path) -> Iterator[Callable[..., Command]]:
    """Start commands in `project`; none outlives the test."""
    begun: list[Command] = []

    def start(*arguments: str, folder: Path = project) -> Command:
        begun.append(Command(folder, *arguments))
        return begun[-1]

    yield start
    for one in begun:
        with suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.communicate()

"""Other machines and other disks, as far as one machine can play them: namespaces of the kernel."""

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_MOUNTS, _NAMES, _PROCESSES = 0x00020000, 0x04000000, 0x20000000  # sched.h: CLONE_NEW...


def apart(action: Callable[[], object]) -> Callable[[], None]:
    """Do something where nobody else sees the mounts; the kernel removes them with the process."""

    def act() -> None:
        _unshare(_MOUNTS)
        mount("--make-rprivate", "/")
        action()

    return act


def on_another_host(
    project: Path, place: Path, command: Callable[[Path], Callable[[], None]]
) -> Callable[[], None]:
    """Do something with a project as a machine that shares its disk: another path, name, and process ids."""

    def act() -> None:
        _unshare(_MOUNTS | _NAMES)
        ctypes.CDLL(None).sethostname(b"elsewhere", 9)
        mount("--make-rprivate", "/")
        place.mkdir(exist_ok=True)
        mount("--bind", str(project), str(place))
        _unshare(_PROCESSES)  # only now: with its first process such a world ends
        pid = os.fork()
        if pid == 0:
            command(place)()
        _, status = os.waitpid(pid, 0)
        raise SystemExit(os.waitstatus_to_exitcode(status))

    return act


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _unshare(what: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(what):
        raise OSError(ctypes.get_errno(), "unshare")


def need_root() -> None:
    if os.geteuid():
        pytest.skip("only root may mount")

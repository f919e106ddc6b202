"""The state of the code and of the libraries that a run's numbers come from."""

import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

TRAINS = ("replicate", "experiments")


@dataclass(frozen=True)
class Code:
    """The checkout: None where it is not a git repository that holds the code."""

    commit: str | None
    """The last that changed the code or the specs: seeds trained before and after a commit of
    results or text were made alike."""
    dirty: bool | None


def code(root: Path) -> Code:
    """Read once when runs are dispatched: all runs of one command share it."""
    commit = _git(root, "log", "-1", "--format=%H", "--", *TRAINS)
    if not commit:
        return Code(None, None)
    changes = _git(root, "status", "--porcelain", "--", *TRAINS)
    return Code(commit, bool(changes))


def versions() -> dict[str, str]:
    libraries = ("torch", "torchvision", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

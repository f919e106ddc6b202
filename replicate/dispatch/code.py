"""The state of the code and of the libraries that a run's numbers come from."""

import ast
import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from replicate.records.origin import Origin

PACKAGE = Path(__file__).parents[1]
TRAINS = (
    *("data", "models", "training", "specs"),
    *("files/typed.py", "files/yaml_lines.py", "records/epoch.py", "records/origin.py"),
)
"""What of the package decides the numbers of a run. Of the spec files, its id does: those it extends."""
SPECS = ("experiments", ":!experiments/clusters", ":!experiments/paper")
DIGITS = 16
_ARCHIVED = ".commit"
"""A file in which `git archive` writes the commit, so that an archive of a checkout knows it."""


def read_code(root: Path) -> Origin:
    """The commit, and whether there are changes that it lacks; None where neither git nor an archive tells.

    Of what trains: a change of results or text leaves both as they were. Read once when runs are
    dispatched: all runs of one command share it.
    """
    paths = [*(f"replicate/{name}" for name in TRAINS), *SPECS]
    commit = _git(root, "log", "-1", "--format=%H", "--", *paths)
    if not commit:
        return Origin(commit=_archived(root))
    return Origin(commit=commit, dirty=bool(_git(root, "status", "--porcelain", "--", *paths)))


@cache
def code_digest(package: Path = PACKAGE) -> str:
    """Of the code that trains, as it lies in the folder of this process's package.

    The set of its top-level statements, whatever file each stands in: comments, docstrings, imports
    from the package itself and moved files change nothing, so that only what may change a number
    tells two runs apart.
    """
    files = [path for name in TRAINS for path in source_files(package / name)]
    pieces = {piece for path in files for piece in _pieces(path)}
    return hashlib.sha256("\n".join(sorted(pieces)).encode()).hexdigest()[:DIGITS]


def library_versions() -> dict[str, str]:
    libraries = ("torch", "torchvision", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


def source_files(path: Path) -> list[Path]:
    """A file itself, or all files below a folder but what Python, editors and systems hide there, sorted."""
    if path.is_file():
        return [path]
    below = ((one, one.relative_to(path).parts) for one in sorted(path.rglob("*")) if one.is_file())
    hidden = re.compile(r"__pycache__|\..*")
    return [one for one, parts in below if not any(map(hidden.fullmatch, parts))]


def _pieces(path: Path) -> Iterator[str]:
    if path.suffix != ".py":
        yield hashlib.sha256(path.read_bytes()).hexdigest()
        return
    for statement in ast.parse(path.read_bytes()).body:
        if _is_silent(statement):
            continue
        if isinstance(statement, ast.ImportFrom):  # name by name, however files group them
            yield from (repr((statement.module, _shape(name))) for name in statement.names)
        else:
            yield repr(_shape(statement))


def _shape(node: Any) -> Any:
    """A syntax tree as nested tuples: `ast.dump` would give each version of Python its own text."""
    if isinstance(node, list):
        return tuple(_shape(one) for one in node if not _is_silent(one))
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return type(node).__name__, *((name, _shape(value)) for name, value in fields)


def _is_silent(node: Any) -> bool:
    """Docstrings, and imports from the package: what they name is among the statements itself."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.ImportFrom(level=level, module=module):
            return bool(level) or _is_own(module)
        case ast.Import(names=names):
            return all(_is_own(one.name) for one in names)
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return False


def _is_own(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == PACKAGE.name


def _git(root: Path, *arguments: str) -> str | None:
    """What git says of this folder, whatever its owner and GIT_DIR; None without an answer."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    try:
        with TemporaryDirectory() as folder:
            config = Path(folder, "git", "config")  # before 2.38, git takes this from a file alone
            config.parent.mkdir()
            config.write_text("[safe]\n\tdirectory = *\n", encoding="ascii")
            ours["XDG_CONFIG_HOME"] = folder
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=30, check=True, env=ours
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _archived(root: Path) -> str | None:
    try:
        text = (root / _ARCHIVED).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return text if re.fullmatch(r"[0-9a-f]{40}", text) else None

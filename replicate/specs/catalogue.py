"""Finds the spec files, merges what they extend, and checks them all at once."""

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from replicate.errors import UserError
from replicate.paper.tables import read_tables
from replicate.specs.resolve import EXPERIMENTS, Reader, load_each, read_protocol, split_name
from replicate.specs.spec import Protocol, Spec

FOLDERS = ("table1", "table2", "extensions")
CELL_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
MAX_NAME = 180
"""With seed and id it names a folder, for which file systems take 255."""


def cell_names(root: Path) -> list[str]:
    """All cells below `root`/experiments: the tables' cells in the paper's order, then extensions."""
    names = {name for name in _files(root) if _is_plain(name)}
    first = read_tables(root).cell_names()
    return [name for name in first if name in names] + sorted(names - set(first))


def misnamed(root: Path) -> list[str]:
    """A line for each file that is no cell because of its name."""
    folders = [root / EXPERIMENTS / part for part in FOLDERS]
    other = sorted(path for folder in folders for path in folder.rglob("[!.]*.yml"))
    return [f"{path}: is no cell: rename it, to end in .yaml" for path in other] + [
        f"{root / EXPERIMENTS}: {name + '.yaml'!r}: a cell's name, at most {MAX_NAME} characters, has"
        " letters, digits, hyphens, dots and underscores: rename the file or its folder"
        for name in sorted(_files(root))
        if not _is_plain(name)
    ]


def _files(root: Path) -> set[str]:
    """Every spec file, without its suffix; what is hidden is an editor's or the system's."""
    folder = root / EXPERIMENTS
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: run from the project's folder, or give --root")
    paths = (
        path.relative_to(folder) for part in FOLDERS for path in (folder / part).rglob("*.yaml")
    )
    return {
        path.with_suffix("").as_posix()
        for path in paths
        if not any(part.startswith(".") for part in path.parts)
    }


def is_cell_name(name: str) -> bool:
    """Whether it can be a cell, or a cell with another reading laid over it."""
    return all(_is_plain(part) for part in split_name(name) if part is not None)


def _is_plain(name: str) -> bool:
    return len(name) <= MAX_NAME and CELL_NAME.fullmatch(name) is not None


def ordered(root: Path, names: Iterable[str]) -> list[str]:
    """Cells in the order of `cell_names`, each before its other readings; those without a spec last."""
    places = {name: place for place, name in enumerate(cell_names(root))}
    return sorted(names, key=lambda name: (places.get(split_name(name)[0], len(places)), name))


def select(names: Sequence[str], patterns: Iterable[str]) -> list[str]:
    """The cells that match any pattern (a name, a folder or a glob); without patterns, the tables' cells."""
    patterns = list(patterns)
    if not patterns:
        return [name for name in names if not name.startswith("extensions/")]
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.5) or names[:3]
            raise UserError(
                f"no cell matches {pattern!r}: for example {', '.join(near)}; see `replicate list`"
            )
    return [name for name in names if any(_matches(name, pattern) for pattern in patterns)]


def offered(root: Path, patterns: Sequence[str], protocol: str) -> list[str]:
    """As `select`, of the cells that the protocol covers.

    Raises:
        UserError: a pattern that matches none of them.
    """
    names, asked = cell_names(root), read_protocol(root, protocol)
    chosen = select(names, patterns)
    lacking = uncovered(root, chosen, asked)
    for pattern in patterns:
        first, *others = select(names, [pattern])
        if lacking.keys() >= {first, *others}:
            raise UserError(f"{pattern}: {lacking[first]}: protocol {protocol} has no such method")
    return [name for name in chosen if name not in lacking]


def uncovered(root: Path, names: Iterable[str], protocol: Protocol) -> dict[str, str]:
    """The cells that a protocol does not cover, with what it says of them."""
    if protocol.covers is None:
        return {}
    reader = Reader(root / EXPERIMENTS)
    methods = {name: reader.method(name) for name in names}
    return {name: said for name, method in methods.items() if (said := protocol.lacks(method))}


def _matches(name: str, pattern: str) -> bool:
    pattern = pattern.rstrip("/")
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}/*")


def one_spec_for_each_dataset(root: Path, datasets: Iterable[str]) -> dict[str, Spec]:
    """A spec of every data set that cells use, as the first one uses it, or of those named."""
    specs: dict[str, Spec] = {}
    sound, _ = load_each(root, cell_names(root), "paper")
    for cell in sound.values():
        specs.setdefault(cell.spec.dataset.name, cell.spec)
    wanted = list(datasets) or list(specs)
    for name in wanted:
        if name not in specs:
            raise UserError(f"no data set {name!r}: choose from {', '.join(specs)}")
    return {name: specs[name] for name in wanted}

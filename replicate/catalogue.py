"""Finds the spec files, merges what they extend, and checks them all at once."""

import difflib
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from replicate import paper, strictyaml
from replicate.errors import UserError
from replicate.spec import PARTS, Protocol, Spec
from replicate.strictyaml import Document

FOLDERS = ("table1", "table2", "extensions")
EXPERIMENTS = "experiments"
READINGS = "extensions/sensitivity"
"""Other readings of the paper: `cell@name` is a cell with the file of one of them laid over it."""
CELL_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
LONGEST_NAME = 180
"""With seed and id it names a folder, for which file systems take 255."""
MOST_FILES = 100
"""That a spec is merged from, so that files which extend each other twice over do not take for ever."""
SETTABLE = [part for part in Spec.model_fields if part in PARTS]
Keys = tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """Where a value of a spec was written."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Cell:
    """A named spec, with the place every value came from."""

    name: str
    spec: Spec
    origins: Mapping[Keys, Origin]


def cell_names(root: Path) -> list[str]:
    """All cells below `root`/experiments: the tables' cells in the paper's order, then extensions."""
    folder = root / EXPERIMENTS
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: run from the project's folder, or give --root")
    found = {
        path.relative_to(folder).with_suffix("").as_posix()
        for part in FOLDERS
        for path in (folder / part).rglob("*.yaml")
    }
    for name in found:
        if not CELL_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            raise UserError(
                f"{folder}: {name + '.yaml'!r}: a cell's name, at most {LONGEST_NAME} signs, has letters,"
                " digits, hyphens, dots and underscores: rename the file or its folder"
            )
    first = paper.read_tables(root).cell_names()
    return [name for name in first if name in found] + sorted(found - set(first))


def ordered(root: Path, names: Iterable[str]) -> list[str]:
    """Cells in the order of `cell_names`, each before its other readings.

    Raises:
        UserError: cells without a spec.
    """
    places = {name: place for place, name in enumerate(cell_names(root))}
    parts = {name: _parts(name) for name in names}
    gone = [
        name
        for name, (cell, reading) in parts.items()
        if cell not in places or not (reading is None or reading in places)
    ]
    if gone:
        raise UserError(f"cells without a spec: {', '.join(map(repr, gone))}")
    return sorted(parts, key=lambda name: (places[parts[name][0]], name))


def protocols(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / EXPERIMENTS / "protocols").glob("*.yaml"))


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
    names, own = cell_names(root), read_protocol(root, protocol)
    chosen = select(names, patterns)
    lacking = uncovered(root, chosen, own)
    for pattern in patterns:
        first, *others = select(names, [pattern])
        if lacking.keys() >= {first, *others}:
            raise UserError(f"{pattern}: {lacking[first]}: protocol {protocol} has no such method")
    return [name for name in chosen if name not in lacking]


def uncovered(root: Path, names: Iterable[str], own: Protocol) -> dict[str, str]:
    """The cells that a protocol does not cover, with what it says of them."""
    if own.covers is None:
        return {}
    reader = _Reader(root / EXPERIMENTS)
    methods = {name: reader.method(name) for name in names}
    return {name: said for name, method in methods.items() if (said := own.lacks(method))}


def read_protocol(root: Path, name: str) -> Protocol:
    """What a protocol's files say of itself; raises as `load`."""
    if name not in protocols(root):
        raise UserError(f"no protocol {name!r}: choose from {', '.join(protocols(root))}")
    reader = _Reader(root / EXPERIMENTS)
    path = reader.folder / "protocols" / f"{name}.yaml"
    values, origins = _merge(reader.layers(path))
    try:
        return Protocol.model_validate(_nested(values).get("protocol"))
    except ValidationError as error:
        details = error.errors()
        for detail in details:
            detail["loc"] = ("protocol", *detail["loc"])
        raise UserError("\n".join(_line(detail, origins, path) for detail in details)) from None


def _matches(name: str, pattern: str) -> bool:
    own = pattern.rstrip("/")
    return fnmatch.fnmatchcase(name, own) or fnmatch.fnmatchcase(name, f"{own}/*")


def load(
    root: Path, names: Iterable[str], protocol: str, settings: Mapping[str, str] | None = None
) -> list[Cell]:
    """Resolve cells under a protocol.

    Args:
        settings: dotted keys and their values as YAML text, laid over every cell.

    Raises:
        UserError: every problem of every file, a line each.
    """
    instead = read_protocol(root, protocol).instead
    reader = _Reader(root / EXPERIMENTS, instead)
    cells, problems = [], dict[str, None]()
    for name in names:
        try:
            cells.append(_resolve(reader, name, protocol, settings or {}))
        except UserError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    if problems:
        raise UserError("\n".join(problems))
    return cells


def one_spec_for_each_dataset(root: Path, datasets: Iterable[str]) -> dict[str, Spec]:
    """A spec of every data set that cells use, as the first one uses it, or of those named."""
    specs: dict[str, Spec] = {}
    for cell in load(root, cell_names(root), "paper"):
        specs.setdefault(cell.spec.dataset.name, cell.spec)
    wanted = list(datasets) or list(specs)
    for name in wanted:
        if name not in specs:
            raise UserError(f"no data set {name!r}: choose from {', '.join(specs)}")
    return {name: specs[name] for name in wanted}


class _Reader:
    """Reads each file once, with the files it extends."""

    def __init__(self, folder: Path, instead: Mapping[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self._instead = {self._known(old): self._known(new) for old, new in (instead or {}).items()}
        self._documents: dict[Path, Document] = {}

    def layers(self, path: Path) -> list[Document]:
        """The file's own document last, those it extends before it."""
        found = list(islice(self._layers(path, ()), MOST_FILES + 1))
        if len(found) > MOST_FILES:
            raise UserError(
                f"{path}:1: extends more than {MOST_FILES} files, each as often as it does"
            )
        return found

    def _layers(self, path: Path, below: tuple[Path, ...]) -> Iterator[Document]:
        if path in below:
            raise UserError(f"{below[-1]}:1: extends: {path} extends it too: a circle")
        if len(below) > MOST_FILES:
            raise UserError(f"{path}:1: more than {MOST_FILES} files extend each other in a row")
        document = self._read(path)
        for index, name in enumerate(_extended(document)):
            base = (path.parent / name).resolve()
            place = f"{path}:{document.line(['extends', index])}: extends"
            if not base.is_relative_to(self.folder):
                raise UserError(f"{place}: {name!r} lies outside {self.folder}")
            if not base.is_file():
                raise UserError(f"{place}: no file {base}")
            yield from self._layers(self._instead.get(base, base), (*below, path))
        yield document

    def method(self, name: str) -> str:
        """The name of a cell's method, empty where its files give none."""
        values, _ = _merge(self.layers(self.folder / f"{name}.yaml"))
        return str(values.get(("method", "name"), ""))

    def _known(self, name: str) -> Path:
        if not _is_file_name(name) or not (self.folder / name).resolve().is_file():
            place = self.folder / "protocols"
            raise UserError(f"{place}: protocol.instead: no file {name!r} in {self.folder}")
        return (self.folder / name).resolve()

    def _read(self, path: Path) -> Document:
        if path not in self._documents:
            self._documents[path] = strictyaml.read(path)
        return self._documents[path]


def _extended(document: Document) -> list[str]:
    if not isinstance(document.value, dict):
        raise UserError(f"{document.path}:1: expected a mapping of keys, got {document.value!r}")
    names = document.value.get("extends", [])
    if not isinstance(names, list) or not all(map(_is_file_name, names)):
        line = document.line(["extends"])
        raise UserError(
            f"{document.path}:{line}: extends: expected a list of file names, got {names!r}"
        )
    return names


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and name.isprintable()


def _parts(name: str) -> tuple[str, str | None]:
    """The cell, and the reading laid over it."""
    cell, _, reading = name.partition("@")
    return cell, f"{READINGS}/{reading}" if reading else None


def _resolve(reader: _Reader, name: str, protocol: str, settings: Mapping[str, str]) -> Cell:
    cell, reading = _parts(name)
    own = reader.folder / f"{cell}.yaml"
    layers = [*reader.layers(reader.folder / "protocols" / f"{protocol}.yaml"), *reader.layers(own)]
    if reading:
        layers.append(reader.layers(reader.folder / f"{reading}.yaml")[-1])
    values, origins = _merge([*layers, *_as_documents(settings)])
    try:
        spec = Spec.model_validate(_nested(values))
    except ValidationError as error:
        problems = [_line(detail, origins, own) for detail in error.errors()]
        raise UserError("\n".join(problems)) from None
    return Cell(name, spec, origins)


def _as_documents(settings: Mapping[str, str]) -> Iterator[Document]:
    """A layer for each setting. All but the precision make a run that no published number describes."""
    for key, text in settings.items():
        if key.split(".")[0] not in SETTABLE:
            raise UserError(f"--set {key}: not a setting; it must begin with {', '.join(SETTABLE)}")
        document = strictyaml.parse(text, Path(f"--set {key}"))
        yield Document(
            document.path, _nested({tuple(key.split(".")): document.value}), document.root
        )
        if key != "training.precision":
            yield Document(document.path, {"protocol": {"comparable": False}}, document.root)


def _merge(layers: Iterable[Document]) -> tuple[dict[Keys, Any], dict[Keys, Origin]]:
    """Leaf values by key path, later layers over earlier ones."""
    values: dict[Keys, Any] = {}
    origins: dict[Keys, Origin] = {}
    for document in layers:
        for keys, value in _leaves(document.value):
            for old in [old for old in values if old != keys and _overlap(old, keys)]:
                del values[old], origins[old]
            values[keys] = value
            origins[keys] = Origin(document.path, document.line(keys))
    return values, origins


def _leaves(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            if (*keys, key) != ("extends",):
                yield from _leaves(item, (*keys, key))
    elif keys:
        yield keys, value


def _overlap(a: Keys, b: Keys) -> bool:
    """Whether one path leads through the other: a part replaced by a value, or the reverse."""
    return a[: len(b)] == b or b[: len(a)] == a


def _nested(values: Mapping[Keys, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for keys, value in values.items():
        part = tree
        for key in keys[:-1]:
            part = part.setdefault(key, {})
        part[keys[-1]] = value
    return tree


def _line(detail: ErrorDetails, origins: Mapping[Keys, Origin], own: Path) -> str:
    """One problem as `file:line: key: what is wrong`."""
    keys = tuple(str(key) for key in detail["loc"])
    near = [origin for known, origin in origins.items() if _overlap(known, keys)] if keys else []
    place = near[0] if near and detail["type"] != "missing" else Origin(own, 1)
    return f"{place}: {'.'.join(keys) or 'spec'}: {_what(detail, keys)}"


def _what(detail: ErrorDetails, keys: Keys) -> str:
    if detail["type"] == "missing":
        return "is missing: write it here or in a file this one extends"
    if detail["type"] == "extra_forbidden":
        return f"unknown key; valid keys: {', '.join(_fields(keys[:-1]))}"
    if detail["type"] == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    text = detail["msg"]
    return f"{text[0].lower()}{text[1:]}, got {detail['input']!r}"


def _fields(keys: Keys) -> list[str]:
    """The valid keys of the part of a spec at `keys`."""
    part: type[BaseModel] = Spec
    for key in keys:
        annotation = part.model_fields[key].annotation
        options = getattr(annotation, "__args__", (annotation,))
        part = next(
            option
            for option in options
            if isinstance(option, type) and issubclass(option, BaseModel)
        )
    return list(part.model_fields)

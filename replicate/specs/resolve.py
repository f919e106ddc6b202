"""Merges a cell's files with its protocol into a typed spec, and knows the line of every value."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from replicate.errors import UserError
from replicate.files import yaml_lines
from replicate.files.yaml_lines import Document
from replicate.paper.tables import cell_name
from replicate.specs.spec import PARTS, Protocol, Spec

EXPERIMENTS = "experiments"
READINGS = "extensions/sensitivity"
"""Other readings of the paper: `cell@name` is a cell with the file of one of them laid over it."""
PAPER = "paper"
"""The protocol that is the paper's own."""
PUBLISHED = "published"
MAX_FILES = 100
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


def protocols(root: Path) -> list[str]:
    found = (root / EXPERIMENTS / "protocols").glob("[!.]*.yaml")  # a hidden one is an editor's
    return sorted(path.stem for path in found)


def read_protocol(root: Path, name: str) -> Protocol:
    """What a protocol's files say of itself; raises as `load`."""
    if name not in protocols(root):
        raise UserError(f"no protocol {name!r}: choose from {', '.join(protocols(root))}")
    reader = Reader(root / EXPERIMENTS)
    path = reader.folder / "protocols" / f"{name}.yaml"
    values, origins = _merge(reader.layers(path))
    try:
        found = Protocol.model_validate(_nested(values).get("protocol"))
    except ValidationError as error:
        details = error.errors()
        for detail in details:
            detail["loc"] = ("protocol", *detail["loc"])
        raise UserError("\n".join(_lines(details, origins, path))) from None
    if found.name != name:
        place = origins["protocol", "name"]
        raise UserError(
            f"{place}: protocol.name: expected the file's, {name!r}, got {found.name!r}"
        )
    if found.comparable and name != PAPER:
        place = origins["protocol", "comparable"]
        raise UserError(
            f"{place}: protocol.comparable: only {PAPER!r} is judged against the paper: write false in {path}"
        )
    return found


def load(
    root: Path, names: Iterable[str], protocol: str, settings: Mapping[str, str] | None = None
) -> list[Cell]:
    """Resolve cells under a protocol.

    Args:
        settings: dotted keys and their values as YAML text, laid over every cell.

    Raises:
        UserError: every problem of every file, a line each.
    """
    cells, problems = load_each(root, names, protocol, settings)
    if problems:
        lines = (line for problem in problems.values() for line in problem.splitlines())
        raise UserError("\n".join(dict.fromkeys(lines)))
    return list(cells.values())


def load_each(
    root: Path, names: Iterable[str], protocol: str, settings: Mapping[str, str] | None = None
) -> tuple[dict[str, Cell], dict[str, str]]:
    """As `load`: the cells that can be resolved, and what is wrong with each of the others."""
    cells, problems = dict[str, Cell](), dict[str, str]()
    try:
        reader = Reader(root / EXPERIMENTS, read_protocol(root, protocol).instead)
    except UserError as error:
        return {}, dict.fromkeys(names, str(error))
    for name in names:
        try:
            cells[name] = _resolve(reader, name, protocol, settings or {})
        except UserError as error:
            problems[name] = str(error)
    return cells, problems


class Reader:
    """Reads each file once, with the files it extends."""

    def __init__(self, folder: Path, instead: Mapping[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self._instead = {self._known(old): self._known(new) for old, new in (instead or {}).items()}
        self._documents: dict[Path, Document] = {}

    def layers(self, path: Path) -> list[Document]:
        """The file's own document last, those it extends before it."""
        documents = list(islice(self._layers(path, ()), MAX_FILES + 1))
        if len(documents) > MAX_FILES:
            raise UserError(
                f"{path}:1: extends more than {MAX_FILES} files, each as often as it does"
            )
        return documents

    def _layers(self, path: Path, below: tuple[Path, ...]) -> Iterator[Document]:
        if path in below:
            raise UserError(f"{below[-1]}:1: extends: {path} extends it too: a circle")
        if len(below) > MAX_FILES:
            raise UserError(f"{path}:1: more than {MAX_FILES} files extend each other in a row")
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
            self._documents[path] = yaml_lines.read(path)
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


def split_name(name: str) -> tuple[str, str | None]:
    """The cell, and the reading laid over it."""
    cell, _, reading = name.partition("@")
    return cell, f"{READINGS}/{reading}" if reading else None


def _resolve(reader: Reader, name: str, protocol: str, settings: Mapping[str, str]) -> Cell:
    cell, reading = split_name(name)
    file = reader.folder / f"{cell}.yaml"
    layers = [
        *reader.layers(reader.folder / "protocols" / f"{protocol}.yaml"),
        *reader.layers(file),
    ]
    if reading:
        layers.append(reader.layers(reader.folder / f"{reading}.yaml")[-1])
    values, origins = _merge([*layers, *_as_documents(settings)])
    _leave_published(values, origins, file)
    try:
        spec = Spec.model_validate(_nested(values))
    except ValidationError as error:
        problems = _lines(error.errors(), origins, file)
        raise UserError("\n".join(problems)) from None
    if spec.published and (owner := cell_name(spec.published)) != name:
        raise UserError(
            f"{origins['published', 'value']}: published: a printed number belongs to its own cell,"
            f" {owner}: write `published: null` in {file}"
        )
    return Cell(name, spec, origins)


def _leave_published(values: dict[Keys, Any], origins: dict[Keys, Origin], file: Path) -> None:
    """A printed number is that of the file that states it, not of those that extend this file."""
    inherited = [keys for keys, one in origins.items() if keys[0] == PUBLISHED and one.file != file]
    for keys in inherited:
        del values[keys], origins[keys]
    if inherited and not any(keys[0] == PUBLISHED for keys in values):
        values[PUBLISHED,], origins[PUBLISHED,] = None, Origin(file, 1)


def _as_documents(settings: Mapping[str, str]) -> Iterator[Document]:
    """A layer for each setting. All but the precision make a run that no published number describes."""
    for key, text in settings.items():
        if key.split(".")[0] not in SETTABLE:
            raise UserError(f"--set {key}: not a setting; it must begin with {', '.join(SETTABLE)}")
        document = yaml_lines.parse(text, Path(f"--set {key}"))
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
        for keys, value in leaves(document.value):
            for old in [old for old in values if old != keys and _overlap(old, keys)]:
                del values[old], origins[old]
            values[keys] = value
            origins[keys] = Origin(document.path, document.line(keys))
    return values, origins


def leaves(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            if (*keys, key) != ("extends",):
                yield from leaves(item, (*keys, key))
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


def _lines(
    details: Iterable[ErrorDetails], origins: Mapping[Keys, Origin], file: Path
) -> list[str]:
    """What is written and wrong before what is missing, which may be missing for it."""
    in_order = sorted(details, key=lambda detail: detail["type"] == "missing")
    return [_line(detail, origins, file) for detail in in_order]


def _line(detail: ErrorDetails, origins: Mapping[Keys, Origin], file: Path) -> str:
    """One problem as `file:line: key: what is wrong`."""
    keys = tuple(str(key) for key in detail["loc"])
    near = [origin for known, origin in origins.items() if _overlap(known, keys)] if keys else []
    place = near[0] if near and detail["type"] != "missing" else Origin(file, 1)
    return f"{place}: {'.'.join(keys) or 'spec'}: {_what(detail, keys)}"


def _what(detail: ErrorDetails, keys: Keys) -> str:
    if detail["type"] == "missing":
        return "is missing: write it here or in a file this one extends"
    if detail["type"] == "extra_forbidden":
        return f"unknown key; valid keys: {', '.join(_fields(keys[:-1]))}"
    if detail["type"] == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "model_type":
        return f"keys are due here ({', '.join(_fields(keys))}), not {detail['input']!r}"
    text = detail["msg"]
    return f"{text[0].lower()}{text[1:]}, got {detail['input']!r}"


def _fields(keys: Keys) -> list[str]:
    """The valid keys of the part of a spec at `keys`; of its file, where there are none."""
    part: type[BaseModel] = Spec
    for key in keys:
        annotation = part.model_fields[key].annotation
        options = getattr(annotation, "__args__", (annotation,))
        part = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return [*part.model_fields, *(["extends"] if not keys else [])]

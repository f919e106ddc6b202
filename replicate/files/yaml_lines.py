"""YAML without its surprises, and with the line of every value.

A plain scalar that YAML 1.1 (PyYAML) and YAML 1.2 read differently is refused: `5e-4` (text or
number), `no` (false or text), `012` (10 or 12), `1:30` (90 or text), `2020-01-01` (date or text).
So are duplicate keys, tags, anchors and several documents.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from replicate.errors import UserError
from replicate.files import atomic

MAX_BYTES = 1_000_000
MAX_DIGITS = 100
"""Characters of an integer."""
_CORE = {  # the plain scalars of YAML 1.2's core schema, https://yaml.org/spec/1.2.2/#103-core-schema
    "null": re.compile(r"null|Null|NULL|~|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
_PREFIX = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Document:
    """One parsed file: its plain value, and where each part of it stands."""

    path: Path
    value: Any
    root: yaml.Node | None

    def line(self, keys: Sequence[str | int]) -> int:
        """Line (from 1) of the value at `keys`, or of the nearest part of the path that exists."""
        node = self.root
        found = node
        for key in keys:
            node = _child(node, key)
            if node is None:
                break
            found = node
        return found.start_mark.line + 1 if found is not None else 1


def read(path: Path) -> Document:
    """Read and parse a file strictly; raises as `parse`."""
    return parse(_text(path), path)


def parse(text: str, path: Path) -> Document:
    """Parse text strictly; `path` names it in messages.

    Raises:
        UserError: one line for each problem, `file:line: key: what is wrong, and what is valid`.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        anchored = "*" in text and any(
            isinstance(e, yaml.AliasEvent) for e in yaml.parse(text, Loader=yaml.SafeLoader)
        )
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path}:1: not valid YAML: {str(error).splitlines()[0]}") from None
    if anchored:
        raise UserError(f"{path}:1: anchors and aliases are not used here: write the value out")
    problems = [f"{path}:{line}: {text}" for line, text in _problems(root, ())]
    if problems:
        raise UserError("\n".join(problems))
    return Document(path, None if root is None else _construct(root), root)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES} bytes: not a file of this suite")
        return atomic.read(path).decode()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start})") from None


def _problems(node: yaml.Node | None, keys: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    place = ".".join(keys) or "top level"
    if isinstance(node, yaml.ScalarNode):
        problem = _scalar_problem(node)
        if problem:
            yield node.start_mark.line + 1, f"{place}: {problem}"
    elif node is not None and node.tag not in (_PREFIX + "map", _PREFIX + "seq"):
        yield node.start_mark.line + 1, f"{place}: tag {node.tag!r} is not used here"
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _problems(item, (*keys, str(index)))
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != _PREFIX + "str":
                yield line, f"{place}: a key must be text, write it in quotes"
                continue
            if key.value in seen:
                yield (
                    line,
                    f"{'.'.join((*keys, key.value))}: duplicate key, first on line {seen[key.value]}",
                )
            seen.setdefault(key.value, line)
            yield from _problems(value, (*keys, key.value))


def _scalar_problem(node: yaml.ScalarNode) -> str | None:
    kind = node.tag.removeprefix(_PREFIX)
    if node.style is not None:
        return None if kind == "str" else f"tag {node.tag!r} is not used here"
    text: str = node.value
    if kind == "int" and len(text) > MAX_DIGITS:
        return f"a number of {len(text)} characters is too long"
    core = next((name for name, pattern in _CORE.items() if pattern.fullmatch(text)), "str")
    if kind not in (*_CORE, "str", "timestamp"):
        return f"{kind!r} is not used here: write plain text, numbers, true, false or null"
    same = kind == core and (
        kind != "int" or int(text, 0 if "x" in text else 10) == _construct(node)
    )
    if same:
        return None
    return f"{text!r} is ambiguous in YAML: {_advice(text, kind, core)}"


def _advice(text: str, kind: str, core: str) -> str:
    if core == "float":
        return f"write {_as_float(text)} for a number, or quotes for text"
    if kind == "bool":
        return (
            f"write {'true' if text.lower() in ('yes', 'on', 'y') else 'false'}, or quotes for text"
        )
    if core == "int" or kind in ("int", "float"):
        return (
            "write a decimal number without a leading zero, colon or underscore, or quotes for text"
        )
    return "write it in quotes"


def _as_float(text: str) -> str:
    mantissa, _, exponent = text.lower().partition("e")
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    signed = exponent if exponent[:1] in "+-" else f"+{exponent}"
    return f"{mantissa}e{signed}" if exponent else mantissa


def _construct(node: yaml.Node) -> Any:
    return yaml.constructor.SafeConstructor().construct_document(node)


def _child(node: yaml.Node | None, key: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        item: yaml.Node = node.value[key]
        return item
    return None

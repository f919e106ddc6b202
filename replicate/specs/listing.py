"""Cells and specs as text tables."""

from collections.abc import Iterator, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Any

from replicate.errors import UserError
from replicate.specs import catalogue, resolve
from replicate.specs.resolve import Cell, Origin
from replicate.text import as_json, columns, folded, say
from replicate.text import table as table_text

KEYS = ("cell", "dataset", "method", "published")
VALUE_KEYS = ("cell", "key", "value", "from")


def cells(
    root: Path,
    patterns: Sequence[str],
    protocol: str,
    table: int | None,
    dataset: str | None,
    method: str | None,
    json: bool = False,
) -> str:
    """The cells that pass all filters, with their published numbers; raises UserError where none does."""
    names = catalogue.cell_names(root)
    if patterns:
        names = catalogue.select(names, patterns)
    asked = resolve.read_protocol(root, protocol)
    sound, problems = resolve.load_each(root, names, "paper")
    trouble = (line for problem in problems.values() for line in problem.splitlines())
    for line in dict.fromkeys([*catalogue.misnamed(root), *trouble]):
        say(f"left out: {line}")
    lacking = catalogue.uncovered(root, sound, asked)
    rows = []
    for cell in sound.values():
        spec = cell.spec
        wanted = {
            table: spec.published and spec.published.table,
            dataset: spec.dataset.name,
            method: spec.method.name,
        }
        if all(asked in (None, value) for asked, value in wanted.items()):
            printed = spec.published.value if spec.published else ""
            said = lacking.get(cell.name, printed)
            rows.append((cell.name, spec.dataset.title, spec.method.title, said))
    if not rows:
        raise UserError("no cell matches all of these filters; `replicate list` shows every cell")
    if json:
        return as_json(dict(zip(KEYS, row, strict=True)) for row in rows)
    # A line a cell, in 80 columns: most names tell their data set.
    shown = [(cell, method.replace(" + ", "+"), said) for cell, _, method, said in rows]
    return table_text(("cell", "method", "paper"), shown)


def spec(
    root: Path, pattern: str, protocol: str, settings: Mapping[str, str], json: bool = False
) -> str:
    """The resolved specs of the cells that match, with the file and line of every value."""
    names = catalogue.select(catalogue.cell_names(root), [pattern])
    resolved = resolve.load(root, names, protocol, settings)
    if json:
        values = ((cell.name, *row) for cell in resolved for row in _values(cell, root))
        return as_json(dict(zip(VALUE_KEYS, row, strict=True)) for row in values)
    return "\n".join(_as_text(cell, root) for cell in resolved)


def _as_text(cell: Cell, root: Path) -> str:
    rows = [_line(*row) for row in [("key", "value", "from"), (cell.name, "", "")]]
    rows += [_line(f"  {key}", dumps(value), origin) for key, value, origin in _values(cell, root)]
    return "\n".join(rows)


def _line(key: str, value: str, origin: str) -> str:
    """The place at the right, whole, so that it can be copied; a long value goes below."""
    width = columns()
    begin = f"{key:<28} {value}"
    if len(begin) + 1 + len(origin) <= width:
        return f"{begin}{origin:>{width - len(begin)}}".rstrip()
    return f"{key}{f' {origin}':>{width - len(key)}}\n{folded(f'      {value}')}"


def _values(cell: Cell, root: Path) -> Iterator[tuple[str, Any, str]]:
    """Key, value and place of each, in the order of the spec's parts."""
    values = cell.spec.model_dump(mode="json")
    order = list(values)
    for keys, origin in sorted(cell.origins.items(), key=lambda item: order.index(item[0][0])):
        value: Any = values
        for key in keys:
            value = value[key]
        yield ".".join(keys), value, _short(origin, root)


def _short(origin: Origin, root: Path) -> str:
    """An origin relative to the project."""
    folder, file = root.resolve(), origin.file
    return f"{file.relative_to(folder) if file.is_relative_to(folder) else file}:{origin.line}"

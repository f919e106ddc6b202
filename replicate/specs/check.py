"""Whether the specs match the paper's tables one to one."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from replicate.errors import UserError
from replicate.paper.tables import Published, Tables, cell_name, read_tables
from replicate.specs import catalogue, resolve
from replicate.specs.resolve import Cell
from replicate.specs.spec import Spec

Look = Callable[[Iterable[Cell]], list[str]]
"""A line for each problem of some cells."""


def check(root: Path, look: Look) -> str:
    """Every spec under every protocol, also as `look` sees it, and the specs against the tables.

    Raises:
        UserError: every problem, a line each.
    """
    names = catalogue.cell_names(root)
    protocols = resolve.protocols(root)
    lines = dict.fromkeys(catalogue.misnamed(root))
    for protocol in protocols:
        lines |= dict.fromkeys(_of_protocol(root, names, protocol, look))
    if lines:
        raise UserError("\n".join(lines))
    return (
        f"{len(names)} cells are sound under {', '.join(protocols)}, and the tables' match the paper one to"
        " one."
    )


def _of_protocol(root: Path, names: list[str], protocol: str, look: Look) -> list[str]:
    try:
        lacking = catalogue.uncovered(root, names, resolve.read_protocol(root, protocol))
        covered = [name for name in names if name not in lacking]
        cells = resolve.load(root, covered, protocol)
    except UserError as error:
        return str(error).splitlines()
    return [*look(cells), *problems(read_tables(root), cells, lacking)]


def problems(tables: Tables, cells: Iterable[Cell], lacking: Collection[str] = ()) -> list[str]:
    """Where printed numbers and specs do not match one to one, but for the cells `lacking`."""
    printed = {cell_name(published): published for published in tables.cells()}
    specs = {cell.name: cell.spec for cell in cells if not cell.name.startswith("extensions/")}
    lines = [
        f"experiments/{name}.yaml: missing: the paper prints {printed[name].value} there"
        for name in printed.keys() - specs.keys() - set(lacking)
    ]
    lines += [
        f"experiments/{name}.yaml: the paper's tables have no such cell"
        for name in specs.keys() - printed
    ]
    for name in printed.keys() & specs:
        lines += _differences(name, printed[name], specs[name])
    return sorted(lines)


def _differences(name: str, printed: Published, spec: Spec) -> Iterator[str]:
    if spec.published != printed:
        yield f"experiments/{name}.yaml: published: expected {printed}, got {spec.published}"
    described = f"table{printed.table}/{spec.dataset.name}/{spec.method.name}"
    if described != name:
        yield f"experiments/{name}.yaml: its parts describe {described}"
    if spec.model.sac != (printed.table == 2):
        yield f"experiments/{name}.yaml: model.sac must be {printed.table == 2} in Table {printed.table}"

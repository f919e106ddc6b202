"""The paper's two tables as printed, and whether the specs match them one to one."""

from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from replicate import parts
from replicate.spec import Part, Printed, Published, Title

if TYPE_CHECKING:
    from replicate.catalogue import Cell

DATASETS = {
    "CIFAR10": "cifar10",
    "Fashion-MNIST": "fashion-mnist",
    "CIFAR100": "cifar100",
    "ImageNet": "tiny-imagenet",
}
METHODS = {
    "AvgPool": "avgpool",
    "FlexPool": "flexpool",
    "FlexPool + Reg": "flexpool-reg",
    "FlexPool + Reg + Dropout": "flexpool-reg-dropout",
}


Row = Literal["CIFAR10", "Fashion-MNIST", "CIFAR100", "ImageNet"]
Column = Literal["AvgPool", "FlexPool", "FlexPool + Reg", "FlexPool + Reg + Dropout"]


class Table(Part):
    """One printed table: rows are data sets, columns are methods."""

    table: Literal[1, 2]
    title: Title
    columns: list[Column]
    rows: dict[Row, list[Printed]]

    @model_validator(mode="after")
    def _rows_are_full(self) -> Self:
        for row, values in self.rows.items():
            if len(values) != len(self.columns):
                raise ValueError(
                    f"row {row} has {len(values)} numbers for {len(self.columns)} columns"
                )
        return self


class Tables(Part):
    """Tables 1 and 2, top-1 accuracy in percent."""

    tables: list[Table]

    def rows(self, table: int) -> list[str]:
        return list[str](self._table(table).rows)

    def columns(self, table: int) -> list[str]:
        return list[str](self._table(table).columns)

    def value(self, table: int, row: str, column: str) -> Decimal:
        found = next(
            one for one in self.cells() if (one.table, one.row, one.column) == (table, row, column)
        )
        return Decimal(found.value)

    def cells(self) -> Iterator[Published]:
        """Every printed number with its place, in reading order."""
        for table in self.tables:
            for row, values in table.rows.items():
                for column, value in zip(table.columns, values, strict=True):
                    yield Published(table=table.table, row=row, column=column, value=value)

    def cell_names(self) -> list[str]:
        return [cell_name(published) for published in self.cells()]

    def _table(self, number: int) -> Table:
        return next(table for table in self.tables if table.table == number)


def cell_name(published: Published) -> str:
    """The path of the spec that holds a printed number."""
    return f"table{published.table}/{DATASETS[published.row]}/{METHODS[published.column]}"


def read_tables(root: Path) -> Tables:
    """Read experiments/paper/tables.yaml; raises UserError for all that is wrong in it."""
    return parts.read(root / "experiments" / "paper" / "tables.yaml", Tables)


def problems(tables: Tables, cells: Iterable["Cell"], lacking: Collection[str] = ()) -> list[str]:
    """Where printed numbers and specs do not match one to one, but for the cells `lacking`."""
    printed = {cell_name(published): published for published in tables.cells()}
    found = {cell.name: cell.spec for cell in cells if not cell.name.startswith("extensions/")}
    lines = [
        f"experiments/{name}.yaml: missing: the paper prints {printed[name].value} there"
        for name in printed.keys() - found.keys() - set(lacking)
    ]
    lines += [
        f"experiments/{name}.yaml: the paper's tables have no such cell"
        for name in found.keys() - printed
    ]
    for name in printed.keys() & found:
        lines += _differences(name, printed[name], found[name])
    return sorted(lines)


def _differences(name: str, printed: Published, spec: Any) -> Iterator[str]:
    if spec.published != printed:
        yield f"experiments/{name}.yaml: published: expected {printed}, got {spec.published}"
    own = f"table{printed.table}/{spec.dataset.name}/{spec.method.name}"
    if own != name:
        yield f"experiments/{name}.yaml: its parts describe {own}"
    if spec.model.sac != (printed.table == 2):
        yield f"experiments/{name}.yaml: model.sac must be {printed.table == 2} in Table {printed.table}"

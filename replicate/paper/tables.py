"""The paper's two tables as printed, and whether the specs match them one to one."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from replicate.files.typed import StrictModel, Title, read_yaml

Printed = Annotated[str, Field(pattern=r"^\d{1,3}\.\d{1,4}$")]

Row = Literal["CIFAR10", "Fashion-MNIST", "CIFAR100", "ImageNet"]
Column = Literal["AvgPool", "FlexPool", "FlexPool + Reg", "FlexPool + Reg + Dropout"]
_DATASETS = ("cifar10", "fashion-mnist", "cifar100", "tiny-imagenet")
_METHODS = ("avgpool", "flexpool", "flexpool-reg", "flexpool-reg-dropout")
DATASETS: dict[str, str] = dict(zip(get_args(Row), _DATASETS, strict=True))
METHODS: dict[str, str] = dict(zip(get_args(Column), _METHODS, strict=True))
"""The names that specs have for the tables' rows and columns."""


class Published(StrictModel):
    """A number as the paper prints it, and where."""

    table: Literal[1, 2]
    row: Title
    column: Title
    value: Printed
    """Top-1 accuracy in percent, a string so that its decimals count."""

    @property
    def accuracy(self) -> float:
        return float(self.value)


class Table(StrictModel):
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


class Tables(StrictModel):
    """Tables 1 and 2, top-1 accuracy in percent."""

    tables: list[Table]

    def numbers(self) -> list[int]:
        return [table.table for table in self.tables]

    def rows(self, table: int) -> list[str]:
        return list[str](self._table(table).rows)

    def columns(self, table: int) -> list[str]:
        return list[str](self._table(table).columns)

    def value(self, table: int, row: str, column: str) -> Decimal:
        printed: dict[tuple[int, str, str], str] = {
            (cell.table, cell.row, cell.column): cell.value for cell in self.cells()
        }
        return Decimal(printed[table, row, column])

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
    """The path of the spec that holds a printed number; that of no spec where none is printed so."""
    row, column = published.row, published.column
    return f"table{published.table}/{DATASETS.get(row, row)}/{METHODS.get(column, column)}"


def read_tables(root: Path) -> Tables:
    """Read experiments/paper/tables.yaml; raises UserError for all that is wrong in it."""
    return read_yaml(root / "experiments" / "paper" / "tables.yaml", Tables)

"""The paper's two tables as printed, and whether the specs match them one to one."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, get_args

from pydantic import Field, model_validator

from replicate.errors import UserError
from replicate.files.typed import StrictModel, Title, read_yaml

Printed = Annotated[str, Field(pattern=r"^\d{1,3}\.\d{1,4}$")]

Row = Literal["CIFAR10", "Fashion-MNIST", "CIFAR100", "ImageNet"]
Column = Literal["AvgPool", "FlexPool", "FlexPool + Reg", "FlexPool + Reg + Dropout"]
_DATASETS = ("cifar10", "fashion-mnist", "cifar100", "tiny-imagenet")
_METHODS = ("avgpool", "flexpool", "flexpool-reg", "flexpool-reg-dropout")
DATASETS: dict[str, str] = dict(zip(get_args(Row), _DATASETS, strict=True))
METHODS: dict[str, str] = dict(zip(get_args(Column), _METHODS, strict=True))
"""The names that specs have for the tables' rows and columns."""


class Place(NamedTuple):
    """A number's place in the paper."""

    table: int
    row: str
    column: str

    @property
    def cell(self) -> str:
        """The path of the spec that holds the number; that of no spec where none is printed so."""
        row, column = DATASETS.get(self.row, self.row), METHODS.get(self.column, self.column)
        return f"table{self.table}/{row}/{column}"

    def __str__(self) -> str:
        return f"Table {self.table} {self.row} {self.column}"


class Pair(NamedTuple):
    """Two numbers that are compared: the first minus the second."""

    of: Place
    over: Place

    @property
    def cells(self) -> tuple[str, str]:
        return self.of.cell, self.over.cell


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

    @property
    def place(self) -> Place:
        return Place(self.table, self.row, self.column)


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

    def printed(self, place: Place) -> Decimal:
        """Raises UserError where the paper has no such place: the rule is wrong."""
        rows, columns = self.rows(place.table), self.columns(place.table)
        if place.row not in rows or place.column not in columns:
            raise UserError(f"{place}: no such place; choose from {', '.join([*rows, *columns])}")
        values = list(self._table(place.table).rows.values())[rows.index(place.row)]
        return Decimal(values[columns.index(place.column)])

    def difference(self, pair: Pair) -> Decimal:
        return self.printed(pair.of) - self.printed(pair.over)

    def pairs(self, table: int, columns: Sequence[str] = ()) -> list[Pair]:
        """Row by row, each of `columns` with the table's first, average pooling; by default all others."""
        first, *others = self.columns(table)
        return [
            Pair(Place(table, row, column), Place(table, row, first))
            for row in self.rows(table)
            for column in columns or others
        ]

    def gains(self) -> list[Pair]:
        """Each number of either table with average pooling in its row, in reading order."""
        return [pair for table in self.numbers() for pair in self.pairs(table)]

    def cells(self) -> Iterator[Published]:
        """Every printed number with its place, in reading order."""
        for table in self.tables:
            for row, values in table.rows.items():
                for column, value in zip(table.columns, values, strict=True):
                    yield Published(table=table.table, row=row, column=column, value=value)

    def places(self) -> list[Place]:
        return [published.place for published in self.cells()]

    def cell_names(self) -> list[str]:
        return [place.cell for place in self.places()]

    def _table(self, number: int) -> Table:
        return next(table for table in self.tables if table.table == number)


def cell_name(published: Published) -> str:
    """The path of the spec that holds a printed number."""
    return published.place.cell


def read_tables(root: Path) -> Tables:
    """Read experiments/paper/tables.yaml; raises UserError for all that is wrong in it."""
    return read_yaml(root / "experiments" / "paper" / "tables.yaml", Tables)

"""What rules look at: the numbers as printed and as drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, Self, TypeVar

from pydantic import Field, model_validator

from replicate.errors import UserError
from replicate.files.typed import StrictModel
from replicate.paper.tables import Tables

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False, min_length=1)]
Number = Annotated[Decimal, Field(strict=False)]
Text = Annotated[str, Field(min_length=1)]
TableNumber = Literal[1, 2]


class Place(NamedTuple):
    """A number's place in the paper."""

    table: int
    row: str
    column: str

    def __str__(self) -> str:
        return f"Table {self.table} {self.row} {self.column}"


class Pair(NamedTuple):
    """Two numbers that a claim compares: its subject is the first minus the second."""

    of: Place
    over: Place


class Figure(StrictModel):
    """Accuracies read off a bar chart, in percent."""

    figure: int
    table: TableNumber
    """The table it draws."""
    source: Text
    reading_error: Number
    columns: Many[Text]
    rows: dict[str, Many[Number]]

    @model_validator(mode="after")
    def _rows_are_full(self) -> Self:
        for row, values in self.rows.items():
            if len(values) != len(self.columns):
                raise ValueError(f"{row!r} has {len(values)} values, not {len(self.columns)}")
        return self

    def bars(self) -> dict[Place, Decimal]:
        """Every bar's height, under the place in the table that it draws."""
        return {
            Place(self.table, row, column): value
            for row, values in self.rows.items()
            for column, value in zip(self.columns, values, strict=True)
        }


@dataclass(frozen=True)
class Numbers:
    """What rules look at."""

    tables: Tables
    figures: Sequence[Figure]

    def printed(self, place: Place) -> Decimal:
        """Raises UserError where the paper has no such place: the rule is wrong."""
        table, row, column = place
        rows, columns = self.tables.rows(table), self.tables.columns(table)
        if row not in rows or column not in columns:
            raise UserError(f"{place}: no such place; choose from {', '.join([*rows, *columns])}")
        return self.tables.value(table, row, column)

    def difference(self, pair: Pair) -> Decimal:
        return self.printed(pair.of) - self.printed(pair.over)

    def pairs(self, table: int, columns: Sequence[str]) -> list[Pair]:
        """Row by row, each of `columns` with the table's first column, average pooling."""
        first = self.tables.columns(table)[0]
        return [
            Pair(Place(table, row, column), Place(table, row, first))
            for row in self.tables.rows(table)
            for column in columns
        ]

    def gains(self, table: int, columns: Sequence[str]) -> dict[str, Decimal]:
        """Each row's largest of `columns` minus average pooling."""
        gains: dict[str, Decimal] = {}
        for pair in self.pairs(table, columns):
            gain = self.difference(pair)
            gains[pair.of.row] = max(gain, gains.get(pair.of.row, gain))
        return gains

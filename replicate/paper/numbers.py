"""The paper's numbers as drawn, and the types of what its files hold."""

from decimal import Decimal
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from replicate.files.typed import StrictModel
from replicate.paper.tables import Place

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False, min_length=1)]
Number = Annotated[Decimal, Field(strict=False)]
Text = Annotated[str, Field(min_length=1)]
TableNumber = Literal[1, 2]


def unique(key: str) -> AfterValidator:
    """Refuses parts of which two have the same `key`."""

    def check(parts: tuple[T, ...]) -> tuple[T, ...]:
        keys = [getattr(part, key) for part in parts]
        if again := {one for one in keys if keys.count(one) > 1}:
            raise ValueError(f"given twice: {', '.join(map(str, again))}")
        return parts

    return AfterValidator(check)


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

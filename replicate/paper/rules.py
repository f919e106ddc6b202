"""Typed rules: statements that the paper's numbers can contradict."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from replicate.errors import UserError
from replicate.files.typed import StrictModel
from replicate.paper.numbers import Figure, Many, Number, TableNumber, Text
from replicate.paper.tables import Pair, Place, Tables

Outcome = Literal["holds", "fails", "cannot be checked"]


class Check(NamedTuple):
    outcome: Outcome
    says: str
    """What the numbers say."""
    facts: tuple[str, ...] = ()
    """Each number that stands against the rule, worded alike whichever rule it is."""


class Rule(StrictModel):
    """One statement that numbers can contradict."""

    @abstractmethod
    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        """Hold it against the numbers as printed and as drawn."""


class Comparison(Rule):
    """A statement about what the method does: it can be tested on replicated numbers too."""

    @abstractmethod
    def pairs(self, tables: Tables) -> list[Pair]:
        """What it compares, for paired differences by seed."""


class Positive(Comparison):
    """Every pair's difference is above zero."""

    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        gains = {pair: tables.difference(pair) for pair in self.pairs(tables)}
        against = [
            f"{pair.over} {_rounded(tables.printed(pair.over))}, "
            f"{pair.of.column} {_rounded(tables.printed(pair.of))}"
            for pair, gain in gains.items()
            if gain <= 0
        ]
        all_gains = [f"{pair.of.row} {_signed(gain)}" for pair, gain in gains.items()]
        facts = tuple(_fact(pair, gain) for pair, gain in gains.items() if gain <= 0)
        says = "; ".join(against) or ", ".join(all_gains)
        return Check(_all(gain > 0 for gain in gains.values()), says, facts)


class BeatsBaseline(Positive):
    """The columns lie above average pooling in every row."""

    kind: Literal["beats-baseline"]
    table: TableNumber
    columns: Many[Text]

    def pairs(self, tables: Tables) -> list[Pair]:
        return tables.pairs(self.table, self.columns)


class IncreasingRows(Positive):
    """In every row each column lies above the one before it."""

    kind: Literal["increasing-rows"]
    table: TableNumber

    def pairs(self, tables: Tables) -> list[Pair]:
        columns = tables.columns(self.table)
        return [
            Pair(Place(self.table, row, right), Place(self.table, row, left))
            for row in tables.rows(self.table)
            for left, right in pairwise(columns)
        ]


class GainsInRange(Comparison):
    """In every row the best of the columns gains between low and high points on average pooling."""

    kind: Literal["gains-in-range"]
    tables: Many[TableNumber]
    columns: Many[Text]
    low: Number
    high: Number
    tolerance: Number
    reason: Text

    def pairs(self, tables: Tables) -> list[Pair]:
        return [pair for table in self.tables for pair in tables.pairs(table, self.columns)]

    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        by_table = {table: _best_gains(tables, table, self.columns) for table in self.tables}
        inside = [self._holds(gain) for gains in by_table.values() for gain in gains.values()]
        listed = "; ".join(f"Table {table}: {_listed(gains)}" for table, gains in by_table.items())
        count = f"{inside.count(False)} of {len(inside)} outside {self.low} to {self.high}"
        facts = tuple(
            f"Table {table} {row}: {_which(self.columns)} {_signed(gain)}"
            for table, gains in by_table.items()
            for row, gain in gains.items()
            if not self._holds(gain)
        )
        return Check(_all(inside), f"{listed}: {count}", facts)

    def _holds(self, gain: Decimal) -> bool:
        return self.low - self.tolerance <= gain <= self.high + self.tolerance


class LargestGainRow(Comparison):
    """The row whose best of the columns gains most on average pooling."""

    kind: Literal["largest-gain-row"]
    table: TableNumber
    columns: Many[Text]
    row: Text

    def pairs(self, tables: Tables) -> list[Pair]:
        return tables.pairs(self.table, self.columns)

    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        gains = _best_gains(tables, self.table, self.columns)
        if self.row not in gains:
            raise UserError(f"Table {self.table} has no row {self.row!r}: {', '.join(gains)}")
        gain_here = gains[self.row]
        others = [gain for row, gain in gains.items() if row != self.row]
        ranked = sorted(gains.items(), key=lambda item: -item[1])
        row, largest = ranked[0]
        fact = (
            f"Table {self.table} {row}: {_which(self.columns)} {_signed(largest)}, the largest gain"
        )
        facts = () if row == self.row else (fact,)
        outcome = _all(gain_here > gain for gain in others)
        return Check(outcome, f"largest first: {_listed(dict(ranked))}", facts)


class GainAbout(Comparison):
    """One number lies above another by about so many points."""

    kind: Literal["gain-about"]
    of: Place
    over: Place
    about: Number
    tolerance: Number
    reason: Text

    @property
    def pair(self) -> Pair:
        return Pair(self.of, self.over)

    def pairs(self, tables: Tables) -> list[Pair]:
        return [self.pair]

    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        gain = tables.difference(self.pair)
        says = f"{self.of} over {_over(self.pair)}: {_signed(gain)}"
        if self._holds(gain):
            return Check("holds", says)
        gains = {
            table: tables.difference(Pair(*(place._replace(table=table) for place in self.pair)))
            for table in tables.numbers()
        }
        elsewhere = _elsewhere({t: _signed(one) for t, one in gains.items() if self._holds(one)})
        says += f", not {self.about:+}".replace("-", "−") + elsewhere
        return Check("fails", says, (_fact(self.pair, gain),))

    def _holds(self, gain: Decimal) -> bool:
        return abs(gain - self.about) <= self.tolerance


class OrderingOfMeans(Comparison):
    """In every column the mean over the rows is higher in one table than in the other."""

    kind: Literal["ordering-of-means"]
    higher: TableNumber
    lower: TableNumber

    def pairs(self, tables: Tables) -> list[Pair]:
        return [
            Pair(Place(self.higher, row, column), Place(self.lower, row, column))
            for column in tables.columns(self.higher)
            for row in tables.rows(self.higher)
        ]

    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        means = {
            column: (_mean(tables, self.higher, column), _mean(tables, self.lower, column))
            for column in tables.columns(self.higher)
        }
        outcome = _all(a > b for a, b in means.values())
        listed = ", ".join(f"{c} {_rounded(b)} / {_rounded(a)}" for c, (a, b) in means.items())
        return Check(outcome, f"column means, Table {self.lower} / Table {self.higher}: {listed}")


class Value(Rule):
    """The text repeats a number of a table; judged to the digits that the text gives."""

    kind: Literal["value"]
    place: Place
    stated: Annotated[str, Field(pattern=r"^\d{1,3}\.\d{1,2}$")]

    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        value = tables.printed(self.place)
        if self._holds(value):
            return Check("holds", f"{self.place}: {value}")
        values = {
            table: tables.printed(self.place._replace(table=table)) for table in tables.numbers()
        }
        elsewhere = _elsewhere({t: str(one) for t, one in values.items() if self._holds(one)})
        says = f"{self.place}: {value}, not {self.stated}{elsewhere}"
        return Check("fails", says, (f"{self.place}: {value}",))

    def _holds(self, value: Decimal) -> bool:
        stated = Decimal(self.stated)
        return value.quantize(stated, ROUND_HALF_UP) == stated


class FigureMatchesTable(Rule):
    """Every bar of a figure has the height that its table prints.

    A height is the difference of two readings, the bar's top and the axis, so it may be off by
    twice the reading error.
    """

    kind: Literal["figure-matches-table"]
    figure: int

    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        drawn = next((f for f in figures if f.figure == self.figure), None)
        if drawn is None:
            return Check("cannot be checked", f"no readings of Figure {self.figure}")
        allowed = 2 * drawn.reading_error
        gaps = {place: bar - tables.printed(place) for place, bar in drawn.bars().items()}
        off = {f"{p.row} {p.column}": gap for p, gap in gaps.items() if abs(gap) > allowed}
        count = f"{len(off)} of {len(gaps)} bars are more than {allowed} off Table {drawn.table}"
        return Check("fails" if off else "holds", f"{count}: {_listed(off)}" if off else count)


class WeightsIncrease(Rule):
    """Loss weights increase from the first head to the last."""

    kind: Literal["weights-increase"]
    weights: Many[Many[Number]]

    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        rising = [all(a < b for a, b in pairwise(w)) for w in self.weights]
        return Check(_all(rising), "; ".join(", ".join(map(str, w)) for w in self.weights))


class TablesExist(Rule):
    """The paper has the tables that its text names.

    That a table is not there is seen in the paper itself, so the rule fails; what the table would
    have held is what cannot be checked.
    """

    kind: Literal["tables-exist"]
    tables: Many[int]

    def check(self, tables: Tables, figures: Sequence[Figure]) -> Check:
        there = tables.numbers()
        missing = [f"there is no Table {table}" for table in self.tables if table not in there]
        present = f"the paper has Tables {', '.join(map(str, there))}"
        return Check(_all(table in there for table in self.tables), "; ".join(missing) or present)


AnyRule = Annotated[
    BeatsBaseline
    | IncreasingRows
    | GainsInRange
    | LargestGainRow
    | GainAbout
    | OrderingOfMeans
    | Value
    | FigureMatchesTable
    | WeightsIncrease
    | TablesExist,
    Field(discriminator="kind"),
]


def _all(results: Iterable[bool]) -> Outcome:
    return "holds" if all(results) else "fails"


def _fact(pair: Pair, gain: Decimal) -> str:
    return f"{pair.of}: {_signed(gain)} over {_over(pair)}"


def _over(pair: Pair) -> str:
    return pair.over.column if pair.over.table == pair.of.table else str(pair.over)


def _which(columns: Sequence[str]) -> str:
    return columns[0] if len(columns) == 1 else "the best column"


def _best_gains(tables: Tables, table: int, columns: Sequence[str]) -> dict[str, Decimal]:
    """Each row's largest of `columns` minus average pooling."""
    gains: dict[str, Decimal] = {}
    for pair in tables.pairs(table, columns):
        gain = tables.difference(pair)
        gains[pair.of.row] = max(gain, gains.get(pair.of.row, gain))
    return gains


def _mean(tables: Tables, table: int, column: str) -> Decimal:
    values = [tables.printed(Place(table, row, column)) for row in tables.rows(table)]
    return sum(values, Decimal()) / len(values)


def _elsewhere(found: Mapping[int, str]) -> str:
    """What tables hold that the rule's own does not."""
    listed = ", ".join(f"{value} in Table {table}" for table, value in found.items())
    return f" ({listed})" if listed else ""


def _listed(gains: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{row} {_signed(gain)}" for row, gain in gains.items())


def _signed(value: Decimal) -> str:
    return f"{_rounded(value):+}".replace("-", "−")


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)

"""Gains over AvgPool, and whether they are more than chance."""

from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd

from replicate.paper.tables import Published
from replicate.report.document import Entry, Figure, Section, Table, Text, entry
from replicate.report.figures import forest
from replicate.report.tables import Row, chance, grids, interval, mixed, ours, signed, unfinished
from replicate.results import statistics
from replicate.results.contrasts import BASELINE, CellPair
from replicate.results.overall import SAME, widest
from replicate.results.read import Results, by_cell, records
from replicate.text import many

TITLE = "Gains over AvgPool"
OVERALL = ("Question", "Mean gain (95 % interval)", "Word", "Published")
OWN = ("Cell and AvgPool beside it", "Accuracy (%)", "Gain (95 % interval, pairs)", "Word")
KEY = (
    "Mean difference to AvgPool over the seeds that both have, with its 95 % interval (pairs), in points, "
    "by a spread that the gains of a data set share. p values are corrected by Holm's method over the "
    "table."
)

OVER_ROWS = (
    "The mean over pairs of cells, at these data sets alone, in points, with its 95 % interval; p values "
    "are corrected by Holm's method over what is asked of the same cells."
)


def section(results: Results) -> Section:
    found = results.gains[results.gains["n"] > 1]
    if results.printed.empty:
        return Section(TITLE, ())
    if found.empty:
        none = Text("No gain has two paired seeds yet: an interval needs two.")
        return Section(TITLE, (none,))
    tables = grids(results, "Gains, Table {}", content(found))
    told_once = results.overall.drop_duplicates(SAME, keep="last")
    parts = told_once.drop(widest(results.overall).index)
    every = overall(parts, "Mean gains by table, and of SAC by column", folded=True)
    return Section(TITLE, (Text(KEY), *tables, *([every] if len(parts) else [])))


def overall(found: pd.DataFrame, caption: str, folded: bool = False) -> Table:
    """Rows of overall.csv."""
    rows = tuple(tuple(_overall(one)) for one in records(found))
    return Table(caption, OVERALL, rows, folded)


def _overall(one: Row) -> Iterator[Entry]:
    beside = "" if one["against"] == "not comparable" else f"ours {one['against']}"
    yield entry(one["question"], f"{one['scope']}, {many(one['rows'], 'pair')} of cells")
    yield entry(signed(one["gain"], 2), interval(one["low"], one["high"]), sort=one["gain"])
    yield entry(f"{one['verdict']}, {chance(one['holm'])}", tone=one["verdict"].split()[0])
    yield entry(signed(one["published"], 2), beside, sort=one["published"])


def content(found: pd.DataFrame) -> Callable[[Row, Published], Entry]:
    """The gain with its interval, the published one and what ours says of it, p value and word."""
    gain_of = by_cell(found)

    def of(cell: Row, published: Published) -> Entry:
        if published.column == BASELINE:
            return entry("baseline")
        if cell["cell"] not in gain_of:
            return entry("fewer than 2 pairs")
        own = gain_of[cell["cell"]]
        beside = "" if own["against"] == "not comparable" else f", ours {own['against']}"
        return entry(
            signed(own["gain"], 2),
            f"{interval(own['low'], own['high'])} ({own['n']})",
            f"published {signed(own['published'], 2)}{beside}",
            mixed(own["mixed"]),
            f"{chance(own['holm'])}, {own['verdict']}",
            sort=own["gain"],
            tone=own["verdict"].split()[0],
        )

    return of


def of_own_cells(results: Results) -> tuple[Table, ...]:
    """Cells outside the paper's tables, each with its gain over the AvgPool cell beside it; the p values
    of these gains are one family."""
    contrasts, beside = results.contrasts, results.beside
    pairs = [
        (cell, beside[cell])
        for cell in results.own.index
        if cell in beside and contrasts.difference((cell, beside[cell])).n > 1
    ]
    adjusted = statistics.holm([contrasts.estimate(pair).p for pair in pairs]).tolist()
    gain_of = {
        pair[0]: tuple(_own(results, pair, p)) for pair, p in zip(pairs, adjusted, strict=True)
    }
    rows = tuple(
        (*_accuracy(row, beside.get(row["cell"], "")), *gain_of.get(row["cell"], [entry("")] * 2))
        for row in records(results.own)
    )
    return (Table("Cells outside the paper's tables", OWN, rows),) if rows else ()


def figure_of_own(results: Results) -> Figure:
    caption = (
        "Gains of the cells outside the tables over the AvgPool cell beside each. Every pair of seeds a dot; "
        "thick: the 95 % interval of the mean; thin: that for one more pair."
    )
    return Figure("gains-own", caption, partial(forest.own, results))


def _accuracy(row: Row, over: str) -> Iterator[Entry]:
    yield entry(row["cell"], over)
    yield entry(ours(row, 2), unfinished(row), sort=row["mean"])


def _own(results: Results, pair: CellPair, p: float) -> Iterator[Entry]:
    contrasts = results.contrasts
    found, word = contrasts.estimate(pair), contrasts.verdict(pair, p)
    spread = f"{interval(*found.interval())} ({contrasts.difference(pair).n})"
    yield entry(signed(found.mean, 2), spread, mixed(contrasts.mixed(pair)), sort=found.mean)
    yield entry(f"{word}, {chance(p)}", tone=word.split()[0])

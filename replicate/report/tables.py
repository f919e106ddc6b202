"""The tables of a report, all in the paper's layout: one row per data set, one column per method."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from replicate.paper import tables as paper
from replicate.paper.tables import Published
from replicate.report.document import Entry, Table, entry
from replicate.results.read import Results, by_cell

Row = Mapping[str, Any]
"""A row of cells.csv."""
Content = Callable[[Row, Published], Entry]
"""What stands at the place of a published number."""
NOT_RUN = {"n": 0, "failed": 0, "diverged": 0, "mixed": "", "verdict": "not run", "progress": ""}
SILENT = {"not comparable", "not run", "failed", "unfinished"}
"""Verdicts that the caption or the entry's first line says already."""


def signed(value: float, digits: int) -> str:
    """A difference with its sign, as +0.12 or −0.12."""
    return f"{value:+.{digits}f}".replace("-", "−")


def interval(low: float, high: float) -> str:
    """As +0.12 to +0.34."""
    return f"{signed(low, 2)} to {signed(high, 2)}"


def chance(p: float) -> str:
    """A p value, as p = 0.12 or p < 0.001."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def decimals(number: str) -> int:
    return len(number.partition(".")[2])


def grids(
    results: Results, caption: str, content: Content, *, whole: bool = False
) -> Iterator[Table]:
    """One table per table of the paper, of the data sets that the campaign has there, or the `whole`.

    Cells that are not in the campaign read `not run`, those that the protocol lacks what it says
    of them. A whole table of which the campaign has no cell is folded.
    """
    for table in results.paper.tables:
        absent = table.table not in set(results.cells["table"])
        title = f"{caption.format(table.table)}: {table.title}"
        title += ": no cell of it is in this campaign" if absent else ""
        rows = _rows(results, table.table, content, whole)
        if rows:
            shown = tuple((entry(row), *entries) for row, entries in rows.items())
            yield Table(title, ("Data set", *table.columns), shown, folded=absent)


def _rows(
    results: Results, table: int, content: Content, whole: bool = False
) -> dict[str, list[Entry]]:
    """By data set, an entry for each number that the paper prints there."""
    found, lacking = by_cell(results.cells), results.lacking
    own = set(results.cells.loc[results.cells["table"] == table, "row"])
    rows = defaultdict[str, list[Entry]](list)
    for published in results.paper.cells():
        if published.table == table and (whole or published.row in own):
            name = paper.cell_name(published)
            cell = found.get(name, {"cell": name, **NOT_RUN})
            said = lacking.get(name)
            rows[published.row].append(entry(said) if said else content(cell, published))
    return rows


def accuracy(cell: Row, published: Published) -> Entry:
    """Ours ± sd (n), the published number with Δ, what did not finish, the verdict."""
    digits = decimals(published.value)
    second = f"published {published.value}"
    if cell["n"]:
        second += f", Δ\N{NO-BREAK SPACE}{signed(cell['mean'] - published.accuracy, digits)}"
    # How many seeds an incomplete cell has is said behind its mean.
    verdict = cell["verdict"].partition(" (")[0]
    if verdict in SILENT:
        verdict = ""
    return entry(
        ours(cell, digits),
        second,
        unfinished(cell),
        mixed(cell["mixed"]),
        _marks(cell),
        verdict,
        sort=cell.get("mean"),
        tone=verdict,
    )


def ours(cell: Row, digits: int) -> str:
    if cell["n"]:
        spread = f" ± {cell['sd']:.{digits}f}" if cell["n"] > 1 else ""
        seeds = str(cell["n"]) if cell["n"] == cell["asked"] else f"{cell['n']}/{cell['asked']}"
        return f"{cell['mean']:.{digits}f}{spread} ({seeds})"
    if cell["failed"] or cell["diverged"]:
        return "diverged" if not cell["failed"] else "failed"
    return str(cell["progress"] or "not run")


def unfinished(cell: Row) -> str:
    ended = [f"{cell[what]} {what}" for what in ("failed", "diverged") if cell[what]]
    begun = cell["progress"] if cell["n"] or ended else ""
    return ", ".join(filter(None, [*ended, begun]))


def mixed(differ: str | None) -> str:
    """In what runs differ that should have been made alike."""
    return f"mixed {differ}" if differ else ""


def _marks(cell: Row) -> str:
    """That its spread is its own, and that the other reading of the published number has another word."""
    other = cell.get("best_verdict") or cell["verdict"]
    marks = ["noisy"] if cell.get("noisy") == "True" else []
    marks += [f"best epoch: {other}"] if other != cell["verdict"] else []
    return ", ".join(marks)


def best(results: Results) -> Iterator[Table]:
    """The last epoch's mean, and the best epoch's beside it."""
    caption = "Last epoch, and the best one: optimistic, since it is chosen on the test set, and used nowhere"
    rows = tuple(
        (entry(f"Table {table}, {row}"), *entries)
        for table in results.paper.numbers()
        for row, entries in _rows(results, table, _best).items()
    )
    if rows:
        yield Table(caption, ("Row", *results.paper.columns(1)), rows, folded=True)


def _best(cell: Row, published: Published) -> Entry:
    if not cell["n"]:
        return entry(ours(cell, 2))
    gain = cell["best_mean"] - cell["mean"]
    return entry(
        f"{cell['mean']:.2f}", f"best {cell['best_mean']:.2f}, {signed(gain, 2)}", sort=gain
    )

"""How long runs were predicted to take, before any of them began, and how long they took."""

from collections.abc import Callable

import pandas as pd

from replicate.report.document import Entry, Section, Text, entry
from replicate.report.read import Results, records
from replicate.report.tables import Row, grids
from replicate.spec import Published
from replicate.wording import duration

TITLE = "Predicted and spent time"


def section(results: Results) -> Section:
    """Training and evaluation of the finished runs; nothing where none has finished."""
    done = results.done[["run_id"]].merge(results.provenance, on="run_id")
    found = done.merge(results.forecast[["run_id", "predicted"]], on="run_id")
    if done.empty:
        return Section(TITLE, ())
    if found.empty:
        return Section(TITLE, (Text("No prediction was kept."),))
    predicted, spent = found["predicted"].sum(), found["seconds"].sum()
    text = (
        f"{len(found)} of {len(done)} finished runs have a prediction, which was made before they "
        f"began: {duration(predicted)} in all. They took {duration(spent)}, {_times(spent, predicted)}."
    )
    caption = "Time spent over time predicted (runs), Table {}"
    return Section(TITLE, (Text(text), *grids(results, caption, _cell(found))))


def _cell(found: pd.DataFrame) -> Callable[[Row, Published], Entry]:
    sums = found.groupby("cell", as_index=False).agg(
        n=("run_id", "size"), predicted=("predicted", "sum"), spent=("seconds", "sum")
    )
    by_cell = {row["cell"]: row for row in records(sums)}

    def content(cell: Row, published: Published) -> Entry:
        own = by_cell.get(cell["cell"])
        if own is None:
            return entry("no prediction" if cell["n"] else "not run")
        spent, predicted = own["spent"], own["predicted"]
        return entry(
            f"{_times(spent, predicted)} ({own['n']})",
            f"predicted {duration(predicted)}",
            f"spent {duration(spent)}",
            sort=spent / predicted,
        )

    return content


def _times(spent: float, predicted: float) -> str:
    return f"{spent / predicted:.2f} times"

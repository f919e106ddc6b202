"""What runs took, what was predicted, and what the networks they trained are made of."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from replicate.paper.tables import Published
from replicate.report.document import Block, Entry, Section, Table, Text, entry
from replicate.report.tables import Row, grids, ours
from replicate.results.read import Results, by_cell
from replicate.text import duration, many

TITLE, PREDICTED = "Cost", "Predicted and spent time"
MEASURES = ("seconds", "images_per_second", "parameters", "flops")


def section(results: Results) -> Section:
    made = results.provenance
    if made.empty:
        return Section(TITLE, ())
    again = int((made["attempts"] > 1).sum())
    runs = many(len(made), "run")
    text = f"{duration(made['seconds'].sum())} of training and evaluation in {runs}"
    text += f", {again} of them in more than one attempt." if again else "."
    if results.runs["flops"].notna().any():
        text += (
            " FLOPs are the floating-point operations of a forward pass of one image through all heads: two "
            "for a multiply-add of convolutions and dense layers, and those of the pools."
        )
    means = _means(results)
    caption = "Mean time and speed of a run, parameters and FLOPs, Table {}"
    tables = grids(results, caption, _content(means))
    return Section(TITLE, (Text(text), *tables, *_others(results, means)))


def _means(results: Results) -> dict[str, dict[str, Any]]:
    """By cell, over its runs: the measures, those that are unknown as nan."""
    key, counted = ["cell", "run_id"], {"parameters": "float", "flops": "float"}
    runs = results.runs[[*key, *counted]].astype(counted)
    made = results.provenance.merge(runs, on=key, how="left")
    return by_cell(made.groupby("cell", as_index=False)[list(MEASURES)].mean())


def _content(means: Mapping[str, Row]) -> Callable[[Row, Published], Entry]:
    def content(cell: Row, published: Published) -> Entry:
        own = means.get(cell["cell"])
        if own is None:
            return entry(ours(cell, 2))
        return entry(*_lines(own).values(), sort=own["seconds"])

    return content


def _lines(measures: Row) -> dict[str, str]:
    """Each measure as text; empty where it is unknown."""
    form: dict[str, Callable[[Any], str]] = {
        "seconds": duration,
        "images_per_second": lambda speed: f"{speed:,.0f} images/s",
        "parameters": lambda number: f"{number:,.0f} parameters",
        "flops": lambda number: f"{number / 1e6:,.3f} MFLOPs",
    }
    return {
        name: "" if pd.isna(measures[name]) else form[name](measures[name]) for name in MEASURES
    }


def _others(results: Results, means: Mapping[str, Row]) -> Iterator[Block]:
    """Cells that stand in no table of the paper, with the network of each."""
    outside = means.keys() - results.paper.cell_names()
    rows = tuple(
        (*map(entry, (cell.name, cell.spec.model.network, cell.spec.model.pool)), *_measured(own))
        for cell in results.campaign.cells
        if cell.name in outside and (own := means[cell.name])
    )
    columns = ("Cell", "Network", "Pool", "Time", "Speed", "Parameters", "FLOPs")
    if rows:
        yield Table("Cost outside the paper's tables", columns, rows)


def _measured(means: Row) -> Iterator[Entry]:
    return (entry(line, sort=means[name]) for name, line in _lines(means).items())


def predicted(results: Results) -> Section:
    """How long the finished runs were predicted to take, before any of them began, and took."""
    key = ["cell", "run_id"]
    done = results.done[key].merge(results.provenance, on=key)
    found = done.merge(results.forecast[[*key, "predicted"]], on=key)
    if done.empty:
        return Section(PREDICTED, ())
    if found.empty:
        return Section(PREDICTED, (Text("No prediction was kept."),))
    before, spent = found["predicted"].sum(), found["seconds"].sum()
    text = (
        f"{len(found)} of {len(done)} finished runs have a prediction, which was made before they "
        f"began: {duration(before)} in all. They took {duration(spent)}, {_times(spent, before)}."
    )
    caption = "Time spent over time predicted (runs), Table {}"
    return Section(PREDICTED, (Text(text), *grids(results, caption, _compared(found))))


def _compared(found: pd.DataFrame) -> Callable[[Row, Published], Entry]:
    sums = found.groupby("cell", as_index=False).agg(
        n=("run_id", "size"), predicted=("predicted", "sum"), spent=("seconds", "sum")
    )
    known = by_cell(sums)

    def content(cell: Row, published: Published) -> Entry:
        own = known.get(cell["cell"])
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

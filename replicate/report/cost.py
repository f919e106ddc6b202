"""What runs took, and what the networks they trained are made of."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from replicate.report.document import Block, Entry, Section, Table, Text, entry
from replicate.report.read import Results, records
from replicate.report.tables import Row, grids, ours
from replicate.spec import Published
from replicate.wording import duration, many

TITLE = "Cost"
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
    by_cell = _means(results)
    caption = "Mean time and speed of a run, parameters and FLOPs, Table {}"
    tables = grids(results, caption, _content(by_cell))
    return Section(TITLE, (Text(text), *tables, *_others(results, by_cell)))


def _means(results: Results) -> dict[str, Row]:
    """By cell, over its runs: the measures, those that are unknown as nan."""
    key, counted = ["cell", "run_id"], {"parameters": "float", "flops": "float"}
    runs = results.runs[[*key, *counted]].astype(counted)
    made = results.provenance.merge(runs, on=key, how="left")
    means = made.groupby("cell", as_index=False)[list(MEASURES)].mean()
    return {row["cell"]: row for row in records(means)}


def _content(by_cell: dict[str, Row]) -> Callable[[Row, Published], Entry]:
    def content(cell: Row, published: Published) -> Entry:
        own = by_cell.get(cell["cell"])
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


def _others(results: Results, by_cell: dict[str, Row]) -> Iterator[Block]:
    """Cells that stand in no table of the paper, with the network of each."""
    printed = results.paper.cell_names()
    rows = tuple(
        (
            entry(cell.name),
            entry(cell.spec.model.network),
            entry(cell.spec.model.pool),
            *(
                entry(line, sort=by_cell[cell.name][name])
                for name, line in _lines(by_cell[cell.name]).items()
            ),
        )
        for cell in results.campaign.cells
        if cell.name in by_cell and cell.name not in printed
    )
    columns = ("Cell", "Network", "Pool", "Time", "Speed", "Parameters", "FLOPs")
    if rows:
        yield Table("Cost outside the paper's tables", columns, rows)

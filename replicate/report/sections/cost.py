"""What runs took, what was predicted, what their networks are made of, and the commands that train them."""

import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from replicate.report.document import Commands, Entry, Section, Table, Text, entry
from replicate.report.tables import Row
from replicate.results.read import Results, by_cell
from replicate.results.sheets import patterns
from replicate.specs import catalogue
from replicate.text import duration, many

TITLE = "Cost and commands"
COLUMNS = (
    "Cell", "Network, pool", "Time", "Speed", "Parameters", "FLOPs", "Spent over predicted", "Command",
)  # fmt: skip
MEASURES: dict[str, Callable[[Any], str]] = {
    "seconds": duration,
    "images_per_second": lambda speed: f"{speed:,.0f} images/s",
    "parameters": lambda number: f"{number:,.0f}",
    "flops": lambda number: f"{number / 1e6:,.3f} M",
}
"""How each is shown."""


def section(results: Results) -> Section:
    text = Text(
        f"{_spent(results)} The whole campaign, and this report from its CSV files:".lstrip()
    )
    return Section(TITLE, (text, _whole(results), _by_cell(results)))


def _spent(results: Results) -> str:
    made = results.provenance
    if made.empty:
        return ""
    again = int((made["attempts"] > 1).sum())
    runs = many(len(made), "run")
    text = f"{duration(made['seconds'].sum())} of training and evaluation in {runs}"
    text += f", {again} of them in more than one attempt." if again else "."
    if results.runs["flops"].notna().any():
        text += (
            " FLOPs are the floating-point operations of a forward pass of one image through all heads: two "
            "for a multiply-add of convolutions and dense layers, and those of the pools."
        )
    return text + _forecast(results, _predicted(results))


def _by_cell(results: Results) -> Table:
    means, compared = _means(results), _compared(_predicted(results))
    unknown = dict.fromkeys(MEASURES, float("nan"))
    rows = tuple(
        (
            entry(cell.name),
            entry(f"{cell.spec.model.network}, {cell.spec.model.pool}"),
            *_measured(means.get(cell.name, unknown)),
            compared.get(cell.name, entry("no prediction")),
            entry(results.request.command([cell.name], cell.name)),
        )
        for cell in results.campaign.cells
    )
    caption = "Every cell: mean time and speed of a run, parameters, FLOPs, and its command"
    return Table(caption, COLUMNS, rows, folded=True)


def _whole(results: Results) -> Commands:
    """One for the cells of each choice of seeds, which is usually one for all, and the report's."""
    request = results.request
    groups = request.groups().values()
    lacking, root = results.lacking, results.campaign.root
    known = [name for name in catalogue.cell_names(root) if name not in lacking]
    lines = (request.command(patterns(cells, known), cells[0]) for cells in groups)
    return Commands((*lines, shlex.join(["replicate", "report", request.name])))


def _means(results: Results) -> dict[str, dict[str, Any]]:
    """By cell, over its runs: the measures, those that are unknown as nan."""
    key, counted = ["cell", "run_id"], {"parameters": "float", "flops": "float"}
    runs = results.runs[[*key, *counted]].astype(counted)
    made = results.provenance.merge(runs, on=key, how="left")
    return by_cell(made.groupby("cell", as_index=False)[list(MEASURES)].mean())


def _measured(measures: Row) -> Iterator[Entry]:
    """Each measure; empty where it is unknown."""
    for name, form in MEASURES.items():
        value = measures[name]
        yield entry("" if pd.isna(value) else form(value), sort=value)


def _predicted(results: Results) -> pd.DataFrame:
    """Finished runs that have a prediction, which was made before any of them began."""
    key = ["cell", "run_id"]
    done = results.done[key].merge(results.provenance, on=key)
    return done.merge(results.forecast[[*key, "predicted"]], on=key)


def _forecast(results: Results, found: pd.DataFrame) -> str:
    if found.empty:
        return " No prediction was kept." if len(results.done) else ""
    before, spent = found["predicted"].sum(), found["seconds"].sum()
    return (
        f" {len(found)} of {many(len(results.done), 'finished run')} have a prediction, made before they "
        f"began: {duration(before)} in all. They took {duration(spent)}, {_times(spent, before)}."
    )


def _compared(found: pd.DataFrame) -> dict[str, Entry]:
    """By cell, the time of its runs over what was predicted of them."""
    sums = found.groupby("cell", as_index=False).agg(
        n=("run_id", "size"), predicted=("predicted", "sum"), spent=("seconds", "sum")
    )
    return {
        cell: entry(
            f"{_times(own['spent'], own['predicted'])} ({own['n']})",
            f"predicted {duration(own['predicted'])}",
            f"spent {duration(own['spent'])}",
            sort=own["spent"] / own["predicted"],
        )
        for cell, own in by_cell(sums).items()
    }


def _times(spent: float, predicted: float) -> str:
    return f"{spent / predicted:.2f} times"

"""Tells how many seeds the cells of campaigns need."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from replicate.errors import UserError
from replicate.plan.campaign import Campaign
from replicate.report.document import Table, plain_rows
from replicate.report.text import as_text
from replicate.results.csv_files import read_csv
from replicate.results.power import Need, largest_sd, needs
from replicate.results.statistics import MARGIN
from replicate.text import as_json
from replicate.workflows.each import of_each

COLUMNS = ("cell", "verdict", "n", "sd so far (95 %)", "seeds needed (95 %)", "hours to go")
LEGEND = f"""\
Seeds needed: with so many, and this sd, the prediction interval is
no wider than {MARGIN:g} points, so that the verdict is agrees, above or below.
With fewer, only a discrepancy can be told. The sd is itself an estimate: in
parentheses its 95 % interval, for normal accuracies, and the seeds that its
ends need. Hours to go: one run after the other, at the cell's mean time."""


def power(root: Path, name: str | None = None, json: bool = False) -> str:
    """What the cells of a campaign, or of all of them, need, as text or as JSON; reads cells.csv and
    provenance.csv."""

    def of(campaign: Campaign) -> list[tuple[str, list[Need]]]:
        measured = name or (campaign.results / "cells.csv").exists()
        return [(campaign.name, _needs(campaign))] if measured else []

    found = list(of_each(root, name, of))
    if json:
        return as_json(_values(one, need) for one, needs in found for need in needs)
    if not found:
        return "No campaign with results yet: begin one with `replicate run`."
    return "\n\n".join([*(_table(*one) for one in found), LEGEND])


def _needs(campaign: Campaign) -> list[Need]:
    if not (campaign.results / "cells.csv").exists():
        raise UserError(
            f"{campaign.results / 'cells.csv'}: not there; make it with `replicate aggregate`"
        )
    cells, provenance = (read_csv(campaign, file) for file in ("cells.csv", "provenance.csv"))
    return needs(cells, provenance)


def _table(name: str, found: list[Need]) -> str:
    rows = [tuple(_row(need)) for need in found]
    return as_text(Table(f"campaign {name}", COLUMNS, plain_rows(rows)))


def _values(name: str, need: Need) -> dict[str, object]:
    """For programs; seeds are null where two runs are not there yet, or no number is enough."""
    values: dict[str, object] = {
        **{"campaign": name, "cell": need.cell, "verdict": need.verdict, "n": need.n},
        **{"sd": need.sd, "sd_low": need.range.low, "sd_high": need.range.high},
    }
    spreads = {"seeds": need.sd, "seeds_low": need.range.low, "seeds_high": need.range.high}
    needed = {key: need.seeds(sd) if np.isfinite(sd) else None for key, sd in spreads.items()}
    return {**values, **needed, "hours": need.hours}


def _row(need: Need) -> Iterator[object]:
    yield from (need.cell, need.verdict, need.n)
    if need.n < 2:
        yield from ("two seeds tell", "", "")
        return
    low, high = need.range
    yield f"{need.sd:.3f} ({low:.3f} to {high:.3f})"
    yield f"{_count(need, need.sd)} ({_count(need, low)} to {_count(need, high)})"
    yield f"{need.hours:.1f}" if np.isfinite(need.hours) else ""


def _count(need: Need, sd: float) -> str:
    seeds = need.seeds(sd)
    if seeds is not None:
        return str(seeds)
    return f"never: sd above {largest_sd(need.rounding):.3f}" if sd == need.sd else "never"

"""Where the numbers come from: one line while every run was made alike, the differences where not."""

from collections.abc import Iterator

import pandas as pd

from replicate.report.document import Block, Section, Table, Text, plain_rows
from replicate.report.sections.problems import ORIGINS
from replicate.results.origins import UNKNOWN, origins
from replicate.results.read import Results, records
from replicate.text import many

COMMON = {name: what for name, what in ORIGINS.items() if name != "fingerprint"} | {
    "threads": "threads"
}
DIGITS = 16
"""Of a fingerprint, enough to tell any two apart."""


def section(results: Results) -> Section:
    found = origins(results.runs, results.provenance)
    blocks: list[Block] = []
    if found.empty:
        blocks.append(Text("No run has finished."))
    else:
        blocks.append(Text(_uniform(found) + _days(found) + _answers(results)))
        blocks += _differences(found)
        blocks.append(_images(found))
    return Section("Provenance", tuple(blocks))


def _uniform(found: pd.DataFrame) -> str:
    same = [
        f"{what} {found[name].iloc[0]}"
        for name, what in COMMON.items()
        if found[name].nunique() == 1
    ]
    whose = f"The same in all {len(found)} finished runs" if len(found) > 1 else "The finished run"
    return f"{whose}: {', '.join(same) or 'nothing'}."


def _days(found: pd.DataFrame) -> str:
    days = sorted({start[: len("2026-01-31")] for start in found["started"]} - {UNKNOWN})
    if not days:
        return ""
    return f" Begun on {days[0]}." if len(days) == 1 else f" Begun from {days[0]} to {days[-1]}."


def _answers(results: Results) -> str:
    lacking, finished = int(results.done["right"].isna().sum()), len(results.done)
    if not lacking:
        return ""
    which = "None" if lacking == finished else f"Only {finished - lacking}"
    return f" {which} of the {finished} records says which test images its network got right."


def _differences(found: pd.DataFrame) -> list[Block]:
    rows = [
        (what, "; ".join(_values(found, name)))
        for name, what in COMMON.items()
        if found[name].nunique() > 1
    ]
    columns = ("What", "Value (runs, cells)")
    table = Table("What differs between the finished runs", columns, plain_rows(rows), folded=True)
    return [table] if rows else []


def _values(found: pd.DataFrame, name: str) -> Iterator[str]:
    for value, own in found.groupby(name):
        yield f"{value} ({many(len(own), 'run')}, {many(own['cell'].nunique(), 'cell')})"


def _images(found: pd.DataFrame) -> Text:
    alike = (
        found.groupby(["dataset", "source", "fingerprint"], sort=False).size().reset_index(name="n")
    )
    said = "; ".join(
        f"{one['dataset']} from source {one['source']}, {one['fingerprint'][:DIGITS]} ({many(one['n'], 'run')})"
        for one in records(alike)
    )
    return Text(f"Images, with the first {DIGITS} digits of their fingerprints (SHA-256): {said}.")

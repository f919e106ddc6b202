"""What went wrong in a campaign, and whether its numbers may be compared with the paper's."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from replicate.report.document import Block, Section, Table, Text, plain_rows
from replicate.results.origins import UNKNOWN, differing, origins
from replicate.results.read import Results, records
from replicate.text import series

ORIGINS = {
    "source": "source of the images",
    "fingerprint": "images (fingerprint)",
    "precision": "precision",
    "code": "code (digest)",
    "commit": "commit",
    "device": "device",
    "python": "Python",
    "torch": "PyTorch",
    "torchvision": "torchvision",
    "numpy": "NumPy",
}
"""Titles of what must not differ between the seeds of one cell, in the order of the report."""
LONG = 10
"""Lists with more rows than this are folded."""
ERROR_LENGTH = 300


def section(results: Results) -> Section:
    """Failed, diverged, missing, stale and mixed, in this order."""
    found = tuple(_tables(results))
    note = (Text(results.request.note),) if results.request.note else ()
    blocks: tuple[Block, ...] = (Text(_counts(results)), *note, *found)
    return Section("What went wrong", blocks)


def _counts(results: Results) -> str:
    cells = results.cells
    asked, done = int(cells["asked"].sum()), int(cells["n"].sum())
    failed, diverged = int(cells["failed"].sum()), int(cells["diverged"].sum())
    if asked == done:
        text = f"Nothing: all {asked} runs finished."
    else:
        text = (
            f"Of {asked} runs {done} finished, {diverged} diverged, {failed} failed "
            f"and {asked - done - diverged - failed} are missing."
        )
    names = set(results.paper.cell_names())
    outside = len(names - set(cells.index))
    if outside:
        text += f" {outside} of the paper's {len(names)} cells are not part of this campaign"
        said = Counter(results.lacking.values())
        text += "".join(f", {count} of them {word}" for word, count in said.items()) + "."
    return text


def _tables(results: Results) -> Iterator[Table]:
    columns: tuple[str, ...] = ("What", "Error", "Runs", "Where")
    yield from _listed("Failed and diverged runs", columns, _ended(results.runs))
    columns = ("Cell", "Finished", "Asked", "Failed", "Diverged", "Missing seeds")
    yield from _listed("Cells without all their runs", columns, _incomplete(results))
    columns = ("Cell", "Why")
    yield from _listed("Cells shown as their records hold them", columns, _lost(results))
    stale = results.cells[results.cells["verdict"] == "stale"]
    rows = [(name,) for name in stale["cell"]]
    yield from _listed("Cells whose spec changed after they were run", ("Cell",), rows)
    columns = ("Cell or data set", "What differs", "Values")
    yield from _listed("Mixed origins: seeds that were not made alike", columns, _mixed(results))


def _listed(
    caption: str, columns: tuple[str, ...], rows: Sequence[Sequence[object]]
) -> Iterator[Table]:
    if rows:
        yield Table(caption, columns, plain_rows(rows), folded=len(rows) > LONG)


def _ended(runs: pd.DataFrame) -> list[tuple[object, ...]]:
    """Failed and diverged runs, those with one error together."""
    alike: dict[tuple[str, str], dict[str, list[int]]] = {}
    for run in records(runs[runs["status"].isin(["failed", "diverged"])]):
        cells = alike.setdefault((run["status"], _short(run["error"])), {})
        cells.setdefault(run["cell"], []).append(run["seed"])
    return [
        (what, error, sum(map(len, cells.values())), _places(cells))
        for (what, error), cells in alike.items()
    ]


def _lost(results: Results) -> list[tuple[object, ...]]:
    """Cells whose specs cannot be read any more, or are not asked for in any file."""
    return [(cell, _short(why)) for cell, why in results.campaign.lost.items()]


def _places(cells: dict[str, list[int]]) -> str:
    return "; ".join(f"{cell} seed {series(seeds)}" for cell, seeds in cells.items())


def _short(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= ERROR_LENGTH else line[: ERROR_LENGTH - 1] + "…"


def _incomplete(results: Results) -> list[tuple[object, ...]]:
    ran = results.runs.groupby("cell")["seed"].agg(set)
    rows: list[tuple[object, ...]] = []
    for cell in records(results.cells):
        if cell["n"] < cell["asked"]:
            asked = set(results.request.seeds_of(cell["cell"]))
            missing = asked - ran.get(cell["cell"], set())
            counts = [cell[name] for name in ("cell", "n", "asked", "failed", "diverged")]
            rows.append((*counts, series(missing) or "none"))
    return rows


def _mixed(results: Results) -> list[tuple[object, ...]]:
    """What differs by `ORIGINS`' titles, then the runs that were gone on with in another way."""
    found = origins(results.runs, results.provenance)
    rows: list[tuple[object, ...]] = []
    for by, names in (("cell", list(ORIGINS)), ("dataset", ["fingerprint"])):
        for group, name, counts in differing(found, by, names):
            values = "; ".join(f"{value[:60]} ({count})" for value, count in counts.items())
            rows.append((group, ORIGINS[name], values))
    for run in records(found[found["within"] != UNKNOWN]):
        rows.append((run["cell"], f"attempts of seed {run['seed']}", run["within"]))
    return rows

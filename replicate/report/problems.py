"""What went wrong in a campaign, and whether its numbers may be compared with the paper's."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from replicate import catalogue
from replicate.report.document import Block, Section, Table, Text, plain_rows
from replicate.report.read import Results, records

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
"""What must not differ between the seeds of one cell; threads may, and are listed with the provenance."""
LONG = 10
"""Lists with more rows than this are folded."""
ERROR_LENGTH = 300


def mark(results: Results) -> str:
    """Why no number of this campaign may be compared with the paper's; empty where they may."""
    root, request = results.campaign.root, results.request
    specs = [cell.spec for cell in results.campaign.cells]
    unset = catalogue.load(root, request.cells, request.protocol)
    protocols = [cell.spec.protocol for cell in unset if not cell.spec.protocol.comparable]
    reasons = [f"protocol {protocol.name} ({protocol.title})" for protocol in protocols]
    generated = any(spec.generated for spec in specs) or "generated" in set(results.runs["source"])
    if generated and not any("generated" in reason for reason in reasons):
        reasons.append("generated images")
    if not all(spec.protocol.comparable for spec in specs):
        reasons += [f"setting {key}={value}" for key, value in request.settings.items()]
    return "; ".join(dict.fromkeys(reasons))


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


def _places(cells: dict[str, list[int]]) -> str:
    return "; ".join(f"{cell} seed {_series(seeds)}" for cell, seeds in cells.items())


def _short(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= ERROR_LENGTH else line[: ERROR_LENGTH - 1] + "…"


def _incomplete(results: Results) -> list[tuple[object, ...]]:
    ran = results.runs.groupby("cell")["seed"].agg(set)
    rows: list[tuple[object, ...]] = []
    for cell in records(results.cells):
        if cell["n"] < cell["asked"]:
            missing = set(range(cell["asked"])) - ran.get(cell["cell"], set())
            counts = [cell[name] for name in ("cell", "n", "asked", "failed", "diverged")]
            rows.append((*counts, _series(missing) or "none"))
    return rows


def _series(seeds: Iterable[int]) -> str:
    """Seeds as text, neighbours joined: 0-3, 5."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def origins(results: Results) -> pd.DataFrame:
    """One row a finished run: its cell, data set, start, threads, in what its attempts differ, and all of
    `ORIGINS`, as text."""
    own = ["cell", "dataset", "seed", "run_id", "source", "fingerprint", "precision"]
    made = [name for name in ORIGINS if name not in own]
    joined = results.done[own].merge(
        results.provenance[["cell", "run_id", "dirty", "started", "threads", "within", *made]],
        on=["cell", "run_id"],
        how="left",
    )
    joined["commit"] += joined["dirty"].map({"True": " with uncommitted changes"}).fillna("")
    return joined.drop(columns="dirty").astype({"seed": int}).fillna("").replace("", "unknown")


def _mixed(results: Results) -> list[tuple[object, ...]]:
    found = origins(results)
    # A digest tells more than a commit, which may have changed a text alone.
    found["commit"] = found["commit"].where(found["code"] == "unknown", "")
    return [
        *_differing(found, "cell", list(ORIGINS)),
        *_differing(found, "dataset", ["fingerprint"]),
        *_within(found[found["within"] != "unknown"]),
    ]


def _within(found: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """Runs that were interrupted, and gone on with in another way."""
    for run in records(found):
        yield run["cell"], f"attempts of seed {run['seed']}", run["within"]


def _differing(found: pd.DataFrame, by: str, names: list[str]) -> Iterator[tuple[object, ...]]:
    for name in names:
        for key, own in found.groupby(by, sort=False)[name]:
            values = own.value_counts(sort=False).sort_index()
            if len(values) > 1:
                text = "; ".join(f"{str(value)[:60]} ({count})" for value, count in values.items())
                yield key, ORIGINS[name], text

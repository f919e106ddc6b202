"""What went wrong in a campaign, and whether its numbers may be compared with the paper's."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from replicate.report.document import Block, Section, Table, Text, plain_rows
from replicate.results.absent import LEFT_OUT, UNFINISHED
from replicate.results.falls import falls
from replicate.results.origins import ORIGINS, UNKNOWN, differing
from replicate.results.read import Results, records
from replicate.text import many, series

TITLE = "What went wrong"
LONG = 10
"""Lists with more rows than this are folded."""
ERROR_LENGTH = 300
LONGEST = 60
"""Of an origin."""
_DIGEST = re.compile("[0-9a-f]{40,64}")


def section(results: Results) -> Section:
    """Failed, diverged, left out, missing, lost, stale, mixed and fallen, in this order."""
    found = tuple(_tables(results))
    note = (Text(results.request.note),) if results.request.note else ()
    text = f"{_counts(results)}{_outside(results)}"
    blocks: tuple[Block, ...] = (Text(text), *note, *found)
    return Section(TITLE, blocks)


def headline(results: Results) -> str:
    """In one line."""
    stale = int((results.cells["verdict"] == "stale").sum())
    mixed = int((results.cells["mixed"] != "").sum())
    parts = [_counts(results)]
    parts += [f"The spec of {many(stale, 'cell')} changed after the runs."] if stale else []
    parts += [f"{many(mixed, 'cell')} of mixed origin."] if mixed else []
    if fallen := len(_fallen(results)):
        parts.append(f"{many(fallen, 'run')} fell by half.")
    return " ".join(parts)


def _counts(results: Results) -> str:
    asked, done = int(results.cells["asked"].sum()), len(results.done)
    if asked == done:
        return f"Nothing: all {asked} runs finished." if asked > 1 else "Nothing: the run finished."
    states = Counter([*results.runs["status"], *results.absent["state"]])
    begun = len(_places_of(results.runs) | _places_of(results.absent))
    counts = {word: states[word] for word in ("diverged", "failed", UNFINISHED)}
    counts |= {f"{LEFT_OUT} (corrupt)": states[LEFT_OUT], "not begun": max(asked - begun, 0)}
    said = [f"{done} finished", *(f"{count} {word}" for word, count in counts.items() if count)]
    return f"Of {many(asked, 'run')}: {', '.join(said)}."


def _places_of(frame: pd.DataFrame) -> set[tuple[str, int]]:
    return set(zip(frame["cell"], frame["seed"], strict=True))


def _outside(results: Results) -> str:
    names = results.paper.cell_names()
    outside = len(names) - len(results.printed)
    if not outside:
        return ""
    said = Counter(results.lacking.values())
    of_them = "".join(f", {count} of them {word}" for word, count in said.items())
    return f" {outside} of the paper's {len(names)} cells are not part of this campaign{of_them}."


def _tables(results: Results) -> Iterator[Table]:
    columns: tuple[str, ...] = ("What", "Error", "Runs", "Where")
    yield from _listed("Failed and diverged runs", columns, _ended(results.runs))
    columns = ("Record left out", "Why")
    yield from _listed("Records that cannot be believed", columns, _left_out(results.absent))
    columns = ("Cell", "Finished", "Asked", "Failed", "Diverged", "Unfinished", "Not begun")
    yield from _listed("Cells without all their runs", columns, _incomplete(results))
    columns = ("Cell", "Why")
    lost = [(cell, _short(why)) for cell, why in results.campaign.lost.items()]
    yield from _listed("Cells shown as their records hold them", columns, lost)
    stale = results.cells[results.cells["verdict"] == "stale"]
    rows = [(name,) for name in stale["cell"]]
    yield from _listed("Cells whose spec changed after they were run", ("Cell",), rows)
    columns = ("Cell or data set", "What differs", "Values")
    yield from _listed(
        "Mixed origins: seeds that were not made alike", columns, _together(_mixed(results))
    )
    columns = ("Cell", "Seed", "Had reached", "Fell to", "After epoch", "Ended at")
    caption = "Finished runs that fell on the way to less than half of the test accuracy reached"
    yield from _listed(caption, columns, _fallen(results))


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
    rows: list[tuple[object, ...]] = []
    for (what, error), cells in alike.items():
        places = (f"{cell} {_series(seeds)}" for cell, seeds in cells.items())
        rows.append((what, error, sum(map(len, cells.values())), "; ".join(places)))
    return rows


def _short(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= ERROR_LENGTH else line[: ERROR_LENGTH - 1] + "…"


def _incomplete(results: Results) -> list[tuple[object, ...]]:
    begun = _places_of(results.runs) | _places_of(results.absent)
    rows: list[tuple[object, ...]] = []
    for cell in records(results.cells):
        if cell["n"] < cell["asked"]:
            asked = results.request.seeds_of(cell["cell"])
            missing = [seed for seed in asked if (cell["cell"], seed) not in begun]
            counts = [cell[name] for name in ("cell", "n", "asked", "failed", "diverged")]
            rows.append((*counts, cell["progress"] or "none", _series(missing)))
    return rows


def _left_out(absent: pd.DataFrame) -> list[tuple[object, ...]]:
    return [
        (f"{row['cell']} {_series([row['seed']])}", _short(row["why"]))
        for row in records(absent[absent["state"] == LEFT_OUT])
    ]


def _series(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 0–3, 5`, `none`."""
    said = series(seeds).replace("-", "–")
    return f"seed{'s' if len(seeds) > 1 else ''} {said}" if seeds else "none"


def _together(rows: Iterable[tuple[str, str, str]]) -> list[tuple[object, ...]]:
    """What differs alike in one row."""
    places: dict[tuple[str, str], list[str]] = {}
    for place, what, values in rows:
        places.setdefault((what, values), []).append(place)
    return [("; ".join(own), what, values) for (what, values), own in places.items()]


def _mixed(results: Results) -> list[tuple[str, str, str]]:
    """What differs by `ORIGINS`' titles, then the runs that were gone on with in another way."""
    found = results.contrasts.made
    rows: list[tuple[str, str, str]] = []
    for by, names in (("cell", ORIGINS), ("dataset", ["fingerprint"])):
        for group, name, counts in differing(found, by, names):
            values = "; ".join(f"{_brief(value)} ({n})" for value, n in counts.items())
            rows.append((group, ORIGINS[name], values))
    for run in records(found[found["within"] != UNKNOWN]):
        rows.append((run["cell"], f"attempts of seed {run['seed']}", run["within"]))
    return rows


def _fallen(results: Results) -> list[tuple[object, ...]]:
    done = results.epochs[results.epochs["run_id"].isin(results.done["run_id"])]
    return [
        (
            run["cell"], run["seed"], f"{run['reached']:.2f}", f"{run['accuracy']:.2f}", run["epoch"],
            f"{run['ended']:.2f}",
        )
        for run in records(falls(done))
    ]  # fmt: skip


def _brief(origin: str) -> str:
    """Of a digest what tells it from others; provenance.csv and runs.csv have it whole."""
    return origin[:12] if _DIGEST.fullmatch(origin) else origin[:LONGEST]

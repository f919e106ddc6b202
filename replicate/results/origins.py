"""How finished runs were made, and what differs between those that should have been made alike."""

from collections.abc import Iterable, Iterator

import pandas as pd

from replicate.results.csv_files import COLUMNS

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
"""Columns that must not differ between the seeds of one cell, with their titles, in the order of a report;
threads may differ."""
OF_RUNS, OF_PROVENANCE = (
    [name for name in COLUMNS[file] if name in ORIGINS] for file in ("runs.csv", "provenance.csv")
)
"""Where they stand, in the order of the files."""
UNKNOWN = "unknown"


def origins(runs: pd.DataFrame, provenance: pd.DataFrame) -> pd.DataFrame:
    """One row per finished run: its cell, data set, start, threads, in what its attempts differ, and
    all of `ORIGINS`, as text.

    Args:
        runs: rows of runs.csv; provenance: rows of provenance.csv.
    """
    key = ["cell", "run_id"]
    done = runs.loc[runs["status"] == "done", [*key, "dataset", "seed", *OF_RUNS]]
    columns = [*key, "dirty", "started", "threads", "within", *OF_PROVENANCE]
    made = done.merge(provenance[columns], on=key, how="left")
    made = made.astype({"dirty": str}).fillna("")
    uncommitted = (made.pop("dirty") == "True") & (made["commit"] != "")
    made.loc[uncommitted, "commit"] += " with uncommitted changes"
    return made.replace("", UNKNOWN)


def differing(
    made: pd.DataFrame, by: str = "cell", names: Iterable[str] = (*OF_RUNS, *OF_PROVENANCE)
) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Every group of runs that differ in what must be the same: the group, the column, and how many
    runs have each value."""
    # A digest of the code tells more than a commit, which may have changed a text alone.
    compared = made.assign(commit=made["commit"].where(made["code"] == UNKNOWN, ""))
    groups = compared.groupby(by, sort=False)
    kinds = groups[list(names)].nunique()
    for name in names:
        for group in kinds.index[kinds[name] > 1]:
            values = groups[name].get_group(group).value_counts(sort=False).sort_index()
            yield str(group), name, {str(value): int(n) for value, n in values.items()}


def mixed(runs: pd.DataFrame, provenance: pd.DataFrame) -> dict[str, list[str]]:
    """The cells whose finished seeds differ in what must be the same, and the columns that differ."""
    made = origins(runs, provenance)
    found: dict[str, list[str]] = {}
    for cell, name, _ in differing(made):
        found.setdefault(cell, []).append(name)
    for cell in made.loc[made["within"] != UNKNOWN, "cell"].unique():
        found.setdefault(str(cell), []).append("within")
    return found

"""Whether the seeds of a cell were made alike."""

import pandas as pd

OF_RUNS = ("source", "fingerprint", "precision")
OF_PROVENANCE = ("device", "code", "commit", "python", "torch", "torchvision", "numpy")


def mixed(runs: pd.DataFrame, provenance: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """The cells whose finished seeds differ in what must be the same, and the columns that differ.

    Args:
        runs: rows of runs.csv; provenance: rows of provenance.csv.
    """
    done = runs.loc[runs["status"] == "done", ["cell", "run_id", *OF_RUNS]]
    made = done.merge(
        provenance[["cell", "run_id", "within", *OF_PROVENANCE]], on=["cell", "run_id"], how="left"
    )
    made["commit"] = where_nothing_else_tells(made)
    values = made.groupby("cell", sort=False)[[*OF_RUNS, *OF_PROVENANCE]].nunique(dropna=False)
    found = {
        str(cell): tuple(str(name) for name in values.columns[counts > 1])
        for cell, counts in zip(values.index, values.to_numpy(), strict=True)
    }
    inside = set(made.loc[made["within"].fillna("") != "", "cell"])
    every = {cell: (*names, *["within"][: cell in inside]) for cell, names in found.items()}
    return {cell: names for cell, names in every.items() if names}


def where_nothing_else_tells(runs: pd.DataFrame) -> pd.Series:
    """The commit of runs without a digest of their code: of others, commits tell nothing apart."""
    return runs["commit"].where(runs["code"].fillna("") == "", "")

"""absent.csv: runs that have begun and count for nothing: how far they are, or why they are left out."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pandas as pd

from replicate.plan.campaign import Campaign
from replicate.plan.state import RunState, look
from replicate.text import listed, many

UNFINISHED, LEFT_OUT = "unfinished", "left out"


def rows(
    campaign: Campaign, counted: Collection[str], left_out: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """One per run under way or interrupted, and one per record of the campaign that cannot be believed.

    Args:
        counted: ids of the runs that have ended; left_out: by the names of their folders, why records are.
    """
    others = [one for one in campaign.runs if one.id not in counted]
    for one in look(others, campaign.runs_folder).runs:
        run = one.run
        key = {"cell": run.cell, "seed": run.seed, "run_id": run.id}
        if why := left_out.get(run.folder_name):
            yield {**key, "state": LEFT_OUT, "why": why}
        elif one.state in ("running", "interrupted"):
            yield {**key, "state": UNFINISHED, **_epoch(one)}


def _epoch(one: RunState) -> dict[str, int]:
    reached = one.progress["epoch"] if one.progress else 0
    return {"epoch": max(int(reached), 0), "epochs": one.run.spec.training.epochs}


def progress(absent: pd.DataFrame) -> dict[str, str]:
    """By cell, what became of its runs so far, as `unfinished (epochs 12 and 61 of 100)`.

    Args:
        absent: rows of absent.csv.
    """
    return {str(cell): ", ".join(_said(own)) for cell, own in absent.groupby("cell", sort=False)}


def _said(absent: pd.DataFrame) -> Iterator[str]:
    unfinished = absent[absent["state"] == UNFINISHED]
    if epochs := sorted(unfinished["epoch"]):
        reached = f"epoch{'s' * (len(epochs) > 1)} {listed(map(str, epochs))}"
        yield f"{UNFINISHED} ({reached} of {unfinished['epochs'].iloc[0]})"
    if lost := len(absent) - len(unfinished):
        yield f"{many(lost, 'record')} {LEFT_OUT}"

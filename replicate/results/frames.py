"""Reads the CSV files of results/<campaign>/, one at a time, and believes none of them unseen."""

import zlib
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from replicate import atomic, sums
from replicate.campaign import Campaign
from replicate.errors import UserError
from replicate.results.checks import check
from replicate.results.columns import COLUMNS, LATER, Kind

UNREADABLE = (OSError, EOFError, ValueError, TypeError, OverflowError, zlib.error)
"""What reading a damaged CSV file can end in."""


def frame(campaign: Campaign, file: str, cells: Collection[str] = ()) -> pd.DataFrame:
    """One of a campaign's CSV files, typed; no rows where the file is missing or empty.

    Args:
        cells: that it may speak of; by default those of the campaign.

    Raises:
        UserError: it cannot be read, lacks a column, or says what cannot be.
    """
    frame = _frame(campaign.results / file)
    check(campaign.results / file, frame, cells or {cell.name for cell in campaign.cells})
    return frame


def _frame(path: Path) -> pd.DataFrame:
    types = COLUMNS[path.name]
    sums.check(path)
    try:
        atomic.require_regular(path)
        # "NA" in a text column stays text.
        frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=_blank(types))
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{path}: cannot be read ({reason}): make it again with `replicate aggregate`"
        ) from None
    unknown = {name: pd.Series(dtype=types[name]) for name in LATER & types.keys() - set(frame)}
    frame = frame.assign(**unknown)
    if missing := types.keys() - set(frame.columns):
        columns = ", ".join(sorted(missing))
        raise UserError(
            f"{path}: has no column {columns}: make it again with `replicate aggregate`"
        )
    return frame


def _blank(types: dict[str, Kind]) -> dict[str, list[str]]:
    """Nothing between the commas is a missing number, but an empty text."""
    return {name: ["", "nan"] for name, kind in types.items() if kind in ("float", "Int64")}

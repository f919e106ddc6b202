"""overall.csv: does it help, over the data sets at hand, and by how much?"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from replicate.paper.tables import Pair, Tables
from replicate.results import rules, statistics, verdicts
from replicate.results.contrasts import BASELINE, CellPair, Contrasts
from replicate.results.csv_files import rounded, table_of
from replicate.results.statistics import Estimate, combined

SAC = "SAC over the single classifier"
BOTH, ALL_COLUMNS = "both", "all columns"
"""The widest scopes: of a method's gain, both tables; of SAC's."""
SAME = ["question", "cells"]
"""What rows share that say the same: of a campaign of one table, that table is all there is."""


class Question(NamedTuple):
    """A mean over pairs of numbers."""

    asks: str
    scope: str
    pairs: tuple[Pair, ...]


def questions(tables: Tables) -> Iterator[Question]:
    """Each method over average pooling, by table and over both; then SAC, by column and over all."""
    for column in tables.columns(1)[1:]:
        asks = f"{column} over {BASELINE}"
        own = tuple(pair for pair in tables.gains() if pair.of.column == column)
        for table in tables.numbers():
            parts = tuple(pair for pair in own if pair.of.table == table)
            yield Question(asks, f"Table {table}", parts)
        yield Question(asks, BOTH, own)
    sac = tuple(Pair(one._replace(table=2), one) for one in tables.places() if one.table == 1)
    for column in tables.columns(1):
        yield Question(SAC, column, tuple(pair for pair in sac if pair.of.column == column))
    yield Question(SAC, ALL_COLUMNS, sac)


def widest(overall: pd.DataFrame) -> pd.DataFrame:
    """Of each question of overall.csv, the row over all pairs at hand, under the narrowest scope."""
    rows = overall[overall["scope"].isin([BOTH, ALL_COLUMNS])]
    asked = pd.MultiIndex.from_frame(rows[SAME])
    return rows.assign(scope=overall.drop_duplicates(SAME).set_index(SAME)["scope"][asked].array)


def overall_table(contrasts: Contrasts) -> pd.DataFrame:
    """One row per question and scope that two seeds of a row tell of. What is asked of the same cells
    is one family of p values."""
    asked = [(one, at_hand(contrasts, one.pairs)) for one in questions(contrasts.tables)]
    estimates = [
        combined([contrasts.difference(pair.cells).plain for pair in own]) for _, own in asked
    ]
    adjusted = _adjusted([one for one, _ in asked], estimates)
    rows = [
        rounded(_row(contrasts, one, own, found, p))
        for (one, own), found, p in zip(asked, estimates, adjusted, strict=True)
        if own
    ]
    return table_of(rows, "overall.csv")


def at_hand(contrasts: Contrasts, pairs: Sequence[Pair]) -> list[Pair]:
    """Those that two seeds or more tell of, with no seed that diverged."""
    return [
        pair
        for pair in pairs
        if contrasts.difference(pair.cells).n > 1 and not contrasts.unstable(pair.cells)
    ]


def _adjusted(asked: Sequence[Question], estimates: Sequence[Estimate]) -> list[float]:
    adjusted = [float("nan")] * len(asked)
    for family in dict.fromkeys(_family(one) for one in asked):
        own = [index for index, one in enumerate(asked) if _family(one) == family]
        for index, p in zip(own, statistics.holm([estimates[i].p for i in own]), strict=True):
            adjusted[index] = float(p)
    return adjusted


def _family(one: Question) -> str:
    """The three methods of a scope; the columns of SAC; and SAC over all of them alone."""
    return one.scope if one.asks != SAC or one.scope == ALL_COLUMNS else SAC


def _row(
    contrasts: Contrasts, one: Question, pairs: Sequence[Pair], found: Estimate, p: float
) -> dict[str, Any]:
    published = float(np.mean([float(contrasts.tables.difference(pair)) for pair in pairs]))
    cells = [pair.cells for pair in pairs]
    n = min(contrasts.difference(pair).n for pair in cells)
    low, high = found.interval()
    images = contrasts.mean_on_new_images(cells).interval()
    return {
        **{"question": one.asks, "scope": one.scope, "rows": len(pairs)},
        **{"cells": "; ".join(of for of, _ in cells), "n": n, "gain": found.mean},
        **{"df": found.df, "low": low, "high": high, "p": found.p, "holm": p},
        "verdict": verdicts.difference(n, found.mean, p),
        "published": published,
        "against": _against(contrasts, cells, n, found, published),
        "rule": rules.age(contrasts.began(*(cell for pair in cells for cell in pair))),
        **{"images_low": images.low, "images_high": images.high},
    }


def _against(
    contrasts: Contrasts, pairs: Sequence[CellPair], n: int, found: Estimate, published: float
) -> str:
    """The published mean, of one pair of runs a row, beside ours."""
    if not (contrasts.comparable and contrasts.whole(*pairs)):
        return "not comparable"
    each = [contrasts.difference(pair) for pair in pairs]
    # One more pair has s² (1 + 1/n) around the mean, and se² is s² / n.
    one_more = sum(own.plain.se**2 * (1 + own.n) for own in each)
    wide = found._replace(se=one_more**0.5 / len(pairs))
    floor = sum(own.scale**2 for own in each) ** 0.5 / len(pairs)
    return verdicts.against(n, published, wide.interval(), verdicts.WIDEST * floor)

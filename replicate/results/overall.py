"""overall.csv: does it help, over the data sets at hand, and by how much?"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from replicate.paper.tables import cell_name
from replicate.results import rules, statistics, verdicts
from replicate.results.contrasts import BASELINE, Contrasts, Pair
from replicate.results.csv_files import digits, table_of
from replicate.results.statistics import Estimate, combined

SAC = "SAC over the single classifier"


class Question(NamedTuple):
    """A mean over pairs of cells."""

    asks: str
    scope: str
    pairs: tuple[Pair, ...]


def questions(contrasts: Contrasts) -> list[Question]:
    """Each method over average pooling, by table and over both; then SAC, by column and over all."""
    tables = contrasts.tables
    numbers = tables.numbers()
    by_column: dict[str, dict[int, list[Pair]]] = {}
    columns = {cell_name(one): one.column for one in tables.cells()}
    for table in numbers:
        for pair in contrasts.baseline_pairs(table):
            by_column.setdefault(columns[pair[0]], {}).setdefault(table, []).append(pair)
    found = []
    for column, pairs in by_column.items():
        asks = f"{column} over {BASELINE}"
        found += [Question(asks, f"Table {table}", tuple(pairs[table])) for table in numbers]
        found.append(Question(asks, "both", tuple(pair for own in pairs.values() for pair in own)))
    return found + _of_sac(contrasts)


def _of_sac(contrasts: Contrasts) -> list[Question]:
    single, sac = (
        {
            (one.row, one.column): cell_name(one)
            for one in contrasts.tables.cells()
            if one.table == table
        }
        for table in (1, 2)
    )
    pairs = {place: (sac[place], single[place]) for place in single if place in sac}
    columns = dict.fromkeys(column for _, column in pairs)
    by_column = [
        Question(SAC, one, tuple(pair for (_, column), pair in pairs.items() if column == one))
        for one in columns
    ]
    return [*by_column, Question(SAC, "all columns", tuple(pairs.values()))]


def overall_table(contrasts: Contrasts) -> pd.DataFrame:
    """One row per question and scope that two seeds of a row tell of. What is asked of the same cells
    is one family of p values."""
    asked = [(one, at_hand(contrasts, one.pairs)) for one in questions(contrasts)]
    estimates = [combined([contrasts.difference(pair).plain for pair in own]) for _, own in asked]
    adjusted = _adjusted([one for one, _ in asked], estimates)
    rows = [
        _row(contrasts, one, own, found, p)
        for (one, own), found, p in zip(asked, estimates, adjusted, strict=True)
        if own
    ]
    return table_of(rows, "overall.csv")


def at_hand(contrasts: Contrasts, pairs: Sequence[Pair]) -> list[Pair]:
    """Those that two seeds or more tell of, with no seed that diverged."""
    return [
        pair
        for pair in pairs
        if contrasts.difference(pair).n > 1
        and not any(contrasts.states[cell].startswith("unstable") for cell in pair)
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
    return one.scope if one.asks != SAC or one.scope == "all columns" else SAC


def _row(
    contrasts: Contrasts, one: Question, pairs: Sequence[Pair], found: Estimate, p: float
) -> dict[str, Any]:
    printed = {cell_name(cell): cell.accuracy for cell in contrasts.tables.cells()}
    published = float(np.mean([printed[of] - printed[over] for of, over in pairs]))
    n = min(contrasts.difference(pair).n for pair in pairs)
    low, high = found.interval()
    images = contrasts.mean_on_new_images(pairs).interval()
    return {
        **{"question": one.asks, "scope": one.scope, "rows": len(pairs)},
        **{"cells": "; ".join(of for of, _ in pairs), "n": n, "gain": digits(found.mean)},
        **{"df": digits(found.df), "low": digits(low), "high": digits(high)},
        **{"p": digits(found.p), "holm": digits(p)},
        "verdict": verdicts.difference(n, found.mean, p),
        "published": digits(published),
        "against": _against(contrasts, pairs, n, found, published),
        "rule": rules.age("overall", contrasts.began(*(cell for pair in pairs for cell in pair))),
        "images_low": digits(images.low),
        "images_high": digits(images.high),
    }


def _against(
    contrasts: Contrasts, pairs: Sequence[Pair], n: int, found: Estimate, published: float
) -> str:
    """The published mean, of one pair of runs a row, beside ours."""
    whole = not any(contrasts.states[cell] for pair in pairs for cell in pair)
    if not (contrasts.comparable and whole):
        return "not comparable"
    squares = [contrasts.difference(pair).plain.se ** 2 for pair in pairs]
    ns = [contrasts.difference(pair).n for pair in pairs]
    one_more = sum(square * (1 + own) for square, own in zip(squares, ns, strict=True))
    wide = found._replace(se=one_more**0.5 / len(pairs))
    floor = sum(contrasts.difference(pair).scale ** 2 for pair in pairs) ** 0.5 / len(pairs)
    return verdicts.against(n, published, wide.interval(), verdicts.WIDEST * floor)

"""gains.csv: what each method gains over average pooling, paired by seed, and what the paper prints."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from replicate.paper.tables import Published, cell_name
from replicate.results import rules, statistics, verdicts
from replicate.results.contrasts import Contrasts, Pair
from replicate.results.csv_files import digits, table_of
from replicate.results.differences import bound, one_more
from replicate.results.statistics import half_unit


def gains_table(contrasts: Contrasts) -> pd.DataFrame:
    """One row per gain that a pair of seeds tells of. A table's gains are one family of p values,
    those that are still to come among them."""
    rows = [row for table in contrasts.tables.numbers() for row in _of_table(contrasts, table)]
    return table_of(rows, "gains.csv")


def _of_table(contrasts: Contrasts, table: int) -> Iterator[dict[str, Any]]:
    pairs = contrasts.baseline_pairs(table)
    adjusted = statistics.holm([contrasts.estimate(pair).p for pair in pairs])
    printed = {cell_name(one): one for one in contrasts.tables.cells()}
    for pair, p in zip(pairs, adjusted, strict=True):
        if contrasts.difference(pair).n:
            yield {
                **_place(printed[pair[0]]),
                **_measured(contrasts, pair, float(p)),
                **_against(contrasts, pair, printed[pair[0]], printed[pair[1]]),
                **_on_new_images(contrasts, pair),
                "mixed": contrasts.mixed(pair) or None,
                "rule": rules.age("gains", contrasts.began(*pair)),
            }


def _place(cell: Published) -> dict[str, Any]:
    name = cell_name(cell)
    return {"cell": name, "table": cell.table, "row": cell.row, "column": cell.column}


def _measured(contrasts: Contrasts, pair: Pair, adjusted_p: float) -> dict[str, Any]:
    found, spread = contrasts.difference(pair), contrasts.spread(pair)
    moderated = contrasts.estimate(pair)
    states = [contrasts.states[cell] for cell in pair]
    return {
        "n": found.n,
        "gain": digits(found.mean),
        "sd": digits(found.sample.sd),
        "spread": digits(spread.sd),
        "df": digits(spread.df),
        "noisy": str(spread.noisy),
        **_ends("", moderated.interval()),
        "p": digits(moderated.p),
        "holm": digits(adjusted_p),
        "verdict": verdicts.gain(states, found.n, contrasts.asked(pair), found.mean, adjusted_p),
        "correlation": digits(found.correlation),
        **_ends("plain_", found.plain.interval()),
        **_ends("welch_", found.welch.interval()),
        "bound": digits(bound(moderated)),
    }


def _against(contrasts: Contrasts, pair: Pair, of: Published, over: Published) -> dict[str, Any]:
    """Ours beside the published gain, taken as one pair of runs."""
    found, published = contrasts.difference(pair), round(of.accuracy - over.accuracy, 4)
    rounding = half_unit(of.value) + half_unit(over.value)
    more = one_more(found.mean, contrasts.spread(pair), found.n, rounding)
    whole = contrasts.comparable and not any(contrasts.states[cell] for cell in pair)
    widest = verdicts.WIDEST * found.scale
    word = verdicts.against(found.n, published, more, widest)
    return {
        "published": published,
        **_ends("next_", more),
        "against": word if whole else "not comparable",
        "shrinkage": digits(found.mean / published if published else np.nan),
    }


def _on_new_images(contrasts: Contrasts, pair: Pair) -> dict[str, float]:
    found, p = contrasts.on_new_images(pair)
    return {**_ends("images_", found.interval()), "mcnemar": digits(p)}


def _ends(prefix: str, interval: statistics.Interval) -> dict[str, float]:
    return {
        f"{prefix}low": digits(float(interval.low)),
        f"{prefix}high": digits(float(interval.high)),
    }

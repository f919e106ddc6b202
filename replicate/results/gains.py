"""gains.csv: what each method gains over average pooling, paired by seed, and what the paper prints."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from replicate.paper.tables import Pair
from replicate.results import rules, statistics, verdicts
from replicate.results.contrasts import CellPair, Contrasts
from replicate.results.csv_files import rounded, table_of
from replicate.results.differences import bound
from replicate.results.statistics import half_unit, predicted


def gains_table(contrasts: Contrasts) -> pd.DataFrame:
    """One row per gain that a pair of seeds tells of. A table's gains are one family of p values,
    those that are still to come among them."""
    rows = [row for table in contrasts.tables.numbers() for row in _of_table(contrasts, table)]
    return table_of(rows, "gains.csv")


def _of_table(contrasts: Contrasts, table: int) -> Iterator[dict[str, Any]]:
    pairs = contrasts.tables.pairs(table)
    adjusted = statistics.holm([contrasts.estimate(pair.cells).p for pair in pairs])
    for pair, p in zip(pairs, adjusted, strict=True):
        if contrasts.difference(pair.cells).n:
            unseen, mcnemar = contrasts.on_new_images(pair.cells)
            numbers = {
                **_measured(contrasts, pair.cells, float(p)),
                **_against(contrasts, pair),
                **_ends("images_", unseen.interval()),
                "mcnemar": mcnemar,
            }
            yield {
                "cell": pair.of.cell,
                **pair.of._asdict(),
                **rounded(numbers),
                "mixed": contrasts.mixed(pair.cells) or None,
                "rule": rules.age(contrasts.began(*pair.cells)),
            }


def _measured(contrasts: Contrasts, pair: CellPair, adjusted_p: float) -> dict[str, Any]:
    found, spread = contrasts.difference(pair), contrasts.spread(pair)
    moderated = contrasts.estimate(pair)
    return {
        "n": found.n,
        "gain": found.mean,
        "sd": found.sample.sd,
        "spread": spread.sd,
        "df": spread.df,
        "noisy": str(spread.noisy),
        **_ends("", moderated.interval()),
        "p": moderated.p,
        "holm": adjusted_p,
        "verdict": contrasts.verdict(pair, adjusted_p),
        "correlation": found.correlation,
        **_ends("plain_", found.plain.interval()),
        **_ends("welch_", found.welch.interval()),
        "bound": bound(moderated),
    }


def _against(contrasts: Contrasts, pair: Pair) -> dict[str, Any]:
    """Ours beside the published gain, taken as one pair of runs."""
    found, spread = contrasts.difference(pair.cells), contrasts.spread(pair.cells)
    published = float(contrasts.tables.difference(pair))
    rounding = sum(half_unit(contrasts.tables.printed(place)) for place in pair)
    more = predicted(found.mean, spread.sd, spread.df, found.n, rounding)
    whole = contrasts.comparable and contrasts.whole(pair.cells)
    word = verdicts.against(found.n, published, more, verdicts.WIDEST * found.scale)
    return {
        "published": published,
        **_ends("next_", more),
        "against": word if whole else "not comparable",
        "shrinkage": found.mean / published if published else np.nan,
    }


def _ends(prefix: str, interval: statistics.Interval) -> dict[str, float]:
    return {f"{prefix}low": interval.low, f"{prefix}high": interval.high}

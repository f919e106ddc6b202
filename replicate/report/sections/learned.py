"""What FlexPool learned: the sums of its weights, and where it looks."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from replicate.paper.tables import METHODS
from replicate.report.document import Block, Figure, Fold, Section, Table, entry
from replicate.report.figures import weights
from replicate.results.read import Results, outside, placed

AS_ABOVE = "As above."
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def section(results: Results) -> Section:
    return Section("What FlexPool learned", (*_sums(results), *_maps(results)))


def _sums(results: Results) -> Iterator[Block]:
    if results.sums.empty:
        return
    caption = (
        "Channel sums. Distance of each channel's weight sum from 1, the value that average pooling has and "
        "Eq. 2 asks for (logarithmic axis). Boxes: quartiles over channels and seeds; whiskers: 5 to 95 %."
    )
    yield Figure("sums", caption, partial(weights.sums, results))
    yield channel_sums(results)


def _maps(results: Results) -> Iterator[Block]:
    found = placed(results.maps, results.cells)
    said = (
        "Mean over channels and seeds, as the difference to average pooling's weight, in its units, on one "
        "scale for all maps. Below each: the agreement between its seeds (intraclass correlation, 1 is the "
        "same map) and the share of negative weights."
    )
    drawn = found[["table", "stage"]].astype(int).drop_duplicates()
    figures: list[Figure] = []
    for table, stage in sorted(drawn.itertuples(index=False, name=None), key=lambda one: -one[1]):
        caption = f"Weight maps, Table {table}, stage {stage}. {said if not figures else AS_ABOVE}"
        draw = partial(weights.maps, results, table, stage)
        figures.append(Figure(f"maps-table{table}-stage{stage}", caption, draw))
    if len(outside(results.maps, results.cells)):
        title = "Weight maps of the cells that are in neither table, last stage"
        caption = f"{title}. {said if not figures else AS_ABOVE}"
        figures.append(Figure("maps-own", caption, partial(weights.own_maps, results)))
    if figures:
        yield Fold(tuple(figures))


def channel_sums(results: Results) -> Table:
    """Eq. 2's sums of each cell by stage: their spread over channels and seeds."""
    found = results.sums
    methods = [column for column in METHODS if column in found["method"].unique()]
    rows = tuple(
        (
            entry(f"Table {table:g}, {name}"),
            *(entry(*_stages(own[own["method"] == method])) for method in methods),
        )
        for (table, name), own in found.groupby(["table", "set"], sort=False)
    )
    caption = "Sums of each channel's weights: median (5 % to 95 % of channels), R of Eq. 2, mean over seeds"
    return Table(caption, ("Row", *methods), rows, folded=True)


def _stages(found: pd.DataFrame) -> Iterator[str]:
    for stage, own in found.groupby("stage"):
        low, middle, high = (
            f"{value:.3f}".replace("-", "−") for value in own["sum"].quantile([0.05, 0.5, 0.95])
        )
        penalty = ((own["sum"] - 1) ** 2).sum() / own["run_id"].nunique()
        yield f"stage {stage}: {middle} ({low} to {high}), R {power_of_ten(penalty)}"


def power_of_ten(value: float) -> str:
    """Three digits, as 229 or 6.45·10⁻⁵."""
    text = f"{value:.3g}"
    digits, _, power = text.partition("e")
    return f"{digits}·10{str(int(power)).translate(RAISED)}" if power else text

"""What FlexPool learned: the sums of its weights, and where it looks."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from replicate.report.document import Block, Figure, Section, Table, entry
from replicate.report.figures import weights
from replicate.results.read import Results, outside, placed


def section(results: Results) -> Section:
    return Section("What FlexPool learned", (*_sums(results), *_maps(results)))


def _sums(results: Results) -> Iterator[Block]:
    found = placed(results.pools, results.cells)
    if found.empty:
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
    for table, stage in sorted(drawn.itertuples(index=False, name=None)):
        caption = f"Weight maps, Table {table}, stage {stage}. {said}"
        draw = partial(weights.maps, results, table, stage)
        yield Figure(f"maps-table{table}-stage{stage}", caption, draw, folded=stage < 3)
    if len(outside(results.maps, results.cells)):
        caption = f"Weight maps of the cells that are in neither table, last stage. {said}"
        yield Figure("maps-own", caption, partial(weights.own_maps, results), folded=True)


def channel_sums(results: Results) -> Table:
    """Eq. 2's sums by cell and stage: their spread over channels and seeds."""
    found = placed(results.pools, results.cells)
    found["cell"] = pd.Categorical(found["cell"], results.cells.index)
    rows = []
    for (cell, stage), own in found.groupby(["cell", "stage"], observed=True):
        sums = own["sum"]
        low, middle, high = (
            f"{value:.3f}".replace("-", "−") for value in sums.quantile([0.05, 0.5, 0.95])
        )
        penalty = ((sums - 1) ** 2).sum() / own["run_id"].nunique()
        rows.append(
            (
                entry(str(cell)), entry(str(stage)), entry(middle, sort=sums.median()),
                entry(f"{low} to {high}"), entry(f"{penalty:.3g}", sort=penalty),
            )
        )  # fmt: skip
    columns = (
        "Cell",
        "Stage",
        "Median sum",
        "5 % to 95 % of the channels",
        "R of Eq. 2, mean over seeds",
    )
    return Table("Sums of each channel's weights", columns, tuple(rows), folded=True)

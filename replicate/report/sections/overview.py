"""The sections of a report, in the order a sceptical reader wants them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from replicate.report import tables
from replicate.report.document import Document, Figure, Fold, Section, Table, Text
from replicate.report.figures import curves, forest
from replicate.report.figures.accuracies import bars, trend
from replicate.report.sections import (
    ambiguities,
    answer,
    claims,
    cost,
    extensions,
    gains,
    ladder,
    learned,
    problems,
    provenance,
)
from replicate.results import verdicts
from replicate.results.power import factors
from replicate.results.read import Results
from replicate.results.sheets import Sheets

FIGURES = "Trend, learning curves, and Figures 2 and 4 redrawn"
CURVES = (
    "The last third of the epochs: mean test accuracy of the finished seeds, shaded from the lowest to the "
    "highest."
)


def document(results: Results) -> Document:
    """Everything a report says."""
    accuracies = tuple(tables.grids(results, "Table {}", tables.accuracy, whole=True))
    sheets = Sheets(results).all()
    sections = (
        answer.section(results),
        problems.section(results),
        _tables(results, accuracies),
        _figures(results),
        gains.section(results),
        ladder.section(results),
        learned.section(results),
        claims.section(sheets),
        ambiguities.section(results),
        extensions.pretraining(results),
        extensions.measured_oddly(results),
        provenance.section(results),
        cost.section(results),
    )
    return Document(
        f"FlexPooling replicated: campaign {results.request.name}",
        results.caveat,
        tuple(_appendix(results, accuracies)),
        tuple(map(claims.as_data, sheets)),
        tuple(section for section in sections if section.blocks),
    )


def _appendix(results: Results, accuracies: tuple[Table, ...]) -> Iterator[Table]:
    """Tables 1 and 2, the gains and the overall answer."""
    said = (
        "Top-1 test accuracy in percent: mean ± standard deviation (seeds), then the published number with "
        "Δ, replicated minus published."
    )
    for table in accuracies:
        yield replace(table, caption=f"Replication of {table.caption}. {said}")
    for table in tables.grids(results, "Gains, Table {}", gains.content(results.gains)):
        yield replace(table, caption=f"{table.caption}. {gains.KEY}")
    if len(results.overall):
        yield gains.overall(results.overall, f"Mean gains. {gains.OVER_ROWS}")


def _tables(results: Results, accuracies: tuple[Table, ...]) -> Section:
    key = (
        "Top-1 test accuracy in percent after the last epoch: mean ± standard deviation (finished seeds; "
        "k/n where k of n seeds finished). Below it the published number, taken as one run, and "
        "Δ = replicated − published. The verdict compares the published number with the 95 % prediction "
        "interval for one more run, by a spread that the cells of the data set share. Noisy are cells whose "
        f"seeds lie more than {verdicts.NOISY} noise floors apart, or that keep a spread of their own."
    )
    images = {name: spec.test_images for name, spec in results.campaign.specs.items()}
    if found := factors(results.cells, images):
        apart = " and ".join(f"{one:.1f} in Table {table}" for table, one in found.items())
        key += f" Measured in noise floors, seeds lie apart by {apart} (root mean square)."
    used = {verdict.partition(" (")[0] for verdict in results.cells["verdict"]}
    meanings = [f"{word}: {meaning}" for word, meaning in verdicts.CELL.items() if word in used]
    legend = f"Words (too wide: more than {verdicts.WIDEST} noise floors): {'; '.join(meanings)}."
    own = () if results.printed.empty else gains.of_own_cells(results)  # they are the answer, then
    own = tuple(replace(table, folded=True) for table in own)
    text = Text(f"{key} {legend}")
    return Section("Tables 1 and 2", (text, *accuracies, *own, *tables.best(results)))


def _figures(results: Results) -> Section:
    """Those of the tables' cells, all but the first folded; those of our own where there are no others."""
    own = tuple(_own_curves(results))
    if not (figures := (*_trend(results), *_curves(results), *_redrawn(results))):
        return Section("Learning curves", own)
    beside = forest.own_gains(results) and len(results.gains)
    folded = (*figures[1:], *([gains.figure_of_own(results)] if beside else []), *own)
    return Section(FIGURES, (figures[0], *([Fold(folded)] if folded else [])))


def _trend(results: Results) -> Iterator[Figure]:
    if len(results.printed):
        caption = (
            "The trend across the columns, every seed a dot. A data set's panels share a y axis, which is "
            "fitted to them and need not start at zero."
        )
        yield Figure("trend", caption, partial(trend, results), beside_paper=True)


def _curves(results: Results) -> Iterator[Figure]:
    if results.epochs["cell"].isin(results.paper.cell_names()).any():
        caption = f"Learning curves. {CURVES} A data set's panels share a y axis, which is fitted to them."
        yield Figure("curves", caption, partial(curves.curves, results))


def _redrawn(results: Results) -> Iterator[Figure]:
    for table in sorted(results.printed["table"].astype(int).unique()):
        caption = (
            f"Figure {2 * table} of the paper redrawn from Table {table}. Bars start at zero, which the "
            "paper's do not; ticks: the heights that the paper draws. The trend enlarges the differences."
        )
        draw = partial(bars, results, table)
        yield Figure(f"figure{2 * table}", caption, draw, beside_paper=True)


def _own_curves(results: Results) -> Iterator[Figure]:
    if not results.epochs["cell"].isin(results.paper.cell_names()).all():
        caption = f"Learning curves of the cells outside the tables. {CURVES} Every panel has its own y axis."
        yield Figure("curves-own", caption, partial(curves.own, results))

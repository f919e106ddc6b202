"""The sections of a report, in the order a sceptical reader wants them."""

import shlex
from functools import partial

from replicate.plan.request import seeds_text
from replicate.report import tables
from replicate.report.document import (
    Block,
    Commands,
    Document,
    Figure,
    Section,
    Table,
    Text,
    plain_rows,
)
from replicate.report.figures.accuracies import bars, trend
from replicate.report.figures.curves import curves
from replicate.report.sections import (
    ambiguities,
    claims,
    cost,
    extensions,
    gains,
    ladder,
    learned,
    problems,
    provenance,
)
from replicate.results.read import Results
from replicate.results.statistics import MARGIN, VERDICTS
from replicate.text import many


def document(results: Results) -> Document:
    """Everything a report says."""
    accuracies = tuple(tables.grids(results, "Table {}", tables.accuracy, whole=True))
    sections = (
        problems.section(results),
        _summary(results),
        _tables(results, accuracies),
        _figures(results),
        gains.section(results),
        ladder.section(results),
        _curves(results),
        learned.section(results),
        _best(results),
        claims.section(results),
        ambiguities.section(results),
        extensions.pretraining(results),
        extensions.measured_oddly(results),
        cost.section(results),
        cost.predicted(results),
        provenance.section(results),
        _commands(results),
    )
    title = f"FlexPooling replicated: campaign {results.request.name}"
    return Document(
        title, results.caveat, accuracies, tuple(section for section in sections if section.blocks)
    )


def _summary(results: Results) -> Section:
    cells, request = results.cells, results.request
    inside = cells.index.isin(results.paper.cell_names())
    sentences = [
        f"{inside.sum()} of the paper's {len(results.paper.cell_names())} cells, "
        f"protocol {request.protocol}, {_seeds(results)} each."
    ]
    if results.caveat:
        sentences.append(
            f"No verdicts, since the numbers are not comparable with the paper's: {results.caveat}."
        )
    else:
        counts = cells["verdict"].str.partition(" (")[0].value_counts()
        order = [word for word in VERDICTS if word in counts]
        sentences.append("Verdicts: " + ", ".join(f"{word} {counts[word]}" for word in order) + ".")
    measured = cells[inside & (cells["n"] > 0)]
    if len(measured) and not results.caveat:
        delta = measured["delta"]
        low, high = (tables.signed(value, 2) for value in (delta.min(), delta.max()))
        sentences.append(
            f"Replicated minus published accuracy goes from {low} points ({delta.idxmin()}) "
            f"to {high} ({delta.idxmax()})."
        )
    return Section("Summary", (Text(" ".join(sentences)),))


def _seeds(results: Results) -> str:
    counts = {len(seeds) for seeds in results.request.by_cell.values()}
    fewest = f"{min(counts)} to " if len(counts) > 1 else ""
    return fewest + many(max(counts), "seed")


def _tables(results: Results, accuracies: tuple[Table, ...]) -> Section:
    key = (
        "Top-1 test accuracy in percent after the last epoch: mean ± standard deviation (finished seeds; "
        "k/n where k of n seeds finished). Below it the published number, which is one run, and "
        "Δ = replicated − published. The verdict compares the published number with the 95 % prediction "
        "interval for one more run."
    )
    used = {verdict.partition(" (")[0] for verdict in results.cells["verdict"]}
    meanings = [(word, meaning) for word, meaning in VERDICTS.items() if word in used]
    caption = f"What the verdicts mean (margin: {MARGIN:g} points)"
    legend = Table(caption, ("Verdict", "Meaning"), plain_rows(meanings))
    return Section("Tables 1 and 2", (Text(key), *accuracies, *tables.others(results), legend))


def _figures(results: Results) -> Section:
    heading = "Figures 2 and 4, and the trend"
    if results.cells["table"].isna().all():
        return Section(heading, ())
    blocks: list[Block] = []
    for number, table in ((2, 1), (4, 2)):
        caption = (
            f"Figure {number} of the paper redrawn from Table {table}. Every panel has its own y axis, "
            "fitted to its values, which need not start at zero."
        )
        blocks.append(Figure(f"figure{number}", caption, partial(bars, results, table)))
    caption = (
        "The trend across the columns. The panels of a data set share a y axis, fitted to them."
    )
    blocks.append(Figure("trend", caption, partial(trend, results)))
    return Section(heading, tuple(blocks))


def _curves(results: Results) -> Section:
    drawn = results.epochs["cell"].isin(results.paper.cell_names())
    if not drawn.any():
        return Section("Learning curves", ())
    caption = (
        "Learning curves. Mean test accuracy of the finished seeds, shaded from the lowest to the highest. "
        "The panels of a data set share a y axis."
    )
    return Section("Learning curves", (Figure("curves", caption, partial(curves, results)),))


def _best(results: Results) -> Section:
    key = Text(
        "Optimistic: the best epoch is chosen on the test set. It is shown here and used nowhere."
    )
    caption = "Last epoch, and the best one (optimistic), Table {}"
    grids = tuple(tables.grids(results, caption, tables.best))
    return Section("Last and best epoch", (key, *grids) if grids else ())


def _commands(results: Results) -> Section:
    request = results.request
    begin, end = ["--protocol", request.protocol], ["--campaign", request.name]
    for key, value in request.settings.items():
        end += ["--set", f"{key}={value}"]

    def line(seeds: str, *cells: str) -> str:
        return shlex.join(["replicate", "run", *cells, *begin, "--seeds", seeds, *end])

    groups = {seeds: _unnamed(results, cells) for seeds, cells in request.groups().items()}
    lines = tuple(line(seeds_text(request.seeds_of(cell)), cell) for cell in results.cells.index)
    again = shlex.join(["replicate", "report", request.name])
    blocks = (
        Text("The whole campaign, and this report from its CSV files:"),
        Commands("", (*(line(seeds, *cells) for seeds, cells in groups.items()), again)),
        Commands(f"Every cell by itself ({len(lines)})", lines),
    )
    return Section("Commands", blocks)


def _unnamed(results: Results, cells: list[str]) -> list[str]:
    """The cells to name: none where they are exactly those of the tables, which is the default."""
    return [] if set(cells) == set(results.paper.cell_names()) else cells

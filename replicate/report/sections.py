"""The sections of a report, in the order a sceptical reader wants them."""

import shlex
from collections.abc import Iterator

from replicate.report import (
    ambiguities,
    claims,
    cost,
    curves,
    extensions,
    figures,
    problems,
    provenance,
    spent,
    tables,
    weights,
)
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
from replicate.report.gains import gains, shown
from replicate.report.read import Results
from replicate.results.statistics import MARGIN, VERDICTS
from replicate.wording import many


def document(results: Results) -> Document:
    """Everything a report says."""
    mark = problems.mark(results)
    accuracies = tuple(tables.grids(results, "Table {}", tables.accuracy, whole=True))
    sections = (
        problems.section(results),
        _summary(results, mark),
        _tables(results, accuracies),
        _figures(results, mark),
        _gains(results, mark),
        _curves(results, mark),
        _learned(results, mark),
        _best(results),
        claims.section(results),
        ambiguities.section(results),
        extensions.pretraining(results),
        extensions.measured_oddly(results),
        cost.section(results),
        spent.section(results),
        provenance.section(results),
        _commands(results),
    )
    title = f"FlexPooling replicated: campaign {results.request.name}"
    return Document(
        title, mark, accuracies, tuple(section for section in sections if section.blocks)
    )


def _summary(results: Results, mark: str) -> Section:
    cells, request = results.cells, results.request
    inside = cells.index.isin(results.paper.cell_names())
    sentences = [
        f"{inside.sum()} of the paper's {len(results.paper.cell_names())} cells, "
        f"protocol {request.protocol}, {many(request.seeds, 'seed')} each."
    ]
    if mark:
        sentences.append(
            f"No verdicts, since the numbers are not comparable with the paper's: {mark}."
        )
    else:
        counts = cells["verdict"].str.partition(" (")[0].value_counts()
        order = [word for word in VERDICTS if word in counts]
        sentences.append("Verdicts: " + ", ".join(f"{word} {counts[word]}" for word in order) + ".")
    measured = cells[inside & (cells["n"] > 0)]
    if len(measured) and not mark:
        delta = measured["delta"]
        low, high = (tables.signed(value, 2) for value in (delta.min(), delta.max()))
        sentences.append(
            f"Replicated minus published accuracy goes from {low} points ({delta.idxmin()}) "
            f"to {high} ({delta.idxmax()})."
        )
    return Section("Summary", (Text(" ".join(sentences)),))


def _tables(results: Results, accuracies: tuple[Table, ...]) -> Section:
    key = (
        "Top-1 test accuracy in percent after the last epoch: mean ± standard deviation (finished seeds; "
        "k/n where k of n seeds finished). Below it the published number, which is one run, and "
        "Δ = replicated − published. The verdict compares the published number with the 95 % prediction "
        "interval for one more run."
    )
    used = {verdict.partition(" (")[0] for verdict in results.cells["verdict"]}
    words = [word for word in VERDICTS if word in used]
    caption = f"What the verdicts mean (margin: {MARGIN:g} points)"
    legend = Table(
        caption, ("Verdict", "Meaning"), plain_rows([(word, VERDICTS[word]) for word in words])
    )
    return Section("Tables 1 and 2", (Text(key), *accuracies, *tables.others(results), legend))


def _figures(results: Results, mark: str) -> Section:
    heading = "Figures 2 and 4, and the trend"
    paper, cells = results.paper.tables, results.cells
    if cells["table"].isna().all():
        return Section(heading, ())
    blocks: list[Block] = []
    for table, number in zip(paper, (2, 4), strict=True):
        caption = (
            f"Figure {number} of the paper redrawn from Table {table.table}. Every panel has its own y axis, "
            "fitted to its values, which need not start at zero."
        )
        blocks.append(Figure(f"figure{number}", caption, figures.bars(table, cells, mark)))
    caption = (
        "The trend across the columns. The panels of a data set share a y axis, fitted to them."
    )
    blocks.append(Figure("trend", caption, figures.trend(paper, cells, mark)))
    return Section(heading, tuple(blocks))


def _gains(results: Results, mark: str) -> Section:
    found = gains(results)
    if found.empty:
        none = Text("No gain has two paired seeds yet: an interval needs two.")
        return Section("Gains over AvgPool", (none,))
    key = (
        "Mean difference to AvgPool over the seeds that both have, with its 95 % t interval (pairs), "
        "in percentage points."
    )
    if not mark:
        key += " p values are corrected by Holm's method over the table."
    drawing = figures.forest(found, mark)
    caption = "Gains over AvgPool. Means with 95 % t intervals; hollow: the published gains, of one run each."
    grids = tables.grids(results, "Gains, Table {}", shown(found, not mark))
    return Section("Gains over AvgPool", (Text(key), *grids, Figure("gains", caption, drawing)))


def _curves(results: Results, mark: str) -> Section:
    drawn = results.epochs["cell"].isin(results.paper.cell_names())
    if not drawn.any():
        return Section("Learning curves", ())
    caption = (
        "Learning curves. Mean test accuracy of the finished seeds, shaded from the lowest to the highest. "
        "The panels of a data set share a y axis."
    )
    drawing = curves.curves(results.epochs[drawn], results.runs, results.cells, mark)
    return Section("Learning curves", (Figure("curves", caption, drawing),))


def _learned(results: Results, mark: str) -> Section:
    return Section("What FlexPool learned", (*_sums(results, mark), *_maps(results, mark)))


def _sums(results: Results, mark: str) -> Iterator[Block]:
    found = weights.placed(results.pools, results.cells)
    if found.empty:
        return
    caption = (
        "Channel sums. Distance of each channel's weight sum from 1, the value that average pooling has and "
        "Eq. 2 asks for (logarithmic axis). Boxes: quartiles over channels and seeds; whiskers: 5 to 95 %."
    )
    yield Figure("sums", caption, weights.sums(results.pools, results.cells, mark))
    yield tables.channel_sums(results)


def _maps(results: Results, mark: str) -> Iterator[Block]:
    found = weights.placed(results.maps, results.cells)
    drawn = found[["table", "stage"]].astype(int).drop_duplicates()
    for table, stage in sorted(drawn.itertuples(index=False, name=None)):
        caption = (
            f"Weight maps, Table {table}, stage {stage}. Mean over channels and seeds, in units of average "
            "pooling's weight: white is 1, red more and blue less, as far as the range below each map."
        )
        drawing = weights.maps(results.maps, results.cells, table, stage, mark)
        yield Figure(f"maps-table{table}-stage{stage}", caption, drawing, folded=stage < 3)


def _best(results: Results) -> Section:
    key = Text(
        "Optimistic: the best epoch is chosen on the test set. It is shown here and used nowhere."
    )
    caption = "Last epoch, and the best one (optimistic), Table {}"
    grids = tuple(tables.grids(results, caption, tables.best))
    return Section("Last and best epoch", (key, *grids) if grids else ())


def _commands(results: Results) -> Section:
    request = results.request
    ending = [
        "--protocol",
        request.protocol,
        "--seeds",
        str(request.seeds),
        "--campaign",
        request.name,
    ]
    for key, value in request.settings.items():
        ending += ["--set", f"{key}={value}"]
    lines = tuple(shlex.join(["replicate", "run", cell, *ending]) for cell in results.cells.index)
    again = shlex.join(["replicate", "report", request.name])
    blocks = (
        Text("The whole campaign, and this report from its CSV files:"),
        Commands("", (shlex.join(["replicate", "run", *_whole(results), *ending]), again)),
        Commands(f"Every cell by itself ({len(lines)})", lines),
    )
    return Section("Commands", blocks)


def _whole(results: Results) -> list[str]:
    """The cells to name: none where they are exactly those of the tables, which is the default."""
    names = list(results.cells.index)
    return [] if set(names) == set(results.paper.cell_names()) else names

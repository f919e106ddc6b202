"""The sections of a report, in the order a sceptical reader wants them."""

import shlex
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pandas as pd

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
from replicate.report.figures import curves
from replicate.report.figures.accuracies import bars, trend
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
from replicate.results import rules, verdicts
from replicate.results.cells import first_runs
from replicate.results.power import factors
from replicate.results.read import Results, records
from replicate.results.statistics import outside_by_chance
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
        order = [word for word in verdicts.CELL if word in counts]
        sentences.append("Verdicts: " + ", ".join(f"{word} {counts[word]}" for word in order) + ".")
    measured = cells[inside & (cells["n"] > 0)]
    if len(measured) and not results.caveat:
        delta = measured["delta"]
        low, high = (tables.signed(value, 2) for value in (delta.min(), delta.max()))
        sentences.append(
            f"Replicated minus published accuracy goes from {low} points ({delta.idxmin()}) "
            f"to {high} ({delta.idxmax()})."
        )
    sentences += _answers(results)
    if not results.caveat:
        sentences.append(_multiplicity(cells[inside]))
    sentences.append(_rules(results))
    return Section("Summary", (Text(" ".join(filter(None, sentences))),))


def _answers(results: Results) -> Iterator[str]:
    """Does it help, over all that is at hand?"""
    wide = results.overall[results.overall["scope"].isin(["both", "all columns"])]
    for one in records(wide):
        low, high = one["low"], one["high"]
        yield (
            f"{one['question']}: {tables.signed(one['gain'], 2)} points over {many(one['rows'], 'pair')} of "
            f"cells (95 % {tables.interval(low, high)}, p = {one['holm']:.2g}), {one['verdict']}; the paper "
            f"prints {tables.signed(one['published'], 2)}."
        )


def _multiplicity(cells: pd.DataFrame) -> str:
    seen = int(cells["verdict"].isin(["higher", "lower"]).sum())
    of = seen + int(cells["verdict"].isin(["consistent", "inconclusive"]).sum())
    if not of:
        return ""
    return (
        f"Of {many(of, 'comparison')} {0.05 * of:.1f} are expected outside by chance; {seen} are, and so "
        f"many or more have a chance of {outside_by_chance(seen, of):.2g}."
    )


def _rules(results: Results) -> str:
    """Whether the rules are older than what they judge."""
    began = first_runs(results.provenance)
    ages = Counter(rules.age("cells", began.get(str(cell), "")) for cell in results.cells.index)
    date, commit = rules.WRITTEN
    parts = [
        f"{word} the first run of {many(ages[word], 'cell')}"
        for word in ("before", "after")
        if word in ages
    ]
    if not parts:
        return ""
    return f"The rules of judgement were fixed on {date[:10]} (commit {commit[:7]}), {', '.join(parts)}."


def _seeds(results: Results) -> str:
    counts = {len(seeds) for seeds in results.request.by_cell.values()}
    fewest = f"{min(counts)} to " if len(counts) > 1 else ""
    return fewest + many(max(counts), "seed")


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
    meanings = [(word, meaning) for word, meaning in verdicts.CELL.items() if word in used]
    caption = f"What the verdicts mean (too wide: more than {verdicts.WIDEST} noise floors)"
    legend = Table(caption, ("Verdict", "Meaning"), plain_rows(meanings))
    return Section("Tables 1 and 2", (Text(key), *accuracies, *tables.others(results), legend))


def _figures(results: Results) -> Section:
    heading = "Figures 2 and 4, and the trend"
    if results.cells["table"].isna().all():
        return Section(heading, ())
    blocks: list[Block] = []
    for table in sorted(results.cells["table"].dropna().astype(int).unique()):
        caption = (
            f"Figure {2 * table} of the paper redrawn from Table {table}. Bars start at zero, which the "
            "paper's do not; ticks: the heights that the paper draws. The trend below enlarges them."
        )
        draw = partial(bars, results, table)
        blocks.append(Figure(f"figure{2 * table}", caption, draw, beside_paper=True))
    caption = (
        "The trend across the columns, every seed a dot. A data set's panels share a y axis, which is fitted "
        "to them and does not start at zero."
    )
    draw = partial(trend, results)
    blocks.append(Figure("trend", caption, draw, beside_paper=True))
    return Section(heading, tuple(blocks))


def _curves(results: Results) -> Section:
    printed = results.epochs["cell"].isin(results.paper.cell_names())
    said = (
        "in the last third of the epochs: mean test accuracy of the finished seeds, shaded from the lowest "
        "to the highest"
    )
    figures = []
    if printed.any():
        caption = (
            f"Learning curves {said}. A data set's panels share a y axis, which is fitted to them."
        )
        figures.append(Figure("curves", caption, partial(curves.curves, results)))
    if not printed.all():
        caption = f"Learning curves of the cells outside the tables {said}. Every panel has its own y axis."
        figures.append(Figure("curves-own", caption, partial(curves.own, results)))
    return Section("Learning curves", tuple(figures))


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

"""The first screen: what was replicated, what came out, how sure that is, and what was not done."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial

import pandas as pd

from replicate.paper import claims
from replicate.paper.ambiguities import read_ambiguities
from replicate.report.document import Block, Fact, Facts, Figure, Section, Text
from replicate.report.figures import forest
from replicate.report.sections import gains, problems
from replicate.results import rules, verdicts
from replicate.results.origins import UNKNOWN
from replicate.results.overall import widest
from replicate.results.read import Results
from replicate.results.statistics import outside_by_chance
from replicate.text import listed, many

TITLE = "The answer"
AUTHORS = "Not contacted yet: no code, log or answer of theirs beyond what is public has been used."
POSTED_AGAIN = (
    "Ali, Alsuwaidi and Khan, VISAPP 2023, doi:10.5220/0011894400003417. It was posted again as arXiv "
    "2606.14926v1 (12 June 2026), whose abstract claims the same gains; whether its tables differ has not "
    "been checked."
)


def section(results: Results) -> Section:
    return Section(TITLE, (*_gains(results), Facts(tuple(_facts(results)))))


def _gains(results: Results) -> Iterator[Block]:
    """The overall answer; of a campaign without any, the gains of its own cells."""
    if len(wide := widest(results.overall)):
        yield gains.overall(wide, "Mean gains over the data sets at hand, in points")
    elif results.printed.empty:
        yield from gains.of_own_cells(results)
    else:
        yield Text("No mean gain yet: an interval needs two seeds of both cells of a pair.")
    yield from _forest(results)


def _forest(results: Results) -> Iterator[Figure]:
    if len(results.gains):
        caption = (
            "Gains over AvgPool, paired by seed. Every seed a dot; thick: the 95 % interval of the mean, "
            "which tells gain from loss; thin: that for one more pair; diamond: the published gain."
        )
        yield Figure("gains", caption, partial(forest.forest, results), beside_paper=True)
    elif forest.own_gains(results):
        yield gains.figure_of_own(results)


def _facts(results: Results) -> Iterator[Fact]:
    yield Fact("Scope", _scope(results))
    if len(results.gains):
        yield Fact("Gains", _words_of_gains(results))
    yield Fact("Cells", _cells(results))
    yield Fact("Claims", _claims(results))
    yield Fact("What went wrong", problems.headline(results))
    yield Fact("Not to be concluded", " ".join(_limits(results)))
    yield Fact("Deviations", _deviations(results))
    if aged := _rules(results):
        yield Fact("Rules", aged)
    yield Fact("Authors", AUTHORS)
    yield Fact("The paper", POSTED_AGAIN)


def _scope(results: Results) -> str:
    inside, own = results.printed, len(results.own)
    parts = [f"{len(inside)} of the paper's {len(results.paper.cell_names())} cells"]
    parts[0] += f" ({listed(inside['row'].unique())})" if len(inside) else ""
    parts += [f"{many(own, 'cell')} of our own"] if own else []
    said = f"{' and '.join(parts)}; protocol {results.request.protocol}, {_seeds(results)} each"
    return f"{said}{_made(results)}."


def _seeds(results: Results) -> str:
    counts = {len(seeds) for seeds in results.request.by_cell.values()}
    fewest = f"{min(counts)} to " if len(counts) > 1 else ""
    return fewest + many(max(counts), "seed")


def _made(results: Results) -> str:
    """On what, and when."""
    found = results.contrasts.made
    devices = [one for one in found["device"].unique() if one != UNKNOWN]
    days = sorted({start[: len("2026-01-31")] for start in found["started"]} - {UNKNOWN})
    where = f"; {listed(devices)}" if devices else ""
    return where + (f"; {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else "")


def _counted(words: pd.Series, vocabulary: Mapping[str, str]) -> str:
    """As `1 loss, 11 not settled`, in the vocabulary's order."""
    counts = Counter(word.partition(" (")[0] for word in words)
    return ", ".join(f"{counts[word]} {word}" for word in vocabulary if counts[word])


def _words_of_gains(results: Results) -> str:
    text = f"{_counted(results.gains['verdict'], verdicts.GAIN)}, after Holm's correction over each table."
    against = results.gains.loc[results.gains["against"] != "not comparable", "against"]
    beside = _counted(against, verdicts.AGAINST)
    return f"{text} Ours beside the published: {beside}." if beside else text


def _cells(results: Results) -> str:
    inside, own = results.printed, results.own
    absent = len(results.paper.cell_names()) - len(inside)
    parts = [_counted(inside["verdict"], verdicts.CELL)]
    parts += [f"{absent} not in this campaign"] if absent else []
    text = f"Of the paper's: {', '.join(filter(None, parts))}."
    text += f" Of our own: {_ended(own)}." if len(own) else ""
    return " ".join(filter(None, [text, _multiplicity(inside)]))


def _ended(own: pd.DataFrame) -> str:
    """Nothing is published of these cells: whether they have all their seeds is all there is to say."""
    whole = own["n"].ge(own["asked"]) & own["verdict"].eq("not comparable")
    others = _counted(own.loc[~whole, "verdict"], verdicts.CELL)
    finished = f"{int(whole.sum())} finished" if whole.any() else ""
    return ", ".join(filter(None, [finished, others]))


def _multiplicity(cells: pd.DataFrame) -> str:
    seen = int(cells["verdict"].isin(["higher", "lower"]).sum())
    of = seen + int(cells["verdict"].isin(["consistent", "inconclusive"]).sum())
    if not of:
        return ""
    be = "is" if seen == 1 else "are"
    return (
        f"Of {many(of, 'comparison')} {verdicts.ALPHA * of:.1f} are expected outside by chance; "
        f"{seen} {be}, and so many or more have a chance of {outside_by_chance(seen, of):.2g}."
    )


def _claims(results: Results) -> str:
    again = _counted(results.claims.drop_duplicates("claim")["verdict"], verdicts.CLAIM)
    return f"On these runs: {again}. On the paper's own printed numbers: {claims.tally(results.findings)}."


def _limits(results: Results) -> Iterator[str]:
    if results.caveat:
        yield "Whether any published number, gain or claim holds: for the reason above nothing here tells."
    if max(map(len, results.request.by_cell.values())) < verdicts.FEWEST:
        yield f"Any sign of a gain: a word needs {verdicts.FEWEST} seeds."
    else:
        yield "That a gain that is not settled is absent."
    rows = dict.fromkeys(row for table in results.paper.tables for row in table.rows)
    lacking: list[str] = [row for row in rows if row not in set(results.cells["row"])]
    if len(lacking) == len(rows):
        lacking = ["the paper's tables"]
    yield f"Anything about {listed([*lacking, 'other data sets and networks'])}."


def _deviations(results: Results) -> str:
    entries = [
        one
        for one in read_ambiguities(results.campaign.root)
        if any(map(one.bears_on, results.cells.index))
    ]
    settings = [f"{key}={value}" for key, value in results.request.settings.items()]
    parts = ["that of the protocol, above"] if "protocol" in results.caveat else []
    parts += [f"set for every cell: {', '.join(settings)}"] if settings else []
    ids = f"{entries[0].id} to {entries[-1].id}" if len(entries) > 1 else ""
    read = f"{many(len(entries), 'point')} that the paper leaves open ({ids}) are read in one way"
    parts += [read] if ids else []
    said = "; ".join(parts) or "none"
    return f"{said[0].upper()}{said[1:]}."


def _rules(results: Results) -> str:
    """Whether the rules are older than what they judge."""
    began = results.contrasts.began
    ages = Counter(rules.age(began(str(cell))) for cell in results.cells.index)
    date, commit = rules.WRITTEN
    parts = [
        f"{word} the first run of {many(ages[word], 'cell')}"
        for word in ("before", "after")
        if word in ages
    ]
    if not parts:
        return ""
    return f"Fixed on {date[:10]} (commit {commit[:7]}), {', '.join(parts)}."

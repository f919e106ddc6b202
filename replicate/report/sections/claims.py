"""What the paper claims, put to its own numbers and to the replicated ones: a sheet for each claim."""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

from replicate.paper import claims
from replicate.report.document import Entry, Section, Table, Text, entry
from replicate.report.tables import interval, signed
from replicate.results.sheets import SEEDS, Sheet
from replicate.results.verdicts import CLAIM
from replicate.text import duration, many

TITLE = "The paper's claims"
COLUMNS = ("Claim", "The paper says", "Its own numbers", "The replicated numbers", "Test it")
DIFFERENCES = ("Claim", "Difference, in points", "Mean", "95 % interval", "Pairs of seeds")


def section(sheets: Sequence[Sheet]) -> Section:
    words = "; ".join(f"{word}: {meaning}" for word, meaning in CLAIM.items())
    text = (
        f"{len(sheets)} claims. On the paper's own numbers: {claims.tally(one.finding for one in sheets)}. "
        f"On the replicated ones: {_words(sheets)}. By the intervals of the differences that each is about, "
        f"{words}."
    )
    rows = tuple(tuple(_sheet(one)) for one in sheets)
    caption = (
        f"Claim sheets: what the paper says, what was found, and the command that tests it ({SEEDS} seeds; "
        "hours at the speed of the runs here, one after the other)"
    )
    differences = tuple(row for one in sheets for row in _differences(one))
    behind = Table("The differences behind the claims", DIFFERENCES, differences, folded=True)
    table = Table(caption, COLUMNS, rows, folded=True)
    return Section(TITLE, (Text(text), table, *([behind] if differences else [])))


def _words(sheets: Sequence[Sheet]) -> str:
    """Which claims have which word."""
    again: dict[str, list[str]] = {word: [] for word in CLAIM}
    for one in sheets:
        again[one.verdict].append(one.finding.claim.id)
    found = [f"{word} {len(ids)} ({', '.join(ids)})" for word, ids in again.items() if ids]
    return "; ".join(found)


def _sheet(one: Sheet) -> Iterator[Entry]:
    claim = one.finding.claim
    yield entry(claim.id, claim.where)
    yield entry(claim.text)
    yield entry(one.finding.outcome, one.finding.says)
    yield entry(one.verdict, one.why)
    yield entry(cost(one), one.command)


def cost(one: Sheet) -> str:
    if not one.runs:
        return "seconds, no training"
    hours = f", {duration(one.seconds)}" if isfinite(one.seconds) else ""
    images = sum(run.spec.images_to_train for run in one.runs)
    return f"{many(len(one.runs), 'run')}{hours or f', {images:,} training images'}"


def _differences(one: Sheet) -> Iterator[tuple[Entry, ...]]:
    """One row per pair of cells that a tested claim is about and that was trained with two seeds or more."""
    for row in one.differences if one.verdict != "cannot be tested" else ():
        yield (
            entry(one.finding.claim.id),
            entry(f"{row['of']} over {row['over']}"),
            entry(signed(row["gain"], 2), sort=row["gain"]),
            entry(interval(row["low"], row["high"]), sort=row["low"]),
            entry(str(row["n"]), sort=row["n"]),
        )


def as_data(one: Sheet) -> dict[str, Any]:
    """For claims.json: the same without any markup."""
    claim = one.finding.claim
    return {
        **{"id": claim.id, "where": claim.where, "says": claim.text},
        "printed": {"outcome": one.finding.outcome, "says": one.finding.says},
        "replicated": {"word": one.verdict, "why": one.why, "differences": _plain(one)},
        **{"command": one.command, "runs": len(one.runs)},
        "hours": round(one.seconds / 3600, 1) if isfinite(one.seconds) else None,
    }


def _plain(one: Sheet) -> list[dict[str, Any]]:
    names = ("of", "over", "n", "gain", "low", "high")
    return [{name: row[name] for name in names} for row in one.differences]

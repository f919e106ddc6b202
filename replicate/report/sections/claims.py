"""What the paper claims, put to its own numbers and to the replicated ones."""

from collections.abc import Iterator, Mapping

import pandas as pd

from replicate.paper import claims
from replicate.report.document import Entry, Section, Table, Text, entry
from replicate.report.tables import interval, signed
from replicate.results.read import Results, records
from replicate.results.verdicts import CLAIM

COLUMNS = ("Claim", "Where", "The paper says", "Its own numbers", "The replicated numbers")
DIFFERENCES = ("Claim", "Difference, in points", "Mean", "95 % interval", "Pairs of seeds")


def section(results: Results) -> Section:
    root = results.campaign.root
    found = claims.audit(results.paper, claims.read_figures(root), claims.read_claims(root))
    again = {row["claim"]: row for row in records(results.claims.drop_duplicates("claim"))}
    rows = tuple(
        (
            entry(one.claim.id),
            entry(one.claim.where),
            entry(one.claim.text),
            entry(one.outcome, one.says),
            _retested(again[one.claim.id]),
        )
        for one in found
    )
    words = "; ".join(f"{word}: {meaning}" for word, meaning in CLAIM.items())
    text = (
        f"{len(found)} claims. On the paper's own numbers: {claims.tally(found)}. On the replicated ones, by "
        f"the intervals of the differences that each is about: {words}."
    )
    table = Table("Claims on the printed and on the replicated numbers", COLUMNS, rows)
    differences = tuple(_differences(results.claims))
    behind = Table("The differences behind the claims", DIFFERENCES, differences, folded=True)
    tables = (table, behind) if differences else (table,)
    return Section("The paper's claims", (Text(text), *tables))


def _differences(found: pd.DataFrame) -> Iterator[tuple[Entry, ...]]:
    """One row per pair of cells that a tested claim is about and that was trained with two seeds or more."""
    for row in records(found[(found["n"] > 1) & (found["verdict"] != "cannot be tested")]):
        yield (
            entry(row["claim"]),
            entry(f"{row['of']} over {row['over']}"),
            entry(signed(row["gain"], 2), sort=row["gain"]),
            entry(interval(row["low"], row["high"]), sort=row["low"]),
            entry(str(row["n"]), sort=row["n"]),
        )


def _retested(row: Mapping[str, object]) -> Entry:
    return entry(str(row["verdict"]), str(row["why"]) if row["why"] == row["why"] else "")

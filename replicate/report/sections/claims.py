"""What the paper claims, put to its own numbers and to the replicated ones."""

from collections.abc import Iterator

from replicate.paper import claims
from replicate.report.document import Entry, Section, Table, Text, entry
from replicate.report.tables import interval, signed
from replicate.results.claims import Retest, claims_on_runs
from replicate.results.read import Results

COLUMNS = ("Claim", "Where", "The paper says", "Its own numbers", "The replicated numbers")
DIFFERENCES = ("Claim", "Difference, in points", "Mean", "95 % interval", "Pairs of seeds")


def section(results: Results) -> Section:
    root = results.campaign.root
    found = claims.audit(results.paper, claims.read_figures(root), claims.read_claims(root))
    again = {retest.finding.claim.id: retest for retest in claims_on_runs(results)}
    rows = tuple(
        (
            entry(one.claim.id),
            entry(one.claim.where),
            entry(one.claim.text),
            entry(one.outcome, one.says),
            _retested(again.get(one.claim.id)),
        )
        for one in found
    )
    text = (
        f"{len(found)} claims, by rules that were fixed before any run. On the paper's own numbers: "
        f"{claims.tally(found)}. Of the replicated means only those of complete and "
        "comparable cells count: a claim that they do not settle cannot be checked (yet). Differences "
        "are told apart from zero by their 95 % intervals."
    )
    table = Table("Claims on the printed and on the replicated numbers", COLUMNS, rows)
    differences = tuple(row for retest in again.values() for row in _differences(retest))
    behind = Table("The differences behind the claims", DIFFERENCES, differences, folded=True)
    tables = (table, behind) if differences else (table,)
    return Section("The paper's claims", (Text(text), *tables))


def _differences(retest: Retest) -> Iterator[tuple[Entry, ...]]:
    """One row per pair of cells that a claim is about and that was trained with two seeds or more."""
    if retest.finding.outcome == "cannot be checked":
        return
    for pair, gain in retest.gains:
        if gain.n > 1:
            yield (
                entry(retest.finding.claim.id),
                entry(f"{pair.of} over {pair.over}"),
                entry(signed(gain.mean, 2), sort=gain.mean),
                entry(interval(gain.low, gain.high), sort=gain.low),
                entry(str(gain.n), sort=gain.n),
            )


def _retested(retest: Retest | None) -> Entry:
    if retest is None:
        return entry("speaks of the printed page alone")
    if retest.finding.outcome == "cannot be checked":
        return entry(retest.finding.outcome)
    apart = f"{retest.told_apart} of {len(retest.gains)} differences told apart from zero"
    return entry(retest.finding.outcome, retest.finding.says, apart)

"""Holds the paper's claims against its own printed numbers."""

from collections.abc import Iterator, Sequence
from math import hypot
from pathlib import Path

from replicate.errors import UserError
from replicate.paper import claims
from replicate.paper.claims import Finding
from replicate.paper.noise import sd_ref
from replicate.paper.tables import Tables, read_tables
from replicate.report.document import Table, as_text, plain_rows
from replicate.specs import check
from replicate.specs.resolve import Cell, load
from replicate.text import folded, keyed

COLUMNS = ("claim", "source", "what the paper says", "what its numbers say", "outcome")
KEYS = ("claim", "source", "text", "says", "outcome")
FAILS = {
    "more": "say more than the tables show",
    "other": "give less, or another cell's number",
    "editorial": "are editorial",
}
Z = 1.96
"""Two-sided 95 % of a normal distribution."""


def audit(root: Path, json: bool = False) -> str:
    """One row per claim, as text or JSON.

    Raises:
        UserError: mistakes in the files of experiments/paper, or tables and specs that differ.
    """
    tables = read_tables(root)
    cells = load(root, tables.cell_names(), "paper")
    if lines := check.problems(tables, cells):
        raise UserError("\n".join(lines))
    findings = claims.findings(root, tables)
    rows = [
        (found.claim.id, found.claim.where, found.claim.text, found.says, found.outcome)
        for found in findings
    ]
    if json:
        return keyed(KEYS, rows)
    table = as_text(Table("", COLUMNS, plain_rows(rows)))
    count = f"{len(findings)} claims on the printed numbers: {claims.tally(findings)}."
    said = [count, *_kinds(findings), *_facts(findings), _noise(tables, cells)]
    return "\n".join([table, *map(folded, said)])


def _kinds(findings: Sequence[Finding]) -> Iterator[str]:
    yield "Of those that fail"
    for kind, what in FAILS.items():
        ids = [
            one.claim.id for one in findings if one.outcome == "fails" and one.claim.fails == kind
        ]
        yield f"  {len(ids)} {what}: {', '.join(ids)}"


def _facts(findings: Sequence[Finding]) -> Iterator[str]:
    yield "What several fail by:"
    for fact, ids in claims.shared_facts(findings).items():
        yield f"  {fact}: {', '.join(ids)}"


def _noise(tables: Tables, cells: Sequence[Cell]) -> str:
    """How many printed gains chance alone would not make of two single runs."""
    images = {cell.name: cell.spec.test_images for cell in cells}
    floors = {
        place: sd_ref(float(tables.printed(place)), images[place.cell]) for place in tables.places()
    }
    pairs = tables.gains()
    larger = [
        pair
        for pair in pairs
        if abs(tables.difference(pair)) > Z * hypot(*(floors[place] for place in pair))
    ]
    return (
        f"{len(larger)} of the {len(pairs)} printed gains are larger than chance makes the difference of "
        "two single runs (1.96 times the noise floor of a difference)."
    )

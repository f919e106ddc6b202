"""Holds the paper's claims against its own printed numbers."""

from pathlib import Path

from replicate.paper import claims
from replicate.paper.tables import read_tables
from replicate.report.document import Table, plain_rows
from replicate.report.text import as_text
from replicate.text import as_json

COLUMNS = ("claim", "source", "what the paper says", "what its numbers say", "outcome")
KEYS = ("claim", "source", "text", "says", "outcome")


def audit(root: Path, json: bool = False) -> str:
    """One row per claim; raises UserError for mistakes in the files of experiments/paper."""
    findings = claims.audit(read_tables(root), claims.read_figures(root), claims.read_claims(root))
    rows = [
        (found.claim.id, found.claim.where, found.claim.text, found.says, found.outcome)
        for found in findings
    ]
    if json:
        return as_json(dict(zip(KEYS, row, strict=True)) for row in rows)
    table = as_text(Table("", COLUMNS, plain_rows(rows)))
    return f"{table}\n{len(findings)} claims on the printed numbers: {claims.tally(findings)}."

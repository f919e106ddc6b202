"""Holds the paper's claims against its own printed numbers."""

from pathlib import Path

from replicate.paper import claims
from replicate.paper.tables import read_tables
from replicate.report.document import Table, plain_rows
from replicate.report.text import as_text

COLUMNS = ("claim", "source", "what the paper says", "what its numbers say", "outcome")
WIDTHS = (5, 16, 36, 50, 8)


def audit(root: Path) -> str:
    """One row per claim, as text; raises UserError for mistakes in the files of experiments/paper."""
    findings = claims.audit(read_tables(root), claims.read_figures(root), claims.read_claims(root))
    rows = [
        (found.claim.id, found.claim.where, found.claim.text, found.says, found.outcome)
        for found in findings
    ]
    table = as_text(Table("", COLUMNS, plain_rows(rows)), "simple_grid", WIDTHS)
    return f"{table}\n{len(findings)} claims on the printed numbers: {claims.tally(findings)}."

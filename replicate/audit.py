"""The paper's claims against the numbers that it prints itself."""

from collections import Counter
from pathlib import Path

from tabulate import tabulate

from replicate import claims, paper

HEADERS = ("claim", "source", "what the paper says", "what its numbers say", "outcome")
WIDTHS = [5, 16, 36, 50, 8]


def audit(root: Path) -> str:
    """A row a claim, as text; raises UserError for mistakes in the files of experiments/paper."""
    findings = claims.audit(
        paper.read_tables(root), claims.read_figures(root), claims.read_claims(root)
    )
    rows = [
        (found.claim.id, found.claim.where, found.claim.text, found.says, found.outcome)
        for found in findings
    ]
    table = tabulate(
        rows, HEADERS, tablefmt="simple_grid", disable_numparse=True, maxcolwidths=WIDTHS
    )
    counts = Counter(found.outcome for found in findings)
    listed = ", ".join(f"{outcome} {count}" for outcome, count in counts.most_common())
    return f"{table}\n{len(findings)} claims on the printed numbers: {listed}."

"""A report's table as plain text, for terminals."""

from replicate.report.document import Table
from replicate.text import table


def as_text(found: Table) -> str:
    """The caption and the rows."""
    rows = [["\n".join(entry.lines) for entry in row] for row in found.rows]
    body = table(found.columns, rows)
    return f"{found.caption}\n{body}" if found.caption else body

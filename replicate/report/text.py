"""A report's table as plain text, for terminals."""

from replicate.report.document import Table
from replicate.text import table


def as_text(found: Table, width: int | None = None) -> str:
    """The caption and the rows; the width is that of `text.table`."""
    rows = [["\n".join(entry.lines) for entry in row] for row in found.rows]
    body = table(found.columns, rows, width)
    return f"{found.caption}\n{body}" if found.caption else body

"""A report's table as plain text, for terminals."""

from collections.abc import Sequence

from tabulate import tabulate

from replicate.report.document import Table


def as_text(table: Table, style: str = "simple", widths: Sequence[int | None] = ()) -> str:
    """The caption and the rows.

    Args:
        style: of tabulate.
        widths: at which the columns are wrapped; None wraps nothing.
    """
    rows = [["\n".join(entry.lines) for entry in row] for row in table.rows]
    wrapped = list(widths) or None
    body = tabulate(
        rows, table.columns, tablefmt=style, disable_numparse=True, maxcolwidths=wrapped
    )
    return f"{table.caption}\n{body}" if table.caption else body

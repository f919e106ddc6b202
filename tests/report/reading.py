"""What a report says, by section and table; nothing is drawn."""

import re
from pathlib import Path

from replicate.report.document import Table
from replicate.report.render import as_markdown
from replicate.report.sections.overview import document
from replicate.results.read import read_results


def markdown(root: Path, name: str = "paper") -> str:
    return as_markdown(document(read_results(root, name))).decode()


def section(root: Path, title: str, name: str = "paper") -> str:
    return markdown(root, name).split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(root: Path, caption: str, name: str = "paper") -> list[list[str]]:
    """The entries of the table whose caption begins so, the lines of each joined by a slash."""
    blocks = [
        block for part in document(read_results(root, name)).sections for block in part.blocks
    ]
    (table,) = (
        block for block in blocks if isinstance(block, Table) and block.caption.startswith(caption)
    )
    return [[" / ".join(entry.lines) for entry in row] for row in table.rows]


def headings(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, re.MULTILINE)

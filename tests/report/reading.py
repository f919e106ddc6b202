"""What a report says, by section and table; nothing is drawn."""

import functools
import re
from pathlib import Path

from replicate.report.document import Document, Table
from replicate.report.render import as_markdown
from replicate.report.sections.overview import document
from replicate.results.read import read_results


def report(root: Path, name: str = "paper") -> Document:
    """A test asks it for one part after the other."""
    files = (root / "results" / name).iterdir()
    return _report(root, name, frozenset((file, file.stat().st_mtime_ns) for file in files))


@functools.lru_cache(2)
def _report(root: Path, name: str, files: frozenset[tuple[Path, int]]) -> Document:
    return document(read_results(root, name))


def markdown(root: Path, name: str = "paper") -> str:
    return as_markdown(report(root, name)).decode()


def section(root: Path, title: str, name: str = "paper") -> str:
    return markdown(root, name).split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(root: Path, caption: str, name: str = "paper") -> list[list[str]]:
    """The entries of the table whose caption begins so, the lines of each joined by a slash."""
    blocks = [block for part in report(root, name).sections for block in part.blocks]
    (table,) = (
        block for block in blocks if isinstance(block, Table) and block.caption.startswith(caption)
    )
    return [[" / ".join(entry.lines) for entry in row] for row in table.rows]


def headings(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, re.MULTILINE)

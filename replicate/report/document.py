"""What a report is made of: plain text, tables, figures and commands, free of any markup."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, ClassVar

from replicate.text import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Entry:
    """One entry of a table."""

    lines: tuple[str, ...]
    """Shown below each other; of several lines the first is the main one."""
    sort: float | None = None
    """What a sortable table sorts by; None sorts by the text."""
    tone: str = ""
    """The first word of a verdict, for colour where there is any."""


@dataclass(frozen=True)
class Table:
    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    folded: bool = False
    """Shown only when opened, as long lists are."""


@dataclass(frozen=True)
class Figure:
    kind: ClassVar[str] = "figure"
    name: str
    """File name without a suffix: an SVG file."""
    caption: str
    draw: Callable[[], "Drawing"]
    """Called where the figure is written: whoever reads the text alone does not wait for it."""
    beside_paper: bool = False
    """Whether it shows published numbers, which may not be comparable."""

    @property
    def alt(self) -> str:
        """The caption's first sentence."""
        return self.caption.partition(". ")[0]


@dataclass(frozen=True)
class Text:
    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Commands:
    """Lines for a shell, raw."""

    kind: ClassVar[str] = "commands"
    lines: tuple[str, ...]

    @property
    def fence(self) -> str:
        """Of a code block in markdown: longer than any that the lines could close it with."""
        ticks = re.findall(r"`+", "\n".join(self.lines))
        return "`" * max(3, 1 + max(map(len, ticks), default=0))


@dataclass(frozen=True)
class Fact:
    title: str
    text: str


@dataclass(frozen=True)
class Facts:
    """A list of what stands under which word."""

    kind: ClassVar[str] = "facts"
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Fold:
    """Figures that are shown together, when they are asked for."""

    kind: ClassVar[str] = "fold"
    blocks: tuple[Figure, ...]
    folded: bool = True

    @property
    def caption(self) -> str:
        return f"More figures: {'; '.join(one.alt for one in self.blocks)}"


Block = Table | Figure | Text | Commands | Facts | Fold


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    title: str
    caveat: str
    """Why no number may be compared with the paper's; empty where they may."""
    appendix: tuple[Table, ...]
    """What a paper on this replication would print."""
    sheets: tuple[dict[str, object], ...]
    """Of each claim what the paper says, what was found, and how to test it."""
    sections: tuple[Section, ...]
    """The first is the answer."""

    @property
    def figures(self) -> list[Figure]:
        blocks = [block for section in self.sections for block in section.blocks]
        nested = [block.blocks if isinstance(block, Fold) else (block,) for block in blocks]
        return [one for own in nested for one in own if isinstance(one, Figure)]


def entry(*lines: str, sort: float | None = None, tone: str = "") -> Entry:
    """Without its empty lines; a number that is nan has no place among the others."""
    known = sort is not None and isfinite(sort)
    return Entry(tuple(line for line in lines if line), sort if known else None, tone)


def as_text(found: Table, width: int | None = None) -> str:
    """For terminals: the caption and the rows; the width is that of `text.table`."""
    rows = [["\n".join(entry.lines) for entry in row] for row in found.rows]
    body = table(found.columns, rows, width)
    return f"{found.caption}\n{body}" if found.caption else body


def plain_rows(rows: Sequence[Sequence[object]]) -> tuple[tuple[Entry, ...], ...]:
    """Rows of plain values; numbers sort as numbers."""
    return tuple(
        tuple(
            entry(str(value), sort=value if isinstance(value, int | float) else None)
            for value in row
        )
        for row in rows
    )

"""Where images come from: the first of generated, class folders, official files, download."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from replicate.data.arrays import Images, Kind, Labels


@dataclass(frozen=True)
class Contents:
    """One split of a source: all labels at once, the images as blocks (B, H, W, C)."""

    labels: Labels
    blocks: Iterator[Images]
    names: tuple[str, ...] = ()
    """Of the classes in the order of their labels, where the source names them."""


@dataclass(frozen=True)
class Source:
    """Images that were found but not read yet."""

    kind: Kind
    place: str
    """Folder or origin, for people."""
    signature: str
    """Changes whenever the source's files do."""
    read: Callable[[str], Contents]
    """From a split's name; raises UserError for what cannot be read."""

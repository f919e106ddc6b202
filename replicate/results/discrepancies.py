"""What differs between results as they are recorded and as they come out again. Pure comparisons."""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile, zip_longest

from replicate.records.epoch import Epoch

SHOWN = 5
"""Differences of one file that are spelt out; the others are counted."""
LOSS_TOLERANCE = 0.1
"""Of a cross-entropy where processor, threads or libraries are others than recorded, as a share of it.
Seen between two processors over three epochs of two runs: 0.002 to 0.037, while the accuracies of these
epochs differed by up to 21 points and tell nothing. Two threads in place of one: 0.003."""
_MEASURED = ("learning_rate", "loss", "head_losses", "penalty", "train_accuracy", "accuracy")
"""Of an epoch: all but how long it took."""
_EMBEDDED = re.compile(rb"data:image/svg\+xml;base64,[A-Za-z0-9+/=]*")


def of_text(name: str, recorded: bytes, again: bytes, limit: int = SHOWN) -> list[str]:
    """A line for each of the first lines that differ, and one for the rest."""
    pairs = zip_longest(_lines(recorded), _lines(again), fillvalue="nothing")
    found = [
        f"{name}: line {number}: {_excerpt(old, new)} there, {_excerpt(new, old)} made again"
        for number, (old, new) in enumerate(pairs, start=1)
        if old != new
    ]
    if not found and recorded != again:
        found = [f"{name}: its line ends differ"]
    more = [f"{name}: {len(found) - limit} more lines differ"] if len(found) > limit else []
    return found[:limit] + more


def without_pictures(html: bytes) -> bytes:
    """A page whose figures are left out: versions of matplotlib draw them with other bytes."""
    return _EMBEDDED.sub(b"", html)


def of_epochs(recorded: Sequence[Epoch], again: Sequence[Epoch], exact: bool) -> Iterator[str]:
    """A line for each number of the epochs trained again that is not the recorded one.

    Args:
        exact: whether the same bits are due; else the heads' losses, within the tolerance.
    """
    for old, new in zip_longest(recorded[: len(again)], again):
        if old is None:
            yield f"epoch {new.epoch} is not recorded"
        elif exact:
            yield from _unequal(old, new)
        else:
            yield from _far(old, new)


def _far(old: Epoch, new: Epoch) -> Iterator[str]:
    """Cross-entropies alone: what the penalty adds to a loss swings more."""
    pairs = zip(old.head_losses, new.head_losses, strict=False)
    for head, (before, after) in enumerate(pairs, start=1):
        if abs(after - before) > LOSS_TOLERANCE * abs(before):
            yield f"epoch {old.epoch}: head {head} lost {before} as recorded, {after} again"


def _unequal(old: Epoch, new: Epoch) -> Iterator[str]:
    for name in ("epoch", *_MEASURED):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield f"epoch {old.epoch}: {name} {before} recorded, {after} again"


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="replace").splitlines()


def _excerpt(line: str, other: str) -> str:
    """Where a line begins to differ from another."""
    same = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(line, other, strict=False))
    )
    start = max(0, same - 20)
    return repr(f"{'…' if start else ''}{line[start : start + 50]}")

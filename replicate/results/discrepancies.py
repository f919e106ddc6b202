"""What differs between results as they are recorded and as they come out again. Pure comparisons."""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile, zip_longest

from replicate.records.epoch import Epoch

SHOWN = 5
"""Differences of one file that are spelt out; the others are counted."""
LOSS_TOLERANCE = 0.1
"""Of a cross-entropy of the first epoch where processor, threads or libraries are others than recorded, as a
share of it. Seen: up to 0.02 in the first epochs of nine runs on another processor, two threads in place of
one 0.003. Rounding grows from epoch to epoch: in the third it was 0.75 where a dense layer replaced the pool.
Accuracies of single epochs differed by up to 21 points and tell nothing."""
_MEASURED = ("learning_rate", "loss", "head_losses", "penalty", "train_accuracy", "accuracy")
"""Of an epoch: all but how long it took."""
_EMBEDDED = re.compile(rb"data:image/svg\+xml;base64,[A-Za-z0-9+/=]*")


def of_text(name: str, recorded: bytes, again: bytes) -> list[str]:
    """A line for each of the first lines that differ, and one for the rest."""
    pairs = zip_longest(_lines(recorded), _lines(again), fillvalue="nothing")
    found = [
        f"{name}: line {number}: {_excerpt(old, new)} there, {_excerpt(new, old)} made again"
        for number, (old, new) in enumerate(pairs, start=1)
        if old != new
    ]
    if not found and recorded != again:
        found = [f"{name}: its line ends differ"]
    more = [f"{name}: {len(found) - SHOWN} more lines differ"] if len(found) > SHOWN else []
    return found[:SHOWN] + more


def without_pictures(html: bytes) -> bytes:
    """A page whose figures are left out: versions of matplotlib draw them with other bytes."""
    return _EMBEDDED.sub(b"", html)


def of_epochs(recorded: Sequence[Epoch], again: Sequence[Epoch]) -> Iterator[str]:
    """Where the same bits are due: a line for each number that is not the recorded one."""
    for old, new in zip_longest(recorded[: len(again)], again):
        if old is None:
            yield f"epoch {new.epoch} is not recorded"
        else:
            yield from _unequal(old, new)


def of_first_losses(recorded: Sequence[Epoch], again: Sequence[Epoch]) -> Iterator[str]:
    """Elsewhere: a line for each head whose cross-entropy in the first epoch is out of the tolerance.

    Cross-entropies alone: what the penalty adds to a loss swings more.
    """
    for old, new in zip(recorded[:1], again, strict=False):
        pairs = zip(old.head_losses, new.head_losses, strict=False)
        for head, (before, after) in enumerate(pairs, start=1):
            if abs(after - before) > LOSS_TOLERANCE * abs(before):
                yield f"epoch {old.epoch}: head {head} lost {before} as recorded, {after} again"


def drift(recorded: Sequence[Epoch], again: Sequence[Epoch]) -> float:
    """The largest change of a head's cross-entropy, as a share of the recorded one; 0 without epochs."""
    changes = (
        abs(after - before) / abs(before)
        for old, new in zip(recorded, again, strict=False)
        for before, after in zip(old.head_losses, new.head_losses, strict=False)
    )
    return max(changes, default=0.0)


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

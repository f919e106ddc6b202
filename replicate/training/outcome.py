"""What training hands back. Free of torch, so that whatever reads records stays quick to start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

if TYPE_CHECKING:
    import numpy as np

Percent = Annotated[float, Meta(ge=0, le=100)]


class Epoch(Struct, frozen=True, forbid_unknown_fields=True):
    """One pass over the training images and the test accuracy after it; every number is finite."""

    epoch: Annotated[int, Meta(ge=-(10**9), le=10**9)]
    """Counted from 1; those of a pretraining, on classes of its own, end at 0."""
    learning_rate: float
    """Of the epoch's last step, for every parameter but FlexPool's weights."""
    loss: float
    """Mean over the images trained: Eq. 3 plus the weighted penalty."""
    head_losses: tuple[float, ...]
    """Mean cross-entropy of each head (Eq. 4), first stage first, before lambda."""
    penalty: float
    """Mean of R (Eq. 2), summed over the heads, before its weight."""
    train_accuracy: Percent
    """Percent, of the last head, on augmented images while the weights change."""
    accuracy: Percent
    """Percent of all test images, after the epoch."""
    seconds: float
    """Training and evaluation."""
    images_per_second: float
    """Training alone."""


class Origin(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What numbers depend on beside spec, seed and images; None where that was not noted."""

    code: str | None = None
    """Digest of the code that trains (replicate.dispatch.provenance)."""
    commit: str | None = None
    """For people: the last that changed what trains."""
    dirty: bool | None = None
    """For people: whether the checkout had changes to what trains that the commit lacks."""
    python: str | None = None
    torch: str | None = None
    torchvision: str | None = None
    numpy: str | None = None
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    compiled: bool | None = None
    captured: bool | None = None
    """Whether steps were replayed as one CUDA graph: the same numbers, sooner."""


TELLS_APART = (
    *("code", "python", "torch", "torchvision", "numpy"),
    *("device", "precision", "threads", "compiled"),
)
"""Fields of an origin that can change a number; commits only name the code."""


class Attempt(Struct, frozen=True, forbid_unknown_fields=True):
    """One process's share of a run."""

    epochs: Annotated[int, Meta(ge=0)]
    """That it trained and that the run went on from."""
    origin: Origin


def differing(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """Fields of the origin in which the attempts of a run differ: it is mixed within."""
    origins = [one.origin for one in attempts]
    return tuple(name for name in TELLS_APART if len({getattr(o, name) for o in origins}) > 1)


class Stopped(Exception):
    """For `on_epoch` to raise: ends the run between two epochs, its state saved."""


@dataclass(frozen=True)
class Outcome:
    """A run that came to its end."""

    status: Literal["done", "diverged"]
    """Diverged: the loss of the epoch after the last one recorded was not finite."""
    epochs: list[Epoch]
    pools: list[np.ndarray]
    """Each head's effective FlexPool weights (C, H, W), first stage first; [] without FlexPool."""
    attempts: list[Attempt]
    """In order; the last one made this outcome."""
    right: np.ndarray | None
    """Which test images the network of the last epoch predicts, (N,) bool; None for a run that diverged,
    and where an earlier version of the suite made that epoch."""
    parameters: int
    flops: int
    """Of a forward pass of one image through all heads (replicate.models.cost)."""
    oddities: dict[str, float]
    """Accuracy in percent after the last epoch, measured in each of the spec's odd ways."""

    @property
    def origin(self) -> Origin:
        """Of the last attempt."""
        return self.attempts[-1].origin

    @property
    def resumed_from(self) -> list[int]:
        """After how many epochs the run was taken up again, each time."""
        return list(accumulate(one.epochs for one in self.attempts[:-1]))

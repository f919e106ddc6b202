"""What training hands back. Free of torch, so that whatever reads records stays quick to start."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Outcome:
    """A run that came to its end."""

    status: Literal["done", "diverged"]
    """Diverged: the loss of the epoch after the last one recorded was not finite."""
    epochs: list[Epoch]
    pools: list[np.ndarray]
    """Each head's effective FlexPool weights (C, H, W), first stage first; [] without FlexPool."""
    device: str
    precision: str
    threads: int
    compiled: bool
    parameters: int
    flops: int
    """Of a forward pass of one image through all heads (replicate.models.cost)."""
    resumed_from: list[int]
    """After how many epochs the run was taken up again, each time."""
    oddities: dict[str, float]
    """Accuracy in percent after the last epoch, measured in each of the spec's odd ways."""

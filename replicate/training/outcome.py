"""What training hands back. Free of torch, so that whatever reads records stays quick to start."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from replicate.records.epoch import Epoch
from replicate.records.origin import Attempt, Origin

if TYPE_CHECKING:
    import numpy as np


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
        """After how many epochs the run was resumed, each time."""
        return list(accumulate(attempt.epochs for attempt in self.attempts[:-1]))

"""An epoch of a run, as records, checkpoints and progress files hold it."""

from typing import Annotated

from msgspec import Meta, Struct

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

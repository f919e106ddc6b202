"""Training: one spec, one seed and its images in, one outcome out."""

from typing import TYPE_CHECKING, Any

from replicate.training.outcome import Epoch, Outcome

if TYPE_CHECKING:
    from replicate.training.loop import train

__all__ = ["Epoch", "Outcome", "train"]


def __getattr__(name: str) -> Any:
    """Import torch only when `train` is asked for."""
    if name == "train":
        from replicate.training.loop import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

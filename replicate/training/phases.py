"""The phases of a run: pretraining on coarse classes where its spec asks for it (A15), and training."""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from replicate.data.coarse import CLASSES, coarse
from replicate.spec import Spec

if TYPE_CHECKING:
    from replicate.data import ImageData, Split


class Phase(NamedTuple):
    """Epochs that share classes, optimiser and schedule."""

    spec: Spec
    data: "ImageData"
    epochs: range
    """Their numbers: training begins at 1, pretraining ends at 0."""


def phases(spec: Spec, data: "ImageData") -> list[Phase]:
    """In order; the last one is training on the spec's own classes."""
    training = Phase(spec, data, range(1, spec.training.epochs + 1))
    if spec.pretraining is None:
        return [training]
    fewer = {
        "dataset": spec.dataset.model_copy(update={"classes": CLASSES}),
        "training": spec.training.model_copy(update={"epochs": spec.pretraining.epochs}),
    }
    first = replace(data, train=_coarse(data.train), test=_coarse(data.test))
    return [Phase(spec.model_copy(update=fewer), first, range(spec.first_epoch, 1)), training]


def _coarse(split: "Split") -> "Split":
    return replace(split, labels=coarse(split.labels))

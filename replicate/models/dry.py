"""A dry forward pass tells the size of every map, so that nobody has to name one.

Eq. 1 gives the same sizes layer by layer, floor((N - K + 2P) / S) + 1, but for convolutions only.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def dry(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients: a forward pass inside leaves no trace in the model."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(modes[model])  # some modules do more here than set a flag
        for module, training in modes.items():
            module.training = training

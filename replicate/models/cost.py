"""What a network costs: its parameters, and the arithmetic for one image."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from replicate.models.classifier import Classifier
from replicate.models.tracing import no_side_effects

_aten = torch.ops.aten
_REDUCTIONS = {_aten.sum, _aten.mean, _aten.amax, _aten.logsumexp, _aten._softmax}
_COPIES = {_aten.clone}


class Cost(NamedTuple):
    parameters: int
    flops: int
    """Floating-point operations of a forward pass of one image through all heads."""


def cost(model: Classifier, image: Tensor) -> Cost:
    """Count on one image (1, C, H, W), which leaves no trace in the model.

    A multiply-add of a convolution or a matrix product is two operations. Besides these, only the
    pools' elementwise operations and reductions are counted, one for every value they go through:
    FlexPool has two for each of its weights, average pooling has one for each value of the map.
    """
    with no_side_effects(model):
        with FlopCounterMode(display=False) as products:
            model(image)
        maps = model.trunk(image)
        with _Elementwise() as pooling:
            for head, feature_map in zip(model.heads, maps, strict=True):
                head.get_submodule("pool")(feature_map)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(parameters, products.get_total_flops() + pooling.operations)


class _Elementwise(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the values that elementwise operations and reductions go through."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in _REDUCTIONS:
            self.operations += args[0].numel()
        elif torch.Tag.pointwise in func.tags and func.overloadpacket not in _COPIES:
            self.operations += result.numel()
        return result

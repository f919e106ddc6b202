"""Global pooling: the average, and FlexPool, which learns its weights (section 3.1)."""

from collections.abc import Callable, Sequence
from typing import get_args

import torch
from torch import Tensor, fx, nn

from replicate.models.pools import (
    AttentionPool2d,
    GeMPool2d,
    GlobalMaxPool2d,
    SoftmaxPool2d,
)
from replicate.specs.spec import Constraint, Pool

_CACHED_VALUES = 2**19  # of a product: 2 MiB of float32


@fx.wrap  # one node in a traced graph: the size check cannot run on fx's symbols
def flex_pool2d(x: Tensor, weights: Tensor, keepdim: bool = False) -> Tensor:
    """y[n, c] = sum over i, j of w[c, i, j] x[n, c, i, j] (Fig. 1).

    `x` is (N, C, H, W), `weights` (C, H, W), in any memory format. Returns (N, C), or (N, C, 1, 1)
    with `keepdim`, in the wider of the two dtypes: bfloat16 maps with float32 weights are
    multiplied and summed in float32. Raises ValueError where the sizes differ.
    """
    if x.shape[1:] != weights.shape:
        raise ValueError(
            f"FlexPool weights are for maps of {_size(weights.shape)} (channels x height x width), "
            f"got {_size(x.shape[1:])}"
        )
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return (x * weights).sum(dim=(2, 3), keepdim=keepdim)
    # A few images at a time: the product stays in the cache, and the whole takes a third of the time.
    pieces = torch.split(x, max(1, _CACHED_VALUES // weights.numel()))
    return torch.cat([(piece * weights).sum(dim=(2, 3), keepdim=keepdim) for piece in pieces])


class FlexPool2d(nn.Module):
    """Global pooling with one trainable weight per entry of the map: (N, C, H, W) -> (N, C).

    Every weight starts at 1/(H W), where FlexPool equals global average pooling. `constraint`
    "none" leaves the weights free, as the paper's text does; "softmax" makes each channel's weights
    the softmax over its positions, a true average, as the authors' code does; "shared" has one map
    of weights for all channels; "frozen" leaves every weight where it starts, a placebo. `keepdim`
    returns (N, C, 1, 1) for networks that flatten afterwards.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        constraint: Constraint = "none",
        *,
        keepdim: bool = False,
    ) -> None:
        super().__init__()
        if min(channels, height, width) < 1:
            raise ValueError(f"FlexPool2d needs sizes of at least 1, got {channels, height, width}")
        if constraint not in get_args(Constraint):
            known = ", ".join(get_args(Constraint))
            raise ValueError(f"constraint must be one of {known}, got {constraint!r}")
        self.size = channels, height, width
        self.constraint = constraint
        self.keepdim = keepdim
        maps = 1 if constraint == "shared" else channels
        # Four dimensions, so that module.to(memory_format=torch.channels_last) lays the weights out
        # like the maps: a product of unlike layouts is several times slower.
        start = torch.full((1, maps, height, width), 1 / (height * width))
        self.weight = nn.Buffer(start) if constraint == "frozen" else nn.Parameter(start)

    def weights(self) -> Tensor:
        """The effective weights, (C, H, W)."""
        weight = self.weight[0]
        if self.constraint == "softmax":  # spelt out, because flattening would lose the layout
            weight = (weight - weight.logsumexp(dim=(1, 2), keepdim=True)).exp()
        return weight.expand(self.size)

    def penalty(self) -> Tensor:
        """R, the sum over k of (sum over i, j of w[k, i, j] - 1)^2: a scalar (Eq. 2)."""
        return (self.weights().sum(dim=(1, 2)) - 1).square().sum()

    def forward(self, x: Tensor) -> Tensor:
        return flex_pool2d(x, self.weights(), self.keepdim)

    def extra_repr(self) -> str:
        return f"{_size(self.size)}, constraint={self.constraint!r}"


class GlobalAvgPool2d(nn.Module):
    """Global average pooling, (N, C, H, W) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


OTHERS: dict[str, Callable[[int], nn.Module]] = {
    "avg": lambda _: GlobalAvgPool2d(),
    "max": lambda _: GlobalMaxPool2d(),
    "gem": lambda _: GeMPool2d(),
    "softmax": SoftmaxPool2d,
    "attention": AttentionPool2d,
    "flatten": lambda _: nn.Flatten(),
}
"""Every pool but FlexPool, by the map's channels: they need no size."""


def global_pool(kind: Pool, size: Sequence[int], constraint: Constraint) -> nn.Module:
    """The pool for maps of `size` (channels, height, width), (N, C, H, W) -> (N, C).

    "flatten" pools nothing: (N, C H W), for a dense layer over the whole map.
    """
    if kind not in get_args(Pool):
        raise ValueError(f"pool must be one of {', '.join(get_args(Pool))}, got {kind!r}")
    channels, height, width = size
    if kind == "flex":
        return FlexPool2d(channels, height, width, constraint)
    return OTHERS[kind](channels)


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))

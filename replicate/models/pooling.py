"""Global pooling: the average, and FlexPool, which learns its weights (section 3.1)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, fx, nn

Pool = Literal["avg", "flex"]
Constraint = Literal["none", "softmax"]

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
    the softmax over its positions, a true average, as the authors' code does. `keepdim` returns
    (N, C, 1, 1) for networks that flatten afterwards.
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
            raise ValueError(f"constraint must be none or softmax, got {constraint!r}")
        self.constraint = constraint
        self.keepdim = keepdim
        # Four dimensions, so that module.to(memory_format=torch.channels_last) lays the weights out
        # like the maps: a product of unlike layouts is several times slower.
        self.weight = nn.Parameter(torch.full((1, channels, height, width), 1 / (height * width)))

    def weights(self) -> Tensor:
        """The effective weights, (C, H, W)."""
        weight = self.weight[0]
        if self.constraint == "softmax":  # spelt out, because flattening would lose the layout
            weight = (weight - weight.logsumexp(dim=(1, 2), keepdim=True)).exp()
        return weight

    def penalty(self) -> Tensor:
        """R, the sum over k of (sum over i, j of w[k, i, j] - 1)^2: a scalar (Eq. 2)."""
        return (self.weights().sum(dim=(1, 2)) - 1).square().sum()

    def forward(self, x: Tensor) -> Tensor:
        return flex_pool2d(x, self.weights(), self.keepdim)

    def extra_repr(self) -> str:
        return f"{_size(self.weight.shape[1:])}, constraint={self.constraint!r}"


class GlobalAvgPool2d(nn.Module):
    """Global average pooling, (N, C, H, W) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def global_pool(
    kind: Pool, size: Sequence[int], constraint: Constraint
) -> FlexPool2d | GlobalAvgPool2d:
    """The pool for maps of `size` (channels, height, width)."""
    if kind not in get_args(Pool):
        raise ValueError(f"pool must be avg or flex, got {kind!r}")
    channels, height, width = size
    return FlexPool2d(channels, height, width, constraint) if kind == "flex" else GlobalAvgPool2d()


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))

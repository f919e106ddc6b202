"""ResNet for small images (He et al. 2016, section 4.2), as a trunk that ends before the pooling.

Depth 6n + 2: a stem, then three stages of n blocks with 16, 32 and 64 channels. The last two
halve the side, rounding up: 28 pixels give maps of 28, 14 and 7.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from replicate.specs.spec import BlockOrder

WIDTHS = (16, 32, 64)


class HeBlock(nn.Module):
    """conv, BN, ReLU, conv, BN, addition, ReLU; no convolution bias (He et al. 2016)."""

    bias: ClassVar = False

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs, stride, self.bias)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _conv(outputs, outputs, 1, self.bias)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.new_channels = outputs - inputs

    def shortcut(self, x: Tensor) -> Tensor:
        """Option A: every second row and column, zeros for new channels, half on each side."""
        if self.stride == 1 and not self.new_channels:
            return x
        before = self.new_channels // 2
        kept = x[:, :, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, before, self.new_channels - before))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)).add_(self.shortcut(x)), inplace=True)


class ReleasedBlock(HeBlock):
    """conv, ReLU, BN, conv, addition, ReLU, BN; convolutions with bias (the authors' code)."""

    bias: ClassVar = True

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(F.relu(self.conv1(x)))
        out: Tensor = self.bn2(F.relu(self.conv2(y) + self.shortcut(x)))
        return out


BLOCKS: dict[BlockOrder, type[HeBlock]] = {"he": HeBlock, "released": ReleasedBlock}


class ResNet(nn.Module):
    """(N, channels, H, W) -> a tuple of the three stages' maps, or of the last one alone.

    Initialised from torch's global generator by `initialise`.
    """

    def __init__(
        self, depth: int, channels: int, order: BlockOrder = "he", *, all_stages: bool = True
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth must be 6n + 2 (20, 32, 44, 56, 110), got {depth}")
        if order not in BLOCKS:
            raise ValueError(f"order must be one of {', '.join(BLOCKS)}, got {order!r}")
        self.order, self.all_stages = order, all_stages
        self.conv = _conv(channels, WIDTHS[0], 1, BLOCKS[order].bias)
        self.bn = nn.BatchNorm2d(WIDTHS[0])
        blocks = (depth - 2) // 6
        self.stage1 = _stage(BLOCKS[order], blocks, WIDTHS[0], WIDTHS[0], stride=1)
        self.stage2 = _stage(BLOCKS[order], blocks, WIDTHS[0], WIDTHS[1], stride=2)
        self.stage3 = _stage(BLOCKS[order], blocks, WIDTHS[1], WIDTHS[2], stride=2)
        initialise(self, order)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        stem = self.conv(x)
        stem = F.relu(self.bn(stem), inplace=True) if self.order == "he" else self.bn(F.relu(stem))
        first = self.stage1(stem)
        second = self.stage2(first)
        third = self.stage3(second)
        return (first, second, third) if self.all_stages else (third,)


def initialise(module: nn.Module, order: BlockOrder) -> None:
    """Draw the weights anew; biases and normalisation keep torch's defaults.

    "he": convolutions Kaiming normal by fan-out for ReLU, as torchvision's ResNets (He et al. 2015
    allow either fan), dense layers as torch draws them. "released": every convolution and dense
    weight Kaiming normal by fan-in, as the authors' code.
    """
    for layer in module.modules():
        if order == "released" and isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def _conv(inputs: int, outputs: int, stride: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)


def _stage(
    block: type[HeBlock], blocks: int, inputs: int, outputs: int, stride: int
) -> nn.Sequential:
    first = block(inputs, outputs, stride)
    return nn.Sequential(first, *(block(outputs, outputs, 1) for _ in range(blocks - 1)))

"""VGG with batch norm (Simonyan and Zisserman 2015), as a trunk that ends before the pooling.

Five stages of 3x3 convolutions, each with a max pool behind that halves the side, rounding down:
224 pixels give a last map of 7, 64 pixels of 2, and 32 pixels one of 1, which leaves nothing to pool.
"""

from torch import Tensor, nn

from replicate.models.resnet import initialise
from replicate.specs.spec import BlockOrder

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
DENSE = 4096
SAC_STAGES = 3


class VGG(nn.Module):
    """(N, channels, H, W) -> a tuple of the last three stages' maps, or of the last one alone.

    Initialised from torch's global generator by `initialise`.
    """

    def __init__(
        self, depth: int, channels: int, order: BlockOrder = "he", *, all_stages: bool = True
    ) -> None:
        super().__init__()
        if depth not in CONVOLUTIONS:
            raise ValueError(
                f"depth must be one of {', '.join(map(str, CONVOLUTIONS))}, got {depth}"
            )
        self.maps = SAC_STAGES if all_stages else 1
        inputs = (channels, *WIDTHS)
        self.stages = nn.ModuleList(
            _stage(count, inputs[index], WIDTHS[index])
            for index, count in enumerate(CONVOLUTIONS[depth])
        )
        initialise(self, order)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps[-self.maps :])


def dense_layers(classes: int) -> nn.Sequential:
    """VGG's three dense layers, behind a pooled vector of 512 values as in the authors' code."""
    return nn.Sequential(
        *(nn.Linear(WIDTHS[-1], DENSE), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(DENSE, DENSE), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(DENSE, classes),
    )


def _stage(convolutions: int, inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(convolutions):
        layers += [
            nn.Conv2d(outputs if index else inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.MaxPool2d(2))

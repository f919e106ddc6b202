"""Parameters and FLOPs by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from replicate.models import Classifier, build_model, cost
from replicate.models.heads import make_heads
from replicate.specs.spec import Spec

MakeSpec = Callable[..., Spec]
CONV = 2 * 9 * 3 * 4 * 6 * 5  # 3 -> 4 channels on a map of 6 x 5
DENSE = 2 * 4 * 7
MAP = 4 * 6 * 5


class OneMap(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.conv(x).relu(),)


POOLS = {
    "avg": MAP,  # one sum
    "flex": 2 * MAP,  # a product and a sum
    "max": MAP,
    "flatten": 7 * 2 * MAP - DENSE,  # a product of the whole map instead of one of 4 means
    "softmax": 4 * MAP,  # alpha x, softmax, product, sum
    # V h and w h are matrix products; tanh, softmax over 30 positions, product, sum
    "attention": 2 * 4 * 4 * 30 + 2 * 4 * 30 + MAP + 30 + 2 * MAP,
}


@pytest.mark.parametrize("pool", POOLS)
def test_flops_by_hand(pool: str) -> None:
    image = torch.zeros(1, 3, 6, 5)
    trunk = OneMap()
    model = Classifier(trunk, make_heads(trunk(image), 7, pool=pool), [1.0], "last")
    assert cost(model, image).flops == CONV + DENSE + POOLS[pool]


def test_resnet20_has_its_known_cost(make_spec: MakeSpec) -> None:
    """40.55 million multiply-adds, as usually given for it: 3 -> 16 channels, then three stages."""
    stages = [(16, 16, 32)] * 6 + [(16, 32, 16)] + [(32, 32, 16)] * 5
    stages += [(32, 64, 8)] + [(64, 64, 8)] * 5
    products = sum(9 * i * o * side**2 for i, o, side in [(3, 16, 32), *stages]) + 64 * 10
    model, image = build_model(make_spec(pool="avg")), torch.zeros(1, 3, 32, 32)
    assert cost(model, image) == (269_722, 2 * products + 64 * 8 * 8)
    assert round(products / 1e6, 2) == 40.55
    flexible = cost(build_model(make_spec()), image)
    assert flexible == (269_722 + 4096, 2 * products + 2 * 4096)


def test_counting_leaves_no_trace(make_spec: MakeSpec) -> None:
    model = build_model(make_spec(sac=True, dropout=0.5)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    cost(model, torch.zeros(1, 3, 32, 32))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())

"""FlexPool in torchvision's networks: found by position, equal outputs at first, clear refusals."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

from replicate.models import FlexPool2d, replace_global_pool

NETWORKS = {
    "resnet18": (512, 2, 2),
    "mobilenet_v3_small": (576, 2, 2),
    "efficientnet_b0": (1280, 2, 2),
    "convnext_tiny": (768, 2, 2),
    "regnet_y_400mf": (440, 2, 2),
    "googlenet": (1024, 2, 2),
    # functions, not modules:
    "mobilenet_v2": (1280, 2, 2),
    "shufflenet_v2_x0_5": (1024, 2, 2),
    "densenet121": (1024, 2, 2),
}


def network(name: str) -> nn.Module:
    options = {"init_weights": False} if name == "googlenet" else {}
    return getattr(models, name)(num_classes=5, **options)


@torch.no_grad()
def keep_signal(model: nn.Module, x: torch.Tensor) -> None:
    """Fit the running statistics to `x`: untrained, deep networks fade to their biases without."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()(x)


def pools(model: nn.Module) -> list[FlexPool2d]:
    return [module for module in model.modules() if isinstance(module, FlexPool2d)]


@pytest.mark.parametrize("name", NETWORKS)
def test_torchvision_network(name: str) -> None:
    torch.manual_seed(0)
    model, x = network(name), torch.randn(2, 3, 64, 64)
    keep_signal(model, x)
    averages = sum(isinstance(m, nn.AdaptiveAvgPool2d) for m in model.modules())
    flexible = replace_global_pool(model, x)
    (pool,) = pools(flexible)
    assert tuple(pool.weights().shape) == NETWORKS[name]
    left = sum(isinstance(m, nn.AdaptiveAvgPool2d) for m in flexible.modules())
    assert left == max(averages - 1, 0)  # those of squeeze-and-excitation stay
    assert set(model.state_dict()) < set(flexible.state_dict())
    assert not pools(model)
    with torch.no_grad():
        expected = model.eval()(x)
        scale = expected.abs().max()
        assert (flexible.eval()(x) - expected).abs().max() < 1e-4 * scale
        pool.weight[..., 0, 0] = 1
        assert (flexible(x) - expected).abs().max() > 1e-2 * scale


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_trains_and_keeps_modes(name: str) -> None:
    model, x = network(name), torch.randn(2, 3, 64, 64)
    model.get_submodule("bn1" if name == "resnet18" else "features.0.1").eval()
    modes = {key: module.training for key, module in model.named_modules()}
    flexible = replace_global_pool(model, x, "softmax")
    assert {k: m.training for k, m in flexible.named_modules() if k in modes} == modes
    flexible(x).sum().backward()
    (pool,) = pools(flexible)
    assert pool.constraint == "softmax"
    assert pool.weight.grad.any()


def test_another_image_size_is_refused() -> None:
    flexible = replace_global_pool(network("resnet18"), torch.randn(2, 3, 64, 64))
    with pytest.raises(ValueError, match=r"maps of 512x2x2 .* got 512x3x3"):
        flexible(torch.randn(2, 3, 96, 96))


def test_vgg_has_no_global_pool() -> None:
    with torch.device("meta"):  # sizes alone, not 133 million weights
        model, x = models.vgg11(), torch.randn(1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"found no; .*: avgpool \(512x1x1 -> 512x7x7\)$"):
        replace_global_pool(model, x)


def test_a_network_without_any_pool() -> None:
    with pytest.raises(ValueError, match=r"found no; average pools in the network: none$"):
        replace_global_pool(nn.Conv2d(1, 1, 3), torch.zeros(1, 1, 8, 8))


def test_two_global_pools_are_named() -> None:
    twice = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    with pytest.raises(ValueError, match=r"found 2; .*0 \(4x6x6 -> 4x1x1\), 2 \(4x1x1 -> 4x1x1\)"):
        replace_global_pool(twice, torch.zeros(1, 4, 6, 6))


class Gated(nn.Module):
    """Squeeze-and-excitation, perhaps by the classifier's pool; batch size read off the input."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = self.pool if shared else nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch = x.shape[0]
        return self.linear(self.pool(x * self.gate(x).sigmoid()).view(batch, -1))


def test_only_the_pool_before_the_classifier_counts() -> None:
    model, x = Gated(shared=False), torch.randn(2, 4, 5, 5)
    flexible = replace_global_pool(model, x)
    assert isinstance(flexible.pool, FlexPool2d)
    assert isinstance(flexible.gate, nn.AdaptiveAvgPool2d)
    torch.testing.assert_close(flexible(x), model(x))


def test_a_pool_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="found a shared"):
        replace_global_pool(Gated(shared=True), torch.randn(2, 4, 5, 5))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(F.dropout(x.mean((-2, -1)), training=self.training))


def test_a_functional_pool_beside_a_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="Functional differs between training and evaluation"):
        replace_global_pool(Functional(), torch.randn(2, 4, 5, 5))


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else x.mean((2, 3)) * 2


def test_an_untraceable_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"torch\.fx cannot trace Branching: "):
        replace_global_pool(Branching(), torch.zeros(1, 1, 8, 8))

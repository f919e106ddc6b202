"""Heads, Eq. 3 and Eq. 4 by hand, and auxiliary classifiers on a network of torchvision's."""

from math import exp, log

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from replicate.models import (
    AuxiliaryClassifiers,
    Classifier,
    FlexPool2d,
    GlobalAvgPool2d,
    weighted_loss,
)
from replicate.models.heads import Head, weighted_mean

SIZE = torch.Size((6, 4, 4))


@pytest.mark.parametrize("dropout_on", ["vector", "map"])
def test_head_in_evaluation_is_pool_and_dense_layer(dropout_on: str) -> None:
    head = Head(SIZE, 3, pool="avg", dropout=0.25, dropout_on=dropout_on).eval()
    x = torch.randn(5, 6, 4, 4)
    expected = x.mean(dim=(2, 3)) @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(x), expected)


@pytest.mark.parametrize("dropout_on", ["vector", "map"])
def test_dropout_takes_whole_channels(dropout_on: str) -> None:
    """Either way a channel of the pooled vector is 0 or scaled by 1 / (1 - p), here from 1 to 2."""
    head = Head(SIZE, 3, pool="avg", dropout=0.5, dropout_on=dropout_on)
    head.linear = nn.Identity()
    vectors = head(torch.ones(200, 6, 4, 4))
    assert set(vectors.unique().tolist()) == {0.0, 2.0}
    assert vectors.mean().item() == pytest.approx(1, abs=0.15)


def test_dropout_acts_where_it_is_told() -> None:
    """On the vector the pool sees whole maps; on the map it sees the holes."""
    for dropout_on, holes in (("vector", False), ("map", True)):
        head = Head(SIZE, 3, dropout=0.5, dropout_on=dropout_on)
        seen = []
        head.pool.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        head(torch.ones(50, 6, 4, 4))
        assert bool((seen[0] == 0).any()) == holes


def test_no_dropout_draws_no_random_numbers() -> None:
    head = Head(SIZE, 3)
    state = torch.get_rng_state()
    head(torch.ones(2, 6, 4, 4))
    assert torch.equal(torch.get_rng_state(), state)


def test_wrong_dropout_place() -> None:
    with pytest.raises(ValueError, match="vector or map, got 'logits'"):
        Head(SIZE, 3, dropout_on="logits")  # type: ignore[arg-type]


def test_weighted_loss_by_hand() -> None:
    logits = [
        torch.zeros(2, 2),  # log 2 for either image
        torch.tensor([[log(3), 0.0], [0.0, 0.0]]),  # -log 3/4 and log 2
        torch.tensor([[0.0, 1.0], [0.0, 1.0]]),  # log(1 + e) and log(1 + e) - 1
    ]
    expected = [log(2), (log(4 / 3) + log(2)) / 2, log(1 + exp(1)) - 0.5]
    loss, parts = weighted_loss(logits, torch.tensor([0, 1]), (0.1, 0.2, 0.7))
    assert [part.item() for part in parts] == pytest.approx(expected)
    total = 0.1 * expected[0] + 0.2 * expected[1] + 0.7 * expected[2]
    assert loss.item() == pytest.approx(total)


def test_single_head_loss_is_cross_entropy() -> None:
    loss, parts = weighted_loss([torch.tensor([[2.0, 0.0]])], torch.tensor([0]), (1.0,))
    assert loss.item() == parts[0].item() == pytest.approx(log(1 + exp(-2)))


def test_last_head_alone_is_allowed() -> None:
    logits = [torch.randn(4, 3, requires_grad=True) for _ in range(3)]
    loss, parts = weighted_loss(logits, torch.tensor([0, 1, 2, 0]), (0.0, 0.0, 1.0))
    loss.backward()
    assert loss.item() == parts[2].item()
    assert not logits[0].grad.any()
    assert logits[2].grad.any()


def test_loss_of_bfloat16_logits_is_float32() -> None:
    logits, target = torch.randn(64, 10).bfloat16(), torch.arange(64) % 10
    loss, _ = weighted_loss([logits], target, (1.0,))
    expected, _ = weighted_loss([logits.double()], target, (1.0,))
    assert (loss.dtype, expected.dtype) == (torch.float32, torch.float64)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def classifier(heads: int, weights: tuple[float, ...]) -> Classifier:
    return Classifier(nn.Identity(), nn.ModuleList([nn.Identity()] * heads), weights, "last")


@pytest.mark.parametrize(
    "weights",
    [(0.2, 0.1, 0.7), (0.1, 0.1, 0.8), (0.0, 0.5, 0.5), (0.0, 0.0, 0.0), (-0.1, 0.2, 0.9)],
)
def test_weights_must_increase(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="head_weights must "):
        classifier(3, weights)


@pytest.mark.parametrize("weights", [(0.1, 0.2, 0.7), (0.01, 0.11, 0.88), (0.0, 0.3, 0.7)])
def test_increasing_weights_are_taken(weights: tuple[float, ...]) -> None:
    classifier(3, weights)
    loss, _ = weighted_loss([torch.zeros(1, 2)] * 3, torch.tensor([0]), weights)
    assert loss.item() == pytest.approx(log(2))


@pytest.mark.parametrize(("heads", "weights"), [(3, (1.0,)), (1, (0.1, 0.9))])
def test_one_weight_per_head(heads: int, weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=f"{heads} heads need {heads} weights"):
        classifier(heads, weights)
    with pytest.raises(ValueError, match="zip"):
        weighted_loss([torch.zeros(1, 2)] * heads, torch.tensor([0]), weights)


def test_weighted_mean_by_hand() -> None:
    logits = [torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 6.0]])]
    mean = weighted_mean(logits, (0.5, 1.0))  # (1.5, 6) / 1.5
    torch.testing.assert_close(mean, torch.tensor([[1.0, 4.0]]))


def test_auxiliary_classifiers_on_resnet18() -> None:
    backbone, x = resnet18().eval(), torch.randn(2, 3, 64, 64)
    heads = AuxiliaryClassifiers(backbone, ["layer2", "layer3", "layer4"], x, 7, pool="flex")
    logits = heads.eval()(x)
    assert [tuple(head.shape) for head in logits] == [(2, 7)] * 3
    sizes = [tuple(head.pool.weights().shape) for head in heads.heads]
    assert sizes == [(128, 8, 8), (256, 4, 4), (512, 2, 2)]
    with torch.no_grad():
        features = backbone.avgpool(backbone.layer4(heads.trunk(x)["layer3"])).flatten(1)
        torch.testing.assert_close(logits[2], heads.heads[2].linear(features), rtol=1e-4, atol=1e-4)
    loss, _ = weighted_loss(logits, torch.tensor([0, 1]), (0.1, 0.2, 0.7))
    loss.backward()
    assert all(head.pool.weight.grad is not None for head in heads.heads)


def test_stages_keep_the_order_given() -> None:
    backbone, x = resnet18(), torch.randn(2, 3, 32, 32)
    heads = AuxiliaryClassifiers(backbone, ["layer4", "layer1"], x, 7, pool="avg")
    assert [head.linear.in_features for head in heads.heads] == [512, 64]
    assert all(isinstance(head.pool, GlobalAvgPool2d) for head in heads.heads)


def test_auxiliary_classifiers_on_a_network_with_flexpool() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), FlexPool2d(2, 4, 4), nn.Linear(2, 3))
    heads = AuxiliaryClassifiers(net, ["0"], torch.zeros(1, 1, 6, 6), 5)
    assert heads(torch.zeros(2, 1, 6, 6))[0].shape == (2, 5)


def test_dry_pass_leaves_the_trunk_as_it_was() -> None:
    heads = AuxiliaryClassifiers(Moody(), ["norm"], torch.randn(1, 2, 6, 6), 5)
    x = torch.randn(8, 2, 6, 6)
    assert not heads.trunk.norm.running_mean.any()
    heads(x)  # still in training mode: sees the doubled map and notes its mean
    torch.testing.assert_close(
        heads.trunk.norm.running_mean, 0.1 * 2 * x.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-6
    )


class Moody(nn.Module):
    """Its forward pass depends on the mode, so that a traced copy holds a graph for each."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(2 * x if self.training else x)


def test_a_stage_without_a_map() -> None:
    with pytest.raises(ValueError, match=r"stage 'fc' gives \[2, 1000\]"):
        AuxiliaryClassifiers(resnet18(), ["layer1", "fc"], torch.zeros(2, 3, 32, 32), 7)

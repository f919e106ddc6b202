"""Each rung of the ladder nests the one before, and equals a convolution over the whole map."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from replicate.models import Classifier, build_model, weighted_loss
from replicate.models.heads import Head
from replicate.specs.spec import Spec
from replicate.training.optimisation import build_optimizer

MakeSpec = Callable[..., Spec]
RUNGS: list[dict[str, str]] = [
    {"pool": "avg"},
    {"pool": "flex", "constraint": "shared"},
    {"pool": "flex"},
    {"pool": "flatten"},
]
CHANNELS, SIDE, CLASSES = 64, 8, 10


def rung(make_spec: MakeSpec, **model: str) -> Classifier:
    torch.manual_seed(0)
    return build_model(make_spec(**model)).eval()


def by_convolution(model: Classifier, feature_map: Tensor) -> Tensor:
    """The head's logits (N, classes), by convolutions over the whole map in place of a pool."""
    (head,) = model.heads
    if head.linear.in_features > CHANNELS:
        weight = head.linear.weight.reshape(CLASSES, CHANNELS, SIDE, SIDE)
        return F.conv2d(feature_map, weight, head.linear.bias).flatten(1)
    weight = torch.full((CHANNELS, SIDE, SIDE), 1 / SIDE**2)
    if model.pools():  # one map, or one for every channel
        weight = model.pools()[0].weight[0].broadcast_to(weight.shape)
    pooled = F.conv2d(feature_map, weight[:, None], groups=CHANNELS).flatten(1)
    return F.linear(pooled, head.linear.weight, head.linear.bias)


def take_over(lower: Classifier, upper: Classifier) -> None:
    """Set the upper rung's parameters so that it computes what the lower one does."""
    maps = torch.full((CHANNELS, SIDE, SIDE), 1 / SIDE**2)
    for pool in lower.pools():
        maps = pool.weights().detach()
    state = lower.heads[0].linear.state_dict()
    if upper.pools():
        own = upper.pools()[0].weight.data
        own.copy_(maps[: own.shape[1]])
    else:
        state["weight"] = (state["weight"][:, :, None, None] * maps).flatten(1)
    upper.heads[0].linear.load_state_dict(state)


def learned(model: Classifier) -> Classifier:
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("model", RUNGS)
def test_a_rung_is_a_convolution_over_the_whole_map(
    make_spec: MakeSpec, model: dict[str, str]
) -> None:
    net, feature_map = learned(rung(make_spec, **model)), torch.randn(4, CHANNELS, SIDE, SIDE)
    found = net.heads[0](feature_map)
    torch.testing.assert_close(found, by_convolution(net, feature_map), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("below", "above"), list(pairwise(RUNGS)))
def test_every_rung_nests_the_one_before(
    make_spec: MakeSpec, below: dict[str, str], above: dict[str, str]
) -> None:
    lower, upper = learned(rung(make_spec, **below)), learned(rung(make_spec, **above))
    feature_map = torch.randn(4, CHANNELS, SIDE, SIDE)
    assert not torch.allclose(lower.heads[0](feature_map), upper.heads[0](feature_map), atol=1e-2)
    take_over(lower, upper)
    torch.testing.assert_close(
        lower.heads[0](feature_map), upper.heads[0](feature_map), rtol=1e-4, atol=1e-4
    )


def test_parameters_grow_from_rung_to_rung(make_spec: MakeSpec) -> None:
    counts = [sum(p.numel() for p in rung(make_spec, **model).parameters()) for model in RUNGS]
    wide = (CHANNELS * SIDE**2 - CHANNELS) * CLASSES
    more = [0, SIDE**2, CHANNELS * SIDE**2, wide]
    assert counts == [269_722 + number for number in more]


@pytest.mark.parametrize("model", [*RUNGS, {"pool": "flex", "constraint": "frozen"}])
def test_every_rung_starts_as_the_average(make_spec: MakeSpec, model: dict[str, str]) -> None:
    average, x = rung(make_spec, pool="avg", sac=True), torch.randn(2, 3, 32, 32)
    for one, other in zip(rung(make_spec, sac=True, **model)(x), average(x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def trained(spec: Spec, steps: int) -> Classifier:
    torch.manual_seed(0)
    model = build_model(spec)
    optimizer = build_optimizer(model, spec.training)
    for _ in range(steps):
        logits = model(torch.randn(16, 3, 16, 16))
        loss, _ = weighted_loss(logits, torch.arange(16) % 10, spec.loss.head_weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def test_the_placebo_learns_what_the_average_learns(make_spec: MakeSpec) -> None:
    """And no more: it has no parameters of its own; FlexPool, for comparison, learns something else."""
    average, placebo, flexible = (
        trained(make_spec(size=16, sac=True, **model), steps=3)
        for model in ({"pool": "avg"}, {"constraint": "frozen"}, {})
    )
    assert placebo.pool_parameters() == []
    assert all(
        bool((pool.weight == 1 / pool.weight[0, 0].numel()).all()) for pool in placebo.pools()
    )
    x = torch.randn(4, 3, 16, 16)
    expected = average(x)[-1]
    torch.testing.assert_close(placebo(x)[-1], expected, rtol=0.01, atol=0.01)
    assert not torch.allclose(flexible(x)[-1], expected, rtol=0.1, atol=0.1)


def test_a_network_with_dense_layers_of_its_own_has_no_top_rung(make_spec: MakeSpec) -> None:
    with pytest.raises(ValueError, match=r"flatten needs a resnet of small images, not vgg16"):
        make_spec(network="vgg16", pool="flatten")
    with pytest.raises(ValueError, match="flatten needs a single dense layer"):
        Head(torch.Size((3, 4, 4)), 10, pool="flatten", classifier=nn.Sequential(nn.Linear(3, 10)))

"""The networks of specs: counts, both orders with and without SAC, inference, determinism."""

from collections.abc import Callable
from typing import get_args

import pytest
import torch

from replicate.models import Classifier, GlobalAvgPool2d, build_model, weighted_loss
from replicate.specs.spec import Model, Pool, Spec
from replicate.training.optimisation import build_optimizer

MakeSpec = Callable[..., Spec]


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def seeded(spec: Spec, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return build_model(spec)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ({"pool": "avg"}, 269_722),
        ({"pool": "flex"}, 269_722 + 64 * 8 * 8),
        ({"pool": "avg", "sac": True}, 269_722 + (16 * 10 + 10) + (32 * 10 + 10)),
        (
            {"pool": "flex", "sac": True},
            269_722 + 64 * 8 * 8 + (16 * 32 * 32 + 16 * 10 + 10) + (32 * 16 * 16 + 32 * 10 + 10),
        ),
    ],
)
def test_parameter_counts(make_spec: MakeSpec, model: dict[str, object], parameters: int) -> None:
    assert count(build_model(make_spec(**model))) == parameters


def test_released_order_adds_only_biases(make_spec: MakeSpec) -> None:
    biases = 7 * 16 + 6 * 32 + 6 * 64
    assert count(build_model(make_spec(pool="avg", block="released"))) == 269_722 + biases


@pytest.mark.parametrize(
    ("size", "sides"), [(28, (28, 14, 7)), (32, (32, 16, 8)), (11, (11, 6, 3))]
)
def test_pools_fit_the_images(make_spec: MakeSpec, size: int, sides: tuple[int, ...]) -> None:
    model = build_model(make_spec(size=size, channels=1, sac=True))
    shapes = [tuple(pool.weights().shape) for pool in model.pools()]
    assert shapes == [(c, s, s) for c, s in zip((16, 32, 64), sides, strict=True)]
    assert model(torch.randn(2, 1, size, size))[2].shape == (2, 10)


@pytest.mark.parametrize("block", ["he", "released"])
@pytest.mark.parametrize("sac", [False, True])
@pytest.mark.parametrize("pool", ["avg", "flex"])
def test_forward_and_backward(make_spec: MakeSpec, block: str, sac: bool, pool: str) -> None:
    spec = make_spec(size=16, block=block, sac=sac, pool=pool, dropout=0.25)
    model = seeded(spec)
    logits = model(torch.randn(4, 3, 16, 16))
    assert [tuple(head.shape) for head in logits] == [(4, 10)] * (3 if sac else 1)
    loss, _ = weighted_loss(logits, torch.tensor([0, 1, 2, 3]), spec.loss.head_weights)
    (loss + model.penalty()).backward()
    missing = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert missing == []


@pytest.mark.parametrize("sac", [False, True])
@pytest.mark.parametrize("constraint", ["none", "softmax"])
def test_flexpool_starts_as_average_pooling(
    make_spec: MakeSpec, sac: bool, constraint: str
) -> None:
    """With one seed: the pools draw no random numbers, so the rest of the network is the same."""
    average = seeded(make_spec(pool="avg", sac=sac)).eval()
    flex = seeded(make_spec(pool="flex", sac=sac, constraint=constraint)).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        for one, other in zip(average(x), flex(x), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", ["he", "released"])
def test_seed_decides_everything(make_spec: MakeSpec, block: str) -> None:
    spec = make_spec(sac=True, block=block)
    first, again, other = (seeded(spec, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["trunk.conv.weight"], other["trunk.conv.weight"])
    assert not torch.equal(first["heads.2.linear.weight"], other["heads.2.linear.weight"])


def test_released_dense_layers_are_kaiming_normal(make_spec: MakeSpec) -> None:
    weight = seeded(make_spec(classes=200, block="released")).heads[0].linear.weight
    assert weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)
    default = seeded(make_spec(classes=200, block="he")).heads[0].linear.weight
    assert default.abs().max().item() <= 1 / 64**0.5


@pytest.mark.parametrize(("block", "fan"), [("he", 64 * 9), ("released", 32 * 9)])
def test_trunk_is_kaiming_normal(make_spec: MakeSpec, block: str, fan: int) -> None:
    """By fan-out or by fan-in, seen on the convolution from 32 to 64 channels."""
    weight = seeded(make_spec(block=block)).trunk.stage3[0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.03)


def test_last_head_predicts_and_no_other_is_computed(make_spec: MakeSpec) -> None:
    model = seeded(make_spec(size=16, sac=True, inference="last")).eval()
    x = torch.randn(2, 3, 16, 16)
    expected = model(x)[2]
    for head in model.heads[:2]:
        head.register_forward_hook(lambda *_: pytest.fail("a head that is not needed"))
    assert torch.equal(model.predict(x), expected)


def test_weighted_inference(make_spec: MakeSpec) -> None:
    model = seeded(make_spec(size=16, sac=True, inference="weighted")).eval()
    x = torch.randn(2, 3, 16, 16)
    one, two, three = model(x)
    torch.testing.assert_close(model.predict(x), 0.1 * one + 0.2 * two + 0.7 * three)
    assert not torch.allclose(model.predict(x), three)


def test_penalty_sums_over_the_heads(make_spec: MakeSpec) -> None:
    model = build_model(make_spec(size=16, sac=True))
    assert model.penalty().item() == pytest.approx(0, abs=1e-9)
    with torch.no_grad():
        for pool, factor in zip(model.pools(), (2, 3, 4), strict=True):
            pool.weight.mul_(factor)  # channel sums 2, 3, 4
    assert model.penalty().item() == pytest.approx(16 * 1 + 32 * 4 + 64 * 9, rel=1e-5)


def test_average_pooling_has_no_penalty_and_no_pool_parameters(make_spec: MakeSpec) -> None:
    model = build_model(make_spec(pool="avg", sac=True))
    assert model.penalty().item() == 0
    assert (model.pools(), model.pool_parameters()) == ([], [])
    assert all(isinstance(head.pool, GlobalAvgPool2d) for head in model.heads)


def test_pool_parameters_are_the_flexpool_weights(make_spec: MakeSpec) -> None:
    model = build_model(make_spec(sac=True))
    names = {id(p): name for name, p in model.named_parameters()}
    assert [names[id(p)] for p in model.pool_parameters()] == [
        f"heads.{i}.pool.weight" for i in range(3)
    ]


@pytest.mark.parametrize("constraint", ["none", "softmax"])
def test_constraint_reaches_every_head(make_spec: MakeSpec, constraint: str) -> None:
    model = build_model(make_spec(sac=True, constraint=constraint))
    assert [pool.constraint for pool in model.pools()] == [constraint] * 3


def test_dropout_reaches_every_head(make_spec: MakeSpec) -> None:
    vector = build_model(make_spec(sac=True, dropout=0.25))
    assert [head.vector_dropout.p for head in vector.heads] == [0.25] * 3
    channels = build_model(make_spec(sac=True, dropout=0.25, dropout_on="map"))
    assert [head.map_dropout.p for head in channels.heads] == [0.25] * 3


@pytest.mark.parametrize("block", ["he", "released"])
def test_bfloat16_autocast_is_close_to_float32(make_spec: MakeSpec, block: str) -> None:
    model = seeded(make_spec(sac=True, block=block)).to(memory_format=torch.channels_last)
    x = torch.randn(16, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    target = torch.arange(16) % 10
    reference, _ = weighted_loss(model(x), target, (0.1, 0.2, 0.7))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(x)
        loss, _ = weighted_loss(logits, target, (0.1, 0.2, 0.7))
    assert logits[2].dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(reference.item(), rel=0.02)


def test_wrong_image_size(make_spec: MakeSpec) -> None:
    with pytest.raises(ValueError, match=r"maps of 64x8x8 .* got 64x7x7"):
        build_model(make_spec())(torch.zeros(1, 3, 28, 28))


def test_a_few_steps_learn(make_spec: MakeSpec) -> None:
    spec = make_spec(size=8, channels=1, classes=2, sac=True)
    model = seeded(spec)
    target = torch.arange(32) % 2
    x = torch.randn(32, 1, 8, 8) + 2 * target[:, None, None, None]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        loss, _ = weighted_loss(model(x), target, spec.loss.head_weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("kind", get_args(Pool))
def test_every_pool_trains_and_has_the_rate_of_its_own(make_spec: MakeSpec, kind: str) -> None:
    """Two steps of the suite's own optimiser move every parameter of every pool."""
    spec = make_spec(size=16, sac=True, pool=kind)
    model = seeded(spec)
    optimizer = build_optimizer(model, spec.training)
    own = [p for head in model.heads for p in head.pool.parameters()]
    assert [id(p) for p in model.pool_parameters()] == [id(p) for p in own]
    assert len(optimizer.param_groups) == (2 if own else 1)
    before = [p.detach().clone() for p in own]
    for _ in range(2):
        loss, _ = weighted_loss(
            model(torch.randn(8, 3, 16, 16)), torch.arange(8), spec.loss.head_weights
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.isfinite()
    assert all(not torch.equal(old, new) for old, new in zip(before, own, strict=True))


def test_every_pool_starts_from_the_same_network(make_spec: MakeSpec) -> None:
    states = [seeded(make_spec(pool=kind)).state_dict() for kind in get_args(Pool)]
    states[-1].pop("heads.0.linear.weight")  # flatten's, which is that of the others spread out
    for name, first in states[-1].items():
        assert all(torch.equal(first, state[name]) for state in states)


def test_specs_and_models_name_the_same_pools() -> None:
    assert get_args(Model.model_fields["pool"].annotation) == get_args(Pool)

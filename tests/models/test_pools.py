"""The other pools against NumPy in float64, their limits, and gradients by finite differences."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from replicate.models import GlobalAvgPool2d
from replicate.models.flexpool import OTHERS, global_pool
from replicate.models.pools import (
    AttentionPool2d,
    GeMPool2d,
    GlobalMaxPool2d,
    SoftmaxPool2d,
)
from replicate.specs.spec import Pool

SIZE = (3, 4, 5)
POOLS = OTHERS.keys() - {"flatten"}  # test_ladder.py has what pools nothing


def a_map(seed: int = 0) -> torch.Tensor:
    """As after a ReLU: about half of it is 0."""
    return torch.randn(2, *SIZE, generator=torch.Generator().manual_seed(seed)).relu()


def learned(pool: nn.Module) -> nn.Module:
    """With parameters away from where they start, each channel's its own."""
    with torch.no_grad():
        for parameter in pool.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return pool


def by_channel(values: torch.Tensor) -> np.ndarray:
    return values.detach().double().numpy().reshape(-1, 1)


def expected_gem(pool: GeMPool2d, x: np.ndarray) -> np.ndarray:
    p = pool.p.item()
    return (np.maximum(x, 0) ** p).mean(axis=2) ** (1 / p)


def expected_softmax(pool: SoftmaxPool2d, x: np.ndarray) -> np.ndarray:
    weights = np.exp(by_channel(pool.alpha) * x)
    return (weights * x).sum(axis=2) / weights.sum(axis=2)


def expected_attention(pool: AttentionPool2d, x: np.ndarray) -> np.ndarray:
    """Position by position, as Eq. 7 and 8 are written."""
    v, w = (p.detach().double().numpy() for p in (pool.hidden, pool.score[0]))
    images = []
    for image in x:
        weights = np.array([np.exp(w @ np.tanh(v @ h)) for h in image.T])
        images.append(sum(a * h for a, h in zip(weights / weights.sum(), image.T, strict=True)))
    return np.array(images)


EXPECTED: dict[str, Callable[..., np.ndarray]] = {
    "max": lambda _, x: x.max(axis=2),
    "gem": expected_gem,
    "softmax": expected_softmax,
    "attention": expected_attention,
}
PARAMETERS = {
    **{"avg": 0, "max": 0, "gem": 1, "softmax": 3, "attention": 3 * 3 + 3},
}


def test_every_pool_is_here() -> None:
    assert set(get_args(Pool)) == {"flex", "flatten", *POOLS}
    assert {"avg", *EXPECTED} == set(POOLS) == set(PARAMETERS)


@pytest.mark.parametrize("kind", EXPECTED)
def test_equals_numpy(kind: str) -> None:
    pool, x = learned(global_pool(kind, SIZE, "none")), a_map()
    expected = EXPECTED[kind](pool, x.double().flatten(2).numpy())
    np.testing.assert_allclose(pool(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_gem_takes_positive_values() -> None:
    x = torch.tensor([-4.0, 3.0]).reshape(1, 1, 1, 2)
    assert GeMPool2d()(x).item() == pytest.approx((27 / 2) ** (1 / 3), rel=1e-5)


def test_values_by_hand() -> None:
    x = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    e = float(np.e)
    assert SoftmaxPool2d(1)(x).item() == pytest.approx(e / (1 + e))
    assert AttentionPool2d(1)(x).item() == pytest.approx(0.5)


@pytest.mark.parametrize("kind", sorted(POOLS))
def test_parameters_and_their_gradients(kind: str) -> None:
    pool = global_pool(kind, SIZE, "none").double()
    assert sum(p.numel() for p in pool.parameters()) == PARAMETERS[kind]
    learned(pool)
    x = a_map().double().add(0.1).requires_grad_()  # off the kink at 0
    names = [name for name, _ in pool.named_parameters()]

    def of(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(pool, dict(zip(names, values, strict=True)), (x,))

    x = x + 0.01 * torch.arange(x.numel(), dtype=x.dtype).reshape(x.shape)  # one maximum
    assert torch.autograd.gradcheck(of, (x, *pool.parameters()))


LIMITS = {  # the parameter that makes it the average, and the one that makes it the maximum
    "gem": (1.0, 1e4),
    "softmax": (0.0, 1e4),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_limits(kind: str) -> None:
    x = a_map()
    for value, limit in zip(LIMITS[kind], (GlobalAvgPool2d(), GlobalMaxPool2d()), strict=True):
        pool = global_pool(kind, SIZE, "none")
        with torch.no_grad():
            next(pool.parameters()).fill_(value)
        torch.testing.assert_close(pool(x), limit(x), rtol=2e-3, atol=2e-3)


def test_attention_starts_as_the_average_and_can_choose_a_position() -> None:
    pool, x = AttentionPool2d(2), torch.rand(2, 2, 3, 3)
    torch.testing.assert_close(pool(x), GlobalAvgPool2d()(x))
    x[:, 0] = -1
    x[:, 0, 1, 2] = 1
    with torch.no_grad():
        pool.score[0, 0] = 100
    torch.testing.assert_close(pool(x), x[:, :, 1, 2])


@pytest.mark.parametrize("kind", sorted(POOLS))
@pytest.mark.parametrize("level", [0.0, 300.0])
def test_dead_and_large_maps_stay_finite(kind: str, level: float) -> None:
    """A channel that ReLU has emptied, and values whose exponential overflows."""
    pool, x = global_pool(kind, SIZE, "none"), torch.full((2, *SIZE), level, requires_grad=True)
    y = pool(x)
    y.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), level, rtol=1e-4, atol=1e-5)
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in pool.parameters())


@pytest.mark.parametrize("kind", sorted(POOLS))
def test_bfloat16_maps_are_summed_in_float32(kind: str) -> None:
    """4096 values of which bfloat16 would lose most; under autocast as without."""
    pool = learned(global_pool(kind, (2, 64, 64), "none"))
    x = (1 + torch.rand(2, 2, 64, 64)).bfloat16()
    expected = pool(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = pool(x)
    torch.testing.assert_close(found.float(), expected, rtol=4e-3, atol=0)
    if kind not in ("avg", "max"):  # a mean of bfloat16 is rounded once, a maximum not at all
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", ["avg", *EXPECTED])
def test_any_size_of_image_and_any_layout(kind: str) -> None:
    pool = global_pool(kind, SIZE, "none")
    assert pool(torch.rand(2, 3, 7, 9)).shape == (2, 3)
    assert pool(torch.rand(0, 3, 7, 9)).shape == (0, 3)
    x = a_map()
    torch.testing.assert_close(pool(x.contiguous(memory_format=torch.channels_last)), pool(x))


def test_an_unknown_pool_is_named() -> None:
    with pytest.raises(ValueError, match=r"one of avg, flex, max, .*flatten, got 'min'"):
        global_pool("min", SIZE, "none")

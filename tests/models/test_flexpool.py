"""FlexPool against float64 NumPy, and Eq. 2 by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import fx, nn

from replicate.models import FlexPool2d, GlobalAvgPool2d
from replicate.models import flexpool as pooling
from replicate.models.flexpool import flex_pool2d, global_pool

SIZES = [(64, 8, 8), (64, 7, 7), (5, 3, 9), (2, 1, 1)]
CONSTRAINTS = ["none", "softmax"]


def numpy_pool(x: torch.Tensor, w: torch.Tensor) -> np.ndarray:
    return np.einsum("nchw,chw->nc", x.detach().double().numpy(), w.detach().double().numpy())


def random_pool(size: tuple[int, int, int], constraint: str = "none") -> FlexPool2d:
    pool = FlexPool2d(*size, constraint)
    with torch.no_grad():
        pool.weight.copy_(torch.randn_like(pool.weight))
    return pool


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_starts_as_global_average(size: tuple[int, int, int], constraint: str) -> None:
    pool, x = FlexPool2d(*size, constraint), torch.randn(4, *size)
    torch.testing.assert_close(pool.weights(), torch.full(size, 1 / (size[1] * size[2])))
    torch.testing.assert_close(pool(x), GlobalAvgPool2d()(x), rtol=1e-5, atol=1e-6)
    assert sum(p.numel() for p in pool.parameters()) == np.prod(size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_numpy(
    size: tuple[int, int, int], constraint: str, memory_format: torch.memory_format
) -> None:
    pool = random_pool(size, constraint).to(memory_format=memory_format)
    x = torch.randn(4, *size).contiguous(memory_format=memory_format)
    raw = pool.weight[0].detach().double().numpy()
    if constraint == "softmax":
        raw = np.exp(raw) / np.exp(raw).sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(pool.weights().detach().numpy(), raw, rtol=1e-5)
    expected = np.einsum("nchw,chw->nc", x.double().numpy(), raw)
    np.testing.assert_allclose(pool(x).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("images", [0, 1, 32, 33, 70])
def test_many_images_are_summed_in_pieces(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """Of 32 images here; outputs and both gradients are those of float64."""
    monkeypatch.setattr(pooling, "_CACHED_VALUES", 32 * 2 * 3 * 4 + 5)
    x, w = torch.randn(images, 2, 3, 4), torch.randn(2, 3, 4)
    found, exact = (
        _with_gradients(pool, x.to(dtype), w.to(dtype))
        for pool, dtype in ((flex_pool2d, torch.float32), (_exact, torch.float64))
    )
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5)


def _exact(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.einsum("nchw,chw->nc", x, w)


def _with_gradients(
    pool: Callable[..., torch.Tensor], x: torch.Tensor, w: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    x.requires_grad_()
    w.requires_grad_()
    y = pool(x, w)
    return (y.detach(), *torch.autograd.grad(y.square().sum(), (x, w)))


def test_average_equals_numpy() -> None:
    x = torch.randn(4, 3, 5, 7)
    np.testing.assert_allclose(
        GlobalAvgPool2d()(x).numpy(), x.double().numpy().mean(axis=(2, 3)), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_gradients_of_output_and_penalty(constraint: str) -> None:
    pool = random_pool((3, 4, 5), constraint).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)

    def output(x: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pool(x), pool.penalty()

    assert torch.autograd.gradcheck(output, (x, pool.weight))


def test_softmax_is_a_true_average_whatever_the_parameter() -> None:
    pool = random_pool((3, 4, 5), "softmax")
    with torch.no_grad():
        pool.weight.mul_(100)  # exp(100) is infinite in float32
    weights = pool.weights()
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=(1, 2)), torch.ones(3), rtol=1e-4, atol=1e-4)
    assert pool.penalty().item() < 1e-6


def test_penalty_by_hand() -> None:
    pool = FlexPool2d(2, 2, 2)
    assert pool.penalty().item() == 0
    with torch.no_grad():
        pool.weight.copy_(torch.tensor([[[0.5, 0.5], [0.5, 1.0]], [[0.25, 0.0], [-1.0, 0.25]]]))
    # sums 2.5 and -0.5, so (1.5)^2 + (-1.5)^2
    assert pool.penalty().item() == 4.5


def test_penalty_is_float32_under_autocast() -> None:
    pool = random_pool((8, 7, 7))
    expected = ((pool.weights().double().sum(dim=(1, 2)) - 1) ** 2).sum().item()
    with torch.autocast("cpu", torch.bfloat16):
        penalty = pool.penalty()
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_bfloat16_maps_lose_nothing_in_the_sum(constraint: str) -> None:
    pool, x = random_pool((16, 32, 32), constraint), torch.randn(8, 16, 32, 32).bfloat16()
    expected = numpy_pool(x, pool.weights())
    with torch.autocast("cpu", torch.bfloat16):
        y = pool(x)
    error = np.abs(y.detach().double().numpy() - expected).max()
    naive = np.abs(numpy_naive_bfloat16(x, pool.weights()) - expected).max()
    assert y.dtype == torch.float32
    assert error < 1e-5 * np.abs(expected).max()
    assert naive > 100 * error


def numpy_naive_bfloat16(x: torch.Tensor, w: torch.Tensor) -> np.ndarray:
    return (x * w.detach().bfloat16()).sum(dim=(2, 3)).double().numpy()


@pytest.mark.parametrize("shape", [(2, 64, 7, 7), (2, 32, 8, 8), (2, 64, 1, 8), (64, 8, 8)])
def test_wrong_size_names_both(shape: tuple[int, ...]) -> None:
    got = "x".join(map(str, shape[1:]))
    with pytest.raises(ValueError, match=rf"maps of 64x8x8 .*got {got}$"):
        FlexPool2d(64, 8, 8)(torch.zeros(shape))


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"at least 1, got \(64, 0, 8\)"):
        FlexPool2d(64, 0, 8)
    with pytest.raises(ValueError, match="none, softmax, shared, frozen, got 'sigmoid'"):
        FlexPool2d(64, 8, 8, "sigmoid")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"one of avg, flex, .*, got 'min'"):
        global_pool("min", (64, 8, 8), "none")  # type: ignore[arg-type]


def test_keepdim() -> None:
    pool, x = FlexPool2d(3, 4, 4, keepdim=True), torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(pool(x)[:, :, 0, 0], flex_pool2d(x, pool.weights()))
    assert pool(x).shape == (2, 3, 1, 1)


def test_layout_follows_the_model() -> None:
    for constraint in CONSTRAINTS:
        pool = nn.Sequential(FlexPool2d(3, 4, 5, constraint)).to(memory_format=torch.channels_last)
        assert pool[0].weights().stride() == (1, 15, 3)


def test_can_be_traced() -> None:
    pool = FlexPool2d(3, 4, 4)
    with pytest.raises(ValueError, match="got 3x5x4"):
        fx.symbolic_trace(pool)(torch.zeros(1, 3, 5, 4))


def test_printed_with_its_size() -> None:
    assert repr(FlexPool2d(64, 8, 7)) == "FlexPool2d(64x8x7, constraint='none')"

"""The trunk: sizes, shortcuts and the two block orders, against hand-built values."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from replicate.models.resnet import HeBlock, ReleasedBlock, ResNet, initialise
from replicate.specs.spec import BlockOrder

ORDERS: list[BlockOrder] = ["he", "released"]


def conv_output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Eq. 1, with the floor that the paper leaves out."""
    return (size - kernel + 2 * padding) // stride + 1


@pytest.mark.parametrize(
    ("size", "sides"), [(32, (32, 16, 8)), (28, (28, 14, 7)), (29, (29, 15, 8)), (9, (9, 5, 3))]
)
@pytest.mark.parametrize("order", ORDERS)
def test_stage_maps(size: int, sides: tuple[int, int, int], order: BlockOrder) -> None:
    maps = ResNet(8, 1, order)(torch.randn(2, 1, size, size))
    assert [m.shape for m in maps] == [
        (2, c, s, s) for c, s in zip((16, 32, 64), sides, strict=True)
    ]
    second = conv_output_size(size, kernel=3, stride=2, padding=1)
    assert sides[1:] == (second, conv_output_size(second, kernel=3, stride=2, padding=1))


def test_height_and_width_may_differ() -> None:
    assert ResNet(8, 3)(torch.randn(2, 3, 32, 21))[-1].shape == (2, 64, 8, 6)


def test_last_map_alone() -> None:
    torch.manual_seed(0)
    every = ResNet(8, 3)
    last = ResNet(8, 3, all_stages=False)
    last.load_state_dict(every.state_dict())
    x = torch.randn(2, 3, 16, 16)
    (only,) = last(x)
    torch.testing.assert_close(only, every(x)[2], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("depth", "parameters"),
    # the usual counts of option A networks, less the dense layer 64 -> 10 of 650 parameters
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_parameter_counts(depth: int, parameters: int) -> None:
    assert sum(p.numel() for p in ResNet(depth, 3).parameters()) == parameters - 650


@pytest.mark.parametrize("depth", [2, 18, 21, -4])
def test_wrong_depth(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"6n \+ 2 .*got {depth}$"):
        ResNet(depth, 3)


def test_wrong_order() -> None:
    with pytest.raises(ValueError, match="one of he, released, got 'preact'"):
        ResNet(20, 3, "preact")  # type: ignore[arg-type]


def test_option_a_shortcut_by_hand() -> None:
    x = torch.arange(18.0).reshape(1, 2, 3, 3)
    expected = torch.zeros(1, 4, 2, 2)
    expected[0, 1] = torch.tensor([[0.0, 2.0], [6.0, 8.0]])
    expected[0, 2] = torch.tensor([[9.0, 11.0], [15.0, 17.0]])
    torch.testing.assert_close(HeBlock(2, 4, stride=2).shortcut(x), expected, rtol=0, atol=0)
    assert HeBlock(2, 2, stride=1).shortcut(x) is x


def test_shortcuts_hold_no_parameters() -> None:
    kinds = {type(module) for module in ResNet(20, 3).modules() if not list(module.children())}
    assert kinds == {nn.Conv2d, nn.BatchNorm2d}


@pytest.mark.parametrize("stride", [1, 2])
def test_he_block_by_hand(stride: int) -> None:
    block, x = HeBlock(4, 4 * stride, stride), torch.randn(3, 4, 6, 6)
    y = F.conv2d(x, block.conv1.weight, stride=stride, padding=1)
    y = normalise(y).clamp(min=0)
    y = normalise(F.conv2d(y, block.conv2.weight, padding=1))
    torch.testing.assert_close(block(x), (y + block.shortcut(x)).clamp(min=0))


@pytest.mark.parametrize("stride", [1, 2])
def test_released_block_by_hand(stride: int) -> None:
    block, x = ReleasedBlock(4, 4 * stride, stride), torch.randn(3, 4, 6, 6)
    y = F.conv2d(x, block.conv1.weight, block.conv1.bias, stride=stride, padding=1)
    y = normalise(y.clamp(min=0))
    y = F.conv2d(y, block.conv2.weight, block.conv2.bias, padding=1)
    torch.testing.assert_close(block(x), normalise((y + block.shortcut(x)).clamp(min=0)))


def normalise(x: torch.Tensor) -> torch.Tensor:
    """Batch normalisation at initialisation, in training."""
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = x.var(dim=(0, 2, 3), keepdim=True, correction=0)
    return (x - mean) / (variance + 1e-5).sqrt()


def test_stem_ends_in_relu_or_in_batch_norm() -> None:
    stems = {}
    for order in ORDERS:
        net = ResNet(8, 3, order)
        net.stage1.register_forward_pre_hook(
            lambda _, args, order=order: stems.update({order: args[0]})
        )
        net(torch.randn(4, 3, 8, 8))
    assert stems["he"].min() == 0
    assert stems["released"].min() < 0
    torch.testing.assert_close(
        stems["released"].mean(dim=(0, 2, 3)), torch.zeros(16), atol=1e-5, rtol=0
    )


def test_bias_only_in_the_released_order() -> None:
    for order in ORDERS:
        biases = [m.bias is not None for m in ResNet(20, 3, order).modules() if is_conv(m)]
        assert biases == [order == "released"] * 19


def is_conv(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


def test_initial_spread() -> None:
    wide = {order: nn.Sequential(nn.Conv2d(8, 128, 3), nn.Linear(200, 300)) for order in ORDERS}
    linear = wide["he"][1].weight.clone()
    for order, layers in wide.items():
        initialise(layers, order)
    fan_in, fan_out = 8 * 9, 128 * 9
    assert wide["he"][0].weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
    assert wide["released"][0].weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
    assert wide["released"][1].weight.std().item() == pytest.approx((2 / 200) ** 0.5, rel=0.05)
    assert torch.equal(wide["he"][1].weight, linear)


@pytest.mark.parametrize("order", ORDERS)
def test_channels_last_reaches_every_map(order: BlockOrder) -> None:
    torch.manual_seed(0)
    net, x = ResNet(8, 3, order).eval(), torch.randn(2, 3, 28, 28)
    plain = net(x)
    maps = net.to(memory_format=torch.channels_last)(
        x.contiguous(memory_format=torch.channels_last)
    )
    for one, other in zip(plain, maps, strict=True):
        assert other.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)

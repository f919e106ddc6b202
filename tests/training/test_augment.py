"""Batched augmentation against torchvision's, image by image."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision.transforms.functional as TF
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from replicate.specs.spec import Augmentation
from replicate.training import augment as module
from replicate.training.augment import augment, channel_statistics, normalise

GEOMETRIES = ["none", "scale", "resized-crop", "pad-crop"]
SIZES = [(28, 1), (32, 3), (27, 3)]
BILINEAR = InterpolationMode.BILINEAR


def augmentation(
    geometry: str, flip: bool = False, low: float = 1, high: float = 1
) -> Augmentation:
    return Augmentation(
        flip=flip, geometry=geometry, scale_range=(low, high), normalise="dataset"
    )  # fmt: skip


def batch(count: int, size: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (count, size, size, channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def grey_levels(images: Tensor, chosen: Augmentation, seed: int = 0) -> Tensor:
    """What augment does before it normalises: (N, C, H, W) from 0 to 255."""
    channels = images.shape[-1]
    generator = torch.Generator().manual_seed(seed)
    return 255 * augment(images, chosen, torch.zeros(channels), torch.ones(channels), generator)


def planes(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float()


@pytest.mark.parametrize(("size", "channels"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalise(size: int, channels: int, dtype: torch.dtype) -> None:
    images = batch(5, size, channels)
    mean, std = (
        torch.tensor([0.49, 0.48, 0.45])[:channels],
        torch.tensor([0.25, 0.24, 0.26])[:channels],
    )
    result = normalise(images, mean, std, dtype)
    exact = (images.double() / 255 - mean.double()) / std.double()
    assert result.dtype == dtype
    assert result.shape == (5, channels, size, size)
    assert result.is_contiguous(memory_format=torch.channels_last)
    tolerance = (
        {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 4e-3, "atol": 1e-6}
    )
    torch.testing.assert_close(result.double(), exact.permute(0, 3, 1, 2), **tolerance)
    images[0, 0, 0, 0] += 1
    assert result[0, 0, 0, 0] != normalise(images, mean, std, dtype)[0, 0, 0, 0]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(("size", "channels"), SIZES)
def test_shape_order_and_type(geometry: str, size: int, channels: int) -> None:
    images = batch(6, size, channels)
    before = images.clone()
    statistics = torch.full((channels,), 0.5), torch.full((channels,), 0.25)
    chosen = augmentation(geometry, True, 0.8, 1.0)
    result = augment(images, chosen, *statistics, torch.Generator(), torch.bfloat16)
    assert result.shape == (6, channels, size, size)
    assert result.dtype == torch.bfloat16
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_equal_generators_give_equal_batches(geometry: str) -> None:
    images, chosen = batch(20, 32), augmentation(geometry, True, 0.8, 1.2)
    assert torch.equal(grey_levels(images, chosen, 3), grey_levels(images, chosen, 3))
    assert not torch.equal(grey_levels(images, chosen, 3), grey_levels(images, chosen, 4))
    state = torch.random.get_rng_state()
    grey_levels(images, chosen)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("geometry", GEOMETRIES[:2])
@pytest.mark.parametrize(("size", "channels"), SIZES)
def test_images_are_flipped_half_of_the_time(geometry: str, size: int, channels: int) -> None:
    images = batch(4000, size, channels)
    result = grey_levels(images, augmentation(geometry, flip=True))
    straight = (result - planes(images)).abs().amax((1, 2, 3)) < 0.01
    flipped = (result - planes(images.flip(2))).abs().amax((1, 2, 3)) < 0.01
    assert (straight ^ flipped).all()
    assert 0.46 < flipped.float().mean() < 0.54  # five standard deviations of a fair coin


@pytest.mark.parametrize("geometry", ["none", "scale", "resized-crop"])
def test_nothing_to_do_leaves_the_image(geometry: str) -> None:
    images = batch(10, 28)
    result = grey_levels(images, augmentation(geometry))
    if (
        geometry == "resized-crop"
    ):  # the whole area in another aspect never fits: torchvision's way out
        assert (result - planes(images)).abs().max() < 0.01
    torch.testing.assert_close(result, planes(images), rtol=0, atol=0.01)


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.2])
@pytest.mark.parametrize(("size", "channels"), SIZES)
def test_scale_is_torchvisions_affine(factor: float, size: int, channels: int) -> None:
    images = batch(3, size, channels)
    result = grey_levels(images, augmentation("scale", False, factor, factor))
    # without `fill`, which would blend the edge with black a second time
    expected = TF.affine(planes(images), 0.0, [0, 0], factor, [0.0], BILINEAR)
    torch.testing.assert_close(result, expected, rtol=0, atol=0.05)


def test_scaled_down_images_are_black_outside() -> None:
    images = torch.full((1, 32, 32, 3), 200, dtype=torch.uint8)
    generator, mean, std = torch.Generator(), torch.full((3,), 0.5), torch.full((3,), 0.25)
    result = augment(images, augmentation("scale", False, 0.5, 0.5), mean, std, generator)
    black, inside = torch.tensor(-2.0), torch.tensor((200 / 255 - 0.5) / 0.25)
    torch.testing.assert_close(result[0, :, 0, 0], black.expand(3))
    torch.testing.assert_close(result[0, :, 16, 16], inside.expand(3))
    assert (result[0, 0] > -1.9).sum() == 16 * 16


def test_scale_is_drawn_uniformly_from_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    extents = drawn_windows(monkeypatch, "scale", 0.8, 1.2)[1]
    assert torch.equal(extents[:, 0], extents[:, 1])
    factor = (1 / extents[:, 0]).sort().values
    uniform = torch.linspace(0.8, 1.2, len(factor))
    assert (factor - uniform).abs().max() < 0.02  # Kolmogorov-Smirnov distance 0.05


def drawn_windows(
    monkeypatch: pytest.MonkeyPatch, geometry: str, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Centres and half sides (N, 2) of 4000 windows."""
    seen: dict[str, Any] = {}

    def record(images: Tensor, flip: Tensor, centre: Tensor, extent: Tensor, _: str) -> Tensor:
        seen.update(centre=centre, extent=extent)
        return images

    monkeypatch.setattr(module, "_sample", record)
    grey_levels(batch(4000, 8), augmentation(geometry, True, low, high))
    return seen["centre"], seen["extent"]


def test_resized_crops_are_distributed_as_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    centre, extent = drawn_windows(monkeypatch, "resized-crop", 0.3, 0.9)
    assert (centre.abs() + extent <= 1 + 1e-6).all()
    image = torch.zeros(3, 1000, 1000)  # large, so that torchvision's whole pixels do not show
    torch.manual_seed(0)
    boxes = [RandomResizedCrop.get_params(image, [0.3, 0.9], [3 / 4, 4 / 3]) for _ in range(4000)]
    top, left, height, width = torch.tensor(boxes).T / 1000
    for ours, theirs in (
        (extent[:, 0], width),
        (extent[:, 1], height),
        (extent.prod(1), width * height),
        (centre[:, 0], 2 * left + width - 1),
        (centre[:, 1], 2 * top + height - 1),
    ):
        assert (ours.sort().values - theirs.sort().values).abs().mean() < 0.015


def test_window_is_torchvisions_resized_crop() -> None:
    """Rows 4 to 28, columns 8 to 24; near the edges torchvision sees no pixels beyond the crop."""
    images = batch(2, 32)
    centre, extent = torch.tensor([[0.0, 0.0]] * 2), torch.tensor([[16 / 32, 24 / 32]] * 2)
    straight = torch.tensor([False, True])
    result = module._sample(images, straight, centre, extent, "border").permute(0, 3, 1, 2)
    expected = TF.resized_crop(planes(images), 4, 8, 24, 16, [32, 32], BILINEAR, antialias=True)
    expected[1] = expected[1].flip(2)
    torch.testing.assert_close(
        result[:, :, 2:-2, 2:-2], expected[:, :, 2:-2, 2:-2], rtol=0, atol=0.01
    )


def test_window_off_the_centre() -> None:
    """The right half of the columns, the upper half of the rows."""
    images = batch(1, 4, 1)
    window = torch.tensor([[0.5, -0.5]]), torch.tensor([[0.5, 0.5]])
    result = module._sample(images, torch.tensor([False]), *window, "border")[0, :, :, 0]
    pixel = images[0, :, :, 0].float()
    assert result[0, 3] == pytest.approx(pixel[0, 3].item())
    assert result[3, 3] == pytest.approx((0.75 * pixel[1, 3] + 0.25 * pixel[2, 3]).item())


def test_pad_crop_takes_every_shift_alike() -> None:
    images = batch(1, 9, 3).expand(4050, -1, -1, -1)
    result = grey_levels(images, augmentation("pad-crop"))
    padded = torch.nn.functional.pad(planes(images[:1]), (4, 4, 4, 4))[0]
    counts = []
    for top, left in itertools.product(range(9), range(9)):
        crop = padded[:, top : top + 9, left : left + 9]
        counts.append(((result - crop).abs().amax((1, 2, 3)) < 0.01).sum().item())
    assert sum(counts) == 4050
    assert 20 <= min(counts) <= max(counts) <= 90  # 50 each, give or take seven


def test_flipped_pad_crop() -> None:
    images = batch(1, 9, 3).expand(100, -1, -1, -1)
    result = grey_levels(images, augmentation("pad-crop", flip=True))
    padded = torch.nn.functional.pad(planes(images[:1]), (4, 4, 4, 4))[0]
    crops = torch.stack([padded[:, i : i + 9, j : j + 9] for i in range(9) for j in range(9)])
    known = torch.cat([crops, crops.flip(3)])
    nearest = (result[:, None] - known).abs().amax((2, 3, 4)).min(1)
    assert nearest.values.max() < 0.01
    assert 30 < (nearest.indices >= 81).sum() < 70


def test_channel_statistics() -> None:
    data: Any = SimpleNamespace(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    own, imagenet = (
        augmentation("none"),
        augmentation("none").model_copy(update={"normalise": "imagenet"}),
    )
    cpu = torch.device("cpu")
    mean, std = channel_statistics(own, data, cpu)
    torch.testing.assert_close(mean, torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(std, torch.tensor([0.4, 0.5, 0.6]))
    mean, std = channel_statistics(imagenet, data, cpu)
    torch.testing.assert_close(mean, torch.tensor([0.485, 0.456, 0.406]))
    grey: Any = SimpleNamespace(mean=(0.1,), std=(0.4,))
    mean, std = channel_statistics(imagenet, grey, cpu)
    torch.testing.assert_close(mean, torch.tensor([0.449]))
    torch.testing.assert_close(std, torch.tensor([0.226]))

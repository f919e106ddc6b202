"""Augmentation and normalisation of a whole batch as tensor operations (section 4.2, A06, A07).

Pixels outside an image are black: 0 before normalisation, as torchvision's transforms fill them.
Nothing waits for the device or branches on data, so a CUDA graph can capture it all.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from replicate.data import ImageData
from replicate.specs.spec import Augmentation

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's channels, as torchvision's models expect them."""
_PADDING = 4  # pixels of pad-crop, He et al. 2016, section 4.2
_ASPECT = 4 / 3  # of resized-crop, as of the next one, torchvision's defaults
_ATTEMPTS = 10


def channel_statistics(
    augmentation: Augmentation, data: ImageData, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Mean and std (C,) float32 to normalise by (A07); for grey images ImageNet's average."""
    mean, std = data.mean, data.std
    if augmentation.normalise == "imagenet":
        mean, std = IMAGENET
        if len(data.mean) == 1:
            mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    return torch.tensor(mean, device=device), torch.tensor(std, device=device)


def augment(
    images: Tensor,
    augmentation: Augmentation,
    mean: Tensor,
    std: Tensor,
    generator: Generator,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Flip and move each image at random, then normalise.

    images (N, H, W, C) uint8; mean and std (C,) of pixels in [0, 1]. All tensors and the generator
    are on one device. Returns (N, C, H, W) in channels_last order.
    """
    count, device = len(images), images.device
    flip = torch.rand(count, generator=generator, device=device) < 0.5 * augmentation.flip
    match augmentation.geometry:
        case "none":
            moved = torch.where(flip[:, None, None, None], images.flip(2), images)
        case "scale":
            moved = _scale(images, flip, augmentation.scale_range, generator)
        case "resized-crop":
            moved = _resized_crop(images, flip, augmentation.scale_range, generator)
        case "pad-crop":
            moved = _pad_crop(images, flip, generator)
    return normalise(moved, mean, std, dtype)


def normalise(
    images: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Grey levels (N, H, W, C) in 0 to 255 as (N, C, H, W) in channels_last order.

    mean and std (C,) are of pixels in [0, 1]. Computed in float32, then rounded to `dtype`.
    """
    n, height, width, channels = images.shape
    # whole rows, because a last dimension of three channels is slow to broadcast over
    rows = images.reshape(n, height, width * channels).float()
    rows = rows.mul(1 / (255 * std).repeat(width)).sub_((mean / std).repeat(width))
    return rows.to(dtype).view(n, height, width, channels).permute(0, 3, 1, 2)


def _scale(
    images: Tensor, flip: Tensor, scale_range: tuple[float, float], generator: Generator
) -> Tensor:
    """Both sides times one factor about the centre."""
    factor = _uniform((len(images), 1), *scale_range, images, generator)
    extent = (1 / factor).expand(-1, 2)
    return _sample(images, flip, torch.zeros_like(extent), extent, "zeros")


def _resized_crop(
    images: Tensor, flip: Tensor, area_range: tuple[float, float], generator: Generator
) -> Tensor:
    """A rectangle of random area and aspect ratio, stretched to the whole image.

    Drawn as by torchvision's RandomResizedCrop, but with continuous sides and place: the first of
    ten rectangles that fits, else the whole image.
    """
    drawn = (len(images), _ATTEMPTS)
    area = _uniform(drawn, *area_range, images, generator)
    aspect = _uniform(drawn, -math.log(_ASPECT), math.log(_ASPECT), images, generator).exp()
    sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], dim=2)
    fits = (sides <= 1).all(2)
    first = fits.int().argmax(1)[:, None, None].expand(-1, 1, 2)
    extent = torch.where(fits.any(1)[:, None], sides.gather(1, first)[:, 0], 1.0)
    centre = _uniform((len(images), 2), -1, 1, images, generator) * (1 - extent)
    return _sample(images, flip, centre, extent, "border")


def _pad_crop(images: Tensor, flip: Tensor, generator: Generator) -> Tensor:
    """Zeros on all sides, then a crop of the old size at whole pixels."""
    n, height, width, _ = images.shape
    device = images.device
    padded = F.pad(images, (0, 0, _PADDING, _PADDING, _PADDING, _PADDING))
    corner = torch.randint(2 * _PADDING + 1, (n, 2), generator=generator, device=device)
    rows = corner[:, :1] + torch.arange(height, device=device)
    columns = corner[:, 1:] + torch.arange(width, device=device)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    every = torch.arange(n, device=device)[:, None, None]
    return padded[every, rows[:, :, None], columns[:, None, :]]


def _sample(images: Tensor, flip: Tensor, centre: Tensor, extent: Tensor, outside: str) -> Tensor:
    """Each image's window at `centre` with half sides `extent`, bilinear, (N, H, W, C) float32.

    centre and extent (N, 2) hold x and y in grid_sample's units: the image reaches from -1 to 1.
    The grid is affine_grid's, at a fraction of its time because no window is rotated.
    """
    n, height, width, _ = images.shape
    mirror = torch.where(flip, -1.0, 1.0)[:, None]
    x = centre[:, :1] + mirror * extent[:, :1] * _pixels(width, images.device)
    y = centre[:, 1:] + extent[:, 1:] * _pixels(height, images.device)
    grid = torch.stack(
        [x[:, None, :].expand(n, height, width), y[:, :, None].expand(n, height, width)], dim=3
    )
    # NCHW in memory: grid_sample is slower on channels_last
    planes = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    moved = F.grid_sample(planes, grid, padding_mode=outside, align_corners=False)
    return moved.permute(0, 2, 3, 1)


def _pixels(length: int, device: torch.device) -> Tensor:
    """Pixel centres along one side, from -1 to 1."""
    return (torch.arange(length, device=device) * 2 + 1) / length - 1


def _uniform(
    shape: tuple[int, ...], low: float, high: float, like: Tensor, generator: Generator
) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, device=like.device)

import hashlib

import numpy as np
import pytest
from PIL import Image

from replicate.data.arrays import Fingerprint, fit, moments


def fingerprint(split: str, images: np.ndarray, labels: np.ndarray) -> str:
    result = Fingerprint()
    result.add(split, images, labels)
    return result.hexdigest()


def test_fingerprint_by_hand() -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    digests = [
        hashlib.sha256(b"train 7 2x2x3\n" + bytes(range(12))).digest(),
        hashlib.sha256(b"train 1 2x2x3\n" + bytes(range(12, 24))).digest(),
    ]
    expected = hashlib.sha256(b"".join(sorted(digests))).hexdigest()
    assert fingerprint("train", images, np.array([7, 1])) == expected


def test_fingerprint_ignores_order_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (9, 4, 4, 3), dtype=np.uint8), np.arange(9) % 3
    order = rng.permutation(9)
    first = fingerprint("train", images, labels)
    assert fingerprint("train", images[order], labels[order]) == first
    other = images.copy()
    other[5, 2, 1, 0] ^= 1
    changed = [
        fingerprint("train", other, labels),
        fingerprint("train", images, labels[::-1]),
        fingerprint("test", images, labels),
        fingerprint("train", images.reshape(9, 2, 8, 3), labels),
        fingerprint("train", images[:8], labels[:8]),
    ]
    assert first not in changed
    assert len(set(changed)) == len(changed)


def test_moments_match_float64() -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 4, 3), dtype=np.uint8)
    images[..., 1] //= 4
    mean, std = moments(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-12)


def sized(dataset, fit_: str, stored: int, size: int):
    return dataset.model_copy(update={"fit": fit_, "stored_size": stored, "size": size})


def test_average_rounds_halves_up(dataset) -> None:
    blocks = np.array([[0, 0, 255, 255], [1, 1, 255, 254]], np.uint8)  # means 0.5 and 254.75
    image = np.vstack([blocks, [[3, 3, 10, 10], [3, 4, 10, 11]]]).astype(np.uint8)
    result = fit(image[None, :, :, None], sized(dataset, "average", 4, 2))
    assert result.dtype == np.uint8
    assert result[0, :, :, 0].tolist() == [[1, 255], [3, 10]]


def test_pad_puts_the_odd_pixel_right_and_below(dataset) -> None:
    result = fit(np.full((1, 2, 2, 1), 9, np.uint8), sized(dataset, "pad", 2, 5))
    assert result[0, :, :, 0].nonzero()[0].tolist() == [1, 1, 2, 2]
    assert result[0, :, :, 0].nonzero()[1].tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [5, 12])
def test_resize_is_pillows_antialiased_bilinear(dataset, channels: int, size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, channels), dtype=np.uint8)
    result = fit(images, sized(dataset, "resize", 8, size))
    assert result.shape == (3, size, size, channels)
    for channel in range(channels):
        plane = Image.fromarray(images[1, :, :, channel]).resize((size, size), Image.BILINEAR)
        np.testing.assert_array_equal(result[1, :, :, channel], plane)


def test_fit_none_copies_nothing(dataset) -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    assert fit(images, dataset) is images

import numpy as np
import pytest

from replicate.data import load, prepare

PINNED = "885f35c6af0abed761988b09e76cd86fc124f24f9d1f089a31143414afd61782"
SMOKE = {"train_images": 600, "test_images": 300}
NAMES = ["cifar10", "cifar100", "fashion-mnist", "tiny-imagenet"]


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_classes_of_the_data_set(paper_spec, cache_dir, name: str) -> None:
    spec = paper_spec(name, generated=SMOKE)
    data = load(prepare(spec, None, cache_dir))
    side, channels, classes = spec.dataset.size, spec.dataset.channels, spec.dataset.classes
    assert data.source == "generated"
    assert data.train.images.shape == (600, side, side, channels)
    assert data.test.images.shape == (300, side, side, channels)
    for split in (data.train, data.test):
        assert set(split.labels.tolist()) == set(range(classes))
    # spread over the grey levels, neither constant nor cut off at the ends
    assert 0.06 < min(data.std) <= max(data.std) < 0.3
    assert np.isin(data.train.images, (0, 255)).mean() < 0.01


def test_the_same_every_time_and_on_every_machine(paper_spec, tmp_path) -> None:
    """The fingerprint is pinned: whoever changes the recipe raises generator.RECIPE too."""
    spec = paper_spec("cifar10", generated={"train_images": 100, "test_images": 50})
    first, second = (load(prepare(spec, None, tmp_path / name)) for name in ("a", "b"))
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert first.fingerprint == second.fingerprint == PINNED


def test_splits_and_data_sets_differ(paper_spec, cache_dir) -> None:
    data = [
        load(prepare(paper_spec(name, generated=SMOKE), None, cache_dir))
        for name in ("cifar10", "cifar100")
    ]
    first = [split.images[0].tobytes() for d in data for split in (d.train, d.test)]
    assert len(set(first)) == 4


def nearest_mean_accuracy(train, test, train_labels, test_labels, classes: int) -> float:
    """Accuracy of the nearest class mean; features (N, F)."""
    means = np.stack([train[train_labels == k].mean(0) for k in range(classes)])
    distance = ((test[:, None] - means) ** 2).sum(2)
    return (distance.argmin(1) == test_labels).mean()


def spectrum(images: np.ndarray) -> np.ndarray:
    """What a convolution with global pooling can see: how strong each wave is, wherever it lies."""
    waves = np.abs(np.fft.rfft2(images.astype(float), axes=(1, 2)))[:, :5, :5]
    return waves.reshape(len(images), -1)


@pytest.mark.parametrize("name", ["cifar10", "fashion-mnist"])
def test_whole_images_tell_the_class_and_single_pixels_do_not(
    paper_spec, cache_dir, name: str
) -> None:
    data = load(prepare(paper_spec(name, generated=SMOKE), None, cache_dir))
    labels = data.train.labels, data.test.labels
    images = data.train.images, data.test.images
    whole = nearest_mean_accuracy(*map(spectrum, images), *labels, 10)
    pixels = [
        nearest_mean_accuracy(*(i[:, row, column].astype(float) for i in images), *labels, 10)
        for row, column in [(0, 0), (3, 20), (14, 14), (27, 5)]
    ]
    assert whole > 0.8
    assert max(pixels) < 0.4

"""The images that the benchmarks train on: a prepared cache entry's, or generated ones."""

from pathlib import Path

from replicate.data import ImageData, Split
from replicate.specs.spec import Dataset


def images(entry: str | None, dataset: Dataset, count: int) -> ImageData:
    """The first `count` training images, 1000 test images at most."""
    if entry is None:
        from replicate.dispatch.calibration import noise

        return noise(dataset, count, min(count, 1000))
    from replicate.data import load

    found, shape = load(Path(entry)), (dataset.size, dataset.size, dataset.channels)
    if found.train.images.shape[1:] != shape:
        raise SystemExit(f"{entry}: expected images of {'x'.join(map(str, shape))}, as CIFAR-10's")
    train, test = (
        Split(split.images[:number], split.labels[:number])
        for split, number in ((found.train, count), (found.test, min(count, 1000)))
    )
    return ImageData(train, test, found.source, found.fingerprint, found.mean, found.std)


def said(entry: str | None) -> str:
    return f"Images: {Path(entry).name if entry else 'generated (noise)'}, 32x32x3."

"""The speed of this machine, from a few steps on random images of each kind of run."""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median

import numpy as np

from replicate.data import ImageData, Split
from replicate.errors import UserError
from replicate.plan import forecast
from replicate.plan.forecast import Kind
from replicate.specs.spec import Dataset, Spec
from replicate.training import engine
from replicate.training.trainer import Trainer

_STEPS = 2
_TEST_IMAGES = 1000  # of one evaluation, a whole batch


def calibrate(specs: Sequence[Spec], workers: int, threads: int) -> dict[Kind, float]:
    """Work a second of each of `workers` processes at once, by kind. Runs eager: compiling takes
    longer than all the rest, and a run is compiled only where that makes it faster.

    Raises:
        UserError: this machine does not let it.
    """
    kinds = {forecast.kind(spec): spec for spec in specs}
    try:
        measured = _measure(list(kinds.values()), workers, threads)
    except (
        OSError,
        RuntimeError,
    ) as error:  # no shared memory, too little memory, a process killed
        raise UserError(f"this machine's speed cannot be measured ({error})") from None
    return {kind: median(one[i] for one in measured) for i, kind in enumerate(kinds)}


def _measure(specs: list[Spec], workers: int, threads: int) -> list[list[float]]:
    # Not forked: the libraries' threads would not survive it.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = [pool.submit(_speeds, specs, threads) for _ in range(workers)]
        return [job.result() for job in jobs]


def _speeds(specs: Sequence[Spec], threads: int) -> list[float]:
    engine.start(threads)
    return [_speed(spec) for spec in specs]


def _speed(spec: Spec) -> float:
    """From the second epoch of a few steps: the first one warms up."""
    images = _STEPS * spec.training.batch_size
    short = spec.training.model_copy(update={"epochs": 2})
    tried = spec.model_copy(update={"training": short, "pretraining": None})
    data = noise(spec.dataset, images, _TEST_IMAGES)
    run = Trainer(tried, 0, data, engine.choose(short.precision, 0))
    run.train_epoch(1)
    run.evaluate()
    begun = time.perf_counter()
    run.train_epoch(2)
    trained = time.perf_counter() - begun
    run.evaluate()
    evaluated = time.perf_counter() - begun - trained
    train_images, test_images = spec.images_to_train, spec.epochs * spec.test_images
    seconds = trained * train_images / images + evaluated * test_images / _TEST_IMAGES
    return forecast.work(spec) / seconds


def noise(dataset: Dataset, train: int, test: int) -> ImageData:
    """So many images, always the same: what a step takes does not depend on them, zeros excepted."""
    random = np.random.default_rng(0)
    side, channels = dataset.size, dataset.channels
    train_split, test_split = (
        Split(
            random.integers(0, 256, (count, side, side, channels), dtype=np.uint8),
            random.integers(0, dataset.classes, count),
        )
        for count in (train, test)
    )
    mean, std = (0.5,) * channels, (0.25,) * channels
    return ImageData(train_split, test_split, "generated", "", mean, std)

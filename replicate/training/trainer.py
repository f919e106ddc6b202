"""A run in memory: model, optimiser and images on the device, and what an epoch does to them."""

import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from replicate.data import ImageData
from replicate.errors import UserError
from replicate.models import Classifier, build_model, cost, weighted_loss
from replicate.specs.spec import Spec
from replicate.training.augment import augment, channel_statistics, normalise
from replicate.training.checkpoint import State
from replicate.training.engine import Engine
from replicate.training.optimisation import build_optimizer, build_schedule
from replicate.training.replay import Replay

# Fixed, so that the accuracy does not depend on the size of the training batches.
_EVALUATION_BATCH = 1000


class Pass(NamedTuple):
    """What one pass over the training images gives; for the meaning of each number see `Epoch`."""

    images: int
    learning_rate: float
    loss: float
    head_losses: tuple[float, ...]
    penalty: float
    accuracy: float

    @property
    def finite(self) -> bool:
        return all(map(math.isfinite, (self.loss, self.penalty, *self.head_losses)))


class Trainer:
    """One spec with one seed.

    Every epoch draws its order, augmentation and Dropout from generators seeded by the run's seed
    and the epoch's number, so that no generator's state has to outlive an epoch.
    """

    def __init__(
        self,
        spec: Spec,
        seed: int,
        data: ImageData,
        engine: Engine,
        *,
        start_from: Classifier | None = None,
    ) -> None:
        """`start_from`: a model of other classes, whose parameters are taken over but for its last
        dense layers, which are new (A15)."""
        self.spec, self.seed, self.engine = spec, seed, engine
        self.train_images = engine.tensor(data.train.images)
        self.train_labels = engine.tensor(data.train.labels)
        self.test_images = engine.tensor(data.test.images)
        self.test_labels = engine.tensor(data.test.labels)
        self.mean, self.std = channel_statistics(spec.augmentation, data, engine.device)
        with engine.seeded(self._seed("initialisation")):
            self.model = build_model(spec)
        if start_from is not None:
            _copy_matching_parameters(start_from, self.model)
        side = spec.dataset.size
        self.cost = cost(self.model, torch.zeros(1, spec.dataset.channels, side, side))
        engine.place(self.model, self.model.trunk, self.model.pools())
        self.optimizer = build_optimizer(self.model, spec.training)
        steps = len(self._batches(epoch=1)) * spec.training.epochs
        self.schedule = build_schedule(self.optimizer, spec.training, steps)
        self.right: Tensor | None = None
        """Which test images the last evaluation found predicted, (N,) bool; None before it."""
        self._augmenting = engine.generator(0)  # one for the run's life: a graph holds on to it
        self._replayed: _Replayed | None = None

    def train_epoch(self, epoch: int, on_step: Callable[[float], None] = lambda _: None) -> Pass:
        """Train on every image once (A13). The device is waited for once, at the end.

        `on_step` is told after each step which share of the epoch has been handed to the device.
        """
        self._capture()
        self.model.train()
        batches = self._batches(epoch)
        self._augmenting.manual_seed(self._seed("augmentation", epoch))
        with self.engine.seeded(self._seed("dropout", epoch)):
            sums = []
            for batch in batches:
                sums.append(self._step(batch))
                rate = self.optimizer.param_groups[0]["lr"]
                self.schedule.step()
                on_step(len(sums) / len(batches))
        images = sum(map(len, batches))
        loss, penalty, accuracy, *head_losses = (torch.stack(sums).sum(0) / images).tolist()
        return Pass(images, rate, loss, tuple(head_losses), penalty, 100 * accuracy)

    def evaluate(self) -> float:
        """Percent of all test images that the model predicts, without augmentation."""
        self._capture()
        if self._replayed:
            self.right = self._replayed.evaluation()
        else:
            self.right = self._correct(self.test_images, self.test_labels)
        return _percent(self.right)

    def oddities(self) -> dict[str, float]:
        """The accuracy in percent, measured in each of the spec's odd ways (the authors' code).

        batch-means: the mean of the means of test batches as large as the training batches, so that
        images of a short last one count more. training-images: of all training images.
        """
        return {name: self._oddity(name) for name in self.spec.oddities or ()}

    def _oddity(self, name: str) -> float:
        if name == "training-images":
            return _percent(self._correct(self.train_images, self.train_labels))
        correct = self._correct(self.test_images, self.test_labels)
        batches = torch.split(correct, self.spec.training.batch_size)
        return sum(map(_percent, batches)) / len(batches)

    @torch.no_grad()
    def _correct(self, images: Tensor, labels: Tensor) -> Tensor:
        """Which images (N, H, W, C) the model predicts, (N,) bool."""
        self.model.eval()
        right = []
        size = _EVALUATION_BATCH
        batches = zip(torch.split(images, size), torch.split(labels, size), strict=True)
        for some, wanted in batches:
            batch = normalise(some, self.mean, self.std, self.engine.dtype)
            with self.engine.autocast(full_batch=len(some) == size):
                logits = self.model.predict(batch)
            right.append(logits.argmax(1) == wanted)
        return torch.cat(right)

    def state(self) -> State:
        """All that changes from step to step."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "right": self.right,
        }

    def restore(self, state: State) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.right = state.get("right")  # earlier checkpoints have none

    def _capture(self) -> None:
        """Once, where the engine can: what a step does before the optimiser, and an evaluation.

        The optimiser stays outside: its rate and momentum are Python's numbers, which would freeze.
        """
        if self.engine.capture is None or self._replayed:
            return
        buffers = list(self.model.buffers())
        indices = torch.zeros(
            self.spec.training.batch_size, dtype=torch.int64, device=self.engine.device
        )
        self.model.train()
        step = self.engine.capture(lambda: self._gradients(indices), [self._augmenting], buffers)
        parameters = list(self.model.parameters())
        gradients = [parameter.grad for parameter in parameters]
        evaluation = self.engine.capture(
            lambda: self._correct(self.test_images, self.test_labels), [], buffers
        )
        self._replayed = _Replayed(indices, step, parameters, gradients, evaluation)

    def _step(self, indices: Tensor) -> Tensor:
        """One step of the optimiser; the batch's sums of what is averaged."""
        if self._replayed and len(indices) == len(self._replayed.indices):
            sums = self._replayed.gradients_of(indices)
        else:
            sums = self._gradients(indices)
        self.optimizer.step()
        return sums

    def _gradients(self, indices: Tensor) -> Tensor:
        """Fresh gradients in every parameter's `grad`; the batch's sums of what is averaged.

        Work of the device alone, so that a CUDA graph can hold it.
        """
        labels = self.train_labels.index_select(0, indices)
        images = self.train_images.index_select(0, indices)
        batch = augment(
            images, self.spec.augmentation, self.mean, self.std, self._augmenting, self.engine.dtype
        )
        with self.engine.autocast(full_batch=len(indices) == self.spec.training.batch_size):
            logits = self.model(batch)
        loss, head_losses = weighted_loss(logits, labels, self.spec.loss.head_weights)
        penalty = self.model.penalty()
        loss = loss + self.spec.loss.penalty_weight * penalty
        self.optimizer.zero_grad()  # to None: a capture's gradients are then made in its own memory
        loss.backward()  # type: ignore[no-untyped-call]
        accuracy = (logits[-1].argmax(1) == labels).double().mean()
        return torch.stack([loss, penalty, accuracy, *head_losses]).detach() * len(indices)

    def _batches(self, epoch: int) -> list[Tensor]:
        """Indices of the images of each step, shuffled anew in each epoch."""
        training, images = self.spec.training, len(self.train_labels)
        generator = torch.Generator().manual_seed(self._seed("order", epoch))
        order = torch.randperm(images, generator=generator).to(self.engine.device)
        batches = list(torch.split(order, training.batch_size))
        if training.drop_last and len(batches[-1]) < training.batch_size:
            del batches[-1]
        if not batches:
            raise UserError(
                f"training.drop_last leaves nothing of {images} images with batch_size "
                f"{training.batch_size}: take a smaller batch"
            )
        return batches

    def _seed(self, purpose: str, epoch: int = 0) -> int:
        """A seed of its own for each use of randomness."""
        digest = hashlib.sha256(f"{self.seed} {purpose} {epoch}".encode()).digest()
        return int.from_bytes(digest[:4], "little")


class _Replayed(NamedTuple):
    """A run's captured work. It must not lead back to the run: in a circle, graphs would outlive it."""

    indices: Tensor
    """Of the batch, written before each replay."""
    step: Replay
    parameters: list[nn.Parameter]
    gradients: list[Tensor | None]
    """In the graph's memory, one for each parameter."""
    evaluation: Replay

    def gradients_of(self, indices: Tensor) -> Tensor:
        self.indices.copy_(indices)
        sums = self.step().clone()  # the next replay overwrites them
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient  # a short batch, run as written, put its own ones there
        return sums


def _percent(correct: Tensor) -> float:
    return 100 * correct.sum().item() / len(correct)


def _copy_matching_parameters(old: Classifier, new: Classifier) -> None:
    """Copy all that does not depend on the number of classes."""
    shapes = {name: value.shape for name, value in new.state_dict().items()}
    matching = {name: v for name, v in old.state_dict().items() if v.shape == shapes[name]}
    new.load_state_dict(matching, strict=False)

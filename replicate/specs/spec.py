"""What a run is: frozen, typed, complete. Nothing has a default, so every value came from a file.

The vocabulary (cell, method, protocol, spec, run) is that of the README.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from replicate.files.typed import Count, Slug, StrictModel, Title
from replicate.paper.numbers import Many
from replicate.paper.tables import Published

Range = Annotated[tuple[float, float], Field(strict=False)]
Oddities = Many[Literal["batch-means", "training-images"]]
Weights = Many[Annotated[float, Field(ge=0, le=1)]]
BlockOrder = Literal["he", "released"]
Pool = Literal["avg", "flex", "max", "gem", "softmax", "attention", "flatten"]
Constraint = Literal["none", "softmax", "shared", "frozen"]
DropoutOn = Literal["vector", "map"]
Inference = Literal["last", "weighted"]

PARTS = {
    *("dataset", "generated", "model", "loss", "augmentation", "training"),
    *("pretraining", "oddities"),
}
"""Parts of a spec that decide what a run's record holds."""


class Coverage(StrictModel):
    """The methods that a protocol can train."""

    methods: Many[Slug]
    others: Title
    """What is said of the others' cells in place of a number, such as `not released`."""


class Protocol(StrictModel):
    """How every cell is trained: the file in experiments/protocols that the rest of the spec extends."""

    name: Slug
    title: Title
    """One line for the report."""
    comparable: bool
    """Whether its numbers may be judged against the published ones."""
    covers: Coverage | None
    """null: every method."""
    instead: dict[str, str] | None
    """Files of experiments/ that other ones stand in for when a cell extends them; null: none."""

    def lacks(self, method: str) -> str | None:
        """What is said of a method that it does not cover; None for one that it does."""
        if self.covers is None or method in self.covers.methods:
            return None
        return self.covers.others


class Dataset(StrictModel):
    """A data set as its authors publish it, or a class folder of one's own."""

    later: ClassVar[frozenset[str]] = frozenset({"split_seed"})

    name: Slug
    title: Title
    official: Literal["CIFAR10", "CIFAR100", "FashionMNIST", "TinyImageNet"] | None
    """Where the official files come from; null for a class folder of one's own."""
    classes: Annotated[int, Field(ge=2)]
    channels: Literal[1, 3]
    stored_size: Count | None
    """Side of the stored images, in pixels; null for files of any size and shape."""
    size: Annotated[int, Field(ge=8, le=10_000)]
    """Side of the images the network sees, in pixels."""
    fit: Literal["none", "average", "resize", "pad"]
    """How stored_size becomes size: block average, antialiased bilinear resize, zero padding."""
    split_seed: Annotated[int, Field(ge=0, le=10**9)] | None
    """Draws test_images of a folder without train/ and test/, every class by its share; null where
    the data set comes split."""
    train_images: Count
    test_images: Count
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    """SHA-256 of the stored images and labels in any order; null where nobody has pinned it yet."""

    @model_validator(mode="after")
    def _only_folders_are_split(self) -> Self:
        if self.split_seed is not None and self.official:
            raise ValueError(f"split_seed must be null: {self.official} comes split")
        return self

    @model_validator(mode="after")
    def _fit_matches_sizes(self) -> Self:
        if self.stored_size is None:
            if self.fit != "resize" or self.official:
                raise ValueError("stored_size null needs fit: resize and official: null")
            return self
        possible = {
            "none": self.size == self.stored_size,
            "average": self.stored_size % self.size == 0,
            "resize": True,
            "pad": self.size >= self.stored_size,
        }
        if not possible[self.fit]:
            raise ValueError(
                f"fit {self.fit!r} cannot turn {self.stored_size} pixels into {self.size}"
            )
        return self


class Generated(StrictModel):
    """Generated images instead of the data set's own: same shape and classes, no download."""

    train_images: Count
    test_images: Count


class Method(StrictModel):
    """A column of the paper's tables."""

    name: Slug
    title: Title


class Model(StrictModel):
    """The network and what pools its feature maps."""

    network: Annotated[
        str, Field(pattern=r"^(resnet(20|32|44|56|110)|vgg(11|13|16|19)|torchvision/[a-z0-9_]+)$")
    ]
    """ResNet for small images, VGG with batch norm, or any CNN of torchvision, as torchvision/resnet18."""
    block: BlockOrder
    """Order of convolution, normalisation and ReLU in ResNet for small images, and the
    initialisation: He et al. 2016, or the authors' code (A01)."""
    pool: Pool
    """Global average pooling, FlexPool (section 3.1), or one to hold it against (models/pools.py);
    flatten has no pool, but a dense layer over the whole map, in ResNet for small images alone.
    training.pool_rate_factor is for what any of them learns."""
    constraint: Constraint
    """On FlexPool's weights: none as in the text, softmax over positions as in the released code, one map
    shared by all channels (A02), or frozen where they start, as the average: a placebo."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Dropout probability in every head (section 4.4.1)."""
    dropout_on: DropoutOn
    """The pooled vector, or whole channels of the feature map before pooling (A04)."""
    sac: bool
    """A simple auxiliary classifier after each stage (section 3.2)."""
    inference: Inference
    """Predict by the last head alone, or by the weighted mean of the heads' logits (A05)."""

    @model_validator(mode="after")
    def _dense_layers_fit(self) -> Self:
        if self.pool == "flatten" and not self.network.startswith("resnet"):
            raise ValueError(f"pool flatten needs a resnet of small images, not {self.network}")
        return self


def check_head_weights(weights: Sequence[float]) -> None:
    """Raise ValueError unless they increase from 0 or above (Eq. 3), or only the last head counts."""
    rising = weights[0] >= 0 and all(low < high for low, high in pairwise(weights))
    if any(weights[:-1]) and not rising:
        raise ValueError(f"head_weights must increase (Eq. 3), got {list(weights)}")
    if weights[-1] <= 0:
        raise ValueError("the last of head_weights must be above 0")


class Loss(StrictModel):
    """Eq. 3 and Eq. 2."""

    head_weights: Weights
    """Lambda of each head, first stage first; [1.0] for a single classifier (Eq. 3)."""
    penalty_weight: Annotated[float, Field(ge=0)]
    """Factor of R, the penalty on FlexPool's channel sums (Eq. 2, A03)."""

    @model_validator(mode="after")
    def _weights_increase(self) -> Self:
        check_head_weights(self.head_weights)
        return self


class Augmentation(StrictModel):
    """What happens to a training image (section 4.2), as batched tensor operations."""

    flip: bool
    """Horizontal flip with probability one half."""
    geometry: Literal["none", "scale", "resized-crop", "pad-crop"]
    """Isotropic scale with zero padding; random resized crop; pad 4 pixels and crop (A06)."""
    scale_range: Range
    """Factor of the side for `scale`, share of the area for `resized-crop`."""
    normalise: Literal["dataset", "imagenet"]
    """By the training images' own mean and standard deviation, or ImageNet's (A07)."""

    @model_validator(mode="after")
    def _range_is_a_range(self) -> Self:
        low, high = self.scale_range
        if not 0 < low <= high:
            raise ValueError(f"scale_range must be 0 < low <= high, got {[low, high]}")
        return self


class Training(StrictModel):
    """Optimisation (sections 4.1 and 4.2)."""

    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "sgd"]
    learning_rate: Annotated[float, Field(gt=0)]
    """The peak of the schedule."""
    schedule: Literal["onecycle", "anneal"]
    """OneCycleLR stepped per batch, or cosine annealing from the first step (A10)."""
    weight_decay: Annotated[float, Field(ge=0)]
    pool_rate_factor: Annotated[float, Field(gt=0)]
    """Learning rate of FlexPool's weights over that of every other parameter (A16)."""
    drop_last: bool
    """Leave out the last, short batch of an epoch (A13)."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"]
    """bfloat16 is autocast; tf32 lets a GPU's convolutions round their inputs to TF32, as PyTorch
    does by default on an A100; auto is bfloat16 where the hardware computes in it (A18)."""


class Pretraining(StrictModel):
    """A first step on coarser classes, "super-classing" (section 4.2, A15)."""

    classes: Literal["coarse"]
    """CIFAR-100's 20 coarse classes."""
    epochs: Count
    """With a schedule of their own, before those of `training`."""


class Spec(StrictModel):
    """A cell with its protocol merged in: all that training needs, but for the seed."""

    later: ClassVar[frozenset[str]] = frozenset({"pretraining", "oddities"})

    protocol: Protocol
    dataset: Dataset
    generated: Generated | None
    method: Method
    model: Model
    loss: Loss
    augmentation: Augmentation
    training: Training
    pretraining: Pretraining | None
    oddities: Oddities | None
    """Ways in which the released code measures accuracy, recorded beside the accuracy and used
    nowhere else."""
    published: Published | None

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        protocol, method = self.protocol, self.method.name
        if lacking := protocol.lacks(method):
            raise ValueError(f"{lacking}: protocol {protocol.name} has no method {method}")
        if self.pretraining and self.dataset.official != "CIFAR100":
            raise ValueError(f"pretraining needs CIFAR-100's classes, not {self.dataset.title}'s")
        heads, weights = 3 if self.model.sac else 1, len(self.loss.head_weights)
        if weights != heads:
            raise ValueError(f"loss.head_weights has {weights} values, the model has {heads} heads")
        if self.loss.penalty_weight and self.model.pool != "flex":
            raise ValueError("loss.penalty_weight above 0 needs model.pool: flex")
        return self

    @property
    def train_images(self) -> int:
        return (self.generated or self.dataset).train_images

    @property
    def test_images(self) -> int:
        return (self.generated or self.dataset).test_images

    @property
    def images_to_train(self) -> int:
        """Training images seen over the whole run."""
        dropped = self.train_images % self.training.batch_size if self.training.drop_last else 0
        return self.epochs * (self.train_images - dropped)

    @property
    def epochs(self) -> int:
        """Of the whole run, pretraining included."""
        return self.training.epochs + (self.pretraining.epochs if self.pretraining else 0)

    @property
    def first_epoch(self) -> int:
        """Its number: 1, or so far below that a pretraining ends at 0."""
        return 1 + self.training.epochs - self.epochs

    @property
    def comparable(self) -> bool:
        """Whether a verdict against the published number is possible at all."""
        return self.protocol.comparable and self.generated is None

    @cached_property
    def identity(self) -> str:
        """Canonical JSON of what can change a run's numbers: no titles, resources, paths or machines."""
        parts = self.model_dump(
            mode="json",
            include=PARTS - self.unused,
            exclude={"dataset": {"title"} | self.dataset.unused},
        )
        return json.dumps(parts, sort_keys=True, separators=(",", ":"))

    def run_id(self, seed: int) -> str:
        """Twelve hexadecimal digits that name this spec with this seed."""
        return hashlib.sha256(f"{self.identity}#{seed}".encode()).hexdigest()[:12]


def file_schema() -> dict[str, Any]:
    """JSON schema of one YAML file: any part of a spec, since files extend each other."""
    schema = Spec.model_json_schema()
    for part in [schema, *schema["$defs"].values()]:
        part.pop("required", None)
    schema["properties"]["extends"] = {
        "type": "array",
        "items": {"type": "string"},
        "description": "Files this one builds on, relative to it; later ones win over earlier ones.",
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A file of experiments/"
    return schema

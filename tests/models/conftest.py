"""Specs of the paper's cells, built here so that these tests need no catalogue."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from replicate.specs.spec import Spec

DATASET = {
    "name": "cifar10",
    "title": "CIFAR10",
    "official": "CIFAR10",
    "classes": 10,
    "channels": 3,
    "stored_size": 32,
    "size": 32,
    "fit": "none",
    "train_images": 50000,
    "test_images": 10000,
    "fingerprint": None,
    "split_seed": None,
}
MODEL = {
    "network": "resnet20",
    "block": "he",
    "pool": "flex",
    "constraint": "none",
    "dropout": 0.0,
    "dropout_on": "vector",
    "sac": False,
    "inference": "last",
}
REST = {
    "protocol": {
        "name": "paper",
        "title": "As the text says",
        "comparable": True,
        "covers": None,
        "instead": None,
    },
    "generated": None,
    "pretraining": None,
    "oddities": None,
    "method": {"name": "flexpool", "title": "FlexPool"},
    "augmentation": {
        "flip": True,
        "geometry": "scale",
        "scale_range": [0.8, 1.2],
        "normalise": "dataset",
    },
    "training": {
        "epochs": 100,
        "batch_size": 1000,
        "optimizer": "adam",
        "learning_rate": 0.1,
        "schedule": "onecycle",
        "weight_decay": 0.0,
        "pool_rate_factor": 1.0,
        "drop_last": False,
        "precision": "float32",
    },
    "published": None,
}


def _make_spec(size: int = 32, channels: int = 3, classes: int = 10, **model: Any) -> Spec:
    weights = [0.1, 0.2, 0.7] if model.get("sac") else [1.0]
    sizes = {"size": size, "stored_size": size, "channels": channels, "classes": classes}
    return Spec.model_validate(
        REST
        | {
            "dataset": DATASET | sizes,
            "model": MODEL | model,
            "loss": {"head_weights": weights, "penalty_weight": 0.0},
        }
    )


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., Spec]:
    """CIFAR-10's FlexPool cell, changed by image size, channels, classes and fields of `model`."""
    return _make_spec


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)

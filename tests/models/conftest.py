"""Specs of the paper's cells, of any size."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from replicate.specs.spec import Spec
from tests import making


def _make_spec(size: int = 32, **changes: Any) -> Spec:
    return making.spec(size=size, stored_size=size, **changes)


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., Spec]:
    """CIFAR-10's FlexPool cell, changed by image size, channels, classes and fields of `model`."""
    return _make_spec


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)

"""A step and an evaluation on a pretended GPU: nothing is computed, but a mix of devices would be seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from replicate.data import ImageData, Split
from replicate.specs.spec import Spec
from replicate.training import trainer
from replicate.training.engine import Engine
from replicate.training.trainer import Trainer
from tests import making

ROOT = Path(__file__).parents[2]
CUDA = torch.device("cuda:0")
CELLS = ("table1/cifar10/avgpool", "table1/tiny-imagenet/flexpool-reg",
         "table2/fashion-mnist/flexpool", "table2/cifar100/flexpool-reg-dropout")  # fmt: skip


class Pretended(Engine):
    """Puts empty tensors there, and draws from no generator: a real one needs a driver."""

    def generator(self, seed: int) -> Any:
        return None

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        yield

    def tensor(self, array: np.ndarray) -> Tensor:
        return torch.empty(array.shape, dtype=getattr(torch, str(array.dtype)), device=self.device)

    def place(self, model: nn.Module, *_: Any) -> None:
        for module in model.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    there = torch.empty(parameter.shape, device=self.device)
                    module._parameters[name] = nn.Parameter(there)
            for name, buffer in module._buffers.items():
                there = torch.empty(buffer.shape, dtype=buffer.dtype, device=self.device)
                module._buffers[name] = there


class Mixed(TorchDispatchMode):
    """Operators with tensors of more than one device, and how many there were in all."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.seen += 1
        leaves = tree_leaves((args, kwargs, out))
        if len({leaf.device for leaf in leaves if isinstance(leaf, Tensor)}) > 1:
            self.found.append(str(func))
        return out


class Backward(Exception):
    pass


def mixed(run: Trainer) -> Mixed:
    """Of the forward pass, the loss and an evaluation; the backward pass follows the forward one."""
    run.model.train()
    with Mixed() as seen:
        with pytest.raises(Backward):
            run._gradients(torch.empty(1000, dtype=torch.int64, device=CUDA))
        run._correct(run.test_images, run.test_labels)
    return seen


def backward(*_: Any) -> None:
    raise Backward


@pytest.fixture(autouse=True)
def no_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    monkeypatch.setattr(trainer, "cost", lambda *_: None)
    monkeypatch.setattr(Trainer, "_batches", lambda *_, **__: [None] * 50)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def pretended(spec: Spec, kind: type[Trainer] = Trainer) -> Trainer:
    side, channels = spec.dataset.size, spec.dataset.channels
    train, test = (
        Split(np.zeros((n, side, side, channels), np.uint8), np.zeros(n, np.int64))
        for n in (50_000, 2000)
    )
    data = ImageData(train, test, "generated", "", (0.5,) * channels, (0.25,) * channels)
    run = kind(spec, 0, data, Pretended(CUDA, "float32", 1, False, "a test"))
    run.mean = torch.empty(channels, device=CUDA)
    run.std = torch.empty(channels, device=CUDA)
    return run


@pytest.mark.parametrize("geometry", ["none", "scale", "resized-crop", "pad-crop"])
@pytest.mark.parametrize("cell", CELLS)
def test_no_operator_mixes_devices(cell: str, geometry: str) -> None:
    seen = mixed(pretended(making.spec(cell, geometry=geometry, scale_range=(0.8, 1.0))))
    assert seen.found == []
    assert seen.seen > 200


def test_a_mix_would_be_seen() -> None:
    class Mixes(Trainer):
        def _gradients(self, indices: Tensor) -> Tensor:
            self.train_labels = self.train_labels.to("cpu")
            return super()._gradients(indices)

    with pytest.raises(RuntimeError, match="device"):
        mixed(pretended(making.spec(CELLS[0]), Mixes))

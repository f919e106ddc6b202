"""The captured step on a double of a CUDA graph: the numbers of the step as written, bit for bit."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from replicate.data import ImageData
from replicate.dispatch.calibration import noise
from replicate.records.epoch import Epoch
from replicate.specs.spec import Spec
from replicate.training import engine, trainer
from replicate.training.loop import train
from replicate.training.outcome import Stopped
from replicate.training.trainer import Trainer
from tests import making
from tests.training import tape

ROOT = Path(__file__).parents[2]
MakeSpec = Callable[..., Spec]
Made = Callable[..., Trainer]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Evaluation in several batches, the last of them short; and full determinism of threads."""
    monkeypatch.setattr(trainer, "_EVALUATION_BATCH", 40)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(spec: Spec, data: ImageData, captured: bool, kind: type[Trainer] = Trainer) -> Trainer:
    chosen = engine.Engine(
        torch.device("cpu"), spec.training.precision, 1, False, "a test",
        tape.capture if captured else None,
    )  # fmt: skip
    return kind(spec, 0, data, chosen)


def numbers(run: Trainer, *epochs: int) -> list[Any]:
    return [(run.train_epoch(epoch), run.evaluate()) for epoch in epochs]


def state(run: Trainer) -> list[Any]:
    return [copy.deepcopy(leaf) for leaf in tree_leaves(run.state())]


def same(one: list[Any], other: list[Any]) -> bool:
    """NaN, as of a run that diverges, equals NaN."""
    return all(
        torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
        if isinstance(a, torch.Tensor)
        else repr(a) == repr(b)
        for a, b in zip(one, other, strict=True)
    )


EVERYTHING = {"sac": True, "dropout": 0.25, "penalty_weight": 1.0, "flip": True}
CELLS: list[dict[str, Any]] = [
    {"pool": "avg"},
    EVERYTHING,
    {**EVERYTHING, "precision": "bfloat16"},
    {**EVERYTHING, "dropout_on": "map", "optimizer": "sgd", "precision": "bfloat16"},
    {"geometry": "resized-crop", "scale_range": (0.8, 1.0)},
    {"geometry": "pad-crop", "flip": True},
    {"geometry": "none", "block": "released", "constraint": "softmax", "schedule": "anneal"},
]


@pytest.mark.parametrize("changes", CELLS, ids=lambda changes: "-".join(map(str, changes)))
def test_captured_equals_eager(
    make_spec: MakeSpec, data: ImageData, changes: dict[str, Any]
) -> None:
    """Three epochs with a short last batch; then from a checkpoint into graphs already captured."""
    spec = make_spec(**changes)
    eager, captured = make(spec, data, False), make(spec, data, True)
    assert repr(numbers(captured, 1, 2)) == repr(numbers(eager, 1, 2))
    kept = copy.deepcopy(captured.state())
    resumed = make(spec, data, True)
    resumed.train_epoch(1)
    resumed.restore(kept)
    wanted = repr(numbers(eager, 3))
    assert repr(numbers(captured, 3)) == wanted
    assert repr(numbers(resumed, 3)) == wanted
    assert same(state(captured), state(eager))
    assert same(state(resumed), state(eager))


def test_a_run_is_trained_and_resumed_through_the_graph(
    make_spec: MakeSpec, data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(**EVERYTHING)
    as_written = train(spec, 0, data, checkpoint=tmp_path / "written.pt")
    chosen = replace(engine.choose("float32", 1), capture=tape.capture)
    monkeypatch.setattr(engine, "choose", lambda *_: chosen)

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise Stopped

    file = tmp_path / "checkpoint.pt"
    with pytest.raises(Stopped):
        train(spec, 0, data, checkpoint=file, on_epoch=stop)
    captured = train(spec, 0, data, checkpoint=file)
    assert captured.origin.captured
    assert not as_written.origin.captured
    assert captured.resumed_from == [2]
    assert [e.loss for e in captured.epochs] == [e.loss for e in as_written.epochs]
    assert captured.right.tolist() == as_written.right.tolist()
    for one, other in zip(captured.pools, as_written.pools, strict=True):
        assert one.tobytes() == other.tobytes()


def test_nothing_that_a_graph_keeps_leads_back_to_its_run(
    make_spec: MakeSpec, data: ImageData
) -> None:
    """In a circle, the graphs of a finished run would outlive it, and with them its memory."""
    import gc
    import weakref

    run = make(make_spec(), data, True)
    run.train_epoch(1)
    watched = weakref.ref(run)
    gc.disable()
    try:
        del run
        assert watched() is None
    finally:
        gc.enable()


class OptimiserInside(Trainer):
    def _gradients(self, indices):
        sums = super()._gradients(indices)
        self.optimizer.step()
        return sums

    def _step(self, indices):
        if self._replayed and len(indices) == len(self._replayed.indices):
            return self._replayed.gradients_of(indices)
        return self._gradients(indices)


class GradientsNotAssigned(Trainer):
    """After the short batch, which makes gradients of its own, replays fill those nobody reads."""

    def _capture(self):
        super()._capture()
        self._replayed = self._replayed._replace(parameters=[], gradients=[])


class AveragesNotRestored(Trainer):
    def _capture(self):
        given = self.engine.capture
        self.engine = replace(self.engine, capture=lambda f, drawn, _: given(f, drawn, []))
        super()._capture()


class GeneratorOfAnEpoch(Trainer):
    def train_epoch(self, epoch):
        self._capture()
        self._augmenting = self.engine.generator(0)
        return super().train_epoch(epoch)


class RowsNotCloned(Trainer):
    def _step(self, indices):
        replayed = self._replayed
        if len(indices) != len(replayed.indices):
            return super()._step(indices)
        super()._step(indices)
        return replayed.step._result


class HostReads(Trainer):
    def _gradients(self, indices):
        sums = super()._gradients(indices)
        sums[0].item()
        return sums


class TensorFromPython(Trainer):
    def _gradients(self, indices):
        return super()._gradients(indices) * torch.tensor(1.0)


MISTAKES = [
    OptimiserInside, GradientsNotAssigned, AveragesNotRestored, GeneratorOfAnEpoch, RowsNotCloned,
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_known_mistake_is_seen(
    make_spec: MakeSpec, data: ImageData, mistake: type[Trainer]
) -> None:
    spec = make_spec(**EVERYTHING)
    eager = numbers(make(spec, data, False), 1, 2)
    assert math.isfinite(eager[-1][0].loss)
    assert repr(numbers(make(spec, data, True, mistake), 1, 2)) != repr(eager)


@pytest.mark.parametrize("mistake", [HostReads, TensorFromPython])
def test_what_a_graph_cannot_hold_is_refused(
    make_spec: MakeSpec, data: ImageData, mistake: type[Trainer]
) -> None:
    run = make(make_spec(), data, True, mistake)
    with pytest.raises(tape.HostRead):
        run.train_epoch(1)


@pytest.mark.parametrize(
    "cell", ["table1/cifar10/avgpool", "table2/fashion-mnist/flexpool-reg-dropout"]
)
def test_the_papers_cells_are_captured_too(cell: str) -> None:
    """At their own sizes: 28 pixels and one channel as well as 32 and three."""
    spec = making.spec(cell, batch_size=10, epochs=2)
    data = noise(spec.dataset, 25, 50)
    eager, captured = make(spec, data, False), make(spec, data, True)
    assert repr(numbers(captured, 1, 2)) == repr(numbers(eager, 1, 2))
    assert same(state(captured), state(eager))

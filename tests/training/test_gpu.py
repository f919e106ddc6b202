"""What only a GPU can show. FLEXPOOL_GPU=pretend tries these tests themselves on a processor."""

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from replicate.dispatch.calibration import noise
from replicate.models import FlexPool2d
from replicate.specs.spec import Spec
from replicate.training import engine
from replicate.training.engine import Engine
from replicate.training.replay import capture
from replicate.training.trainer import Trainer
from tests import making
from tests.training import tape

ROOT = Path(__file__).parents[2]
PRETEND = os.environ.get("FLEXPOOL_GPU") == "pretend"
GPU = torch.cuda.is_available()
CUDA = torch.device("cuda" if GPU else "cpu")
CPU = torch.device("cpu")
BATCH, TEST = (1000, 2000) if GPU else (20, 60)
SINGLE, HEADS = "table1/cifar10/avgpool", "table2/fashion-mnist/flexpool-reg-dropout"
STEADY = "table2/cifar10/flexpool-reg"  # no Dropout, whose draws differ from device to device
PRECISIONS = ["float32", "tf32", "bfloat16"]
UNMOVED = {"flip": False, "geometry": "none"}

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (GPU or PRETEND), reason="no GPU that CUDA can use"),
]


@pytest.fixture(autouse=True)
def started() -> Iterator[None]:
    threads = torch.get_num_threads()
    engine.start()
    yield
    torch.set_num_threads(threads)


def spec_of(cell: str, precision: str, **changes: object) -> Spec:
    return making.spec(cell, precision=precision, batch_size=BATCH, **changes)


def computing(
    spec: Spec, *, captured: bool = True, compiled: bool = False, device: torch.device = CUDA
) -> Engine:
    recorder = (capture if GPU else tape.capture) if captured else None
    return Engine(device, spec.training.precision, 1, compiled and GPU, "a test", recorder)


def made(spec: Spec, count: int, **how: Any) -> Trainer:
    return Trainer(spec, 0, noise(spec.dataset, count, TEST), computing(spec, **how))


def numbers(run: Trainer, *epochs: int) -> str:
    return repr([(run.train_epoch(epoch), run.evaluate()) for epoch in epochs])


def state(run: Trainer) -> list[Any]:
    leaves = tree_leaves(run.state())
    return [leaf.cpu().clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]


def same(one: list[Any], other: list[Any]) -> bool:
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", [SINGLE, HEADS])
def test_captured_equals_eager_and_eager_itself(cell: str, precision: str) -> None:
    """Bit for bit, with a short last batch; then from a checkpoint into graphs already captured."""
    spec, count = spec_of(cell, precision), 5 * BATCH + BATCH // 2
    eager, again = (made(spec, count, captured=False) for _ in range(2))
    wanted = numbers(eager, 1, 2)
    assert numbers(again, 1, 2) == wanted, "not deterministic"
    captured, resumed = made(spec, count), made(spec, count)
    assert numbers(captured, 1, 2) == wanted
    kept = copy.deepcopy(captured.state())
    resumed.train_epoch(1)
    resumed.restore(kept)
    wanted = numbers(eager, 3)
    assert numbers(captured, 3) == wanted
    assert numbers(resumed, 3) == wanted
    assert same(state(captured), state(eager))
    assert same(state(resumed), state(eager))


RESUMED = """
import sys, torch
spec = spec_of(HEADS, "bfloat16")
run = made(spec, 3 * BATCH)
run.restore(torch.load(sys.argv[1], map_location="cpu"))
print(numbers(run, 2))
"""


def test_a_run_goes_on_in_another_process(tmp_path: Path) -> None:
    spec = spec_of(HEADS, "bfloat16")
    run = made(spec, 3 * BATCH)
    run.train_epoch(1)
    run.evaluate()
    torch.save(run.state(), tmp_path / "state.pt")
    wanted = numbers(run, 2)
    other = subprocess.run(
        [sys.executable, "-c", RESUMED, tmp_path / "state.pt"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert other.stdout.strip() == wanted, other.stderr


def test_nothing_waits_for_the_device_inside_an_epoch() -> None:
    run = made(spec_of(HEADS, "bfloat16"), 5 * BATCH, captured=False)
    batches = run._batches(1)
    run.model.train()
    run._step(batches[0])  # what is set up once may wait
    if GPU:
        torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            run._step(batch)
            run.schedule.step()
    finally:
        if GPU:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("precision", "most"), [("float32", 2e-2), ("tf32", 0.2), ("bfloat16", 0.7)]
)
def test_the_gradient_is_the_processors(precision: str, most: float) -> None:
    """Of a first step, without chance; batch norm over a new network amplifies rounding."""
    reference = gradient(spec_of(STEADY, "float32", **UNMOVED), CPU)
    found = gradient(spec_of(STEADY, precision, **UNMOVED), CUDA)
    assert (found - reference).norm() / reference.norm() < most


def gradient(spec: Spec, device: torch.device) -> torch.Tensor:
    run = made(spec, BATCH, captured=False, device=device)
    run.model.train()
    run._gradients(run._batches(1)[0])
    return torch.cat([p.grad.double().cpu().flatten() for p in run.model.parameters()])


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_run_trains_as_the_eager_one() -> None:
    spec = spec_of(HEADS, "bfloat16")
    compiled = made(spec, 5 * BATCH, compiled=True).train_epoch(1)
    eager = made(spec, 5 * BATCH, captured=False).train_epoch(1)
    assert compiled.loss == pytest.approx(eager.loss, rel=0.05)


def test_a_finished_run_leaves_no_memory() -> None:
    """Graphs, their pools and the images: three runs leave what one leaves."""
    left = []
    for _ in range(3):
        run = made(spec_of(HEADS, "bfloat16"), 2 * BATCH)
        run.train_epoch(1)
        run.evaluate()
        del run
        left.append(torch.cuda.memory_allocated() if GPU else 0)
    assert left[2] == left[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not GPU, reason="a processor's compiler fuses otherwise")
def test_a_compiled_flexpool_never_writes_its_product() -> None:
    """The product with float32 weights is twice the bfloat16 map: it must stay in the kernel."""
    pool = FlexPool2d(16, 32, 32).to(CUDA, memory_format=torch.channels_last)
    maps = torch.randn(1000, 16, 32, 32, device=CUDA, dtype=torch.bfloat16, requires_grad=True)
    maps = maps.to(memory_format=torch.channels_last)
    size = maps.numel() * maps.element_size()
    pool.compile(dynamic=False)
    for _ in range(2):  # the first one compiles
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        pool(maps).sum().backward()
        extra = torch.cuda.max_memory_allocated() - before
    assert extra < 1.5 * size  # the map's own gradient is one


def test_an_engine_is_chosen_for_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(engine.SWITCH, raising=False)
    chosen = engine.choose("auto", engine.BREAK_EVEN_IMAGES)
    assert chosen.device.type == CUDA.type
    assert (chosen.capture is not None) == GPU
    assert replace(chosen, device=CPU).precision == chosen.precision

"""A GPU: is it right, how fast is a step in each precision and engine, and what takes the time?"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks import ROOT
from benchmarks.ours import Planar, spec_of
from benchmarks.table import Found, Options, Section
from benchmarks.targets import held
from replicate.dispatch.calibration import noise
from replicate.training import engine
from replicate.training.engine import SWITCH, Engine, Precision
from replicate.training.replay import capture
from replicate.training.trainer import Trainer

CHECKS = "tests/training/test_gpu.py"
OUTCOME = rf"^(PASSED|FAILED|ERROR|SKIPPED) .*?{CHECKS}\S*?(?:::(\S+))?(.*)$"
SINGLE, HEADS = "table1/cifar10/avgpool", "table2/cifar10/flexpool-reg-dropout"
EPOCHS = 100
SECONDS = 95
"""Of variants, after which no further one is begun; the first always is."""
KERNELS = 12
WORTH_COMPILING = 0.95
"""Of the captured step's time: compiling has to make it faster than that."""


@dataclass(frozen=True)
class Variant:
    name: str
    precision: Precision
    captured: bool = True
    compiled: bool = False
    cell: str = SINGLE
    kind: type[Engine] = Engine


VARIANTS = (
    Variant("bfloat16, captured", "bfloat16"),
    Variant("bfloat16, compiled", "bfloat16", compiled=True),
    Variant("bfloat16, compiled, FlexPool with SAC", "bfloat16", compiled=True, cell=HEADS),
    Variant("bfloat16, eager", "bfloat16", captured=False),
    Variant("tf32, captured", "tf32"),
    Variant("tf32, compiled", "tf32", compiled=True),
    Variant("float32, captured", "float32"),
    Variant("float32, captured, NCHW", "float32", kind=Planar),
)


@dataclass(frozen=True)
class Speed:
    """What was measured of a variant, in milliseconds but for the first epoch."""

    step: float
    evaluation: float
    first_epoch: float
    """Seconds: with compiling and capturing."""
    gigabytes: float
    """At most, of the GPU's memory."""
    traffic: float
    """Terabytes a second, were every operator to read and write its tensors: fused ones need not."""
    loss: float

    @property
    def cell(self) -> float:
        """Seconds of a CIFAR-10 cell, once compiled."""
        return EPOCHS * (50 * self.step + self.evaluation) / 1000


def run(options: Options) -> list[Section]:
    """Nothing without a GPU, unless it is quick: then a processor shows that all of this works."""
    if not (torch.cuda.is_available() or options.quick):
        return []
    engine.start()
    checks, bandwidth = _checks(options), _ceilings(options)
    begun = time.monotonic()
    speeds: dict[str, Speed] = {}
    kernels: list[Section] = []
    for variant in VARIANTS:
        if time.monotonic() - begun > SECONDS:
            break
        speeds[variant.name], section = _measured(variant, options)
        kernels += section
    return [checks, *bandwidth[1], _table(speeds, bandwidth[0], options), *kernels]


def _checks(options: Options) -> Section:
    """The tests that need a GPU; on a processor they pretend one."""
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-o", "filterwarnings=default", CHECKS]
    pretended = {"FLEXPOOL_GPU": "pretend"} if options.quick else {}
    done = subprocess.run(
        ["/usr/bin/env", *(f"{k}={v}" for k, v in pretended.items()), *command],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    rows = [
        (word.lower(), name.removeprefix("test_").replace("_", " "), said.strip(" -")[:90])
        for word, name, said in re.findall(OUTCOME, done.stdout, re.MULTILINE)
    ]
    return Section("Checks", ("", "check", "said"), rows or [("failed", done.stdout[-500:], "")])


def _ceilings(options: Options) -> tuple[float, list[Section]]:
    """Bytes a second that a copy moves; and that with the rate of matrix products, as a table."""
    device, size = _device(), options.size(2**30, 2**20)
    one, other = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))
    bandwidth = 2 * size / _timed(lambda: other.copy_(one), 20)
    side = options.size(8192, 128)
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    rate = 2 * side**3 / _timed(lambda: matrix @ matrix, 20)
    versions = f"{torch.__version__}, {torch.version.cuda}, {torch.backends.cudnn.version()}"
    rows = [
        ("copy, bytes read and written", f"{bandwidth / 1e12:.2f} TB/s"),
        ("bfloat16 matrix product", f"{rate / 1e12:.0f} TFLOP/s"),
        ("torch, CUDA, cuDNN", versions),
    ]
    return bandwidth, [Section(_name(), ("what", "measured"), rows)]


def build(variant: Variant, options: Options) -> Trainer:
    """A run whose epochs have as many steps as CIFAR-10's."""
    steps, batch = _size(options)
    spec = spec_of(variant.cell, batch_size=batch, precision=variant.precision)
    recorder = _recorder() if variant.captured else None
    compiled = variant.compiled and _device().type == "cuda"
    chosen = variant.kind(
        _device(), variant.precision, torch.get_num_threads(), compiled, "as measured", recorder
    )
    data = noise(spec.dataset, steps * batch, options.size(10_000, 60))
    return Trainer(spec, 0, data, chosen)


def _size(options: Options) -> tuple[int, int]:
    """Steps of an epoch, and images of a step."""
    return options.size(50, 3), options.size(1000, 20)


def _measured(variant: Variant, options: Options) -> tuple[Speed, list[Section]]:
    run, steps = build(variant, options), _size(options)[0]
    first = _seconds(lambda: (run.train_epoch(1), run.evaluate()))
    trained = [_seconds(partial(run.train_epoch, epoch)) for epoch in (2, 3, 4)]
    evaluated = [_seconds(run.evaluate) for _ in range(3)]
    speed = Speed(
        step=1000 * median(trained) / steps,
        evaluation=1000 * median(evaluated),
        first_epoch=first,
        gigabytes=torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0,
        traffic=_bytes_of_a_step(run) / (median(trained) / steps) / 1e12,
        loss=run.train_epoch(5).loss,
    )
    return speed, list(_kernels(variant, run))


def _table(speeds: dict[str, Speed], bandwidth: float, options: Options) -> Section:
    columns = (
        *("engine", "ms a step", "ms a test pass", "s, a cell", "s, first epoch"),
        *("GB", "of the bandwidth", "loss"),
    )
    rows = [
        (
            *(name, f"{one.step:.3f}", f"{one.evaluation:.1f}", f"{one.cell:.1f}"),
            *(f"{one.first_epoch:.1f}", f"{one.gigabytes:.1f}"),
            *(f"{100e12 * one.traffic / bandwidth:.0f} %", f"{one.loss:.4f}"),
        )
        for name, one in speeds.items()
    ]
    left_out = [variant.name for variant in VARIANTS if variant.name not in speeds]
    notes = [
        "A step of 1000 generated images of CIFAR-10's size; a test pass of 10,000; a cell is 100 epochs "
        "of 50 steps and a test pass, once compiled. The share of the bandwidth is what the operators as "
        "written would move: above 100 % where fusing saves passes.",
        f"{SWITCH}={_choice(speeds)}: the faster one in bfloat16, compiled only if it gains 5 %.",
        *([f"Left out, no time: {', '.join(left_out)}."] if left_out else []),
    ]
    found = {} if options.quick else _found(speeds)
    return Section("Speed", columns, rows, notes, found)


def _choice(speeds: dict[str, Speed]) -> str:
    captured, compiled = (speeds.get(f"bfloat16, {name}") for name in ("captured", "compiled"))
    if not (captured and compiled):
        return "captured"
    return "compiled" if compiled.step < WORTH_COMPILING * captured.step else "captured"


def _found(speeds: dict[str, Speed]) -> dict[str, Found]:
    best = min((one for name, one in speeds.items() if name.startswith("bfloat16, c")),
               key=lambda one: one.step)  # fmt: skip
    step = held("gpu-step", f"{best.step:.2f} ms", best.step)
    return step | held("gpu-cell", f"{best.cell:.1f} s", best.cell)


def _kernels(variant: Variant, run: Trainer) -> Iterator[Section]:
    """What takes the time of a captured step, kernel by kernel."""
    if not (torch.cuda.is_available() and run._replayed):
        return
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run._replayed.step()
        torch.cuda.synchronize()
    found = sorted(profile.key_averages(), key=lambda one: -one.device_time_total)
    whole = sum(one.device_time_total for one in found) or 1
    rows = [
        (one.key[:90], one.count, f"{time:.0f}", f"{100 * time / whole:.0f} %")
        for one in found[:KERNELS]
        for time in [one.device_time_total]
    ]
    columns = ("kernel", "times", "µs", "share")
    note = f"{sum(one.count for one in found)} kernels, {whole / 1000:.2f} ms."
    yield Section(f"Kernels of a step: {variant.name}", columns, rows, [note])


class _Traffic(TorchDispatchMode):
    """Bytes of the tensors that operators read and write, one that only looks at another left out."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view and not func.overloadpacket.__name__.startswith(("empty", "new_empty")):
            leaves = tree_leaves((args, kwargs, out))
            self.bytes += sum(one.nbytes for one in leaves if isinstance(one, torch.Tensor))
        return out


def _bytes_of_a_step(run: Trainer) -> int:
    """As written: eager, whatever the engine."""
    run.model.train()
    with torch.compiler.set_stance("force_eager"), _Traffic() as traffic:
        run._gradients(run._batches(1)[0])
    return traffic.bytes


def _timed(work: Callable[[], object], times: int) -> float:
    """Seconds of one, after a first."""
    work()
    return _seconds(lambda: [work() for _ in range(times)]) / times


def _seconds(work: Callable[[], object]) -> float:
    _wait()
    begun = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - begun


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "A processor"


def _recorder() -> Any:
    """A processor has the tests' double of a CUDA graph."""
    if torch.cuda.is_available():
        return capture
    from tests.training import tape

    return tape.capture

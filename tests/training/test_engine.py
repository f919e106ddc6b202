import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from replicate import machine
from replicate.data import ImageData
from replicate.errors import UserError
from replicate.models import Classifier, build_model
from replicate.records.epoch import Epoch
from replicate.specs.spec import Spec
from replicate.training import engine, trainer
from replicate.training.loop import train
from replicate.training.trainer import Trainer

MakeSpec = Callable[..., Spec]


@pytest.mark.parametrize(
    ("wanted", "able", "precision"),
    [
        ("auto", True, "bfloat16"),
        ("auto", False, "float32"),
        ("float32", True, "float32"),
        ("bfloat16", True, "bfloat16"),
    ],
)
def test_precision(
    monkeypatch: pytest.MonkeyPatch, wanted: str, able: bool, precision: str
) -> None:
    monkeypatch.setattr(engine, "_computes_bfloat16", lambda _: able)
    assert engine.choose(wanted, 1).precision == precision


def test_a_precision_the_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for precision in ("bfloat16", "tf32"):
        with pytest.raises(UserError, match=f"precision {precision}: this machine's cpu lacks it"):
            engine.choose(precision, 1)


def test_compiles_only_where_it_pays_and_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", sys.executable)  # stands for any program that exists
    monkeypatch.setattr("sysconfig.get_path", lambda _: "/include")
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/include/Python.h")
    long = engine.BREAK_EVEN_IMAGES
    assert engine.choose("float32", long).reason == "a processor gains nothing from it"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(engine, "_computes_bfloat16", lambda _: False)
    monkeypatch.setattr(engine, "_computes_tf32", lambda _: False)
    assert engine.choose("float32", long).compiled
    short = engine.choose("float32", long - 1)
    assert not short.compiled
    assert short.reason == f"{long - 1} images to train, pays from {long}"
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert engine.choose("float32", long).reason == "no Python headers"
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert engine.choose("float32", long).reason == "no C++ compiler (no-such-compiler)"


@pytest.mark.parametrize(
    ("mode", "captures", "compiles"),
    [
        (None, True, True),
        ("compiled", True, True),
        ("captured", True, False),
        ("eager", False, False),
    ],
)
def test_a_switch_says_how_much_a_gpu_may_do(
    monkeypatch: pytest.MonkeyPatch, mode: str | None, captures: bool, compiles: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.delenv(engine.SWITCH, raising=False)
    if mode is not None:
        monkeypatch.setenv(engine.SWITCH, mode)
    chosen = engine.choose("tf32", engine.BREAK_EVEN_IMAGES)
    assert (chosen.capture is not None) == captures
    assert chosen.compiled == compiles
    assert chosen.precision == "tf32"
    assert chosen.dtype == torch.float32


def test_a_processor_has_nothing_to_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engine.SWITCH, "compiled")
    chosen = engine.choose("float32", engine.BREAK_EVEN_IMAGES)
    assert chosen.capture is None
    assert not chosen.compiled


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv(engine.SWITCH, "fast")
    with pytest.raises(
        UserError, match="REPLICATE_ENGINE=fast: choose from compiled, captured, eager"
    ):
        engine.choose("float32", 1)


def test_tf32_is_for_convolutions_of_its_own_runs(
    make_spec: MakeSpec, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process trains runs of several precisions, one after the other."""
    flags = torch.backends.cudnn
    monkeypatch.setattr(flags, "allow_tf32", False)
    model = build_model(make_spec())
    seen = []
    for precision in ("tf32", "float32", "tf32", "bfloat16"):
        chosen = engine.Engine(torch.device("cpu"), precision, 1, False, "a test")
        chosen.place(model, model.trunk, [])
        seen.append(flags.allow_tf32)
    assert seen == [True, False, True, False]
    assert not torch.backends.cuda.matmul.allow_tf32


def test_start_sets_threads_and_full_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    try:
        engine.start(threads=3)
        assert engine.choose("float32", 1).threads == 3
        engine.start()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.deterministic


@pytest.mark.parametrize(
    ("own", "cache", "expected"),
    [
        ("mine", "cache", "mine"),
        (None, "cache", "cache/replicate/compiled"),
        (None, None, "home/.cache/replicate/compiled"),
        ("file/mine", None, "home/.cache/replicate/compiled"),
        (None, "file/cache", "tmp"),
    ],
)
def test_compiled_code_is_kept_where_it_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str, cache: str, expected: str
) -> None:
    """Else every run would fail: the library makes the folder even where it compiles nothing."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(engine, "gettempdir", lambda: str(tmp_path / "tmp"))
    for name, value in (("TORCHINDUCTOR_CACHE_DIR", own), ("XDG_CACHE_HOME", cache)):
        monkeypatch.setenv(name, str(tmp_path / value) if value else "")
    engine.start()
    found = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    assert found.is_relative_to(tmp_path / expected)
    assert found.is_dir()


def test_the_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert engine.choose("float32", 1).name == machine.processor() != "cpu"


FAULTS = """
import resource, torch
from replicate.training import engine
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(); returned = faults(); engine.start(); faults(); print(returned, faults())
"""


def test_freed_memory_is_kept() -> None:
    """Otherwise ten tensors of 64 MiB fault in 16,000 pages each, or 32 huge ones."""
    output = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    ).stdout
    returned, kept = map(int, output.split())
    assert returned > 200
    assert kept < returned / 10


def test_weights_and_maps_are_channels_last(make_spec: MakeSpec, data: ImageData) -> None:
    run = Trainer(make_spec(sac=True), 0, data, engine.choose("float32", 1))
    maps = run.model.trunk(run.test_images[:5].permute(0, 3, 1, 2).float())
    weights = [parameter for parameter in run.model.parameters() if parameter.ndim == 4]
    assert len(weights) == 19 + 3  # convolutions and pools
    for tensor in (*maps, *weights):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_images_are_not_copied_and_read_only_ones_do_not_warn(data: ImageData) -> None:
    tensor = engine.choose("float32", 1).tensor(data.train.images)
    assert tensor.dtype == torch.uint8
    assert np.shares_memory(tensor.numpy(), data.train.images)


def test_seeded_restores_the_callers_generator() -> None:
    chosen = engine.choose("float32", 1)
    before = torch.get_rng_state()
    draws = []
    for seed in (1, 1, 2):
        with chosen.seeded(seed):
            draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a GPU: a value read, or a size that depends on values."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name.lstrip("_") in {one.lstrip("_") for one in self.WAITING}:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("geometry", ["none", "scale", "resized-crop", "pad-crop"])
def test_nothing_waits_for_the_device_inside_an_epoch(
    make_spec: MakeSpec, data: ImageData, geometry: str
) -> None:
    """By the operators of a whole step, which are the same on a GPU; one value is read an evaluation."""
    spec = make_spec(sac=True, geometry=geometry, flip=True, dropout=0.25, penalty_weight=1.0)
    run = Trainer(spec, 0, data, engine.choose("float32", 1))
    batch = run._batches(1)[0]
    with Waits() as waits:
        run._step(batch)
        run.schedule.step()
    assert waits.found == []
    with waits:
        run.evaluate()
    assert waits.found == ["_local_scalar_dense"]


class SmallTrunk(nn.Module):
    """One convolution, to the size of the real last map: it compiles in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 64, 3, stride=4, padding=1), nn.BatchNorm2d(64)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (torch.relu(self.norm(self.conv(x))),)


class Stop(Exception):
    pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_runs_resume_bit_for_bit_and_share_their_graphs(
    make_spec: MakeSpec, data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph to train and one to evaluate, of the trunk and of FlexPool; short batches, resuming and
    average pooling add none."""
    from torch._dynamo.utils import counters

    monkeypatch.setattr(engine, "_compilation", lambda *_: (True, "asked for"))
    monkeypatch.setattr(engine, "_computes_bfloat16", lambda _: True)
    monkeypatch.setattr(trainer, "_EVALUATION_BATCH", 50)

    def build(spec: Spec) -> Classifier:
        model = build_model(spec)
        model.trunk = SmallTrunk()
        return model

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise Stop

    monkeypatch.setattr(trainer, "build_model", build)
    torch._dynamo.reset()
    counters.clear()
    spec = make_spec(precision="bfloat16", dropout=0.25)
    whole = train(spec, 0, data, checkpoint=tmp_path / "whole.pt")
    file = tmp_path / "checkpoint.pt"
    with pytest.raises(Stop):
        train(spec, 0, data, checkpoint=file, on_epoch=stop, checkpoint_seconds=0)
    resumed = train(spec, 0, data, checkpoint=file)
    other = make_spec(pool="avg", precision="bfloat16")
    train(other, 1, data, checkpoint=tmp_path / "other.pt")
    assert counters["stats"]["unique_graphs"] == 4
    assert resumed.resumed_from == [2]
    assert [e.loss for e in resumed.epochs] == [e.loss for e in whole.epochs]
    assert np.array_equal(resumed.pools[0], whole.pools[0])

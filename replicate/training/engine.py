"""Device, precision, memory and compilation: nothing else in the package knows of them."""

import ctypes
import os
import platform
import shutil
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile, gettempdir, mkdtemp
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from replicate import machine
from replicate.errors import UserError
from replicate.training.replay import Capture, capture

Precision = Literal["float32", "tf32", "bfloat16"]
Mode = Literal["compiled", "captured", "eager"]
SWITCH = "REPLICATE_ENGINE"
"""The environment variable that names the most that a GPU may do: without it, compiled and captured."""

# Training images from which compiling the trunk pays on a GPU: a guess, none was at hand.
BREAK_EVEN_IMAGES = 500_000

# Graphs that one process may hold: input shapes x classifiers x precisions x (train, evaluate).
# Past the library's default of 8 it would quietly run eager.
_GRAPHS = 64

_COMPILED = "TORCHINDUCTOR_CACHE_DIR"

# mallopt's parameters and the largest value they take (glibc's malloc.h; both are C ints).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _LARGEST = -1, -3, 2**31 - 1


@dataclass(frozen=True)
class Engine:
    """How one run is computed."""

    device: torch.device
    precision: Precision
    threads: int
    compiled: bool
    reason: str
    """Why the trunk is compiled, or why not."""
    capture: Capture | None = None
    """Records a step and an evaluation for replay; None runs them as written."""

    @property
    def name(self) -> str:
        """The model of the GPU, or of the processor."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return machine.processor()

    @property
    def dtype(self) -> torch.dtype:
        """What the network's maps are computed in, its input first."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def place(self, model: nn.Module, trunk: nn.Module, pools: Sequence[nn.Module]) -> None:
        """Move the model to the device in channels-last order; compile parts of it where that pays.

        The trunk: one graph then serves all cells of an input shape. And FlexPool, whose product
        with the map would otherwise be written to memory, in twice the map's precision. Parameters
        keep their names. The library compiles on first use and keeps the result on disk.
        """
        torch.backends.cudnn.allow_tf32 = self.precision == "tf32"  # a process has runs of several
        model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compiled:
            torch._dynamo.config.recompile_limit = _GRAPHS
            for part in (trunk, *pools):
                part.compile(dynamic=False)

    def tensor(self, array: np.ndarray) -> Tensor:
        """The array on the device; on the CPU its own memory, which is never written to."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*not writable", UserWarning)
            return torch.from_numpy(array).to(self.device)

    def generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(seed)

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Seed the global generators, which initialisation and Dropout use; restore them after."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            yield

    @contextmanager
    def autocast(self, full_batch: bool) -> Iterator[None]:
        """Around a forward pass. A short batch runs eager: its size would compile again."""
        with ExitStack() as stack:
            if self.compiled and not full_batch:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            if self.precision == "bfloat16":
                stack.enter_context(torch.autocast(self.device.type, self.dtype))
            yield


def start(threads: int | None = None) -> None:
    """Prepare this process for training: memory, threads and full precision of float32."""
    _keep_freed_memory()
    os.environ[_COMPILED] = str(
        _writable(_places())
    )  # the library makes it, whether it compiles or not
    if threads is not None:
        torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # The same algorithm each time, or a resumed run would end with other digits.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def gpus() -> int:
    """How many this process may use."""
    return torch.cuda.device_count()


def choose(wanted: str, images_to_train: int) -> Engine:
    """The engine for a run of that many training images, on the first GPU if there is one.

    `wanted` is a spec's precision. Raises UserError where this machine cannot compute in it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mode = _mode(device)
    compiled, reason = _compilation(device, mode, images_to_train)
    precision = _precision(wanted, device)
    recorder = None if mode == "eager" else capture
    return Engine(device, precision, torch.get_num_threads(), compiled, reason, recorder)


def _mode(device: torch.device) -> Mode:
    """The most that may be done to make a step faster."""
    if device.type == "cpu":
        return "eager"
    wanted = os.environ.get(SWITCH, "compiled")
    if wanted not in get_args(Mode):
        raise UserError(f"{SWITCH}={wanted}: choose from {', '.join(get_args(Mode))}, or unset it")
    return cast(Mode, wanted)


def _precision(wanted: str, device: torch.device) -> Precision:
    able = {"float32": True, "bfloat16": _computes_bfloat16(device), "tf32": _computes_tf32(device)}
    if wanted == "auto":
        return "bfloat16" if able["bfloat16"] else "float32"
    if not able[wanted]:
        raise UserError(f"precision {wanted}: this machine's {device.type} lacks it; use float32")
    return cast(Precision, wanted)


def _computes_bfloat16(device: torch.device) -> bool:
    """Whether the hardware does: emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _computes_tf32(device: torch.device) -> bool:
    """Whether its convolutions do: NVIDIA's since the A100."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def _compilation(device: torch.device, mode: Mode, images_to_train: int) -> tuple[bool, str]:
    """Whether to compile the trunk, and why.

    It costs 30 to 80 s the first time for an input shape. A processor spends a step in convolutions
    and memory, and gains 1 % or nothing (benchmarks/results); a GPU saves the passes over memory
    between two convolutions.
    """
    if device.type == "cpu":
        return False, "a processor gains nothing from it"
    if mode != "compiled":
        return False, f"{SWITCH}={mode}"
    compiler = os.environ.get("CXX", "g++")
    if not shutil.which(compiler):
        return False, f"no C++ compiler ({compiler})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return False, "no Python headers"
    if images_to_train < BREAK_EVEN_IMAGES:
        return False, f"{images_to_train} images to train, pays from {BREAK_EVEN_IMAGES}"
    return True, f"{images_to_train} images to train, at least {BREAK_EVEN_IMAGES}"


def _places() -> Iterator[Path]:
    """For compiled code; the library's own default is in the temporary folder, which a restart empties."""
    if own := os.environ.get(_COMPILED):
        yield Path(own)
    with suppress(RuntimeError):  # a user without a home
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        yield Path(cache, "replicate", "compiled")
    yield Path(gettempdir(), f"replicate-{os.getuid()}")


def _writable(folders: Iterable[Path]) -> Path:
    """The first that can be written to, else a new one."""
    for folder in folders:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                return folder
    return Path(mkdtemp())


def _keep_freed_memory() -> None:
    """Have glibc keep freed blocks: faulting them in again at each step costs a CPU 20 to 40 %."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST)

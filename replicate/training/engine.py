"""Device, precision, memory and compilation: nothing else in the package knows of them."""

import ctypes
import os
import platform
import shutil
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from replicate import machine
from replicate.errors import UserError

Precision = Literal["float32", "bfloat16"]

# Training images from which compiling the trunk pays on a GPU: a guess, none was at hand.
BREAK_EVEN_IMAGES = 500_000

# Graphs that one process may hold: input shapes x classifiers x precisions x (train, evaluate).
# Past the library's default of 8 it would quietly run eager.
_GRAPHS = 64

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

    def place(self, model: nn.Module, trunk: nn.Module) -> None:
        """Move the model to the device in channels-last order; compile its trunk where that pays.

        Only the trunk: one graph then serves all cells of an input shape. Parameters keep their
        names. The library compiles on first use and keeps the result on disk for the next run.
        """
        model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compiled:
            torch._dynamo.config.recompile_limit = _GRAPHS
            # On a GPU the compiled trunk is also captured, so that its kernels start as one.
            mode = "reduce-overhead" if self.device.type == "cuda" else "default"
            trunk.compile(dynamic=False, mode=mode)

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
    def computing(self, usual: bool) -> Iterator[None]:
        """Around a forward pass. A batch of unusual size runs eager: it would compile again."""
        with ExitStack() as stack:
            if self.compiled and not usual:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            if self.precision == "bfloat16":
                stack.enter_context(torch.autocast(self.device.type, self.dtype))
            yield


def start(threads: int | None = None) -> None:
    """Prepare this process for training: memory, threads and full precision of float32."""
    _keep_freed_memory()
    # The library's own default is in the temporary folder, which a restart empties.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_user_cache() / "replicate" / "compiled"))
    if threads is not None:
        torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def gpus() -> int:
    """How many this process may use."""
    return torch.cuda.device_count()


def choose(wanted: str, images_to_train: int) -> Engine:
    """The engine for a run of that many training images, on the first GPU if there is one.

    `wanted` is a spec's precision. Raises UserError where this machine cannot compute in it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    compiled, reason = _compilation(device, images_to_train)
    precision = _precision(wanted, device)
    return Engine(device, precision, torch.get_num_threads(), compiled, reason)


def _precision(wanted: str, device: torch.device) -> Precision:
    able = _computes_bfloat16(device)
    if wanted == "bfloat16" and not able:
        raise UserError(f"precision bfloat16: this machine's {device.type} lacks it; use float32")
    return "bfloat16" if able and wanted != "float32" else "float32"


def _computes_bfloat16(device: torch.device) -> bool:
    """Whether the hardware does: emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _compilation(device: torch.device, images_to_train: int) -> tuple[bool, str]:
    """Whether to compile the trunk, and why.

    It costs 30 to 80 s the first time for an input shape. A processor spends a step in convolutions
    and memory, and gains 1 % or nothing (benchmarks/results).
    """
    if device.type == "cpu":
        return False, "a processor gains nothing from it"
    compiler = os.environ.get("CXX", "g++")
    if not shutil.which(compiler):
        return False, f"no C++ compiler ({compiler})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return False, "no Python headers"
    if images_to_train < BREAK_EVEN_IMAGES:
        return False, f"{images_to_train} images to train, pays from {BREAK_EVEN_IMAGES}"
    return True, f"{images_to_train} images to train, at least {BREAK_EVEN_IMAGES}"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _keep_freed_memory() -> None:
    """Have glibc keep freed blocks: faulting them in again at each step costs a CPU 20 to 40 %."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST)

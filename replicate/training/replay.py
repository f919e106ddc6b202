"""Work of fixed shape on fixed memory, recorded once on a GPU and replayed as one launch.

A CUDA graph freezes every Python value and runs no Python again; it reads and writes the very
memory that was there when it was captured, and draws from the live generators. So whatever may
change between two replays must be a tensor that is written in place.
"""

import functools
import gc
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

WARM_UPS = 3
"""cuDNN's plans, cuBLAS's workspaces, the compiler's kernels: none of them may happen in a capture."""


class Replay:
    """What a captured function returned, and how to compute it again."""

    def __init__(self, run: Callable[[], None], result: Tensor) -> None:
        self._run, self._result = run, result

    def __call__(self) -> Tensor:
        """The result, in memory that the next replay overwrites."""
        self._run()
        return self._result


Capture = Callable[[Callable[[], Tensor], Sequence[Generator], Sequence[Tensor]], Replay]


def capture(
    function: Callable[[], Tensor], generators: Sequence[Generator], state: Sequence[Tensor]
) -> Replay:
    """Record `function` on the current CUDA device.

    Args:
        generators: that it draws from, beside torch's own.
        state: tensors that it changes, such as a batch norm's averages: left as they were.
    """
    kept = [tensor.clone() for tensor in state]
    drawn, default = [generator.get_state() for generator in generators], torch.cuda.get_rng_state()
    gc.collect()  # an old graph that dies in the middle of a capture would break it
    graph, stream = torch.cuda.CUDAGraph(), _stream()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.11 needs it, later ones call it deprecated
        for generator in generators:
            graph.register_generator_state(generator)
    stream.wait_stream(torch.cuda.current_stream())
    # On the capture's own stream, or autograd's leaves would remember another one.
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            function()
    with torch.cuda.graph(graph, stream=stream):
        result = function()
    for tensor, value in zip(state, kept, strict=True):
        tensor.copy_(value)
    for generator, value in zip(generators, drawn, strict=True):
        generator.set_state(value)
    torch.cuda.set_rng_state(default)
    return Replay(graph.replay, result)


@functools.cache
def _stream() -> torch.cuda.Stream:
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]  # one for all: cuBLAS keeps a workspace of 32 MiB for each

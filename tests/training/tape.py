"""A CUDA graph's double on the processor, for machines without a GPU.

It records the operators of one execution below autograd, with the very tensors that they read and
wrote, and plays them again into the same memory. Like a CUDA graph it freezes Python's values, runs
no Python again, draws from the live generators, and refuses what a graph cannot hold.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from replicate.training.replay import WARM_UPS, Replay

REFUSED = {
    *("_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2"),
    *("lift_fresh", "lift_fresh_copy"),  # a tensor made from Python's values
}
NOTHING = {
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "device"),
}


class HostRead(Exception):
    """What a CUDA graph cannot hold: the host would have to wait, or to bring a value."""


class Tape(TorchDispatchMode):
    """The operators of one execution, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not isinstance(func, torch._ops.OpOverload):
            return out
        name = func.overloadpacket.__name__
        if name in REFUSED:
            raise HostRead(f"{func}: a CUDA graph cannot hold it")
        # A view moves nothing, and its memory is that of its base, which stays where it is.
        if not func.is_view and name not in NOTHING:
            given = {tensor.data_ptr() for tensor in tensors((args, kwargs))}
            fresh = [
                tensor
                for tensor in tensors(out)
                if not (func._schema.is_mutable and tensor.data_ptr() in given)
            ]
            self.calls.append((func, args, kwargs, fresh))
        return out

    def spoil(self) -> None:
        """A capture computes nothing: only a replay may fill what the recording has left."""
        for _, _, _, fresh in self.calls:
            for tensor in fresh:
                if tensor.is_floating_point():
                    tensor.fill_(float("nan"))

    @torch.no_grad()
    def play(self) -> None:
        for func, args, kwargs, fresh in self.calls:
            out = func(*args, **kwargs)
            if fresh and not func._schema.is_mutable:
                for old, new in zip(fresh, tensors(out), strict=True):
                    if old.data_ptr() != new.data_ptr():
                        old.copy_(new)


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def capture(
    function: Callable[[], Tensor], generators: Sequence[Generator], state: Sequence[Tensor]
) -> Replay:
    """As `replicate.training.replay.capture`."""
    kept = [tensor.clone() for tensor in state]
    drawn, default = [one.get_state() for one in generators], torch.get_rng_state()
    for _ in range(WARM_UPS):
        function()
    tape = Tape()
    with tape:
        result = function()
    tape.spoil()
    for tensor, value in zip(state, kept, strict=True):
        tensor.copy_(value)
    for one, value in zip(generators, drawn, strict=True):
        one.set_state(value)
    torch.set_rng_state(default)
    return Replay(tape.play, result)

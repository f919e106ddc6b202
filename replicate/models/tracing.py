"""A trial forward pass tells the size of every map, so that nobody has to name one.

Eq. 1 gives the same sizes layer by layer, floor((N - K + 2P) / S) + 1, but for convolutions only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

AVERAGES = {F.adaptive_avg_pool2d, torch.mean, "mean"}


@contextmanager
def no_side_effects(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients: a forward pass inside leaves no trace in the model."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(modes[model])  # some modules do more here than set a flag
        for module, training in modes.items():
            module.training = training


class _Tracer(fx.Tracer):
    """Leaves stochastic depth whole: traced through, it would keep the mode of that moment."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, StochasticDepth) or super().is_leaf_module(m, module_qualified_name)


def trace_in_both_modes(model: nn.Module) -> fx.GraphModule:
    """The graph of `model`; ValueError where it is another in training than in evaluation."""
    with no_side_effects(model):
        evaluation, training = trace(model), trace(model.train())
    if str(evaluation.code) != str(training.code):
        raise ValueError(
            f"the forward pass of {type(model).__name__} differs between training and evaluation"
        )
    return evaluation


def trace(model: nn.Module) -> fx.GraphModule:
    try:
        return fx.GraphModule(model, _Tracer().trace(model))
    except Exception as error:  # whatever the model's own code raises on symbols
        raise ValueError(f"torch.fx cannot trace {type(model).__name__}: {error}") from error


def global_pool_of(traced: fx.GraphModule) -> fx.Node:
    """The average pool before the classifier, in a graph that knows its shapes.

    Raises ValueError for none or several.
    """
    nodes: list[fx.Node] = list(traced.graph.nodes)
    averages = [node for node in nodes if _is_average(node, traced)]
    # Squeeze-and-excitation has global pools too, but its maps also reach the output around them.
    pools = [node for node in averages if _is_global(node) and everything_passes(node)]
    # A module that is called twice has one weight to give and may see maps of two sizes.
    calls = [node for node in averages if pools and node.target == pools[0].target]
    shared = pools and pools[0].op == "call_module" and len(calls) > 1
    if len(pools) != 1 or shared:
        number = "a shared" if shared else len(pools) or "no"
        listed = ", ".join(map(_describe, averages)) or "none"
        raise ValueError(
            f"need one global average pool before the classifier, found {number}; "
            f"average pools in the network: {listed}"
        )
    return pools[0]


def _is_average(node: fx.Node, traced: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), nn.AdaptiveAvgPool2d)
    return node.op in ("call_function", "call_method") and node.target in AVERAGES


def _is_global(node: fx.Node) -> bool:
    """Whether it turns (N, C, H, W) into (N, C) or (N, C, 1, 1)."""
    before, after = shape_of(node.all_input_nodes[0]), shape_of(node)
    return len(before) == 4 and after in (before[:2], (*before[:2], 1, 1))


def everything_passes(node: fx.Node) -> bool:
    """Whether no path of tensors leads from an input to the output around `node`."""
    # Backwards from the output, as if `node` were taken out: an input must not be reached. Sizes are
    # no tensors: a reshape that asks an early map for its batch size is no path.
    visited = {node}
    ahead = [other for other in node.graph.nodes if other.op == "output"]
    while ahead:
        step = ahead.pop()
        if step.op == "placeholder":
            return False
        new = [i for i in step.all_input_nodes if i not in visited and "tensor_meta" in i.meta]
        visited.update(new)
        ahead.extend(new)
    return True


def shape_of(node: fx.Node) -> tuple[int, ...]:
    meta: Any = node.meta.get("tensor_meta")
    return tuple(meta.shape) if hasattr(meta, "shape") else ()


def _describe(node: fx.Node) -> str:
    sizes = ("x".join(map(str, shape_of(n)[1:])) for n in (node.all_input_nodes[0], node))
    name = node.target if node.op == "call_module" else node.name
    return f"{name} ({' -> '.join(sizes)})"

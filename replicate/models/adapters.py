"""FlexPool in networks that somebody else wrote: torchvision's CNNs and what torch.fx traces."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

from .dry import dry
from .pooling import Constraint, FlexPool2d

AVERAGES = {F.adaptive_avg_pool2d, torch.mean, "mean"}


def replace_global_pool(
    model: nn.Module, example_input: Tensor, constraint: Constraint = "none"
) -> nn.Module:
    """A copy of `model` with FlexPool2d for its global average pool, at first with equal outputs.

    The pool is the one AdaptiveAvgPool2d(1), adaptive_avg_pool2d or mean over the map through which
    everything passes on its way to the output, so those of squeeze-and-excitation are not meant.
    `example_input` (N, C, H, W), on the model's device, fixes the image size. Where the pool is a
    function and no module, the copy is a torch.fx.GraphModule with the same parameters.

    Raises ValueError for none or several such pools, naming the average pools there are.
    """
    copy = deepcopy(model)
    with dry(copy):
        traced = _trace(copy)
        ShapeProp(traced).propagate(example_input)
        pool = global_pool_of(traced)
        before, after = shape_of(pool.all_input_nodes[0]), shape_of(pool)
    channels, height, width = before[1:]
    flex = FlexPool2d(channels, height, width, constraint, keepdim=len(after) == 4)
    flex.to(example_input.device)
    if pool.op == "call_module":
        copy.set_submodule(str(pool.target), flex)
        return copy
    return _replace_function(copy, traced, pool, flex)


class _Tracer(fx.Tracer):
    """Leaves stochastic depth whole: traced through, it would keep the mode of that moment."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, StochasticDepth) or super().is_leaf_module(m, module_qualified_name)


def trace_in_both_modes(model: nn.Module) -> fx.GraphModule:
    """The graph of `model`; ValueError where it is another in training than in evaluation."""
    with dry(model):
        evaluation, training = _trace(model), _trace(model.train())
    if _code(evaluation) != _code(training):
        raise ValueError(
            f"the forward pass of {type(model).__name__} differs between training and evaluation"
        )
    return evaluation


def _trace(model: nn.Module) -> fx.GraphModule:
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
    found = [node for node in averages if _is_global(node) and everything_passes(node)]
    calls = [node for node in averages if found and node.target == found[0].target]
    shared = found and found[0].op == "call_module" and len(calls) > 1
    if len(found) != 1 or shared:
        number = "a shared" if shared else len(found) or "no"
        pools = ", ".join(map(_describe, averages)) or "none"
        raise ValueError(
            f"need one global average pool before the classifier, found {number}; "
            f"average pools in the network: {pools}"
        )
    return found[0]


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
    seen = {node}
    paths = [other for other in node.graph.nodes if other.op == "output"]
    while paths:
        step = paths.pop()
        if step.op == "placeholder":
            return False
        new = [i for i in step.all_input_nodes if i not in seen and "tensor_meta" in i.meta]
        seen.update(new)
        paths.extend(new)
    return True


def _replace_function(
    model: nn.Module, traced: fx.GraphModule, pool: fx.Node, flex: FlexPool2d
) -> fx.GraphModule:
    try:
        trace_in_both_modes(model)
    except ValueError as error:
        advice = "and its global pool is a function: make it an nn.AdaptiveAvgPool2d(1) first"
        raise ValueError(f"{error} {advice}") from None
    for name, module in traced.named_modules():  # the trace was made in evaluation mode
        module.training = model.get_submodule(name).training
    traced.add_submodule("flex_pool", flex)
    with traced.graph.inserting_before(pool):
        new = traced.graph.call_module("flex_pool", (pool.all_input_nodes[0],))
    pool.replace_all_uses_with(new)
    traced.graph.erase_node(pool)
    traced.recompile()
    return traced


def _code(traced: fx.GraphModule) -> str:
    return str(traced.code)


def shape_of(node: fx.Node) -> tuple[int, ...]:
    meta: Any = node.meta.get("tensor_meta")
    return tuple(meta.shape) if hasattr(meta, "shape") else ()


def _describe(node: fx.Node) -> str:
    sizes = ("x".join(map(str, shape_of(n)[1:])) for n in (node.all_input_nodes[0], node))
    name = node.target if node.op == "call_module" else node.name
    return f"{name} ({' -> '.join(sizes)})"

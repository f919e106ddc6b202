"""FlexPool in networks that somebody else wrote: torchvision's CNNs and what torch.fx traces."""

from copy import deepcopy

from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from replicate.models.flexpool import FlexPool2d
from replicate.models.tracing import (
    global_pool_of,
    no_side_effects,
    shape_of,
    trace,
    trace_in_both_modes,
)
from replicate.specs.spec import Constraint


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
    with no_side_effects(copy):
        traced = trace(copy)
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

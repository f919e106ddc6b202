"""A network that somebody else wrote, split at its global pool into a trunk and a classifier."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from replicate.models.tracing import (
    everything_passes,
    global_pool_of,
    no_side_effects,
    shape_of,
    trace_in_both_modes,
)


class Network(NamedTuple):
    trunk: nn.Module
    """Images (N, C, H, W) -> a tuple of maps, one for each head."""
    classifier: nn.Module | None
    """What turns the last pooled vector (N, C) into logits; None for one dense layer."""


def split_at_pool(model: nn.Module, example_input: Tensor, stages: int = 1) -> Network:
    """What comes before and after the global average pool, found as `replace_global_pool` does.

    A stage is all that has one size of map, and what it gives is the output of the last block
    that ends at that size; the trunk gives those of the last `stages` sizes, at the end what the
    pool pooled. Both halves share their parameters with `model`.

    Raises ValueError for none or several such pools, for fewer sizes than stages, and for a model
    whose forward pass differs between training and evaluation.
    """
    traced = trace_in_both_modes(model)
    with no_side_effects(traced):
        ShapeProp(traced).propagate(example_input)
    pool = global_pool_of(traced)
    maps = _stage_maps(traced, pool)
    if len(maps) < stages:
        sizes = ", ".join("x".join(map(str, shape_of(node)[2:])) for node in maps)
        raise ValueError(f"need maps of {stages} sizes before the global pool, found {sizes}")
    return Network(_trunk(model, traced, pool, maps[-stages:]), _classifier(model, traced, pool))


def _stage_maps(traced: fx.GraphModule, pool: fx.Node) -> list[fx.Node]:
    """The last map of each size, of those where a block ends and everything passes."""
    # Inside a block (a residual branch, say) a map is not yet what the block gives, and a size that
    # grows again is no stage of its own.
    by_size: dict[tuple[int, ...], fx.Node] = {}
    for node, after in _before(traced, pool):
        size = shape_of(node)[2:]
        ends = _block(node) != _block(after) and node.op != "placeholder"
        if len(size) == 2 and ends and _fits_in(size, by_size) and everything_passes(node):
            by_size[size] = node
    (last,) = pool.all_input_nodes
    return list({**by_size, shape_of(last)[2:]: last}.values())


def _fits_in(size: tuple[int, ...], others: Iterable[tuple[int, ...]]) -> bool:
    """Not so where a transformer's map has its channels last, which are not a side."""
    return all(side <= least for other in others for side, least in zip(size, other, strict=True))


def _before(traced: fx.GraphModule, pool: fx.Node) -> list[tuple[fx.Node, fx.Node]]:
    """Every node before the pool, with the one that follows it."""
    nodes: list[fx.Node] = list(traced.graph.nodes)
    return list(pairwise(nodes[: nodes.index(pool) + 1]))


def _block(node: fx.Node) -> str:
    """The outermost module around a node that is not just a row of others."""
    for name, kind in node.meta.get("nn_module_stack", {}).values():
        if kind is not nn.Sequential:
            return str(name)
    return node.name


def _trunk(
    model: nn.Module, traced: fx.GraphModule, pool: fx.Node, maps: list[fx.Node]
) -> fx.GraphModule:
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node, _ in _before(traced, pool):
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in maps))
    return fx.GraphModule(model, graph)


def _classifier(model: nn.Module, traced: fx.GraphModule, pool: fx.Node) -> nn.Module:
    graph = fx.Graph()
    copies = {pool: graph.placeholder("pooled")}
    nodes: list[fx.Node] = list(traced.graph.nodes)
    try:
        for node in nodes[nodes.index(pool) + 1 :]:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    except KeyError as error:
        raise ValueError(f"the layers behind the global pool also need {error.args[0]}") from None
    classifier = fx.GraphModule(model, graph)
    channels = shape_of(pool)[1]
    keeps = len(shape_of(pool)) == 4
    return nn.Sequential(nn.Unflatten(1, (channels, 1, 1)), classifier) if keeps else classifier

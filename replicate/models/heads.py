"""Heads, the simple auxiliary classifiers of section 3.2 among them, and their loss."""

from collections.abc import Sequence
from typing import TypedDict, Unpack, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor

from replicate.models.flexpool import global_pool
from replicate.models.pools import at_least_float32
from replicate.models.tracing import no_side_effects
from replicate.specs.spec import Constraint, DropoutOn, Pool


class HeadOptions(TypedDict, total=False):
    """What `Head` takes beside its sizes, and with which meaning."""

    pool: Pool
    constraint: Constraint
    dropout: float
    dropout_on: DropoutOn


class Head(nn.Module):
    """Pool, dropout, one dense layer: (N, C, H, W) -> logits (N, classes).

    `size` is the map's (C, H, W). Dropout acts on the pooled vector, or on whole channels of the
    map before it is pooled. A `classifier`, (N, C) -> logits, takes the dense layer's place. Pool
    "flatten" leaves the pool out: one dense layer over the whole map, which starts as the average
    and a dense layer on it, with the same random numbers.
    """

    def __init__(
        self,
        size: torch.Size,
        classes: int,
        *,
        pool: Pool = "flex",
        constraint: Constraint = "none",
        dropout: float = 0.0,
        dropout_on: DropoutOn = "vector",
        classifier: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if dropout_on not in get_args(DropoutOn):
            raise ValueError(f"dropout_on must be vector or map, got {dropout_on!r}")
        on_map = dropout > 0 and dropout_on == "map"
        on_vector = dropout > 0 and dropout_on == "vector"
        self.map_dropout = nn.Dropout2d(dropout) if on_map else nn.Identity()
        self.pool = global_pool(pool, size, constraint)
        self.vector_dropout = nn.Dropout(dropout) if on_vector else nn.Identity()
        linear = classifier or nn.Linear(size[0], classes)
        self.linear = _spread(linear, size) if pool == "flatten" else linear

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.vector_dropout(self.pool(self.map_dropout(x))))
        return logits


def _spread(linear: nn.Module, size: torch.Size) -> nn.Linear:
    """`linear` behind an average over (H, W) as one layer over (C, H, W), with equal outputs."""
    if not isinstance(linear, nn.Linear):
        raise ValueError("pool flatten needs a single dense layer behind it")
    positions = size[1:].numel()
    wide = nn.Linear(size.numel(), linear.out_features, device="meta")  # draws nothing
    wide.weight = nn.Parameter(linear.weight.detach().repeat_interleave(positions, 1) / positions)
    wide.bias = linear.bias
    return wide


class AuxiliaryClassifiers(nn.Module):
    """A head on each named stage of any backbone: (N, C, H, W) -> a tuple of their logits.

    `stages`, first to last, are node names of torchvision's create_feature_extractor, "layer1" or
    "features.4" for instance; whatever of the backbone comes after the last of them is left out.
    `example_input` (N, C, H, W) fixes the image size. The other arguments are those of `Head`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        stages: Sequence[str],
        example_input: Tensor,
        classes: int,
        **options: Unpack[HeadOptions],
    ) -> None:
        super().__init__()
        self.stages = tuple(stages)
        self.trunk = create_feature_extractor(
            backbone, return_nodes=list(stages), suppress_diff_warning=True
        )
        with no_side_effects(self.trunk):
            maps = self._maps(example_input)
        for stage, feature_map in zip(self.stages, maps, strict=True):
            if feature_map.ndim != 4:
                raise ValueError(f"stage {stage!r} gives {list(feature_map.shape)}, not N, C, H, W")
        self.heads = make_heads(maps, classes, **options).to(example_input.device)

    def _maps(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = self.trunk(x)
        return tuple(maps[stage] for stage in self.stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(head(m) for head, m in zip(self.heads, self._maps(x), strict=True))


def make_heads(
    maps: Sequence[Tensor],
    classes: int,
    classifier: nn.Module | None = None,
    **options: Unpack[HeadOptions],
) -> nn.ModuleList:
    """A head for each of the maps (N, C, H, W) of a trial forward pass; the last with `classifier`."""
    *early, last = maps
    heads = [Head(feature_map.shape[1:], classes, **options) for feature_map in early]
    return nn.ModuleList([*heads, Head(last.shape[1:], classes, classifier=classifier, **options)])


def weighted_loss(
    logits: Sequence[Tensor], target: Tensor, weights: Sequence[float]
) -> tuple[Tensor, list[Tensor]]:
    """Eq. 3, the sum of the heads' losses by weight lambda; and each head's cross-entropy (Eq. 4).

    `logits` holds (N, classes) per head, first stage first; `target` (N,) class indices. Losses are
    batch means, scalars of at least float32. Raises ValueError unless each head has a weight.
    """
    losses = [F.cross_entropy(at_least_float32(head), target) for head in logits]
    weighted = [weight * loss for weight, loss in zip(weights, losses, strict=True)]
    return torch.stack(weighted).sum(), losses


def weighted_mean(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Mean of the heads' logits (N, classes) by weight, in at least float32."""
    weighted = [
        weight * at_least_float32(head) for weight, head in zip(weights, logits, strict=True)
    ]
    return torch.stack(weighted).sum(dim=0) / sum(weights)

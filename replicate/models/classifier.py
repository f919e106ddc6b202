"""The network of a spec: a trunk, and a head on its last map or on every stage's."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from replicate.models.flexpool import FlexPool2d
from replicate.models.heads import make_heads, weighted_mean
from replicate.models.networks import build_network, maps_of
from replicate.models.resnet import initialise
from replicate.specs.spec import Inference, Spec, check_head_weights


class Classifier(nn.Module):
    """(N, C, H, W) -> logits (N, classes) of every head, first stage first.

    The trunk gives one map per head and holds no control flow that depends on data, so that it can
    be compiled alone (`model.trunk.compile()`) and shared by every pool and loss.
    """

    def __init__(
        self,
        trunk: nn.Module,
        heads: nn.ModuleList,
        head_weights: Sequence[float],
        inference: Inference,
    ) -> None:
        super().__init__()
        if len(head_weights) != len(heads):
            raise ValueError(
                f"{len(heads)} heads need {len(heads)} weights, got {list(head_weights)}"
            )
        check_head_weights(head_weights)
        self.trunk = trunk
        self.heads = heads
        self.head_weights = tuple(head_weights)
        self.inference = inference

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(head(m) for head, m in zip(self.heads, self.trunk(x), strict=True))

    def predict(self, x: Tensor) -> Tensor:
        """Logits (N, classes) to judge by: the last head's, or all heads' mean by weight (A05)."""
        if self.inference == "weighted":
            return weighted_mean(self(x), self.head_weights)
        logits: Tensor = self.heads[-1](self.trunk(x)[-1])
        return logits

    def pools(self) -> list[FlexPool2d]:
        """The FlexPool of each head, first stage first; empty with average pooling."""
        return [module for module in self.heads.modules() if isinstance(module, FlexPool2d)]

    def pool_parameters(self) -> list[nn.Parameter]:
        """What the pools learn, of whatever kind (A16)."""
        # Not FlexPool's alone: a comparison of learned pools has to treat them alike.
        return [
            parameter
            for head in self.heads
            for parameter in head.get_submodule("pool").parameters()
        ]

    def penalty(self) -> Tensor:
        """Sum of the pools' R (Eq. 2), a scalar; 0 with average pooling."""
        zero = next(self.parameters()).new_zeros(())
        return sum((pool.penalty() for pool in self.pools()), start=zero)


def build_model(spec: Spec) -> Classifier:
    """The spec's network, initialised from torch's global generator (CPU).

    Pools draw nothing: with one seed, every method of a table starts from the same network. Raises
    UserError for a network that does not exist, has no single global pool or cannot take the images.
    """
    model, dataset = spec.model, spec.dataset
    example = torch.zeros(1, dataset.channels, dataset.size, dataset.size)
    network = build_network(model.network, example, dataset.classes, model.block, sac=model.sac)
    heads = make_heads(
        maps_of(network.trunk, model.network, example),
        dataset.classes,
        network.classifier,
        pool=model.pool,
        constraint=model.constraint,
        dropout=model.dropout,
        dropout_on=model.dropout_on,
    )
    classifier = Classifier(network.trunk, heads, spec.loss.head_weights, model.inference)
    initialise(classifier.heads, model.block)
    return classifier

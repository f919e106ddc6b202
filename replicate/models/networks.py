"""The networks that a spec can name, each as a trunk and what follows the last pool."""

import difflib
from typing import Any

import torch
from torch import nn
from torchvision import models

from replicate.errors import UserError
from replicate.models.resnet import ResNet
from replicate.models.split import Network, split_at_pool
from replicate.models.tracing import no_side_effects
from replicate.models.vgg import SAC_STAGES, VGG, dense_layers
from replicate.specs.spec import BlockOrder

TORCHVISION = "torchvision/"


def build_network(
    name: str, example: torch.Tensor, classes: int, block: BlockOrder, *, sac: bool
) -> Network:
    """The network called `name`, for images as `example` (N, C, H, W), with three maps or the last.

    Initialised from torch's global generator. Raises UserError for an unknown torchvision network
    and for one that cannot be cut at a global pool.
    """
    channels = example.shape[1]
    if name.startswith(TORCHVISION):
        return _torchvision(name, example, classes, sac)
    if name.startswith("vgg"):
        trunk = VGG(int(name.removeprefix("vgg")), channels, block, all_stages=sac)
        return Network(trunk, dense_layers(classes))
    return Network(ResNet(int(name.removeprefix("resnet")), channels, block, all_stages=sac), None)


def _torchvision(name: str, example: torch.Tensor, classes: int, sac: bool) -> Network:
    known = models.list_models(module=models)
    short = name.removeprefix(TORCHVISION)
    if short not in known:
        near = difflib.get_close_matches(short, known, n=3, cutoff=0) or known[:3]
        raise UserError(f"torchvision has no classifier {short!r}: for example {', '.join(near)}")
    if example.shape[1] != 3:
        raise UserError(f"{name} takes images of 3 channels, got {example.shape[1]}")
    model = models.get_model(short, num_classes=classes, **_options(short))
    maps_of(model, name, example)
    try:
        return split_at_pool(model, example, SAC_STAGES if sac else 1)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None


def maps_of(network: nn.Module, name: str, example: torch.Tensor) -> Any:
    """What a trial forward pass gives. Raises UserError where the images are too small for it."""
    try:
        with no_side_effects(network):
            return network(example)
    except (RuntimeError, AssertionError) as error:
        side, reason = example.shape[-1], str(error).splitlines()[0]
        raise UserError(f"{name} cannot take images of {side} pixels a side: {reason}") from None


def _options(name: str) -> dict[str, Any]:
    """Without the auxiliary classifiers of their own, which SAC stands in for."""
    has_them = name in ("googlenet", "inception_v3")
    return {"aux_logits": False, "init_weights": True} if has_them else {}

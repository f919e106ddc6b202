"""Optimiser and learning-rate schedule of a run (sections 4.1 and 4.2; A10, A11, A16)."""

from typing import Any

from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from replicate.models import Classifier
from replicate.specs.spec import Training

# SGD is the authors' code: momentum 0.9, which is also the lower end of its one-cycle momentum.
_SGD_MOMENTUM = 0.9
# The library's default lower end, here for Adam's beta1.
_ADAM_BASE_MOMENTUM = 0.85


def build_optimizer(model: Classifier, training: Training) -> Optimizer:
    """Adam or SGD; FlexPool's weights, if any, in a second group with a rate of their own."""
    pool = model.pool_parameters()
    in_pool = set(map(id, pool))
    rate = training.learning_rate
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if id(p) not in in_pool], "lr": rate}
    ]
    if pool:
        groups.append({"params": pool, "lr": rate * training.pool_rate_factor})
    # Fused: one pass over all parameters, on the CPU as on the GPU.
    if training.optimizer == "sgd":
        return SGD(groups, momentum=_SGD_MOMENTUM, weight_decay=training.weight_decay, fused=True)
    return Adam(groups, weight_decay=training.weight_decay, fused=True)


def build_schedule(optimizer: Optimizer, training: Training, total_steps: int) -> LRScheduler:
    """OneCycleLR with the library's defaults, or cosine annealing to 0; both stepped per batch.

    One-cycle also cycles SGD's momentum and Adam's beta1, as the library's default has it.
    """
    if training.schedule == "anneal":
        return CosineAnnealingLR(optimizer, T_max=total_steps)
    peaks = [group["lr"] for group in optimizer.param_groups]
    base_momentum = _SGD_MOMENTUM if training.optimizer == "sgd" else _ADAM_BASE_MOMENTUM
    return OneCycleLR(optimizer, max_lr=peaks, total_steps=total_steps, base_momentum=base_momentum)

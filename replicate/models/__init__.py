"""FlexPool, the networks it pools, and the classifiers of the paper. All of it usable alone."""

from .adapters import replace_global_pool
from .classifier import Classifier, build_model
from .cost import Cost, cost
from .heads import AuxiliaryClassifiers, weighted_loss
from .pooling import FlexPool2d, GlobalAvgPool2d

__all__ = [
    "AuxiliaryClassifiers",
    "Classifier",
    "Cost",
    "FlexPool2d",
    "GlobalAvgPool2d",
    "build_model",
    "cost",
    "replace_global_pool",
    "weighted_loss",
]

"""FlexPool, the networks it pools, and the classifiers of the paper. All of it usable alone."""

from replicate.models.classifier import Classifier, build_model
from replicate.models.cost import Cost, cost
from replicate.models.flexpool import FlexPool2d, GlobalAvgPool2d
from replicate.models.heads import AuxiliaryClassifiers, weighted_loss
from replicate.models.replace import replace_global_pool

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

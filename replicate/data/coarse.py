"""CIFAR-100's 20 coarse classes (A15), for images that are labelled with the 100 fine ones.

The official files hold both labels, class folders only the fine ones. So the mapping is kept here,
in cifar100-classes.csv: https://www.cs.toronto.edu/~kriz/cifar.html lists it by name.
"""

import csv
from pathlib import Path

import numpy as np

from replicate.data.arrays import Labels

CLASSES = 20
_FILE = Path(__file__).with_name("cifar100-classes.csv")


def coarse(fine: Labels) -> Labels:
    """The coarse labels (N,) of fine ones; both number the names in alphabetical order."""
    coarse_names = names()
    order = sorted(set(coarse_names.values()))
    mapping = np.array([order.index(coarse_names[name]) for name in sorted(coarse_names)])
    labels: Labels = mapping[fine]
    return labels


def names() -> dict[str, str]:
    """The coarse class of each fine one."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return {row["fine"]: row["coarse"] for row in csv.DictReader(file)}

"""Runs that lost on the way what they had learned: their loss stayed finite, so they ended as `done`."""

import pandas as pd

SHARE = 0.5
"""A run has fallen after an epoch whose test accuracy is below this share of the best one before."""


def falls(epochs: pd.DataFrame) -> pd.DataFrame:
    """The deepest fall of each run that has fallen. Described, never judged: no verdict knows of it.

    Args:
        epochs: as epochs.csv.gz has them; those of pretraining, before epoch 1, tell other classes apart.

    Returns:
        In the order of `epochs`: cell, seed, epoch and accuracy of the fall, and the accuracies that the run
        had `reached` before and `ended` at, in percent.
    """
    trained = epochs[epochs["epoch"] > 0]
    accuracies = trained.groupby(["cell", "run_id"], sort=False)["accuracy"]
    trained = trained.assign(reached=accuracies.cummax(), ended=accuracies.transform("last"))
    fallen = trained.assign(share=trained["accuracy"] / trained["reached"]).query("share < @SHARE")
    deepest = fallen.sort_values("share", kind="stable").drop_duplicates(["cell", "run_id"])
    return deepest.sort_index()[["cell", "seed", "epoch", "accuracy", "reached", "ended"]]

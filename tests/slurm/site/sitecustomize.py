"""What Python does first in the jobs of the test cluster, and in the commands that submit them.

Reports are made without drawing. In jobs, each epoch of the first seed is followed by a pause, so that
a tiny run lasts while something happens around it. A profile's `environment` may say more: EPOCH_SECONDS
is that pause in a job's first start, CRASHING a cell that crashes its process.
"""

import os
import time
from pathlib import Path

from replicate.dispatch import attempt
from replicate.plan.campaign import Campaign
from replicate.records.epoch import Epoch
from replicate.workflows import conclude

_conclude = conclude.conclude
_train, _after_epoch = attempt.Attempt._train, attempt.Attempt._after_epoch
_first = int(os.environ.get("SLURM_RESTART_COUNT", "0")) == 0
_seconds = float(os.environ.get("EPOCH_SECONDS", "0.5")) if _first else 0.25


def undrawn(campaign: Campaign) -> Path:
    from replicate.report import render

    render._drawn = lambda figure: b"<svg/>"
    return _conclude(campaign)


def train(self: attempt.Attempt) -> object:
    if self.run.cell == os.environ.get("CRASHING"):
        os.abort()
    return _train(self)


def after_epoch(self: attempt.Attempt, epoch: Epoch) -> None:
    if self.run.seed == 0:
        time.sleep(_seconds)
    _after_epoch(self, epoch)


conclude.conclude = undrawn
if "SLURM_JOB_ID" in os.environ:
    attempt.Attempt._train, attempt.Attempt._after_epoch = train, after_epoch

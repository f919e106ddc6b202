"""When waiting for a submitted campaign is over."""

import time
from collections.abc import Iterator

from replicate.dispatch.slurm.jobs import query
from replicate.plan.campaign import Campaign
from replicate.text import say

MAX_HOPELESS = 3
"""Answers in a row that leave no hope before waiting ends: slurmctld may be about to restart."""
SILENCE_SECONDS = 1800
"""Without an answer from SLURM before waiting ends."""


def await_jobs(campaign: Campaign, every: float) -> Iterator[None]:
    """Goes on until all tasks have ended, or nothing that is left can begin; asks SLURM now and then."""
    answered = time.monotonic()
    hopeless = 0
    while True:
        view = query(campaign)
        now = time.monotonic()
        if view.jobs is not None:
            answered = now
            hopeless = hopeless + 1 if view.hopeless else 0
            if not view.open or hopeless == MAX_HOPELESS:
                return
        elif now - answered > SILENCE_SECONDS:
            say(f"SLURM has not answered for {SILENCE_SECONDS // 60} minutes: no longer waiting")
            return
        yield
        pause = min(every, 2) if hopeless else every
        while time.monotonic() < now + pause:
            yield

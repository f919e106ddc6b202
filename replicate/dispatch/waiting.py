"""When waiting for a submitted campaign is over."""

import time
from collections.abc import Callable

from replicate.campaign import Campaign
from replicate.dispatch import submission
from replicate.dispatch.standing import Standing, look

LOOKS = 3
"""In a row without a word about a job before it counts as ended."""
SILENCE_SECONDS = 1800
"""Without an answer from SLURM before waiting ends."""


class Watch:
    """Asks SLURM now and then whether there is still something to wait for."""

    def __init__(self, campaign: Campaign, every: float, say: Callable[[str], None]) -> None:
        self._campaign = campaign
        self._every = every
        self._say = say
        self._next = 0.0
        self._answered = time.monotonic()
        self._lost = 0
        self._stuck = 0

    def tick(self) -> bool:
        """False when all tasks have ended, or when nothing that is left can begin."""
        now = time.monotonic()
        if now < self._next:
            return True
        standing = look(self._campaign, submission.read_all(self._campaign))
        self._next = now + self._every
        if standing.jobs is None:
            return self._unanswered(now)
        self._answered = now
        return self._judge(standing)

    def _unanswered(self, now: float) -> bool:
        if now - self._answered > SILENCE_SECONDS:
            self._say(
                f"SLURM has not answered for {SILENCE_SECONDS // 60} minutes: no longer waiting"
            )
            return False
        return True

    def _judge(self, standing: Standing) -> bool:
        left, unknown, stuck = standing.open(), standing.unknown(), standing.stuck()
        known = [name for name in left if name not in unknown]
        reports = {one.report for one in standing.submissions}
        tasks = [name for name in known if name not in reports] or known
        self._lost = self._lost + 1 if left and not known else 0
        self._stuck = self._stuck + 1 if known and set(tasks) <= set(stuck) else 0
        if self._lost or self._stuck:
            self._next = time.monotonic() + min(self._every, 2)
        return bool(left) and max(self._lost, self._stuck) < LOOKS

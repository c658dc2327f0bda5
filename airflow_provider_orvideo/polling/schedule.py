"""When to look next: rarely while a job cannot be done yet, most often around its model's usual time. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

#: Jobs of a model that are remembered: enough for a tenth, few enough to follow a model that gets faster or slower.
MEMORY: Final = 64
#: Jobs that must have ended before their times are trusted.
ENOUGH: Final = 5
#: Shortest pause in seconds between two looks at one job.
SHORTEST: Final = 3.0
#: Before this share of the jobs ended, a job is not expected to be done; after the other, it is overdue.
EARLY, LATE = 0.05, 0.95
#: The expected wait is cut at this many intervals, so that a model that became much faster is noticed.
LONGEST_SLEEP: Final = 20.0
#: A look is due when this share of those that are still running should have ended: the rarer, the fewer the looks.
SHARE: Final = 0.25
#: The pause between two looks at an overdue job, as a share of its age: what takes long may take a little longer.
OVERDUE: Final = 0.05
#: Without experience, the pause grows with the job's age by this share.
GROWTH: Final = 0.25
#: A pause is changed by up to this share, so that jobs that were ordered together drift apart.
JITTER: Final = 0.1
#: A job that was done at its first look took this share of its age, for want of better: a model that became faster is
#: followed down until looks find its jobs running again.
UNSEEN: Final = 0.8


class DurationModel:
    """How long the jobs of one model take, learned from those that ended."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=MEMORY)
        self._sorted: list[float] = []

    def is_early(self, age: float) -> bool:
        """Whether enough jobs have ended to say that one of this age, in seconds, is hardly done yet."""
        return len(self._sorted) >= ENOUGH and age < self.quantile(EARLY)

    def add(self, seconds: float) -> None:
        """Remember how long a job took, in seconds from its submission."""
        self._recent.append(seconds)
        self._sorted = sorted(self._recent)

    def ended(self, age: float, *, running_at: float | None) -> None:
        """Remember a job that was found done.

        Args:
            age: its age in seconds when it was found done.
            running_at: its age at the last look before, None for none.
        """
        self.add(age * UNSEEN if running_at is None else (running_at + age) / 2)

    def quantile(self, share: float) -> float:
        """Return the time within which this share of the jobs ended."""
        return self._sorted[min(int(share * len(self._sorted)), len(self._sorted) - 1)]

    def next_delay(self, elapsed: float, poll_interval: float, rng: random.Random) -> float:
        """Return the seconds until the next look.

        Args:
            elapsed: age of the job in seconds.
            poll_interval: longest pause in seconds once the job may be done.
            rng: source of the jitter.
        """
        shortest = min(SHORTEST, poll_interval)
        if self.is_early(elapsed):
            # Rather a little after that time than before it: before is a look for nothing.
            pause = min(max(self.quantile(EARLY) - elapsed, shortest), LONGEST_SLEEP * poll_interval)
            return pause + rng.uniform(0.0, JITTER) * min(pause, poll_interval)
        return self._pause(elapsed, shortest, poll_interval) * rng.uniform(1.0 - JITTER, 1.0)

    def _pause(self, elapsed: float, shortest: float, poll_interval: float) -> float:
        if len(self._sorted) < ENOUGH:
            pause = elapsed * GROWTH
        elif elapsed < self.quantile(LATE):
            longer = self._sorted[bisect_right(self._sorted, elapsed) :]
            pause = longer[int(SHARE * len(longer))] - elapsed
        else:
            pause = elapsed * OVERDUE
        return min(max(pause, shortest), poll_interval)

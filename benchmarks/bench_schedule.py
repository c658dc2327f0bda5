"""``make bench-schedule``: the schedule that expects, against fixed intervals, on simulated jobs of three models.

A simulation of discrete events, no real time: jobs of each model arrive at random, take log-normal times, and are
polled when the schedule says so; what a schedule learns, it learns from the jobs whose end it noticed so far. Every
schedule sees the same jobs.
"""

from __future__ import annotations

import argparse
import heapq
import importlib
import itertools
import math
import random
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_orvideo.polling.decision import FIRST_POLL
from benchmarks.measuring import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Models: median seconds of a job, spread (sigma of the logarithm).
MODELS: Final[Mapping[str, tuple[float, float]]] = {
    "fast": (8.0, 0.35),
    "middle": (60.0, 0.35),
    "slow": (240.0, 0.35),
}
#: The operator's default poll_interval, whose limits decide the exit code.
DEFAULT_INTERVAL: Final = 30.0
EXPECTING: Final = "airflow_provider_orvideo.polling.schedule"
#: What the expecting schedule must keep, against the 10 s interval: share of its polls, median notice delay.
MAX_SHARE: Final = 0.5
MAX_MEDIAN: Final = 5.0


class Schedule(Protocol):
    """When to look at the jobs of one model."""

    def ended(self, age: float, *, running_at: float | None) -> None:
        """Learn from a job that was found done at this age, and running at that one."""

    def is_early(self, age: float) -> bool:
        """Whether a job of this age is hardly done, so that the first look is the schedule's to plan."""

    def next_delay(self, elapsed: float, poll_interval: float, rng: random.Random) -> float:
        """Return the seconds until the next look at a job of this age."""


class Fixed:
    """The same interval, always."""

    def ended(self, age: float, *, running_at: float | None) -> None:
        """Learn nothing."""

    def is_early(self, age: float) -> bool:  # noqa: ARG002
        """Expect nothing."""
        return False

    def next_delay(self, elapsed: float, poll_interval: float, rng: random.Random) -> float:  # noqa: ARG002
        """Return the interval."""
        return poll_interval


def expecting() -> Callable[[], Schedule] | None:
    """Return the package's schedule, None while there is none."""
    try:
        module: Any = importlib.import_module(EXPECTING)
    except ModuleNotFoundError:
        return None
    made: Callable[[], Schedule] = module.DurationModel
    return made


@dataclass
class Tally:
    """What came of the jobs of one model, or of all: polls, and seconds from each end to its notice."""

    polls: int = 0
    delays: list[float] = field(default_factory=list)
    cpu: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.polls + other.polls, self.delays + other.delays, self.cpu + other.cpu)


def durations(median: float, spread: float, jobs: int, every: float, seed: int) -> list[tuple[float, float]]:
    """Return jobs by submission: when they are submitted, and how long they take."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    submitted, drawn = 0.0, []
    for _ in range(jobs):
        submitted += rng.expovariate(1 / every)
        drawn.append((submitted, rng.lognormvariate(math.log(median), spread)))
    return drawn


def simulate(schedule: Schedule, jobs: list[tuple[float, float]], interval: float, seed: int, learned: int) -> Tally:
    """Poll all jobs to their ends; the first ``learned`` ones teach the schedule and are not counted.

    As in the hub, the first look is the schedule's once it knows something, and comes soon after submission before.
    """
    rng, ticket, tally = random.Random(seed), itertools.count(), Tally()  # noqa: S311 - a simulation
    begun = time.process_time()
    came_early: set[int] = set()
    # When, tie breaker, number of the job, its age at the last look that found it running, looks so far.
    events: list[tuple[float, int, int, float | None, int]] = []
    for number, (submitted, _) in enumerate(jobs):
        heapq.heappush(events, (submitted, next(ticket), number, None, -1))
    while events:
        now, _, number, running, polls = heapq.heappop(events)
        submitted, duration = jobs[number]
        elapsed, polls = now - submitted, polls + 1
        if polls == 0:  # it is submitted
            early = schedule.is_early(0.0)
            came_early.update({number} if early else ())
            delay = schedule.next_delay(0.0, interval, rng) if early else min(FIRST_POLL, interval)
            heapq.heappush(events, (now + delay, next(ticket), number, None, polls))
            continue
        if elapsed < duration:
            delay = schedule.next_delay(elapsed, interval, rng)
            heapq.heappush(events, (now + delay, next(ticket), number, elapsed, polls))
            continue
        if running is not None or number in came_early:
            schedule.ended(elapsed, running_at=running)
        if number >= learned:
            tally.polls += polls
            tally.delays.append(elapsed - duration)
    tally.cpu = time.process_time() - begun
    return tally


def row(label: str, model: str, tally: Tally, per_poll_ms: float) -> str:
    """Write one line of the table."""
    jobs = len(tally.delays)
    cpu = tally.polls / jobs * per_poll_ms
    return (
        f"{label:22}{model:8}{jobs:7d}{tally.polls / jobs:12.2f}{percentile(tally.delays, 0.5):13.2f} s"
        f"{percentile(tally.delays, 0.95):11.2f} s{cpu:14.2f} ms"
    )


def main() -> int:
    """Print the table; the exit code says whether the expecting schedule keeps its limits at the default interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, help="counted jobs of each model (default: %(default)s)")
    parser.add_argument("--learned", type=int, default=0, help="jobs before those that teach (default: %(default)s)")
    parser.add_argument("--every", type=float, default=20.0, help="mean seconds between jobs (default: %(default)g)")
    parser.add_argument(
        "--intervals", default="10,30", help="poll_interval values, comma separated (default: %(default)s)"
    )
    parser.add_argument(
        "--cpu-ms", type=float, default=0.6, help="CPU of one poll, from bench-polling (default: %(default)g)"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    intervals = [float(value) for value in options.intervals.split(",")]

    contenders: dict[str, tuple[Callable[[], Schedule], float]] = {f"fixed {i:g} s": (Fixed, i) for i in intervals}
    learns = expecting()
    if learns is None:
        print(f"{EXPECTING} is not there yet: fixed intervals only")
    else:
        contenders.update({f"expecting, <= {i:g} s": (learns, i) for i in intervals})
    print(f"log-normal job times: {', '.join(f'{n} {m:g} s (sigma {s:g})' for n, (m, s) in MODELS.items())}")
    print(
        f"{'schedule':22}{'model':8}{'jobs':>7}{'polls/job':>12}{'notice p50':>15}{'notice p95':>13}{'CPU per job':>17}"
    )
    totals: dict[str, Tally] = {}
    for label, (made, interval) in contenders.items():
        total = Tally()
        for seed, (model, (median, spread)) in enumerate(MODELS.items(), start=options.seed):
            jobs = durations(median, spread, options.jobs + options.learned, options.every, seed)
            tally = simulate(made(), jobs, interval, seed, options.learned)
            print(row(label, model, tally, options.cpu_ms))
            total += tally
        totals[label] = total
        print(row(label, "all", total, options.cpu_ms))
    return verdict(totals, intervals)


def verdict(totals: Mapping[str, Tally], intervals: list[float]) -> int:
    """Compare the expecting schedules with the fixed 10 s interval, where there are any."""
    reference = totals.get("fixed 10 s")
    failed = 0
    for interval in intervals:
        tally = totals.get(f"expecting, <= {interval:g} s")
        if tally is None or reference is None:
            continue
        share, median = tally.polls / reference.polls, percentile(tally.delays, 0.5)
        good = share <= MAX_SHARE and median < MAX_MEDIAN
        failed |= interval == DEFAULT_INTERVAL and not good
        print(
            f"expecting, <= {interval:g} s: {share:.0%} of the polls of a fixed 10 s interval, median notice "
            f"{median:.1f} s ({'within' if good else 'outside'} {MAX_SHARE:.0%} and {MAX_MEDIAN:g} s)"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""The schedule that expects: properties over grids, and what it learns."""

# ruff: noqa: S311 - luck that can be repeated, not secrets

from __future__ import annotations

import random
from itertools import pairwise, product

import pytest

from airflow_provider_orvideo.polling.schedule import (
    ENOUGH,
    JITTER,
    LONGEST_SLEEP,
    MEMORY,
    SHORTEST,
    DurationModel,
)

INTERVALS = (0.5, 2.0, 5.0, 10.0, 30.0, 300.0)
AGES = (0.0, 0.5, 5.0, 20.0, 59.9, 60.0, 60.1, 90.0, 120.0, 180.0, 600.0, 7200.0)
#: What the hub has seen: nothing, too little, all alike, spread, widely spread, very short, very long.
EXPERIENCES = {
    "none": [],
    "too little": [60.0] * (ENOUGH - 1),
    "all alike": [60.0] * ENOUGH,
    "spread": [60.0 + step for step in range(60)],
    "wide": [10.0 * 1.2**step for step in range(30)],
    "short": [0.2 * step for step in range(1, 20)],
    "long": [3600.0 + 30 * step for step in range(20)],
}


def taught(seconds: list[float]) -> DurationModel:
    model = DurationModel()
    for one in seconds:
        model.add(one)
    return model


def polls_of(model: DurationModel, duration: float, interval: float, rng: random.Random) -> list[float]:
    """Ages at which a job is looked at, the last one when it is found to be done; as the hub does it."""
    looks = [model.next_delay(0.0, interval, rng) if model.is_early(0.0) else min(5.0, interval)]
    while looks[-1] < duration:
        looks.append(looks[-1] + model.next_delay(looks[-1], interval, rng))
    return looks


def live(model: DurationModel, duration: float, interval: float, rng: random.Random) -> list[float]:
    """As `polls_of`, and learn as the hub does."""
    expected = model.is_early(0.0)
    looks = polls_of(model, duration, interval, rng)
    if expected or len(looks) > 1:
        model.ended(looks[-1], running_at=looks[-2] if len(looks) > 1 else None)
    return looks


@pytest.mark.parametrize("seen", EXPERIENCES.values(), ids=EXPERIENCES.keys())
@pytest.mark.parametrize("interval", INTERVALS)
def test_every_pause_is_in_its_bounds(seen: list[float], interval: float) -> None:
    model = taught(seen)
    expects = len(seen) >= ENOUGH
    shortest = min(SHORTEST, interval)
    for age, seed in product(AGES, range(20)):
        pause = model.next_delay(age, interval, random.Random(seed))
        assert pause >= shortest * (1 - JITTER)
        if not expects or age >= model.quantile(0.05):
            assert pause <= interval, "a job that may be done is never looked at later than the interval"
        else:
            assert pause <= interval * (LONGEST_SLEEP + JITTER)
            early = max(model.quantile(0.05), age + shortest)
            assert age + pause <= early + interval * JITTER, "nor does it sleep past its early end"


@pytest.mark.parametrize("interval", INTERVALS)
def test_without_experience_the_pause_grows_to_the_interval(interval: float) -> None:
    latest = [max(taught([]).next_delay(age, interval, random.Random(seed)) for seed in range(50)) for age in AGES]
    assert all(later >= earlier * (1 - JITTER) for earlier, later in pairwise(latest))
    assert latest[-1] == pytest.approx(interval, rel=JITTER)


def test_the_jitter_only_shortens_and_uses_its_whole_width() -> None:
    pauses = [taught([]).next_delay(7200.0, 30.0, random.Random(seed)) for seed in range(500)]
    assert min(pauses) == pytest.approx(27.0, abs=0.1)
    assert max(pauses) == pytest.approx(30.0, abs=0.1)
    assert len(set(pauses)) == len(pauses)


def test_the_same_luck_gives_the_same_pause() -> None:
    model = taught(EXPERIENCES["spread"])
    assert model.next_delay(70, 30, random.Random(1)) == model.next_delay(70, 30, random.Random(1))


def test_few_looks_while_the_end_is_unlikely() -> None:
    model = taught([120.0 + step for step in range(30)])
    rng = random.Random(3)
    looks = polls_of(model, 135.0, 30.0, rng)
    assert sum(look < 120 for look in looks) == 0
    assert sum(look < 120 for look in polls_of(DurationModel(), 135.0, 30.0, rng)) >= 6
    assert max(later - earlier for earlier, later in pairwise(looks)) < 8


def test_most_looks_lie_where_most_jobs_end() -> None:
    model = taught([100.0 + step for step in range(41)])
    early = model.next_delay(10.0, 30.0, random.Random(0))
    usual = model.next_delay(120.0, 30.0, random.Random(0))
    late = model.next_delay(400.0, 30.0, random.Random(0))
    assert early > 3 * usual
    assert late > 3 * usual


def test_it_costs_clearly_less_than_a_short_interval_and_notices_soon() -> None:
    rng = random.Random(5)
    model = DurationModel()
    looks, delays, fixed = 0, [], 0
    for _ in range(300):
        duration = rng.lognormvariate(4.8, 0.15)  # 122 s, give or take
        seen = live(model, duration, 30.0, rng)
        looks += len(seen)
        delays.append(seen[-1] - duration)
        fixed += int(duration / 10) + 1
    assert looks <= fixed * 0.5
    assert sorted(delays)[150] < 5


@pytest.mark.parametrize(("before", "after"), [(300.0, 30.0), (30.0, 300.0)], ids=["faster", "slower"])
def test_it_follows_a_model_that_changes(before: float, after: float) -> None:
    rng = random.Random(7)
    model = DurationModel()
    for _ in range(MEMORY):
        live(model, before * rng.uniform(0.95, 1.05), 30.0, rng)
    delays = []
    for _ in range(4 * MEMORY):
        duration = after * rng.uniform(0.95, 1.05)
        delays.append(live(model, duration, 30.0, rng)[-1] - duration)
    assert max(delays) <= 30.0 * LONGEST_SLEEP
    assert sum(delays[-20:]) / 20 < 5, "in the end it looks around the new time"


def test_only_the_latest_jobs_count() -> None:
    model = taught([1000.0] * 500 + [10.0] * MEMORY)
    assert model.quantile(0.0) == model.quantile(1.0) == 10.0


def test_quantiles_stay_inside_what_was_seen() -> None:
    model = taught([3.0, 1.0, 2.0])
    assert [model.quantile(share) for share in (0.0, 0.34, 0.9, 1.0)] == [1.0, 2.0, 3.0, 3.0]

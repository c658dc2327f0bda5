"""The rate of one hub, against a simulated server with a limit and a simulated clock."""

# ruff: noqa: S311 - luck that can be repeated, not secrets

from __future__ import annotations

import random
from collections import deque

import pytest

from airflow_provider_orvideo.polling.throttle import (
    FORGIVEN,
    LONGEST_PAUSE,
    LOWEST,
    Throttle,
)


class Server:
    """Answers 429 to everything above its limit in any one second."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._accepted: deque[float] = deque()

    def accepts(self, now: float) -> bool:
        while self._accepted and self._accepted[0] <= now - 1:
            self._accepted.popleft()
        if len(self._accepted) >= self.limit:
            return False
        self._accepted.append(now)
        return True


class Run:
    """A hub that always has something to ask, at most 8 requests at once of 10 ms each."""

    def __init__(self, throttle: Throttle, server: Server, *, retry_after: float | None = None) -> None:
        self.throttle, self.server, self.retry_after = throttle, server, retry_after
        self.now = 1000.0
        self.sent: list[float] = []
        self.refused: list[float] = []
        self._rng = random.Random(1)
        self._free = [self.now] * 8

    def go(self, seconds: float) -> Run:
        until = self.now + seconds
        while self.now < until:
            slot = min(range(8), key=self._free.__getitem__)
            self.now = max(self.now, self._free[slot])
            pause = self.throttle.take(self.now)
            if pause > 0:
                self.now += pause
                continue
            self.sent.append(self.now)
            self._free[slot] = self.now + self._rng.uniform(0.005, 0.015)
            if self.server.accepts(self.now):
                self.throttle.answered(self.now)
            else:
                self.refused.append(self.now)
                self.throttle.complained(self.now, self.retry_after)
        return self

    def rate(self, seconds: float) -> float:
        """Accepted requests per second in the last seconds."""
        since = self.now - seconds
        return (sum(at > since for at in self.sent) - sum(at > since for at in self.refused)) / seconds

    def refusals(self, seconds: float) -> float:
        since = self.now - seconds
        return sum(at > since for at in self.refused) / max(1, sum(at > since for at in self.sent))


def busiest_second(times: list[float]) -> int:
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("limit", [5, 20, 100, 400])
def test_it_settles_under_the_servers_limit(limit: float) -> None:
    run = Run(Throttle(), Server(limit)).go(120)
    assert limit * 0.8 <= run.rate(60) <= limit
    assert run.refusals(60) < 0.05


def test_it_settles_within_seconds() -> None:
    run = Run(Throttle(), Server(100)).go(20)
    assert 80 <= run.rate(10) <= 100


def test_it_recovers_when_the_limit_rises() -> None:
    run = Run(Throttle(), Server(100)).go(60)
    run.server.limit = 300
    run.go(120)
    assert run.rate(20) >= 240


def test_it_follows_a_limit_that_falls() -> None:
    run = Run(Throttle(), Server(300)).go(60)
    run.server.limit = 60
    run.go(60)
    assert 45 <= run.rate(20) <= 60


def test_a_server_without_a_limit_is_not_held_back() -> None:
    throttle = Throttle()
    assert throttle.rate is None
    assert [throttle.take(1000.0) for _ in range(1000)] == [0.0] * 1000


def test_retry_after_stops_everything_and_then_goes_on() -> None:
    throttle = Throttle()
    throttle.complained(1000.0, retry_after=7)
    assert throttle.take(1000.0) == 7
    assert throttle.take(1006.9) == pytest.approx(0.1)
    assert throttle.take(1007.0) == 0


def test_a_shorter_wish_does_not_shorten_a_longer_one() -> None:
    throttle = Throttle()
    throttle.complained(1000.0, retry_after=30)
    throttle.complained(1001.0, retry_after=1)
    assert throttle.take(1002.0) == 28


@pytest.mark.parametrize("wish", [LONGEST_PAUSE + 1, 3600.0, 1e12, float("inf")])
def test_retry_after_is_capped(wish: float) -> None:
    throttle = Throttle()
    throttle.complained(1000.0, retry_after=wish)
    assert throttle.take(1000.0) == LONGEST_PAUSE
    assert throttle.take(1000.0 + LONGEST_PAUSE) == 0


def test_a_server_that_always_complains_is_asked_at_the_lowest_rate_and_no_less() -> None:
    run = Run(Throttle(), Server(0)).go(300)
    assert run.throttle.rate == LOWEST
    assert len([at for at in run.sent if at > run.now - 100]) == pytest.approx(100 * LOWEST, rel=0.1)


def test_complaints_of_one_window_count_once() -> None:
    throttle = Throttle()
    for step in range(200):
        throttle.answered(1000.0 + step / 100)
    throttle.complained(1002.0)
    first = throttle.rate
    for _ in range(50):
        throttle.complained(1002.5)
    assert throttle.rate == first


def test_an_old_complaint_is_forgotten() -> None:
    throttle = Throttle()
    throttle.complained(1000.0)
    for second in range(int(FORGIVEN) + 5):
        throttle.answered(1000.0 + second)
    assert throttle.rate is None


@pytest.mark.parametrize("limit", [0.5, 1.0, 3.0, 10.0, 50.0, 200.0])
@pytest.mark.parametrize("server", [1e9, 20.0])
def test_the_users_limit_holds_in_every_second(limit: float, server: float) -> None:
    run = Run(Throttle(limit), Server(server)).go(60)
    burst = max(1.0, limit * 0.1)
    assert busiest_second(run.sent) <= limit + burst + 1e-6
    if server > limit:
        assert run.rate(30) == pytest.approx(limit, rel=0.1)


def test_the_users_limit_holds_after_a_rest() -> None:
    run = Run(Throttle(10.0), Server(1e9)).go(5)
    run.now += 3600
    run.go(5)
    assert busiest_second(run.sent) <= 11


def test_what_is_learned_never_exceeds_the_users_limit() -> None:
    throttle = Throttle(10.0)
    for step in range(100):
        throttle.answered(1000.0 + step / 50)
    throttle.complained(1002.0)
    for second in range(100):
        throttle.answered(1003.0 + second)
        assert throttle.rate is not None
        assert throttle.rate <= 10


def test_a_changed_limit_holds_at_once() -> None:
    run = Run(Throttle(100.0), Server(1e9)).go(10)
    run.throttle.limit = 5.0
    before = len(run.sent)
    run.go(10)
    assert len(run.sent) - before <= 5 * 10 + 11
    run.throttle.limit = None
    assert run.throttle.take(run.now) == 0


def test_a_clock_that_is_set_back_does_not_stop_it() -> None:
    throttle = Throttle(10.0)
    throttle.take(10_000.0)
    assert throttle.take(1_000.0) <= 0.1
    assert throttle.take(1_000.2) == 0

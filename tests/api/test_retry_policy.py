"""The arithmetic of pauses, and reading ``Retry-After`` in both of its forms."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_provider_orvideo.api import retry
from airflow_provider_orvideo.api.retry import NO_RETRY, READ_POLICY, SUBMIT_POLICY, RetryPolicy, parse_retry_after
from airflow_provider_orvideo.exceptions import NotSentError, RateLimitedError

NOW = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60.0),
        ("Mon, 21 Sep 2026 14:14:20 -0000", 60.0),
        ("Mon, 21 Sep 2026 16:14:20 +0200", 60.0),
        ("Monday, 21-Sep-26 14:14:20 GMT", 60.0),
        ("Mon, 21 Sep 2026 14:12:20 GMT", 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value: str, seconds: float) -> None:
    assert parse_retry_after({"Retry-After": value}, now=NOW) == seconds


@pytest.mark.parametrize(
    "value",
    ["", " ", ".", "-1", "1e3", "nan", "inf", "1.2.3", "٣", "²", "tomorrow", "None", "9" * 400,
     "Wed, 99 Oct 2026 99:99:99 GMT", "Wed, 21 Oct 99999999999999 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 +99999999"],
)  # fmt: skip
def test_unreadable_retry_after_is_none(value: str) -> None:
    assert parse_retry_after({"Retry-After": value}, now=NOW) is None


def test_absent_retry_after_is_none() -> None:
    assert parse_retry_after({"X-Other": "5"}) is None


def test_pause_lies_between_half_and_the_whole_backoff() -> None:
    policy = RetryPolicy(base=2.0, cap=100.0)
    pauses = [policy.pause(3) for _ in range(200)]
    assert 4.0 <= min(pauses) < 5.0
    assert 7.0 < max(pauses) <= 8.0


@pytest.mark.usefixtures("no_pause")
def test_wish_is_capped_apart_from_the_backoff() -> None:
    policy = RetryPolicy(base=1.0, cap=5.0, retry_after_cap=30.0)
    assert policy.pause(1, 10.0) == 10.0
    assert policy.pause(1, 1e9) == 30.0
    assert policy.pause(9, 2.0) == 5.0


def test_only_a_lost_connection_attempt_and_a_rate_limit_let_the_paid_post_leave_again() -> None:
    assert set(retry.SUBMIT_AGAIN) == {NotSentError, RateLimitedError}


def test_default_policies_are_bounded() -> None:
    assert NO_RETRY.attempts == 1
    for policy in (READ_POLICY, SUBMIT_POLICY):
        assert 1 < policy.attempts < 10
        assert sum(policy.pause(n, 1e9) for n in range(1, policy.attempts)) <= 300


def test_policy_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        NO_RETRY.attempts = 2  # type: ignore[misc]

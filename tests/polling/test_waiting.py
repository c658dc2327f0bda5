"""The worker's loop against a scripted API and a clock of its own: it follows the decisions, and never raises."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.exceptions import AuthenticationError, BadRequestError, NotFoundError
from airflow_provider_orvideo.polling.decision import REFUSALS, Ended, GaveUp, TimedOut
from airflow_provider_orvideo.polling.waiting import look_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.polling.decision import Wait
    from tests.polling.conftest import Answers, Time

    AnswersOf = Callable[..., Answers]
    WaitOf = Callable[..., Wait]
    Follow = Callable[[Answers, Wait], Ended | TimedOut | GaveUp]
    ClientOf = Callable[[Answers], VideoClient]

TROUBLE: dict[str, Any] = {
    "no connection": httpx.ConnectError("refused"),
    "broken": httpx.ReadError("reset"),
    "slow": httpx.ReadTimeout("slow"),
    "HTML": httpx.Response(200, html="<html><title>Maintenance</title></html>"),
    "no id": {"status": "pending"},
    "an error inside": {"error": {"code": 502, "message": "upstream"}},
    "408": 408,
    "429": httpx.Response(429, headers={"Retry-After": "100"}, json={"error": {"code": 429, "message": "slow down"}}),
    "500": 500,
    "502": 502,
    "503": 503,
    "404 of a young job": 404,
}


def test_polls_come_at_their_times_until_the_job_ended(follow: Follow, answers: AnswersOf, wait_of: WaitOf) -> None:
    api = answers("pending", "in_progress", "a new one", "completed")
    end = follow(api, wait_of())
    assert isinstance(end, Ended)
    assert end.job.status == "completed"
    assert api.polled_at == [1005, 1035, 1065, 1095]


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_that_passes_does_not_end_the_wait(
    follow: Follow, answers: AnswersOf, wait_of: WaitOf, trouble: object, caplog: pytest.LogCaptureFixture
) -> None:
    api = answers(trouble, trouble, "pending", trouble, "completed")
    with caplog.at_level(logging.INFO):
        end = follow(api, wait_of())
    assert isinstance(end, Ended)
    assert len(api.polled_at) == 5
    told = [entry.getMessage() for entry in caplog.records if "the job is not affected" in entry.getMessage()]
    assert len(told) == 3


@pytest.mark.parametrize("trouble", [TROUBLE["broken"], 503, "pending"], ids=["broken", "503", "pending"])
def test_the_wait_ends_at_the_deadline_with_one_last_look(
    follow: Follow, answers: AnswersOf, wait_of: WaitOf, trouble: object
) -> None:
    api = answers(trouble)
    end = follow(api, wait_of(deadline=2000.0))
    assert end == TimedOut("pending" if trouble == "pending" else None)
    assert api.polled_at[-1] == 2000.0
    assert max(api.polled_at[:-1]) < 2000.0


def test_each_poll_is_one_request_with_no_retries_below(
    follow: Follow, answers: AnswersOf, wait_of: WaitOf, time: Time
) -> None:
    api = answers(503)
    follow(api, wait_of(deadline=1400.0))
    assert len(api.polled_at) == len(time.pauses)
    assert time.pauses == [5, 30, 60, 120, pytest.approx(185)]


def test_a_passed_deadline_still_allows_one_look(
    follow: Follow, answers: AnswersOf, wait_of: WaitOf, time: Time
) -> None:
    time.now = 99_999.0
    api = answers("completed")
    assert isinstance(follow(api, wait_of()), Ended)
    api = answers("pending")
    assert follow(api, wait_of()) == TimedOut("pending")
    assert len(api.polled_at) == 1


def test_time_that_answers_take_counts(follow: Follow, answers: AnswersOf, wait_of: WaitOf, time: Time) -> None:
    time.reading = 50.0
    api = answers("pending")
    assert follow(api, wait_of(deadline=1200.0)) == TimedOut("pending")
    assert api.polled_at == [1055, 1135, 1215]


@pytest.mark.parametrize(("code", "kind"), [(401, AuthenticationError), (404, NotFoundError)])
def test_what_waiting_cannot_mend_ends_it(
    follow: Follow, answers: AnswersOf, wait_of: WaitOf, time: Time, code: int, kind: type[Exception]
) -> None:
    time.now = 3000.0
    api = answers("pending", code)
    end = follow(api, wait_of())
    assert isinstance(end, GaveUp)
    assert isinstance(end.error, kind)
    assert len(api.polled_at) == 2


def test_refusals_in_a_row_end_it(follow: Follow, answers: AnswersOf, wait_of: WaitOf) -> None:
    api = answers(400, "pending", 400)
    end = follow(api, wait_of())
    assert isinstance(end, GaveUp)
    assert isinstance(end.error, BadRequestError)
    assert len(api.polled_at) == 2 + REFUSALS


def test_not_before_is_kept(follow: Follow, answers: AnswersOf, wait_of: WaitOf) -> None:
    api = answers("completed")
    follow(api, wait_of(not_before=1077.0))
    assert api.polled_at == [1077.0]


# ── One look ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired", "dead"])
def test_a_look_sees_an_end(client_of: ClientOf, answers: AnswersOf, wait_of: WaitOf, status: str, time: Time) -> None:
    with client_of(answers(status)) as client:
        end = look_once(client, wait_of(), clock=time.clock)
    assert end is not None
    assert end.job.status == status


@pytest.mark.parametrize("answer", ["pending", "odd", 401, 404, 503, TROUBLE["broken"], TROUBLE["no id"]])
@pytest.mark.parametrize("now", [1000.0, 9999.0])
def test_a_look_that_sees_no_end_says_nothing_and_asks_once(
    client_of: ClientOf, answers: AnswersOf, wait_of: WaitOf, answer: object, now: float, time: Time
) -> None:
    time.now = now
    api = answers(answer)
    with client_of(api) as client:
        assert look_once(client, wait_of(), clock=time.clock) is None
    assert len(api.polled_at) == 1

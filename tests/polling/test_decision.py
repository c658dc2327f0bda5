"""The rules of waiting as a table: what each status and each error means, before and after the deadline."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo import exceptions as exc
from airflow_provider_orvideo.polling.decision import (
    FIRST_POLL,
    MAX_BACKOFF,
    NOT_FOUND_GRACE,
    REFUSALS,
    Ended,
    GaveUp,
    PollAgain,
    Progress,
    TimedOut,
    after_error,
    after_status,
    first_delay,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.schema import VideoJob
    from airflow_provider_orvideo.polling.decision import Wait

    WaitOf = Callable[..., Wait]
    JobOf = Callable[..., VideoJob]

BEFORE, AFTER = 2000.0, 4600.0
YOUNG = 1000.0 + NOT_FOUND_GRACE - 1


def status(
    kind: type[exc.StatusError], code: int, message: str = "as scripted", retry_after: float | None = None
) -> exc.StatusError:
    return kind(message, status_code=code, operation="getVideos", retry_after=retry_after)


TRANSIENT: dict[str, exc.OrVideoError] = {
    "not sent": exc.NotSentError("no connection"),
    "broke off": exc.ReadInterruptedError("reset"),
    "no JSON": exc.ResponseInvalidError("HTML"),
    "408": status(exc.RequestTimeoutError, 408),
    "429": status(exc.RateLimitedError, 429),
    "500": status(exc.InternalServerError, 500),
    "502": status(exc.BadGatewayError, 502),
    "503": status(exc.ServiceUnavailableError, 503),
    "524": status(exc.ServerStatusError, 524),
}
FINAL: dict[str, exc.OrVideoError] = {
    "401": status(exc.AuthenticationError, 401),
    "403": status(exc.PermissionDeniedError, 403),
    "410": status(exc.GoneError, 410),
    "308": status(exc.RedirectError, 308),
    "404, old job": status(exc.NotFoundError, 404),
    "configuration": exc.ConfigurationError("no key"),
}
REFUSING: dict[str, exc.OrVideoError] = {
    "400": status(exc.BadRequestError, 400),
    "402": status(exc.PaymentRequiredError, 402),
    "409": status(exc.ConflictError, 409),
    "422": status(exc.ClientStatusError, 422),
    "499": status(exc.CallerCancelledError, 499),
}


# ── After an answer ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("now", [BEFORE, AFTER, AFTER + 1e6])
@pytest.mark.parametrize("name", ["completed", "failed", "cancelled", "expired", "dead"])
def test_an_end_is_an_end_also_after_the_deadline(wait_of: WaitOf, job_of: JobOf, name: str, now: float) -> None:
    job = job_of(name)
    assert after_status(wait_of(), job, now=now) == Ended(job)


@pytest.mark.parametrize("name", ["pending", "in_progress", "queued_upstream", "COMPLETED", "", None, 7, {"a": 1}])
def test_any_other_status_is_polled_on_until_the_deadline(wait_of: WaitOf, job_of: JobOf, name: object) -> None:
    wait, job = wait_of(), job_of(name)
    assert after_status(wait, job, now=BEFORE) == PollAgain(30.0, Progress())
    assert after_status(wait, job, now=AFTER) == TimedOut(job.status)


def test_the_last_pause_ends_at_the_deadline(wait_of: WaitOf, job_of: JobOf) -> None:
    assert after_status(wait_of(), job_of("pending"), now=AFTER - 7) == PollAgain(7.0, Progress())


# ── After an error ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT)
def test_what_may_pass_never_ends_the_wait_before_the_deadline(wait_of: WaitOf, error: exc.OrVideoError) -> None:
    wait, progress = wait_of(deadline=1e9), Progress()
    for number in range(200):
        decision = after_error(wait, progress, error, now=BEFORE)
        assert isinstance(decision, PollAgain)
        progress = decision.progress
        assert progress == Progress(failures=number + 1, refusals=0)
    assert after_error(wait, progress, error, now=1e9) == TimedOut(None)


@pytest.mark.parametrize("now", [BEFORE, AFTER])
@pytest.mark.parametrize("error", FINAL.values(), ids=FINAL)
def test_what_waiting_cannot_mend_ends_it_at_once_and_says_why(
    wait_of: WaitOf, error: exc.OrVideoError, now: float
) -> None:
    assert after_error(wait_of(), Progress(), error, now=now) == GaveUp(error)


def test_a_young_job_may_be_not_visible_yet(wait_of: WaitOf) -> None:
    error, progress = FINAL["404, old job"], Progress()
    for _ in range(50):
        decision = after_error(wait_of(), progress, error, now=YOUNG)
        assert isinstance(decision, PollAgain)
        progress = decision.progress
    assert after_error(wait_of(), progress, error, now=YOUNG + 1) == GaveUp(error)
    assert after_error(wait_of(deadline=YOUNG), progress, error, now=YOUNG) == TimedOut(None)


@pytest.mark.parametrize("error", REFUSING.values(), ids=REFUSING)
def test_a_refusal_is_believed_when_it_was_repeated(wait_of: WaitOf, error: exc.OrVideoError) -> None:
    progress = Progress()
    for number in range(1, REFUSALS):
        decision = after_error(wait_of(), progress, error, now=BEFORE)
        assert isinstance(decision, PollAgain)
        assert decision.progress == Progress(failures=number, refusals=number)
        progress = decision.progress
    assert after_error(wait_of(), progress, error, now=BEFORE) == GaveUp(error)


@pytest.mark.parametrize("between", TRANSIENT.values(), ids=TRANSIENT)
def test_refusals_count_in_a_row_only(wait_of: WaitOf, between: exc.OrVideoError) -> None:
    nearly = Progress(failures=REFUSALS - 1, refusals=REFUSALS - 1)
    decision = after_error(wait_of(), nearly, between, now=BEFORE)
    assert isinstance(decision, PollAgain)
    assert isinstance(after_error(wait_of(), decision.progress, REFUSING["400"], now=BEFORE), PollAgain)


def test_an_answer_forgets_all_failures(wait_of: WaitOf, job_of: JobOf) -> None:
    decision = after_status(wait_of(), job_of("pending"), now=BEFORE)
    assert isinstance(decision, PollAgain)
    assert decision.progress == Progress()


# ── How long ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pauses_double_while_the_api_fails_up_to_a_cap(wait_of: WaitOf) -> None:
    pauses, progress = [], Progress()
    for _ in range(8):
        decision = after_error(wait_of(deadline=1e9), progress, TRANSIENT["503"], now=BEFORE)
        assert isinstance(decision, PollAgain)
        pauses.append(decision.delay)
        progress = decision.progress
    assert pauses == [30, 60, 120, 240, MAX_BACKOFF, MAX_BACKOFF, MAX_BACKOFF, MAX_BACKOFF]


def test_thousands_of_failures_do_not_overflow(wait_of: WaitOf) -> None:
    decision = after_error(wait_of(deadline=1e9), Progress(failures=100_000), TRANSIENT["503"], now=BEFORE)
    assert isinstance(decision, PollAgain)
    assert decision.delay == MAX_BACKOFF


@pytest.mark.parametrize(("wish", "pause"), [(None, 30), (0.0, 30), (10, 30), (90, 90), (86_400, MAX_BACKOFF)])
@pytest.mark.parametrize(("kind", "code"), [(exc.RateLimitedError, 429), (exc.ServiceUnavailableError, 503)])
def test_the_servers_wish_makes_pauses_longer_never_shorter_and_is_capped(
    wait_of: WaitOf, kind: type[exc.StatusError], code: int, wish: float | None, pause: float
) -> None:
    decision = after_error(wait_of(), Progress(), status(kind, code, retry_after=wish), now=BEFORE)
    assert isinstance(decision, PollAgain)
    assert decision.delay == pause


def test_no_decision_waits_past_the_deadline_or_gives_a_time_that_cannot_be_slept(
    wait_of: WaitOf, job_of: JobOf
) -> None:
    wait = wait_of()
    errors = [*TRANSIENT.values(), *REFUSING.values(), status(exc.RateLimitedError, 429, retry_after=1e9)]
    moments = [1000.0, BEFORE, AFTER - 31, AFTER - 1, AFTER - 1e-9, AFTER, AFTER + 1]
    for now, failures in itertools.product(moments, [0, 1, 3, 50]):
        decisions = [after_error(wait, Progress(failures=failures), error, now=now) for error in errors]
        decisions.append(after_status(wait, job_of("pending"), now=now))
        for decision in decisions:
            if now >= AFTER:
                assert isinstance(decision, TimedOut)
            else:
                assert isinstance(decision, PollAgain)
                assert 0 < decision.delay <= AFTER - now


# ── The first poll ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("now", "changes", "expected"),
    [
        pytest.param(1000.0, {}, FIRST_POLL, id="just submitted"),
        pytest.param(1003.0, {}, FIRST_POLL - 3, id="a moment ago"),
        pytest.param(1000.0, {"poll_interval": 2.0}, 2.0, id="an impatient interval"),
        pytest.param(1500.0, {}, 0.0, id="running for a while"),
        pytest.param(9999.0, {}, 0.0, id="the deadline passed: one look all the same"),
        pytest.param(1000.0, {"deadline": 1001.0}, 1.0, id="a deadline before the first poll"),
        pytest.param(1000.0, {"deadline": 900.0}, 0.0, id="a deadline before the submission"),
        pytest.param(1000.0, {"not_before": 1010.0}, 10.0, id="not before"),
        pytest.param(1000.0, {"not_before": 1001.0}, FIRST_POLL, id="not before, but sooner than due"),
        pytest.param(1500.0, {"not_before": 1000.0}, 0.0, id="not before a time that passed"),
        pytest.param(9999.0, {"not_before": 10_004.0}, 5.0, id="not before holds after the deadline, too"),
        pytest.param(900.0, {}, 100.0 + FIRST_POLL, id="a clock that is behind the worker's"),
    ],
)
def test_the_first_poll_is_due(wait_of: WaitOf, now: float, changes: dict[str, float], expected: float) -> None:
    assert first_delay(wait_of(**changes), now=now) == pytest.approx(expected)


def test_a_server_without_a_wish_is_asked_again_after_the_interval_however_short(wait_of: WaitOf) -> None:
    wait = wait_of(poll_interval=0.25)
    assert after_error(wait, Progress(), TRANSIENT["not sent"], now=BEFORE) == PollAgain(0.25, Progress(1, 0))

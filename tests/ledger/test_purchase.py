"""`obtain`, step by step: what is written when, what is said, and what the next attempt does."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import (
    AmbiguousSubmitError,
    BadRequestError,
    ClientStatusError,
    LedgerUnavailableError,
    NotSentError,
    OutcomeUnknownError,
    PaymentRequiredError,
    RateLimitedError,
    ServiceUnavailableError,
    StatusError,
)
from airflow_provider_orvideo.ledger.fingerprint import fingerprint
from airflow_provider_orvideo.ledger.purchase import Attempt, obtain
from airflow_provider_orvideo.ledger.record import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.ledger.record import Record
    from tests.ledger.conftest import Notebook, Shop

    Buy = Callable[..., Record]

AWAY = LedgerUnavailableError("the store is away")
UNKNOWN: dict[str, Any] = {
    "500": 500,
    "502": 502,
    "503": 503,
    "524": 524,
    "408": 408,
    "499": 499,
    "read timeout": httpx.ReadTimeout("waited"),
    "reset after sending": httpx.ReadError("reset"),
    "connection dropped": httpx.RemoteProtocolError("Server disconnected"),
    "write broke off": httpx.WriteError("broken pipe"),
    "accepted in HTML": httpx.Response(202, html="<html>ok</html>"),
    "accepted without an id": httpx.Response(202, json={"status": "pending"}),
    "an error inside a success": httpx.Response(200, json={"error": {"code": 429, "message": "slow"}}),
}
REFUSED: dict[str, int] = {str(code): code for code in (400, 401, 402, 403, 404, 413, 422)}


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def buy(client: VideoClient, order: VideoRequest, notebook: Notebook, pauses: list[float]) -> Buy:
    """One attempt of the task, by default for `order`."""

    def attempt(request: VideoRequest | None = None) -> Record:
        clock = iter([1000.0, 1003.0]).__next__
        return obtain(client, request or order, notebook, Attempt(conn_id="c"), clock=clock, sleep=pauses.append)

    return attempt


def test_the_intent_is_kept_before_the_post_leaves_and_the_job_id_right_after(
    buy: Buy, shop: Shop, notebook: Notebook, order: VideoRequest, client: VideoClient
) -> None:
    record = buy()
    assert notebook.calls == ["load", "save intent", "POST", "save submitted"]
    (page,) = shop.pages
    assert page is not None
    assert (page.phase, page.job_id, page.intent_at) == (Phase.INTENT, None, 1000.0)
    assert page.fingerprint == fingerprint(order, conn_id="c", base_url=client.config.base_url)
    assert notebook.peek() == record
    assert (record.phase, record.job_id, record.submitted_at) == (Phase.SUBMITTED, "job-1", 1003.0)
    assert (record.model, record.conn_id) == ("google/veo-3.1", "c")


def test_what_is_kept_and_logged_holds_no_prompt_no_url_and_no_key(
    buy: Buy, notebook: Notebook, secrets: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="airflow_provider_orvideo"):
        record = buy()
        buy()
    ended = record.terminal(status="completed", now=1.0, error=None, generation_id="g", cost_usd=1.0, outputs=1)
    logged = " ".join(entry.getMessage() for entry in caplog.records if entry.name.startswith("airflow_provider"))
    for text in (notebook.page or "", json.dumps(ended.to_json()), logged):
        assert not [secret for secret in secrets if secret in text]


def test_the_job_id_is_in_the_log_before_the_record_is_tried(
    buy: Buy, notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    notebook.trouble["save"] = [None, KeyboardInterrupt()]
    with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt):
        buy()
    assert any("job-1" in entry.getMessage() for entry in caplog.records)


def test_a_second_attempt_sends_nothing_and_returns_the_same_job(buy: Buy, shop: Shop, notebook: Notebook) -> None:
    first = buy()
    page = notebook.page
    assert buy() == first
    assert notebook.page == page
    assert shop.posts == 1


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired", "dead"])
def test_a_job_that_ended_is_returned_and_not_bought_again(
    buy: Buy, shop: Shop, notebook: Notebook, status: str
) -> None:
    ended = buy().terminal(status=status, now=9.0, error=None, generation_id=None, cost_usd=None, outputs=0)
    notebook.save(ended)
    assert buy() == ended
    assert shop.posts == 1


# ── The store fails ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_record_that_cannot_be_read_stops_before_anything_is_sent(buy: Buy, shop: Shop, notebook: Notebook) -> None:
    notebook.page = json.dumps({"schema_version": 2, "phase": "submitted"})
    with pytest.raises(LedgerUnavailableError):
        buy()
    assert notebook.calls == ["load"]
    assert shop.posts == 0


@pytest.mark.parametrize("trouble", [AWAY, (AWAY, "after")], ids=["unwritten", "written and not confirmed"])
def test_an_intent_that_cannot_be_written_stops_before_anything_is_sent(
    buy: Buy, shop: Shop, notebook: Notebook, trouble: object
) -> None:
    notebook.trouble["save"] = [trouble]
    with pytest.raises(LedgerUnavailableError):
        buy()
    assert shop.posts == 0
    assert "POST" not in notebook.calls


def test_a_job_id_is_written_at_the_fifth_try_if_need_be(
    buy: Buy, shop: Shop, notebook: Notebook, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    notebook.trouble["save"] = [None, AWAY, AWAY, AWAY, AWAY]
    record = buy()
    assert notebook.peek() == record
    assert pauses == [0.5, 1, 2, 4]
    assert shop.posts == 1
    assert not [entry for entry in caplog.records if entry.levelno >= logging.ERROR]


def test_a_job_whose_id_cannot_be_written_is_followed_all_the_same_and_logged_loudly(
    buy: Buy, shop: Shop, notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    notebook.trouble["save"] = [None, *[AWAY] * 99]
    record = buy()
    assert (record.phase, record.job_id) == (Phase.SUBMITTED, "job-1")
    (entry,) = [entry for entry in caplog.records if entry.levelno >= logging.ERROR]
    assert "job-1" in entry.getMessage()
    assert "paid" in entry.getMessage()
    kept = notebook.peek()
    assert kept is not None
    assert kept.phase == Phase.INTENT
    notebook.trouble.clear()
    with pytest.raises(AmbiguousSubmitError):
        buy()
    assert shop.posts == 1


# ── The API refuses: nothing was bought ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_after_a_refusal_the_record_is_withdrawn_and_the_next_attempt_may_order(
    buy: Buy, shop: Shop, notebook: Notebook, code: int
) -> None:
    shop.script = [code]
    with pytest.raises(ClientStatusError) as caught:
        buy()
    assert caught.value.status_code == code
    assert notebook.page is None
    assert shop.posts == 1
    assert buy().job_id == "job-1"


def test_after_a_redirect_the_record_is_withdrawn(buy: Buy, shop: Shop, notebook: Notebook) -> None:
    shop.script = [httpx.Response(308, headers={"Location": "https://elsewhere.example/"})]
    with pytest.raises(StatusError):
        buy()
    assert notebook.page is None
    assert shop.posts == 1


def test_without_a_connection_the_record_is_withdrawn(buy: Buy, shop: Shop, notebook: Notebook) -> None:
    shop.script = [httpx.ConnectError("refused")] * 3
    with pytest.raises(NotSentError):
        buy()
    assert notebook.page is None
    assert shop.posts == 0


def test_a_429_is_tried_again_under_the_same_intent_and_withdrawn_at_the_end(
    buy: Buy, shop: Shop, notebook: Notebook
) -> None:
    shop.script = [429] * 3
    with pytest.raises(RateLimitedError):
        buy()
    assert notebook.calls == ["load", "save intent", "POST", "POST", "POST", "delete"]
    assert notebook.page is None
    shop.script = [429]
    assert buy().job_id == "job-1"
    assert shop.sold == ["job-1"]


def test_an_earlier_record_is_restored_when_a_changed_order_is_refused(
    buy: Buy, shop: Shop, notebook: Notebook
) -> None:
    first = buy()
    shop.script = [402]
    with pytest.raises(PaymentRequiredError):
        buy(VideoRequest.build(model="google/veo-3.1", prompt="changed"))
    assert notebook.peek() == first
    assert buy() == first
    assert shop.posts == 2


@pytest.mark.parametrize("trouble", [AWAY, KeyboardInterrupt()], ids=["store away", "killed"])
def test_a_withdrawal_that_fails_leaves_the_side_that_does_not_pay(
    buy: Buy, shop: Shop, notebook: Notebook, trouble: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    shop.script = [400]
    notebook.trouble["delete"] = [trouble]
    # The refusal is what the user must see, not the store's trouble.
    with pytest.raises(BadRequestError if trouble is AWAY else KeyboardInterrupt):
        buy()
    if trouble is AWAY:
        assert "orvideo_job" in caplog.text
    with pytest.raises(AmbiguousSubmitError):
        buy()
    assert shop.posts == 1


# ── The outcome is unknown: something may have been bought ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("event", UNKNOWN.values(), ids=UNKNOWN)
def test_after_an_unknown_outcome_the_intent_stays_and_no_attempt_sends_again(
    buy: Buy, shop: Shop, notebook: Notebook, event: object
) -> None:
    shop.script = [event]
    with pytest.raises(OutcomeUnknownError):
        buy()
    page = notebook.page
    kept = notebook.peek()
    assert kept is not None
    assert kept.phase == Phase.INTENT
    # The second write only adds what was seen.
    assert notebook.calls == ["load", "save intent", "POST", "save intent"]
    changed = VideoRequest.build(model="google/veo-3.1", prompt="changed")
    for request in (None, None, changed):
        with pytest.raises(AmbiguousSubmitError):
            buy(request)
    assert shop.posts == 1
    assert notebook.page == page
    assert notebook.calls[4:] == ["load"] * 3


def test_an_error_that_is_no_clear_refusal_keeps_the_intent_whoever_raised_it(
    buy: Buy, notebook: Notebook, monkeypatch: pytest.MonkeyPatch, client: VideoClient
) -> None:
    def generate(_: VideoRequest) -> None:
        raise ServiceUnavailableError("as if the client had let it through", status_code=503)

    monkeypatch.setattr(client, "generate", generate)
    with pytest.raises(ServiceUnavailableError):
        buy()
    with pytest.raises(AmbiguousSubmitError):
        buy()
    assert "delete" not in notebook.calls


@pytest.mark.parametrize("crash", [KeyboardInterrupt(), SystemExit(1)], ids=["interrupt", "exit"])
def test_a_process_that_dies_during_the_post_leaves_the_intent(
    buy: Buy, shop: Shop, notebook: Notebook, crash: BaseException
) -> None:
    shop.script = [crash]
    with pytest.raises(type(crash)):
        buy()
    assert notebook.calls[-1] == "POST"
    with pytest.raises(AmbiguousSubmitError):
        buy()
    assert shop.posts == 1


def test_the_ambiguity_says_when_what_may_be_billed_and_what_to_do(buy: Buy, shop: Shop) -> None:
    shop.script = [500]
    with pytest.raises(OutcomeUnknownError):
        buy()
    with pytest.raises(AmbiguousSubmitError) as caught:
        buy()
    text = str(caught.value)
    for part in ("1970-01-01T00:16:40+00:00", "google/veo-3.1", "may have been billed", "Nothing was sent now"):
        assert part in text
    for advice in ("https://openrouter.ai/activity", "orvideo_job", "clear"):
        assert advice in text


# ── The order changed ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_changed_order_is_bought_and_the_earlier_job_remembered(
    buy: Buy, shop: Shop, notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    buy()
    changed = buy(VideoRequest.build(model="google/veo-3.1", prompt="changed"))
    assert changed.job_id == "job-2"
    assert [job.job_id for job in changed.past] == ["job-1"]
    assert notebook.peek() == changed
    page = shop.pages[1]
    assert page is not None
    assert (page.phase, [job.job_id for job in page.past]) == (Phase.INTENT, ["job-1"])
    assert "job-1" in caplog.text
    assert shop.posts == 2

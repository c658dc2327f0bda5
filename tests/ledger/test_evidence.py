"""What a person is told who has to decide: what was seen, what may be billed, what to do; and that it works."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import (
    AmbiguousSubmitError,
    ChangedRequestError,
    LedgerUnavailableError,
    OutcomeUnknownError,
)
from airflow_provider_orvideo.ledger.policies import DEFAULT_POLICIES, Policies
from airflow_provider_orvideo.ledger.purchase import Attempt, obtain
from airflow_provider_orvideo.ledger.record import Phase, Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from tests.ledger.conftest import Notebook, Shop

    Buy = Callable[..., Record]

AWAY = LedgerUnavailableError("the store is away")
SIGNED = "https://files.example/x?X-Amz-Signature=5ec2e7"


@pytest.fixture
def buy(client: VideoClient, order: VideoRequest, notebook: Notebook) -> Buy:
    """One attempt of the task; each second of the clock is one call of it."""
    clock = iter(range(1000, 2000)).__next__

    def attempt(request: VideoRequest | None = None, *, policies: Policies = DEFAULT_POLICIES, **who: Any) -> Record:  # noqa: ANN401
        asks = Attempt(conn_id="c", policies=policies, **who)
        return obtain(client, request or order, notebook, asks, clock=lambda: float(clock()), sleep=lambda _: None)

    return attempt


# ── Evidence ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event", "seen"),
    [
        (503, "HTTP 503"),
        (500, "HTTP 500"),
        (408, "HTTP 408"),
        (httpx.Response(503, json={"error": {"code": 503, "message": "Try again later."}}), "Try again later"),
        (httpx.ReadTimeout("slow"), "ReadTimeout"),
        (httpx.RemoteProtocolError("Server disconnected"), "Server disconnected"),
        (httpx.Response(202, html="<html><title>A proxy</title>"), "A proxy"),
        (httpx.Response(200, json={"error": {"code": 429, "message": "slow"}}), "HTTP 200 came with an error inside"),
    ],
    ids=str,
)
def test_what_was_seen_is_said_recorded_and_said_again(
    buy: Buy, shop: Shop, notebook: Notebook, event: object, seen: str
) -> None:
    shop.script = [event]
    with pytest.raises(OutcomeUnknownError, match=re.escape(seen)) as first:
        buy(try_number=4)
    kept = notebook.peek()
    assert kept is not None
    assert kept.evidence == first.value.evidence
    with pytest.raises(AmbiguousSubmitError, match=re.escape(seen)) as later:
        buy()
    assert str(later.value).startswith("Attempt 4 of this task sent the paid request for google/veo-3.1 at 1970-01-01T")
    for error in (first.value, later.value):
        text = str(error)
        for part in (
            "may have been billed",
            "https://openrouter.ai/activity",
            "adopt it: run this task with job_id set to its id",
            f"delete the record {notebook.where}",
        ):
            assert part in text
        assert ".." not in text
        assert ".)" not in text


@pytest.mark.parametrize("crash", [KeyboardInterrupt(), SystemExit(1)], ids=["interrupt", "exit"])
def test_where_nobody_lived_to_see_anything_that_is_said(
    buy: Buy, shop: Shop, notebook: Notebook, crash: BaseException
) -> None:
    shop.script = [crash]
    with pytest.raises(type(crash)):
        buy()
    kept = notebook.peek()
    assert kept is not None
    assert kept.evidence is None
    with pytest.raises(AmbiguousSubmitError, match="the worker died before an answer came") as caught:
        buy()
    assert str(caught.value).startswith("An earlier attempt of this task sent the paid request")


def test_evidence_that_cannot_be_recorded_is_said_all_the_same(buy: Buy, shop: Shop, notebook: Notebook) -> None:
    shop.script = [503]
    notebook.trouble["save"] = [None, AWAY]
    with pytest.raises(OutcomeUnknownError, match="HTTP 503"):
        buy()
    with pytest.raises(AmbiguousSubmitError, match="never learned the outcome"):
        buy()
    assert shop.posts == 1


def test_neither_the_record_nor_a_message_holds_a_secret_that_the_server_echoed(
    buy: Buy, shop: Shop, notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    words = f"Upstream got Bearer {'sk-or-test-0123456789abcdef'} and data:image/png;base64,c2VjcmV0 from {SIGNED}"
    shop.script = [httpx.Response(503, json={"error": {"code": 503, "message": words}})]
    with caplog.at_level(logging.DEBUG), pytest.raises(OutcomeUnknownError) as first:
        buy()
    with pytest.raises(AmbiguousSubmitError) as later:
        buy()
    for text in (notebook.page or "", str(first.value), str(later.value), caplog.text):
        assert "HTTP 503" in text or text == caplog.text
        for secret in ("0123456789abcdef", "c2VjcmV0", "5ec2e7"):
            assert secret not in text


# ── Resubmitting, and changed requests ───────────────────────────────────────────────────────────────────────────────


def test_where_the_author_wants_it_an_unknown_outcome_is_ordered_again_and_each_one_remembered(
    buy: Buy, shop: Shop, notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    again = Policies(on_ambiguous_submit="resubmit")
    shop.script = [503, httpx.ReadTimeout("slow")]
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            buy(policies=again)
    record = buy(policies=again)
    assert record.lost == (1000.0, 1001.0)
    assert (record.job_id, record.evidence) == ("job-1", None)
    assert caplog.text.count("A new video is ordered: the outcome of the last submit is unknown") == 2
    assert buy() == record == notebook.peek()
    assert shop.posts == 3


def test_a_refused_resubmit_leaves_the_earlier_question_on_record(buy: Buy, shop: Shop, notebook: Notebook) -> None:
    shop.script = [503, 400]
    with pytest.raises(OutcomeUnknownError):
        buy()
    page = notebook.page
    with pytest.raises(Exception, match="HTTP 400"):
        buy(policies=Policies(on_ambiguous_submit="resubmit"))
    assert notebook.page == page
    with pytest.raises(AmbiguousSubmitError, match="HTTP 503"):
        buy()


def test_a_changed_request_that_must_not_be_ordered_says_how_to_go_on_either_way(
    buy: Buy, shop: Shop, notebook: Notebook
) -> None:
    first = buy()
    page = notebook.page
    changed = VideoRequest.build(model="google/veo-3.1", prompt="changed")
    with pytest.raises(ChangedRequestError) as caught:
        buy(changed, policies=Policies(on_changed_request="fail"))
    text = str(caught.value)
    for part in ("job-1", "on_changed_request", "Nothing was sent", "Undo the change", notebook.where):
        assert part in text
    assert (notebook.page, shop.posts) == (page, 1)
    assert buy(policies=Policies(on_changed_request="fail")) == first


def test_a_clear_of_an_ended_order_is_ordered_anew_where_the_author_says_so_and_a_retry_is_not(
    buy: Buy, shop: Shop, notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    anew = Policies(on_clear="submit")
    first = buy(policies=anew, max_tries=2)
    notebook.save(first.terminal(status="completed", now=9.0, error=None, generation_id=None, cost_usd=None, outputs=1))
    assert buy(policies=anew, max_tries=2).job_id == buy(max_tries=4).job_id == "job-1"
    second = buy(policies=anew, max_tries=4)
    assert (second.job_id, second.max_tries, [job.job_id for job in second.past]) == ("job-2", 4, ["job-1"])
    assert "A new video is ordered: the task was cleared after job job-1 had ended." in caplog.text
    assert shop.posts == 2


def test_attaching_says_who_ordered_when_and_whether_the_task_was_cleared(
    buy: Buy, notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    record = buy(try_number=1, max_tries=2)
    notebook.save(record.detached(now=1005.0))
    caplog.clear()
    caplog.set_level(logging.INFO)
    for max_tries in (2, None, 4):
        buy(try_number=2, max_tries=max_tries)
    lines = [entry.getMessage() for entry in caplog.records if "Re-attached" in entry.getMessage()]
    assert len(lines) == 3
    for line in lines:
        assert "job-1" in line
        assert "by attempt 1" in line
        assert "detached at 1970-01-01T00:16:45+00:00" in line
        assert "nothing is ordered now" in line
    assert ["the task was cleared" in line for line in lines] == [False, False, True]


# ── A job id that cannot be written ──────────────────────────────────────────────────────────────────────────────────


def test_the_error_holds_the_record_which_put_in_place_makes_the_next_attempt_attach(
    buy: Buy, shop: Shop, notebook: Notebook, caplog: pytest.LogCaptureFixture, secrets: tuple[str, ...]
) -> None:
    notebook.trouble["save"] = [None, *[AWAY] * 5]
    record = buy(try_number=1, max_tries=2)
    (entry,) = [entry for entry in caplog.records if entry.levelno >= logging.ERROR]
    text = entry.getMessage()
    assert f"job_id='{record.job_id}'" in text
    assert f"set the record {notebook.where} to " in text
    assert not [secret for secret in secrets if secret in text]
    with pytest.raises(AmbiguousSubmitError):
        buy()
    pasted = re.search(r"\{.*\}", text)
    assert pasted
    notebook.page = pasted[0]
    assert json.loads(pasted[0])["phase"] == "submitted"
    assert buy() == record
    assert shop.posts == 1


def test_editing_the_record_as_the_runbook_says_makes_the_next_attempt_attach(
    buy: Buy, shop: Shop, notebook: Notebook
) -> None:
    shop.script = [503]
    with pytest.raises(OutcomeUnknownError):
        buy()
    edited = json.loads(notebook.page or "")
    edited |= {"phase": "submitted", "job_id": "job-from-the-activity-page"}
    notebook.page = json.dumps(edited)
    record = buy()
    assert (record.phase, record.job_id) == (Phase.SUBMITTED, "job-from-the-activity-page")
    assert shop.posts == 1


def test_only_a_store_that_fails_is_tried_again(buy: Buy, notebook: Notebook) -> None:
    notebook.trouble["save"] = [None, ValueError("a bug")]
    with pytest.raises(ValueError, match="a bug"):
        buy()
    assert notebook.calls.count("save submitted") == 1

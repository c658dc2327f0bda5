"""Reading a record back: what cannot be read is never taken for nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.exceptions import LedgerUnavailableError
from airflow_provider_orvideo.ledger.decision import was_cleared
from airflow_provider_orvideo.ledger.record import SCHEMA_VERSION, PastJob, Phase, read_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.ledger.record import Record

GOOD: dict[str, Any] = {
    "schema_version": 1,
    "phase": "submitted",
    "fingerprint": "f",
    "model": "m",
    "conn_id": "c",
    "intent_at": 1.0,
    "job_id": "job-1",
}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def test_only_none_is_nothing() -> None:
    assert read_record(None) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({}, id="empty object"),
        pytest.param("", id="empty text"),
        pytest.param(0, id="zero"),
        pytest.param(False, id="false"),
        pytest.param([], id="empty list"),
        pytest.param("null", id="text that says null"),
        pytest.param(json.dumps(GOOD), id="a record as text"),
        pytest.param({"job_id": "job-1"}, id="a foreign object"),
        pytest.param({**GOOD, "phase": "paid"}, id="unknown phase"),
        pytest.param({**GOOD, "schema_version": SCHEMA_VERSION + 1}, id="newer version"),
        pytest.param({**GOOD, "schema_version": "two"}, id="odd version"),
        pytest.param({**GOOD, "phase": "intent", "schema_version": 99}, id="newer intent"),
        pytest.param({**GOOD, "past": [{"status": "completed"}]}, id="a past job without an id"),
        pytest.param(without("phase"), id="no phase"),
        pytest.param(without("fingerprint"), id="no fingerprint"),
        pytest.param(without("intent_at"), id="no time"),
        pytest.param(without("job_id"), id="submitted without a job id"),
        pytest.param({**GOOD, "job_id": ""}, id="submitted with an empty job id"),
        pytest.param({**without("job_id"), "phase": "terminal", "status": "completed"}, id="ended without a job id"),
    ],
)
def test_what_is_no_record_of_ours_stops_the_attempt_and_says_what_to_do(value: object) -> None:
    with pytest.raises(LedgerUnavailableError, match=r"Nothing was sent\.") as caught:
        read_record(value)
    assert "Mend" in str(caught.value) or "mend" in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({**without("phase"), "past": [{"status": "completed"}]}, r"\(phase, past\.0\.job_id\)"),
        ([], r"\(the whole\)"),
    ],
)
def test_what_is_wrong_with_a_record_is_told(value: object, fields: str) -> None:
    with pytest.raises(LedgerUnavailableError, match=fields):
        read_record(value)


def test_a_damaged_record_does_not_end_up_in_the_message() -> None:
    with pytest.raises(LedgerUnavailableError) as caught:
        read_record({"phase": "submitted", "prompt": "private", "url": "https://example.com/?sig=1"})
    assert "private" not in str(caught.value)
    assert "example.com" not in str(caught.value)


def test_fields_of_a_later_provider_with_the_same_version_are_ignored() -> None:
    record = read_record({**GOOD, "colour": "blue"})
    assert record is not None
    assert record.job_id == "job-1"


@pytest.mark.parametrize("phase", list(Phase))
def test_a_record_survives_the_store(record_of: Callable[..., Record], phase: Phase) -> None:
    record = record_of(
        phase,
        status="completed",
        cost_usd=0.0,
        outputs=0,
        past=(PastJob(job_id="job-0", cost_usd=0.25), PastJob(job_id="job-00")),
        lost=(1.0, 2.5),
        max_tries=0,
        try_number=1,
        adopted=True,
        detached_at=0.0,
        evidence="HTTP 503",
    )
    assert read_record(json.loads(json.dumps(record.to_json()))) == record


def test_a_record_that_an_older_provider_wrote_knows_of_no_clear_and_no_lost_order() -> None:
    record = read_record(GOOD)
    assert record is not None
    assert (record.max_tries, record.try_number, record.lost, record.adopted) == (None, None, (), False)
    assert (record.detached_at, record.evidence) == (None, None)


@pytest.mark.parametrize(("now", "kept"), [(None, 2), (5, 5), (0, 0)])
def test_the_end_of_a_job_keeps_or_renews_by_what_a_clear_is_told(
    record_of: Callable[..., Record], now: int | None, kept: int
) -> None:
    ended = record_of(max_tries=2).terminal(
        status="completed", now=9.0, error=None, generation_id=None, cost_usd=None, outputs=1, max_tries=now
    )
    assert ended.max_tries == kept
    assert was_cleared(ended, 7)


def test_letting_go_of_a_job_changes_nothing_but_the_note(record_of: Callable[..., Record]) -> None:
    record = record_of()
    assert record.detached(now=5.0).model_copy(update={"detached_at": None}) == record


@pytest.mark.parametrize(("phase", "lost"), [("intent", (7.0, 1000.0)), ("submitted", (7.0,)), ("terminal", (7.0,))])
def test_an_order_is_lost_as_long_as_its_outcome_is_unknown(
    record_of: Callable[..., Record], phase: str, lost: tuple[float, ...]
) -> None:
    assert record_of(phase, lost=(7.0,)).all_lost() == lost

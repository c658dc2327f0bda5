"""The event that ends a wait: small JSON that holds all that the worker needs and nothing that must stay out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from airflow_provider_orvideo.exceptions import AuthenticationError
from airflow_provider_orvideo.polling.decision import Ended, GaveUp, TimedOut
from airflow_provider_orvideo.polling.event import Outcome, WaitEvent, event_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.schema import VideoJob
    from airflow_provider_orvideo.polling.decision import Wait

    WaitOf = Callable[..., Wait]
    JobOf = Callable[..., VideoJob]

KEY = "sk-or-v1-" + "ab12" * 16
SIGNED = "https://storage.example.com/video.mp4?signature=topsecret"
WHOLE: dict[str, Any] = {
    "polling_url": "https://openrouter.ai/api/v1/videos/job-1",
    "generation_id": "gen-1",
    "unsigned_urls": [f"https://openrouter.ai/api/v1/videos/job-1/content?index={index}" for index in range(3)],
    "urls": [SIGNED] * 3,
    "expires_at": 1790990000,
    "usage": {"cost": 0.052, "is_byok": False},
    "prompt": "a private prompt",
}


def describe(end: Ended | TimedOut | GaveUp, wait: Wait) -> WaitEvent:
    return event_of(end, wait, conn_id="c", model="google/veo-3.1", now=1234.5)


def test_a_completed_job_is_told_whole_but_without_its_urls(wait_of: WaitOf, job_of: JobOf) -> None:
    payload = describe(Ended(job_of("completed", **WHOLE)), wait_of()).to_json()
    assert payload == {
        "schema_version": 1,
        "outcome": "ended",
        "job_id": "job-1",
        "conn_id": "c",
        "model": "google/veo-3.1",
        "submitted_at": 1000.0,
        "observed_at": 1234.5,
        "status": "completed",
        "error": None,
        "generation_id": "gen-1",
        "cost_usd": 0.052,
        "outputs": 3,
    }
    text = json.dumps(payload)
    assert "://" not in text
    assert "private" not in text
    assert len(text) < 500


@pytest.mark.parametrize(("usage", "cost"), [(None, None), ({}, None), ({"cost": None}, None), ({"cost": 0}, 0.0)])
def test_an_unknown_cost_is_not_nothing(wait_of: WaitOf, job_of: JobOf, usage: object, cost: float | None) -> None:
    event = describe(Ended(job_of("completed", usage=usage)), wait_of())
    assert event.cost_usd == cost
    assert event.outputs == 1


def test_an_end_without_a_video_tells_why_in_few_words_and_without_secrets(wait_of: WaitOf, job_of: JobOf) -> None:
    error = f"Upstream said {KEY} may not read {SIGNED} " + "x" * 100_000
    event = describe(Ended(job_of("failed", error=error)), wait_of())
    text = json.dumps(event.to_json())
    assert event.status == "failed"
    assert event.error is not None
    assert "Upstream said" in event.error
    assert "topsecret" not in text
    assert KEY not in text
    assert len(text) < 1000
    assert event.outputs == 0


def test_a_timeout_tells_the_last_status(wait_of: WaitOf) -> None:
    event = describe(TimedOut("in_progress"), wait_of())
    assert (event.outcome, event.status, event.error) == (Outcome.TIMED_OUT, "in_progress", None)
    assert describe(TimedOut(None), wait_of()).status is None


def test_a_status_of_any_size_and_kind_stays_small_and_clean(wait_of: WaitOf, job_of: JobOf) -> None:
    odd = f"see {SIGNED} or ask {KEY} " + "x" * 100_000
    for end in (TimedOut(job_of(odd).status), Ended(job_of("completed", generation_id=odd))):
        text = json.dumps(describe(end, wait_of()).to_json())
        assert len(text) < 1000
        assert "topsecret" not in text
        assert KEY not in text


def test_giving_up_tells_the_reason(wait_of: WaitOf) -> None:
    error = AuthenticationError("User not found.", status_code=401, operation="getVideos", request_id="ray-1")
    event = describe(GaveUp(error), wait_of())
    assert event.outcome == Outcome.GAVE_UP
    assert event.error == str(error)
    assert "401" in event.error


@pytest.mark.parametrize("end", [TimedOut("pending"), GaveUp(AuthenticationError("no", status_code=401))])
def test_an_event_survives_the_metadata_database(wait_of: WaitOf, end: TimedOut | GaveUp) -> None:
    event = describe(end, wait_of())
    assert WaitEvent.model_validate(json.loads(json.dumps(event.to_json()))) == event


def test_an_event_of_a_newer_triggerer_is_understood(wait_of: WaitOf) -> None:
    payload = {**describe(TimedOut("pending"), wait_of()).to_json(), "schema_version": 2, "progress": 0.5}
    assert WaitEvent.model_validate(payload).job_id == "job-1"


def test_no_event_at_all_is_an_error_not_an_end() -> None:
    with pytest.raises(ValidationError):
        WaitEvent.model_validate(None)

"""What was sent otherwise than it was written, as the manifest tells it."""

from __future__ import annotations

from typing import Any

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.ledger.fingerprint import differences, fingerprint

BASE: dict[str, Any] = {"model": "google/veo-3.1", "prompt": "A lake", "duration": 5}


def request(**fields: Any) -> VideoRequest:  # noqa: ANN401 - a request's fields
    return VideoRequest.build(**{**BASE, **fields})


def frame(url: str) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": url}, "frame_type": "first_frame"}]


def test_the_same_request_differs_in_nothing() -> None:
    one = request()
    assert differences(one, one) == differences(one, request()) == {}


def test_a_changed_a_new_and_a_missing_field_are_told_as_they_were_sent() -> None:
    written = request(resolution="720p")
    sent = request(duration=4, aspect_ratio="16:9")
    assert differences(written, sent) == {"aspect_ratio": "16:9", "duration": 4, "resolution": None}


def test_media_are_left_out_since_they_are_sent_in_another_form_than_written() -> None:
    reference = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert differences(request(frame_images=frame("https://example.com/a.png")), request()) == {}
    assert differences(request(input_references=[reference]), request()) == {}


def test_a_trace_is_told_without_secrets_though_it_is_no_part_of_the_video() -> None:
    sent = request(trace={"trace_id": "t-1", "note": "sk-or-test-5ec2e7aaaaaaaaaaaa"})
    told = differences(request(), sent)
    assert set(told) == {"trace"}
    assert told["trace"]["trace_id"] == "t-1"
    assert "5ec2e7" not in str(told)


def test_an_address_that_is_none_counts_as_it_is_written() -> None:
    """Whoever may check addresses: two different ones are two orders, and no error."""
    orders = [
        fingerprint(request(provider={"options": {"p": {"url": url}}}), conn_id="c", base_url="b")
        for url in ("http://[broken", "http://[other", {"deep": 1}, None)
    ]
    assert len(set(orders)) == len(orders)

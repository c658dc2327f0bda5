"""What the API is known to refuse or ignore: found before anything is spent, and said in whole sentences."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import RequestInvalidError, RequestUnsupportedError
from airflow_provider_orvideo.preflight.capabilities import Violation, require_possible, violations

BIG = "QUJD" * 500_000


def frame(url: str) -> dict[str, Any]:
    return {"frame_images": [{"image_url": {"url": url}, "frame_type": "first_frame"}]}


def reference(kind: str, url: str) -> dict[str, Any]:
    return {"input_references": [{"type": f"{kind}_url", f"{kind}_url": {"url": url}}]}


def build(**fields: Any) -> VideoRequest:  # noqa: ANN401 - fields of the request
    return VideoRequest.build(model="google/veo-3.1", prompt="A lake", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="text only"),
        pytest.param(frame("https://example.com/a.png"), id="https frame"),
        pytest.param(frame("https://example.com/a.png?X-Amz-Signature=abc"), id="signed frame"),
        pytest.param(frame("https://example.com:8443/ä.png"), id="port and umlaut"),
        pytest.param(frame("HTTPS://EXAMPLE.COM/A.PNG"), id="upper case"),
        pytest.param(frame("data:image/png;base64,aGk="), id="data frame"),
        pytest.param(frame(f"data:image/png;base64,{BIG}"), id="huge data frame"),
        pytest.param(reference("image", "data:image/webp;base64,aGk="), id="data reference"),
        pytest.param(reference("image", "https://example.com/a.png"), id="https image"),
        pytest.param(reference("audio", "https://example.com/a.mp3"), id="https audio"),
        pytest.param(reference("video", "https://example.com/a.mp4"), id="https video"),
        pytest.param(frame("https://localhost.example.com/a.png"), id="a host that only looks local"),
    ],
)
def test_what_the_api_takes_passes(fields: dict[str, Any]) -> None:
    request = build(**fields)
    assert violations(request) == ()
    require_possible(request)


@pytest.mark.parametrize(
    ("fields", "field", "value", "allowed"),
    [
        (frame("http://example.com/a.png"), "frame_images[0].image_url.url", "http://example.com/a.png", "HTTPS"),
        (frame("a.png"), "frame_images[0].image_url.url", "a.png", "HTTPS"),
        (frame("file:///etc/hostname"), "frame_images[0].image_url.url", "file:///etc/hostname", "HTTPS"),
        (frame("s3://bucket/a.png"), "frame_images[0].image_url.url", "s3://bucket/a.png", "data:image/"),
        (frame("https://"), "frame_images[0].image_url.url", "https://", "HTTPS"),
        (frame("https://[::1/a.png"), "frame_images[0].image_url.url", "https://[::1/a.png", "HTTPS"),
        (frame("data:video/mp4;base64,aGk="), "frame_images[0].image_url.url", "data:…", "data:image/"),
        (frame("https://localhost/a.png"), "frame_images[0].image_url.url", "https://localhost/a.png", "public"),
        (frame("https://LOCALHOST:8080/a"), "frame_images[0].image_url.url", "https://LOCALHOST:8080/a", "public"),
        (frame("https://127.0.0.1/a.png"), "frame_images[0].image_url.url", "https://127.0.0.1/a.png", "public"),
        (frame("https://[::1]/a.png"), "frame_images[0].image_url.url", "https://[::1]/a.png", "public"),
        (frame("https://app.localhost/a"), "frame_images[0].image_url.url", "https://app.localhost/a", "public"),
        (
            reference("image", "ftp://example.com/a"),
            "input_references[0].image_url.url",
            "ftp://example.com/a",
            "HTTPS",
        ),
        (reference("audio", "data:audio/mp3;base64,aGk="), "input_references[0].audio_url.url", "data:…", "no data:"),
        (reference("video", "data:video/mp4;base64,aGk="), "input_references[0].video_url.url", "data:…", "no data:"),
        (reference("video", "data:image/png;base64,aGk="), "input_references[0].video_url.url", "data:…", "no data:"),
        (reference("video", "http://e.com/a.mp4"), "input_references[0].video_url.url", "http://e.com/a.mp4", "HTTPS"),
    ],
)
def test_each_violation_names_field_value_and_what_is_allowed(
    fields: dict[str, Any], field: str, value: str, allowed: str
) -> None:
    (violation,) = violations(build(**fields))
    assert violation.field == field
    assert value in violation.value
    assert allowed in violation.allowed
    with pytest.raises(RequestUnsupportedError) as caught:
        require_possible(build(**fields))
    text = str(caught.value)
    assert "nothing was spent" in text
    for part in (f"'{field}'", value, allowed):
        assert part in text


def test_references_that_frames_would_hide_are_told() -> None:
    both = {**frame("https://example.com/a.png"), **reference("image", "https://example.com/b.png")}
    (violation,) = violations(build(**both))
    assert violation.field == "input_references"
    assert "1 frame_images" in violation.value
    assert "give one of the two" in violation.allowed


def test_everything_that_is_wrong_is_told_at_once() -> None:
    bad = [{"image_url": {"url": f"http://example.com/{number}"}, "frame_type": "first_frame"} for number in range(3)]
    with pytest.raises(RequestUnsupportedError) as caught:
        require_possible(build(frame_images=bad))
    assert len(caught.value.problems) == 3
    assert [f"frame_images[{number}]" in text for number, text in enumerate(caught.value.problems)] == [True] * 3


@pytest.mark.parametrize(
    "url",
    [
        f"data:video/mp4;base64,{BIG}",
        f"data:{BIG}",
        f"http://example.com/{BIG}",
        f"HTTPX{BIG}",
        "http://example.com/a?signature=topsecret",
        "http://user:topsecret@example.com/a",
    ],
    ids=["data", "data without a type", "long path", "no URL", "signed", "with a password"],
)
def test_media_and_secrets_are_not_echoed(url: str) -> None:
    with pytest.raises(RequestUnsupportedError) as caught:
        require_possible(build(**reference("video", url)))
    assert len(str(caught.value)) < 500
    assert "topsecret" not in str(caught.value)
    assert "QUJD" * 30 not in str(caught.value)


def test_a_violation_is_a_sentence() -> None:
    assert str(Violation("size", "'1x1'", "use 1280x720")) == "'size' is '1x1': use 1280x720."


def test_it_is_refused_as_an_invalid_request_is() -> None:
    assert issubclass(RequestUnsupportedError, RequestInvalidError)

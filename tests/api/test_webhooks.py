"""Which calls are genuine, and what a genuine one says."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_provider_orvideo.exceptions import (
    ConfigurationError,
    OrVideoError,
    WebhookInvalidError,
    WebhookSignatureError,
)
from airflow_provider_orvideo.webhooks import MAX_BODY, WebhookEvent, read_event, verify_signature

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec_test"
NOW = 1234567890
# OpenRouter's own example.
BODY = (
    b'{"type":"video.generation.completed","created_at":"2026-04-24T12:00:00.000Z",'
    b'"data":{"id":"abc123","status":"completed"}}'
)
DIGEST = "1466b01555f9940a86f819985d4393710d36638b4f7628c8b5a5746cc09d0b08"
HEADER = f"t={NOW},v1={DIGEST}"


def signed(body: bytes = BODY, moment: int | str = NOW, secret: str = SECRET, separator: bytes = b",") -> str:
    """The header as anybody who knows the secret can compute it."""
    text = str(moment).encode() + separator + body
    return f"t={moment},v1={hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}"


def is_genuine(body: bytes, header: str | None, secret: str = SECRET, *, now: float = NOW, **options: float) -> bool:
    try:
        verify_signature(body, header, secret, now=now, **options)
    except WebhookSignatureError:
        return False
    return True


# ── Genuine ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_openrouters_own_example_is_genuine() -> None:
    verify_signature(BODY, HEADER, SECRET, now=NOW)
    assert signed() == HEADER


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW},v1={'0' * 64},v1={DIGEST}",
        f"v1={DIGEST},v1={'0' * 64},t={NOW}",
        f"t={NOW}, v1={DIGEST}",
        f"t={NOW},v1={DIGEST.upper()}",
        f"t={NOW},v0=old,v1={DIGEST},v2=new,plain",
    ],
    ids=["second of two", "another order", "a space", "upper case", "parts of other names"],
)
def test_other_spellings_of_the_same_are_genuine(header: str) -> None:
    assert is_genuine(BODY, header)


@given(body=st.binary(max_size=200), secret=st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_whatever_was_signed_with_the_secret_is_genuine(body: bytes, secret: str) -> None:
    verify_signature(body, signed(body, secret=secret), secret, now=NOW)


def test_the_present_is_the_clocks() -> None:
    verify_signature(BODY, signed(moment=int(time.time())), SECRET)
    with pytest.raises(WebhookSignatureError, match="seconds ago"):
        verify_signature(BODY, HEADER, SECRET)


# ── Not genuine ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("header", [None, ""])
def test_a_call_without_a_signature_is_refused(header: str | None) -> None:
    with pytest.raises(WebhookSignatureError, match="is not signed"):
        verify_signature(BODY, header, SECRET, now=NOW)


MALFORMED = {
    "no time": f"v1={DIGEST}",
    "no signature": f"t={NOW}",
    "an empty time": f"t=,v1={DIGEST}",
    "an empty signature": f"t={NOW},v1=",
    "two times": f"t={NOW},t={NOW},v1={DIGEST}",
    "two headers in one": f"{HEADER},{HEADER}",
    "a negative time": f"t=-{NOW},v1={DIGEST}",
    "a time with a sign": f"t=+{NOW},v1={DIGEST}",
    "a time with a fraction": f"t={NOW}.0,v1={DIGEST}",
    "a time with underscores": f"t=1_234_567_890,v1={DIGEST}",
    "digits of another script": f"t=١٢٣٤٥٦٧٨٩٠,v1={DIGEST}",
    "a time without end": f"t={'9' * 5000},v1={DIGEST}",
    "a short signature": f"t={NOW},v1={DIGEST[:-1]}",
    "no hex": f"t={NOW},v1={'g' * 64}",
    "one malformed of two": f"t={NOW},v1={DIGEST},v1=x",
    "only another scheme": f"t={NOW},v0={DIGEST}",
    "semicolons": f"t={NOW};v1={DIGEST}",
    "nothing of it": "Bearer whatever",
    "too long": HEADER + f",v1={DIGEST}" * 20,
    "not ASCII": f"t={NOW},v1={DIGEST[:-1]}é",
}


@pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_signature_is_refused(header: str) -> None:
    with pytest.raises(WebhookSignatureError, match="malformed"):
        verify_signature(BODY, header, SECRET, now=NOW)


WRONG: dict[str, tuple[bytes, str, str]] = {
    "another secret": (BODY, signed(secret="whsec_other"), SECRET),
    "our secret is another": (BODY, HEADER, "whsec_other"),
    "a dot instead of the comma": (BODY, signed(separator=b"."), SECRET),
    "a body that was written anew": (json.dumps(json.loads(BODY)).encode(), HEADER, SECRET),
    "a line end more": (BODY + b"\n", HEADER, SECRET),
    "no body": (b"", HEADER, SECRET),
    "another time": (BODY, HEADER.replace(str(NOW), str(NOW + 1)), SECRET),
    "the same time spelt otherwise": (BODY, HEADER.replace(str(NOW), f"0{NOW}"), SECRET),
}


@pytest.mark.parametrize(("body", "header", "secret"), WRONG.values(), ids=WRONG)
def test_a_wrong_signature_is_refused(body: bytes, header: str, secret: str) -> None:
    with pytest.raises(WebhookSignatureError, match="is wrong"):
        verify_signature(body, header, secret, now=NOW)


@given(body=st.binary(max_size=300))
@example(body=BODY[:-1])
def test_no_other_body_passes_with_a_signature(body: bytes) -> None:
    assume(body != BODY)
    assert not is_genuine(body, HEADER)


@given(place=st.integers(0, len(BODY) - 1), bit=st.integers(0, 7))
def test_no_bit_of_the_body_can_be_changed(place: int, bit: int) -> None:
    changed = bytearray(BODY)
    changed[place] ^= 1 << bit
    assert not is_genuine(bytes(changed), HEADER)


@given(place=st.integers(0, len(HEADER) - 1), letter=st.characters())
def test_no_letter_of_the_header_can_be_changed(place: int, letter: str) -> None:
    changed = HEADER[:place] + letter + HEADER[place + 1 :]
    assume(changed.lower() != HEADER)
    assert not is_genuine(BODY, changed)


@given(header=st.text(max_size=200))
def test_no_text_gets_anything_but_a_refusal(header: str) -> None:
    assert not is_genuine(BODY, header)


@pytest.mark.parametrize(
    ("age", "tolerance", "fine"),
    [
        (0, 300, True), (300, 300, True), (300.5, 300, False), (86400, 300, False),
        (-300, 300, True), (-300.5, 300, False), (-86400, 300, False),
        (10, 5, False), (-10, 5, False), (0, 0, True), (1, 0, False), (float("nan"), 300, False),
    ],
)  # fmt: skip
def test_the_age_decides(age: float, tolerance: float, fine: bool) -> None:  # noqa: FBT001 - a row of the table
    assert is_genuine(BODY, HEADER, now=NOW + age, tolerance=tolerance) is fine


def test_the_message_says_which_clock_to_look_at() -> None:
    for age, words in ((1000, "1000 seconds ago"), (-1000, "1000 seconds in the future")):
        with pytest.raises(WebhookSignatureError, match=words):
            verify_signature(BODY, HEADER, SECRET, now=NOW + age)


def test_an_empty_secret_is_no_secret() -> None:
    with pytest.raises(ConfigurationError, match="secret is empty"):
        verify_signature(BODY, signed(secret=""), "", now=NOW)


@pytest.mark.parametrize("header", [None, *MALFORMED.values(), f"t={NOW},v1={'0' * 64}"])
def test_a_refusal_shows_nothing_of_the_call(header: str | None) -> None:
    with pytest.raises(OrVideoError) as caught:
        verify_signature(BODY, header, SECRET, now=NOW)
    for secret in (SECRET, DIGEST[:8], "abc123", str(NOW)):
        assert secret not in str(caught.value)
    assert caught.value.__cause__ is None


# ── What it says ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def body_of() -> Callable[..., bytes]:
    """A body with some of its data told otherwise."""

    def build(kind: str = "video.generation.completed", **data: Any) -> bytes:  # noqa: ANN401 - JSON
        fields = {"id": "abc123", "status": "completed", **data}
        return json.dumps({"type": kind, "created_at": "2026-04-24T12:00:00.000Z", "data": fields}).encode()

    return build


def test_a_completed_job_tells_its_cost(body_of: Callable[..., bytes]) -> None:
    body = body_of(
        generation_id="gen-xyz789",
        model="google/veo-3.1",
        unsigned_urls=["https://openrouter.ai/api/v1/videos/abc123/content?index=0"],
        usage={"cost": 0.5, "is_byok": False},
    )
    event = read_event(body)
    assert event.created_at is not None
    assert event.created_at.isoformat() == "2026-04-24T12:00:00+00:00"
    assert event.model_dump(exclude={"created_at"}) == {
        "type": "video.generation.completed",
        "job_id": "abc123",
        "status": "completed",
        "model": "google/veo-3.1",
        "generation_id": "gen-xyz789",
        "cost_usd": 0.5,
        "error": None,
    }


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("failed", "Content policy violation"),
        ("cancelled", "Job was cancelled"),
        ("expired", "Job exceeded maximum time to live"),
    ],
)
def test_a_job_without_a_video_tells_why(body_of: Callable[..., bytes], status: str, error: str) -> None:
    event = read_event(
        body_of(f"video.generation.{status}", status=status, error=error, model=None, generation_id=None)
    )
    assert (event.type, event.status, event.error) == (f"video.generation.{status}", status, error)
    assert (event.model, event.generation_id, event.cost_usd) == (None, None, None)


def test_the_least_that_openrouter_shows_is_enough() -> None:
    assert read_event(BODY).job_id == "abc123"


@pytest.mark.parametrize(
    "odd",
    [
        {"usage": {"cost": "much"}}, {"usage": {"cost": -1}}, {"usage": {"cost": float("nan")}}, {"usage": []},
        {"usage": {"cost": float("inf")}}, {"model": 3}, {"generation_id": {}}, {"urls": None, "new": [1]},
    ],
    ids=str,
)  # fmt: skip
def test_an_odd_optional_field_is_absent(body_of: Callable[..., bytes], odd: dict[str, Any]) -> None:
    event = read_event(body_of(**odd))
    assert (event.job_id, event.cost_usd, event.model, event.generation_id) == ("abc123", None, None, None)


def test_an_error_loses_its_secrets(body_of: Callable[..., bytes]) -> None:
    event = read_event(body_of(status="failed", error="see https://x.example/a?sig=s3cret with sk-or-test-1234"))
    assert event.error is not None
    assert "s3cret" not in event.error
    assert "1234" not in event.error


REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "not UTF-8": b"\xff\xfe{}",
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "deep": b"[" * 50_000,
    "no data": b'{"type":"video.generation.completed"}',
    "data of another shape": b'{"type":"video.generation.completed","data":[]}',
    "no id": b'{"type":"video.generation.completed","data":{"status":"completed"}}',
    "no status": b'{"type":"video.generation.completed","data":{"id":"abc123"}}',
    "another event": b'{"type":"image.generation.completed","data":{"id":"abc123","status":"completed"}}',
    "no type": b'{"data":{"id":"abc123","status":"completed"}}',
    "too long": BODY + b" " * MAX_BODY,
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_is_no_event_of_a_video_job_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookInvalidError):
        read_event(body)


@pytest.mark.parametrize("job_id", ["", "a b", "a\n", "a\x00", "é", "x" * 257, 7, None, ["a"]], ids=repr)
def test_an_id_that_cannot_be_asked_for_is_refused_and_not_shown(body_of: Callable[..., bytes], job_id: object) -> None:
    with pytest.raises(WebhookInvalidError, match=r"event of a video job: data\.id missing or not as documented"):
        read_event(body_of(id=job_id))


@given(
    body=st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(repr).map(str.encode)
)
def test_no_body_gets_anything_but_an_event_or_a_refusal(body: bytes) -> None:
    try:
        assert isinstance(read_event(body), WebhookEvent)
    except WebhookInvalidError as error:
        assert str(error).startswith("The webhook's body")  # noqa: PT017 - either is fine

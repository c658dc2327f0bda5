"""What is kept of an order: enough to compare what came with it, and nothing that is secret, big or changes."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.ledger.fingerprint import outline

BASE: dict[str, Any] = {"model": "google/veo-3.1", "prompt": "A lake"}
PICTURE = bytes(range(256)) * 64
PACKED = base64.b64encode(PICTURE).decode()
SHA256 = "sha256:" + hashlib.sha256(PICTURE).hexdigest()
KEY = "sk-or-test-5ec2e7"
#: What must not be found in an outline, whatever was ordered.
SECRET = (KEY, "s1gnature", "passw0rd", PACKED[:40])


def of(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - a request's fields
    shown = outline(VideoRequest.build(**{**BASE, **fields}))
    text = json.dumps(shown)
    assert json.loads(text) == shown
    assert [secret for secret in SECRET if secret in text] == []
    return shown


def frame(url: str) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": url}, "frame_type": "first_frame"}]


def shown_frame(url: str) -> str:
    found: str = of(frame_images=frame(url))["frame_images"][0]["image_url"]["url"]
    return found


def test_fields_are_kept_as_the_api_takes_them() -> None:
    fields: dict[str, Any] = {
        "aspect_ratio": "16:9",
        "duration": 8,
        "generate_audio": False,
        "resolution": "720p",
        "seed": 0,
        "upscale_factor": 1.5,
        "previous_job_id": "gen-vid-1-aaaaaaaaaaaaaaaaaaaa",
    }
    assert of(**fields) == {**BASE, **fields}


def test_what_was_not_ordered_is_not_there() -> None:
    assert of(seed=None) == BASE


def test_what_only_describes_the_call_is_not_kept() -> None:
    assert of(session_id="s", user="u", trace={"trace_id": "t"}, callback_url="https://h.example/?t=s1gnature") == BASE


def test_rendered_text_is_kept_as_the_number_that_goes_over_the_wire() -> None:
    assert of(duration="8", generate_audio="true") == {**BASE, "duration": 8, "generate_audio": True}


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{PACKED}",
        f"DATA:image/png;charset=utf-8;BASE64,{PACKED}",
        f"data:image/png;base64,{PACKED.rstrip('=')}",
    ],
)
def test_media_are_kept_as_their_sha256(url: str) -> None:
    assert shown_frame(url) == SHA256


def test_media_of_every_kind_of_reference_are_kept_as_their_sha256() -> None:
    references = [
        {"type": f"{kind}_url", f"{kind}_url": {"url": f"data:{kind}/x;base64,{PACKED}"}}
        for kind in ("image", "audio", "video")
    ]
    shown = of(input_references=references)["input_references"]
    assert [each[f"{kind}_url"]["url"] for each, kind in zip(shown, ("image", "audio", "video"), strict=True)] == [
        SHA256
    ] * 3


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://h.example/a.png", "https://h.example/a.png"),
        ("https://h.example/a.png?X-Amz-Signature=s1gnature&versionId=1", "https://h.example/a.png"),
        ("https://h.example/a.png?sig=s1gnature#s1gnature", "https://h.example/a.png"),
        ("HTTPS://h.example/a.png?sig=s1gnature", "https://h.example/a.png"),
        ("https://me:passw0rd@h.example:8443/a.png", "https://h.example:8443/a.png"),
        ("https://me:pass'w0rd@h.example/a.png", "https://h.example/a.png"),
        ("https://me:p@ssw0rd:passw0rd@h.example/a.png", "https://h.example/a.png"),
        (f"https://h.example/{KEY}/a.png", "https://h.example/sk-or-***/a.png"),
    ],
)
def test_addresses_are_kept_without_their_secrets(url: str, kept: str) -> None:
    assert shown_frame(url) == kept
    assert of(prompt=url)["prompt"] == kept


@pytest.mark.parametrize(
    "odd",
    [
        "https://[h.example/a.png?sig=s1gnature",
        "https://h.example/a b.png?sig=s1gnature",
        " https://h.example/a.png?sig=s1gnature",
        "//h.example/a.png https://h.example?sig=s1gnature",
        "s3://me:passw0rd@bucket/a.png?sig=s1gnature",
        f" data:image/png;base64,{PACKED}",
        f"see data:image/png;base64,{PACKED} and more",
    ],
)
def test_what_only_resembles_an_address_tells_no_secret_either(odd: str) -> None:
    assert of(prompt=odd)["prompt"]
    assert of(provider={"options": {"atlas": {"mask": odd}}})["provider"]["options"]["atlas"]["mask"]


def test_a_providers_own_options_are_treated_alike_however_deep() -> None:
    options = {
        "atlas": {
            "masks": [{"url": f"data:image/png;base64,{PACKED}"}, [f"data:image/png;base64,{PACKED}"]],
            "hook": {"to": ["https://me:passw0rd@h.example/x?sig=s1gnature"]},
            "note": f"the key is {KEY}, Bearer passw0rd",
            "strength": 0.5,
            "flags": [True, None, 3],
            KEY: 1,
        }
    }
    shown = of(provider={"options": options})["provider"]["options"]["atlas"]
    assert shown == {
        "masks": [{"url": SHA256}, [SHA256]],
        "hook": {"to": ["https://h.example/x"]},
        "note": "the key is sk-or-***, Bearer ***",
        "strength": 0.5,
        "flags": [True, None, 3],
        "sk-or-***": 1,
    }


@pytest.mark.parametrize(("length", "is_medium"), [(999, False), (1000, True)])
def test_a_thousand_characters_without_a_blank_are_a_medium(length: int, is_medium: bool) -> None:  # noqa: FBT001
    assert of(prompt="a" * length)["prompt"].startswith("sha256:") is is_medium


@pytest.mark.parametrize(
    "packed", [PACKED, "\n".join(PACKED[at : at + 76] for at in range(0, len(PACKED), 76)), PACKED.replace("+", "-")]
)
def test_media_without_a_data_url_are_not_kept_either(packed: str) -> None:
    shown = of(provider={"options": {"atlas": {"mask": packed}}})["provider"]["options"]["atlas"]["mask"]
    assert shown == "sha256:" + hashlib.sha256(packed.encode()).hexdigest()


@pytest.mark.parametrize(
    "prompt",
    [
        "A lake " * 1_000,
        "湖" * 2_000,
        "see https://h.example/lake, and a boat? Yes",
        "a" * 999,
    ],
    ids=["many words", "no blanks", "an address", "a long word"],
)
def test_a_prompt_is_kept_word_by_word(prompt: str) -> None:
    assert of(prompt=prompt)["prompt"] == prompt.strip()


def test_a_key_in_a_prompt_is_not_kept() -> None:
    assert of(prompt=f"use {KEY} please")["prompt"] == "use sk-or-*** please"


def test_a_prompt_without_end_is_cut() -> None:
    shown = of(prompt="word " * 100_000)["prompt"]
    assert len(shown) == 20_000
    assert shown.endswith("…")


def test_a_secret_at_the_cut_is_not_half_kept() -> None:
    for start in range(19_980, 20_001):
        text = json.dumps(of(prompt="x " * (start // 2) + KEY + " y" * 500))
        assert "5ec2" not in text


def test_the_same_order_has_the_same_outline_whatever_it_was_built_from() -> None:
    one = {"options": {"a": {"x": 1, "y": 2}, "b": {}}}
    other = {"options": {"b": {}, "a": {"y": 2, "x": 1}}}
    texts = {json.dumps(of(provider=each, duration=8), sort_keys=True) for each in (one, other, one)}
    assert len(texts) == 1


def test_an_outline_leaves_the_request_as_it_is() -> None:
    request = VideoRequest.build(**BASE, frame_images=frame(f"data:image/png;base64,{PACKED}"))
    before = request.to_wire()
    outline(request)
    assert request.to_wire() == before
    assert before["frame_images"][0]["image_url"]["url"].endswith(PACKED)

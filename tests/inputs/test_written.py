"""The short forms of ``frame_images`` and ``input_references``, and what a template makes of them."""

from __future__ import annotations

import json
from collections import UserList
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.api.schema import AudioReference, ImageReference, VideoReference, VideoRequest
from airflow_provider_orvideo.exceptions import RequestInvalidError
from airflow_provider_orvideo.inputs.written import written

FIRST, LAST = "s3://aws_default@media/first.png", "/srv/last.jpg"


def request_of(**values: Any) -> VideoRequest:  # noqa: ANN401 - an author's arguments
    return VideoRequest.build(**written({"model": "google/veo-3.1", **values}))


def frames(value: Any) -> list[tuple[str, str]] | None:  # noqa: ANN401
    found = request_of(frame_images=value).frame_images
    return None if found is None else [(frame.frame_type, frame.image_url.url) for frame in found]


def references(value: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    body = request_of(input_references=value).to_wire()
    return [(entry["type"], entry[entry["type"]]["url"]) for entry in body["input_references"]]


def api_frame(url: object, frame_type: str = "first_frame") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "frame_type": frame_type}


BOTH = [("first_frame", FIRST), ("last_frame", LAST)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(FIRST, BOTH[:1], id="one address"),
        pytest.param(f"  {FIRST}\n", BOTH[:1], id="one address with blanks around it"),
        pytest.param([FIRST], BOTH[:1], id="a list of one"),
        pytest.param([FIRST, LAST], BOTH, id="a list of two"),
        pytest.param((FIRST, Path(LAST)), BOTH, id="a tuple with a path"),
        pytest.param(UserList([FIRST, LAST]), BOTH, id="a sequence of another kind, as mapped tasks give it"),
        pytest.param({"first_frame": FIRST, "last_frame": LAST}, BOTH, id="by name"),
        pytest.param({"last_frame": LAST, "first_frame": FIRST}, BOTH, id="by name, in any order"),
        pytest.param({"last_frame": LAST}, BOTH[1:], id="the last alone"),
        pytest.param({"first_frame": None, "last_frame": LAST}, BOTH[1:], id="the first left out"),
        pytest.param({"first_frame": None, "last_frame": None}, None, id="both left out"),
        pytest.param([api_frame(FIRST), api_frame(LAST, "last_frame")], BOTH, id="as the API writes it"),
        pytest.param(api_frame(FIRST), BOTH[:1], id="one entry as the API writes it"),
        pytest.param([api_frame(Path(LAST), "last_frame")], BOTH[1:], id="a path inside an entry"),
        pytest.param(json.dumps([FIRST, LAST]), BOTH, id="JSON text"),
        pytest.param(repr([FIRST, LAST]), BOTH, id="Python text"),
        pytest.param(json.dumps(FIRST), BOTH[:1], id="JSON text of one address"),
        pytest.param(repr({"first_frame": FIRST, "last_frame": None}), BOTH[:1], id="Python text of a dict"),
        pytest.param([json.dumps(api_frame(FIRST))], BOTH[:1], id="an entry that a template made text of"),
        pytest.param(None, None, id="None"),
        pytest.param([], [], id="an empty list"),
    ],
)
def test_frames_may_be_written_in_short(value: object, expected: object) -> None:
    assert frames(value) == expected


def test_a_path_of_object_storage_keeps_its_connection() -> None:
    assert frames(ObjectStoragePath(FIRST)) == BOTH[:1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("https://h.example/style", [("image_url", "https://h.example/style")], id="no extension"),
        pytest.param("s3://media/a.PNG", [("image_url", "s3://media/a.PNG")], id="an image"),
        pytest.param(
            ["/srv/a.mp4", "/srv/a.mov"], [("video_url", "/srv/a.mp4"), ("video_url", "/srv/a.mov")], id="vid"
        ),
        pytest.param("https://h.example/a.mp3?sig=1", [("audio_url", "https://h.example/a.mp3?sig=1")], id="a query"),
        pytest.param("data:video/mp4;base64,AA", [("video_url", "data:video/mp4;base64,AA")], id="a media type"),
        pytest.param("data:image/png;base64,AA", [("image_url", "data:image/png;base64,AA")], id="a data URL"),
        pytest.param("https://[odd/a.mp4", [("image_url", "https://[odd/a.mp4")], id="a URL that is none"),
        pytest.param(
            ["/srv/a.png", {"type": "audio_url", "audio_url": {"url": "/srv/b"}}],
            [("image_url", "/srv/a.png"), ("audio_url", "/srv/b")],
            id="both forms",
        ),
        pytest.param(
            {"type": "video_url", "video_url": {"url": Path("/srv/b.mp4")}},
            [("video_url", "/srv/b.mp4")],
            id="an entry",
        ),
        pytest.param(
            "['/srv/a.png', '/srv/b.wav']", [("image_url", "/srv/a.png"), ("audio_url", "/srv/b.wav")], id="rpr"
        ),
    ],
)
def test_references_may_be_written_in_short_and_their_name_suggests_what_they_are(
    value: object, expected: object
) -> None:
    assert references(value) == expected


def test_only_a_type_that_the_author_wrote_counts_as_set() -> None:
    entry = {"type": "image_url", "image_url": {"url": "/srv/b.png"}}
    found = request_of(input_references=["/srv/a.png", "/srv/a.mp4", "/srv/a.mp3", entry]).input_references
    assert found is not None
    assert [type(each) for each in found] == [ImageReference, VideoReference, AudioReference, ImageReference]
    assert ["type" in each.model_fields_set for each in found] == [False, False, False, True]


def test_everything_else_is_left_as_it_is_and_the_arguments_too() -> None:
    values = {"model": "m", "prompt": "['a']", "trace": '{"a": 1}', "duration": "4", "frame_images": [FIRST]}
    before = dict(values)
    spelt = written(values)
    assert values == before
    assert {**spelt, "frame_images": values["frame_images"]} == values
    assert written({"model": "m"}) == {"model": "m"}


# ── What cannot be read ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            "pics/first.png",
            "'frame_images' is 'pics/first.png', which names no place for sure: it must be an HTTPS URL",
        ),
        ("first.png", "names no place for sure"),
        ("~/first.png", "names no place for sure"),
        ("s3:/media/first.png", "names no place for sure"),
        ("null", "names no place for sure"),
        ("file://first.png", "names no place for sure"),
        ("", "'frame_images' is empty"),
        ("None", "'frame_images' is the word None: its template found nothing; mend it, or pass None."),
        ({"first_frame": FIRST, "last_frame": "None"}, "'frame_images.last_frame' is the word None"),
        ([FIRST, "last.png"], "'frame_images[1]' is 'last.png'"),
        ([FIRST, LAST, LAST], "'frame_images' has 3 addresses: it must be one address (the first frame)"),
        ([FIRST, None], "'frame_images[1]' is None"),
        ([FIRST, api_frame(LAST)], "'frame_images[0]' is an address among entries"),
        ([api_frame("last.png")], "'frame_images[0].image_url.url' is 'last.png'"),
        ({"first": FIRST}, "'frame_images' has the keys 'first': it must be"),
        ({}, "'frame_images' has no key"),
        ({"first_frame": 7}, "'frame_images.first_frame' is a int"),
        (7, "'frame_images' is a int"),
        (b"/srv/a.png", "'frame_images' is a bytes"),
        ("[PosixPath('/srv/a.png')]", "'frame_images' is text that begins like a list"),
        ("{{ unrendered }}", "neither JSON nor Python"),
    ],
)
def test_frames_that_cannot_be_read_are_named_with_what_is_allowed(value: object, words: str) -> None:
    with pytest.raises(RequestInvalidError) as caught:
        frames(value)
    assert words in str(caught.value)
    assert str(caught.value).startswith("The video request was not sent, nothing was spent. ")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("style.png", "'input_references' is 'style.png'"),
        ([FIRST, "style.png"], "'input_references[1]' is 'style.png'"),
        ([None], "'input_references[0]' is None"),
        (7, "'input_references' is a int: it must be an address"),
        ([{"type": "video_url", "video_url": {"url": "a.mp4"}}], "'input_references[0].video_url.url' is 'a.mp4'"),
        ("[1, 2", "'input_references' is text that begins like a list"),
        # What else is wrong with an entry, the schema says.
        ([{"url": FIRST}], "'input_references.0'"),
        ([7], "'input_references.0'"),
    ],
)
def test_references_that_cannot_be_read_are_named_with_what_is_allowed(value: object, words: str) -> None:
    with pytest.raises(RequestInvalidError) as caught:
        references(value)
    assert words in str(caught.value)


def test_both_fields_are_told_about_at_once() -> None:
    with pytest.raises(RequestInvalidError) as caught:
        written({"frame_images": "a.png", "input_references": "b.png"})
    assert len(caught.value.problems) == 2


PNG_BASE64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        (PNG_BASE64, "iVBORw0KGgo"),
        # A JPEG in base64 begins like an absolute path.
        ("/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRof", "4AAQ"),
        ("x" * 2000, "xxxx"),
        ("oops data:image/png;base64,iVBORw0KGgo", "iVBOR"),
        ("h.example/a.png?X-Amz-Signature=abc https://u:pw@h.example/?sig=abc", "u:pw"),
        ([{"first_frame": PNG_BASE64}], "iVBORw0KGgo"),
        ({PNG_BASE64: FIRST}, "iVBORw0KGgo"),
    ],
)
def test_what_is_wrong_is_told_without_content_or_secret(value: object, secret: str) -> None:
    with pytest.raises(RequestInvalidError) as caught:
        frames(value)
    assert secret not in str(caught.value)
    assert secret not in repr(caught.value)

"""The identity of an order: what makes it another video, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.ledger.record import fingerprint

FRAME = {"image_url": {"url": "https://example.com/a.png"}, "frame_type": "first_frame"}
REFERENCE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
BASE: dict[str, Any] = {"model": "google/veo-3.1", "prompt": "A lake"}

#: Field of the request, and two values of it that give two videos.
SHAPES_THE_VIDEO: dict[str, tuple[Any, Any]] = {
    "model": ("google/veo-3.1", "google/veo-3.1-fast"),
    "prompt": ("A lake", "A lake "),
    "aspect_ratio": ("16:9", "9:16"),
    "creativity": (0, 1),
    "duration": (4, 8),
    "frame_images": ([FRAME], [{**FRAME, "frame_type": "last_frame"}]),
    "generate_audio": (True, False),
    "input_references": (
        [REFERENCE],
        [REFERENCE, {"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}}],
    ),
    "previous_job_id": ("gen-vid-1-aaaaaaaaaaaaaaaaaaaa", "gen-vid-1-bbbbbbbbbbbbbbbbbbbb"),
    "provider": ({"options": {"atlas": {"negative_prompt": "blur"}}}, {"options": {"atlas": {"negative_prompt": ""}}}),
    "resolution": ("720p", "1080p"),
    "seed": (0, 1),
    "size": ("1280x720", "720x1280"),
    "upscale_factor": (1.5, 2),
}
DESCRIBES_THE_CALL: dict[str, Any] = {
    "callback_url": "https://hooks.example.com/1",
    "session_id": "try-2",
    "trace": {"trace_id": "2"},
    "user": "someone",
}


def of(conn_id: str = "c", base_url: str = "https://openrouter.ai/api/v1", **fields: Any) -> str:  # noqa: ANN401
    return fingerprint(VideoRequest.build(**{**BASE, **fields}), conn_id=conn_id, base_url=base_url)


def test_every_field_of_the_request_is_one_or_the_other() -> None:
    assert set(VideoRequest.model_fields) == SHAPES_THE_VIDEO.keys() | DESCRIBES_THE_CALL.keys()


@pytest.mark.parametrize("name", SHAPES_THE_VIDEO)
def test_each_field_that_shapes_the_video_makes_another_order(name: str) -> None:
    one, other = SHAPES_THE_VIDEO[name]
    prints = {of(**{name: one}), of(**{name: other})}
    if name not in BASE:
        prints.add(of())
    assert len(prints) == (2 if name in BASE else 3)


@pytest.mark.parametrize("name", DESCRIBES_THE_CALL)
def test_what_describes_the_call_only_is_the_same_order(name: str) -> None:
    assert of(**{name: DESCRIBES_THE_CALL[name]}) == of()


def test_who_pays_and_where_makes_another_order() -> None:
    assert len({of(), of(conn_id="other"), of(base_url="https://eu.openrouter.ai/api/v1")}) == 3


def test_the_order_of_keys_does_not_matter() -> None:
    one = {"options": {"a": {"x": 1, "y": {"p": 1, "q": 2}}, "b": {}}}
    other = {"options": {"b": {}, "a": {"y": {"q": 2, "p": 1}, "x": 1}}}
    assert of(provider=one) == of(provider=other)
    backwards = VideoRequest.build(prompt=BASE["prompt"], model=BASE["model"])
    assert fingerprint(backwards, conn_id="c", base_url="https://openrouter.ai/api/v1") == of()


def test_the_order_of_frames_and_references_does_matter() -> None:
    other = {**REFERENCE, "image_url": {"url": "https://example.com/b.png"}}
    assert of(input_references=[REFERENCE, other]) != of(input_references=[other, REFERENCE])


def test_numbers_as_rendered_text_are_the_same_order() -> None:
    assert of(duration="8", seed="7", generate_audio="true") == of(duration=8, seed=7, generate_audio=True)


def test_a_field_set_to_none_is_a_field_not_set() -> None:
    assert of(seed=None, trace=None) == of()


@pytest.mark.parametrize("name", ["frame_images", "input_references"])
def test_media_in_data_urls_counts_by_content(name: str) -> None:
    def with_media(content: str) -> str:
        medium = FRAME if name == "frame_images" else REFERENCE
        media: dict[str, Any] = {name: [{**medium, "image_url": {"url": f"data:image/png;base64,{content}"}}]}
        return of(**media)

    big = "A" * 200_000
    assert with_media(big + "B") != with_media(big + "C")
    assert with_media(big) == with_media(big)


def test_a_fingerprint_shows_nothing_of_the_order() -> None:
    print_ = of(prompt="something private")
    assert len(print_) == 64
    assert set(print_) <= set("0123456789abcdef")

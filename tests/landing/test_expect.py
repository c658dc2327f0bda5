"""Orders compared with what came."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.landing.expect import Expected, differences, expected_from
from airflow_provider_orvideo.landing.probe import Probe


def came(**changes: Any) -> Probe:  # noqa: ANN401 - a probe's fields
    seen: dict[str, Any] = {"duration_s": 8.0, "width": 1280, "height": 720, "fps": 24.0, "has_audio": True}
    return Probe(**{**seen, "video_codec": "h264", "audio_codec": "aac", **changes})


def request(**fields: Any) -> VideoRequest:  # noqa: ANN401 - a request's fields
    return VideoRequest.build(model="google/veo-3.1", prompt="a private red boat", **fields)


# ── From a request ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_not_ordered_is_not_expected() -> None:
    assert expected_from(request().to_wire()) == Expected()


def test_the_fields_of_an_order_are_expected() -> None:
    order = request(duration=8, resolution="720p", aspect_ratio="16:9", generate_audio=False)
    assert expected_from(order.to_wire()) == Expected(duration_s=8, resolution="720p", aspect_ratio="16:9", audio=False)


def test_a_size_stands_instead_of_resolution_and_aspect_ratio() -> None:
    order = request(size="1280x720", resolution="1080p", aspect_ratio="1:1")
    assert expected_from(order.to_wire()) == Expected(width=1280, height=720)


def test_a_size_beyond_all_pictures_is_not_expected() -> None:
    assert expected_from(request(size=f"{'9' * 30}x720", resolution="720p").to_wire()) == Expected(resolution="720p")


def test_how_long_a_continued_film_is_cannot_be_known() -> None:
    order = request(duration=8, previous_job_id="gen-vid-1-abc", generate_audio=True)
    assert expected_from(order.to_wire()) == Expected(audio=True)


# ── Differences ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_came_as_ordered_has_no_differences() -> None:
    order = request(duration=8, resolution="720p", aspect_ratio="16:9", generate_audio=True)
    assert differences(expected_from(order.to_wire()), came()) == ()
    assert differences(expected_from(request(size="1280x720").to_wire()), came()) == ()


def test_nothing_ordered_and_nothing_seen_is_nothing_different() -> None:
    assert differences(Expected(), came(duration_s=None, width=1, height=1, has_audio=False)) == ()
    assert differences(Expected(duration_s=8, width=1, height=1, audio=True), None) == ()
    assert differences(Expected(duration_s=8), came(duration_s=None)) == ()


def test_each_difference_is_a_sentence_with_both_values() -> None:
    order = Expected(duration_s=8, resolution="1080p", aspect_ratio="9:16", audio=False)
    assert differences(order, came(duration_s=5.04)) == (
        "The duration is 5.04 s, 8 s were ordered.",
        "The size is 1280x720, the resolution 1080p was ordered.",
        "The aspect ratio is 1.78:1 (1280x720), 9:16 was ordered.",
        "There is an audio track (aac), a film without sound was ordered.",
    )
    assert differences(Expected(width=1920, height=1080, audio=True), came(has_audio=False)) == (
        "The size is 1280x720, 1920x1080 was ordered.",
        "There is no audio track, sound was ordered.",
    )
    assert differences(Expected(audio=False), came(audio_codec=None)) == (
        "There is an audio track, a film without sound was ordered.",
    )


@pytest.mark.parametrize(
    ("ordered", "seconds", "same"),
    [
        (4, 4.04, True),  # seen from Seedance
        (4, 4.5, True),
        (4, 3.5, True),
        (4, 4.501, False),
        (4, 3.499, False),
        (4, 5.0, False),
        (1, 0.5, True),
        (1, 0.0, False),
        (20, 21.0, True),
        (20, 21.01, False),
    ],
)
def test_a_duration_may_be_off_by_less_than_tells_two_orders_apart(ordered: int, seconds: float, same: bool) -> None:  # noqa: FBT001 - parametrized
    assert (differences(Expected(duration_s=ordered), came(duration_s=seconds)) == ()) is same


@pytest.mark.parametrize(
    ("size", "same"),
    [
        ((1920, 1080), True),
        ((1920, 1088), True),
        ((1904, 1080), True),
        ((1903, 1080), False),
        ((1920, 1097), False),
        ((1080, 1920), False),
    ],
)
def test_a_size_may_be_rounded_to_blocks(size: tuple[int, int], same: bool) -> None:  # noqa: FBT001 - parametrized
    seen = came(width=size[0], height=size[1])
    assert (differences(Expected(width=1920, height=1080), seen) == ()) is same


@pytest.mark.parametrize(
    ("word", "size", "same"),
    [
        ("480p", (854, 480), True),
        ("480p", (480, 854), True),
        ("480p", (864, 496), True),
        ("480p", (480, 480), True),
        ("480p", (640, 640), True),  # seen from Seedance: one number of pixels for all aspect ratios
        ("480p", (752, 560), True),  # as many in 4:3, in blocks of 16
        ("480p", (700, 650), False),
        ("480p", (1280, 720), False),
        ("480p", (640, 360), False),
        ("720p", (960, 960), True),
        ("720p", (1680, 720), True),
        ("720p", (1366, 768), False),
        ("768p", (1366, 768), True),
        ("1080p", (1920, 1088), True),
        ("1080p", (1280, 720), False),
        ("360p", (640, 360), True),
        ("4K", (3840, 2160), True),
        ("4K", (2160, 3840), True),
        ("4K", (1920, 1080), False),
    ],
)
def test_a_resolution_is_a_short_side_or_a_number_of_pixels(word: str, size: tuple[int, int], same: bool) -> None:  # noqa: FBT001 - parametrized
    seen = came(width=size[0], height=size[1])
    assert (differences(Expected(resolution=word), seen) == ()) is same


@pytest.mark.parametrize("word", ["1K", "2K", "8K", "native", "auto", "0p", "720", "720P!", ""])
def test_a_resolution_that_no_source_explains_is_not_judged(word: str) -> None:
    assert differences(Expected(resolution=word), came(width=16, height=16)) == ()


@pytest.mark.parametrize(
    ("word", "size", "same"),
    [
        ("16:9", (1280, 720), True),
        ("16:9", (864, 496), True),  # 480p in blocks of 16
        ("16:9", (720, 1280), False),
        ("16:9", (1080, 720), False),
        ("21:9", (1120, 480), True),
        ("21:9", (1280, 720), False),
        ("4:3", (736, 544), True),
        ("4:3", (1080, 720), False),
        ("1:1", (640, 640), True),
        ("1:1", (640, 616), False),
    ],
)
def test_an_aspect_ratio_may_be_off_by_what_rounding_does(word: str, size: tuple[int, int], same: bool) -> None:  # noqa: FBT001 - parametrized
    seen = came(width=size[0], height=size[1])
    assert (differences(Expected(aspect_ratio=word), seen) == ()) is same


@pytest.mark.parametrize("word", ["auto", "0:1", "1:0", "16:9:1", "adaptive", ""])
def test_an_aspect_ratio_that_is_none_is_not_judged(word: str) -> None:
    assert differences(Expected(aspect_ratio=word), came(width=16, height=1600)) == ()

"""How many pixels a resolution has: the short side at most models, the area at Seedance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.preflight.pixels import (
    ASPECT_RATIOS,
    read_aspect_ratio,
    read_resolution,
    read_size,
    resolution_name,
    resolutions_of,
    sizes_of,
)

if TYPE_CHECKING:
    from fractions import Fraction


def ratio(text: str) -> Fraction:
    found = read_aspect_ratio(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "side"),
    [("480p", 480), ("720p", 720), ("1080P", 1080), ("1K", 1024), ("2K", 1440), ("4K", 2160), ("4k", 2160)],
)
def test_a_resolution_is_the_length_of_its_short_side(name: str, side: int) -> None:
    assert read_resolution(name) == side
    assert resolution_name(side).lower() == name.lower()


def test_one_resolution_under_two_names_is_one() -> None:
    assert read_resolution("1024p") == read_resolution("1K")


@pytest.mark.parametrize("name", ["", "720", "p", "HD", "3K", "0720p", "7200000p", "720p ", "-720p"])
def test_another_text_is_no_resolution(name: str) -> None:
    assert read_resolution(name) is None


@pytest.mark.parametrize("text", ["", "16", "16:0", "0:9", "16/9", "adaptive", "16:9:1", "160:90"])
def test_another_text_is_no_aspect_ratio(text: str) -> None:
    assert read_aspect_ratio(text) is None


@pytest.mark.parametrize("text", ["", "1280", "1280X720", "0x1", "01x1", "123456x1", "1280 x 720"])
def test_another_text_is_no_size(text: str) -> None:
    assert read_size(text) is None


def names(resolution: int, aspect: str, *listed: str) -> list[str]:
    return [str(size) for size in sizes_of(resolution, ratio(aspect), filter(None, map(read_size, listed)))]


@pytest.mark.parametrize(
    ("resolution", "aspect", "sizes"),
    [
        (720, "16:9", ["1280x720"]),
        (720, "9:16", ["720x1280"]),
        (1080, "16:9", ["1920x1080"]),
        (2160, "16:9", ["3840x2160"]),
        # Both layouts: the short side kept, and the area kept.
        (480, "1:1", ["480x480", "640x640"]),
        (480, "16:9", ["854x480", "864x496"]),
        (480, "3:4", ["480x640", "560x752"]),
        (720, "21:9", ["1680x720", "1470x630"]),
        (1080, "1:1", ["1080x1080", "1440x1440"]),
    ],
)
def test_where_a_model_lists_nothing_both_layouts_are_possible(resolution: int, aspect: str, sizes: list[str]) -> None:
    assert names(resolution, aspect) == sizes


def test_a_model_that_lists_the_real_size_is_taken_at_its_word() -> None:
    assert names(480, "1:1", "864x496", "640x640") == ["640x640"]
    assert names(480, "9:16", "864x496", "496x864") == ["496x864"]


def test_a_model_that_lists_only_the_short_side_is_not() -> None:
    assert names(480, "1:1", "480x480", "720x720") == ["480x480", "640x640"]


def test_a_size_that_a_model_lists_comes_before_an_arithmetical_one() -> None:
    assert names(768, "16:9", "1366x768") == ["1366x768"]


@pytest.mark.parametrize(
    ("size", "resolutions"),
    [
        ("1280x720", (720,)),
        ("720x1280", (720,)),
        ("1792x1024", (1024,)),
        ("640x640", (480,)),
        ("432x992", (480,)),
        ("834x1112", (720,)),
        ("1440x1440", (1080, 1440)),
        ("3840x2160", (2160,)),
        ("1000x900", ()),
        ("5000x10", ()),
    ],
)
def test_a_size_names_its_resolution_in_either_layout(size: str, resolutions: tuple[int, ...]) -> None:
    found = read_size(size)
    assert found is not None
    assert resolutions_of(found) == resolutions


@pytest.mark.parametrize("aspect", ASPECT_RATIOS)
@pytest.mark.parametrize("resolution", [360, 480, 720, 768, 1024, 1080, 1440, 2160])
def test_sizes_have_the_ordered_shape_and_lead_back_to_their_resolution(resolution: int, aspect: str) -> None:
    for size in sizes_of(resolution, ratio(aspect)):
        assert size.has_ratio(ratio(aspect))
        assert size.width % 2 == size.height % 2 == 0
        assert resolution in resolutions_of(size)

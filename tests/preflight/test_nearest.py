"""The nearest allowed value, each kind by itself: what counts as near, which of two it is, and where nothing is."""

from __future__ import annotations

import pytest

from airflow_provider_orvideo.preflight.nearest import (
    nearest_name,
    nearest_number,
    nearest_ratio,
    nearest_resolution,
    nearest_size,
)

ARABIC_720P = "7\u0662\u0660p"
ARABIC_16_9 = "\u0661\u0666:\u0669"


def test_where_nothing_is_allowed_nothing_is_near() -> None:
    assert nearest_number(4, []) is None
    assert nearest_resolution("720p", []) is None
    assert nearest_resolution("720p", ["pretty"]) is None
    assert nearest_ratio("16:9", []) is None
    assert nearest_ratio("16:9", ["pretty"]) is None
    assert nearest_size("1280x720", []) is None
    assert nearest_size("1280x720", ["pretty"]) is None
    assert nearest_name("seed", []) is None


@pytest.mark.parametrize("odd", ["pretty", "", "0", "0x9", "16:0", ARABIC_720P, ARABIC_16_9])
def test_what_says_no_number_is_near_to_nothing(odd: str) -> None:
    assert nearest_resolution(odd, ["480p", "720p"]) is None
    assert nearest_ratio(odd, ["16:9", "1:1"]) is None
    assert nearest_size(odd, ["1280x720", "720x720"]) is None


@pytest.mark.parametrize(
    ("value", "allowed", "near"),
    [
        # the shape counts: the smaller one that is alike before the larger one that lies on its side
        ("1280x720", ["720x1280", "640x360"], "640x360"),
        # so does the scale, half as much
        ("1280x720", ["960x960", "800x450"], "800x450"),
        ("1280x720", ["960x960", "640x360"], "960x960"),
        # small differences count, too
        ("1280x720", ["1000x562", "1281x721"], "1281x721"),
        ("1280x720", ["1281x721", "1000x562"], "1281x721"),
        # of two, the one with fewer pixels, whichever is listed first
        ("1280x720", ["2560x1440", "640x360"], "640x360"),
        ("1280x720", ["640x360", "2560x1440"], "640x360"),
    ],
)
def test_a_size_is_near_by_its_shape_and_its_scale(value: str, allowed: list[str], near: str) -> None:
    assert nearest_size(value, allowed) == near


@pytest.mark.parametrize("written", ["a b c d", "A_B_C_D", "a.b.c.d", "a/b/c/d", "a-b-c-d"])
def test_a_name_is_found_whatever_stands_between_its_parts(written: str) -> None:
    assert nearest_name(written, ["seed", "abcd"]) == "abcd"


def test_a_name_is_found_whatever_stands_between_the_parts_of_the_known_one() -> None:
    assert nearest_name("abcd", ["seed", "a_b_c_d"]) == "a_b_c_d"

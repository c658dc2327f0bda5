"""What a request will cost: against bills of the live API, and against figures worked out by hand from price lists."""

# ruff: noqa: RUF001 - derivations are written with a real multiplication sign

from __future__ import annotations

import json
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest
from airflow_provider_orvideo.preflight.pricing import Estimate, estimate

#: Models as the live catalogue listed them: ids, capabilities and prices of two months.
LISTS = json.loads(Path(__file__).with_name("price_lists.json").read_text(encoding="utf-8"))
JUNE, OCTOBER = ({entry["id"]: entry for entry in LISTS[month]} for month in ("2026-06", "2026-10"))

FRAME = {"image_url": {"url": "https://example.com/a.png"}, "frame_type": "first_frame"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
AUDIO = {"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}}
VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}
EARLIER = "gen-vid-1790000000-aaaaaaaaaaaaaaaaaaaa"


def asked(entry: dict[str, Any], **fields: Any) -> Estimate:  # noqa: ANN401 - fields of the request
    model = VideoModel.model_validate(entry)
    return estimate(VideoRequest.build(model=model.id, prompt="A lake", **fields), model)


def priced(skus: dict[str, str] | None, capabilities: dict[str, Any] | None = None, **fields: Any) -> Estimate:  # noqa: ANN401
    """Four seconds in 720p of a made-up model, unless the fields say otherwise."""
    entry = {"id": "test/model", "generate_audio": False, "pricing_skus": skus, **(capabilities or {})}
    return asked(entry, **{"duration": 4, "resolution": "720p", "aspect_ratio": "16:9", **fields})


def exactly(found: Estimate) -> Decimal:
    assert found.low == found.high, str(found)
    assert found.high is not None, str(found)
    return found.high


# ── Bills of the live API ────────────────────────────────────────────────────────────────────────────────────────────


def test_veo_lite_costs_what_was_billed() -> None:
    found = asked(OCTOBER["google/veo-3.1-lite"], duration=4, resolution="720p", generate_audio=False)
    assert exactly(found) == Decimal("0.12")
    assert found.derivation == "4 s × $0.03 duration_seconds_without_audio_720p"


def test_grok_with_an_image_costs_what_was_billed() -> None:
    found = asked(OCTOBER["x-ai/grok-imagine-video"], duration=1, resolution="480p", frame_images=[FRAME])
    assert exactly(found) == Decimal("0.052")
    assert found.derivation == (
        "1 s × 5¢ cents_per_video_output_second_480p + 1 input image × 0.2¢ cents_per_image_input"
    )


def test_seedance_mini_costs_at_most_what_was_billed_for_its_real_pixels_and_one_more_frame() -> None:
    found = asked(OCTOBER["bytedance/seedance-2.0-mini"], duration=4, resolution="480p", aspect_ratio="1:1")
    assert found.usd == found.high == Decimal("0.1358")
    # 640 x 640 x 96 frames / 1024, without the extra frame.
    assert found.low == Decimal("0.1344")
    assert "38800 tokens (640x640, 97 frames) × $0.0000035 video_tokens" in found.derivation


def test_an_estimate_is_not_a_cap() -> None:
    found = asked(OCTOBER["alibaba/wan-3.0"], duration=2, resolution="480p")
    assert exactly(found) == Decimal("0.10")
    billed = Decimal("0.2125")
    assert billed > exactly(found) * 2


# ── Single prices ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("entry", "fields", "usd", "derivation"),
    [
        (
            OCTOBER["google/veo-3.1"],
            {"duration": 8, "resolution": "1080p"},
            "3.20",
            "8 s × $0.40 duration_seconds_with_audio",
        ),
        (
            OCTOBER["google/veo-3.1"],
            {"duration": 8, "resolution": "4K"},
            "4.80",
            "8 s × $0.60 duration_seconds_with_audio_4k",
        ),
        (
            OCTOBER["google/veo-3.1"],
            {"duration": 6, "size": "2160x3840", "generate_audio": False},
            "2.40",
            "6 s × $0.40 duration_seconds_without_audio_4k",
        ),
        (
            JUNE["google/veo-3.1-fast"],
            {"duration": 4, "resolution": "1080p"},
            "0.48",
            "4 s × $0.12 duration_seconds_with_audio",
        ),
        (
            JUNE["google/veo-3.1-fast"],
            {"duration": 4, "size": "720x1280"},
            "0.40",
            "4 s × $0.10 duration_seconds_with_audio_720p",
        ),
        (JUNE["alibaba/wan-2.7"], {"duration": 2}, "0.20", "2 s × $0.10 duration_seconds"),
        (
            JUNE["alibaba/wan-2.6"],
            {"duration": 5, "resolution": "1080p", "frame_images": [FRAME]},
            "0.75",
            "5 s × $0.15 image_to_video_duration_seconds_1080p",
        ),
        (
            JUNE["alibaba/wan-2.6"],
            {"duration": 5, "resolution": "480p"},
            "0.20",
            "5 s × $0.04 text_to_video_duration_seconds_480p",
        ),
        (
            JUNE["kwaivgi/kling-v3.0-pro"],
            {"duration": 3, "generate_audio": False},
            "0.336",
            "3 s × $0.112 text_to_video_duration_seconds_720p",
        ),
        (
            JUNE["openai/sora-2-pro"],
            {"duration": 4, "size": "1792x1024"},
            "2.00",
            "4 s × $0.50 duration_seconds_1024p",
        ),
        (
            OCTOBER["minimax/hailuo-3"],
            {"duration": 6, "input_references": [IMAGE, IMAGE]},
            "0.86",
            "6 s × $0.13 duration_seconds + 2 input references × $0.04 reference_images",
        ),
        (
            OCTOBER["heygen/heygen-video-1"],
            {"duration": 10, "resolution": "768p", "input_references": [IMAGE]},
            "0.60",
            "10 s × $0.06 reference_duration_seconds_768p",
        ),
        (OCTOBER["runway/gen-4.5"], {"duration": 5}, "0.60", "5 s × 12¢ cents_per_second_output"),
        (
            OCTOBER["runway/aleph-2"],
            {"duration": 1},
            "0.56",
            "56¢ minimum_cents_per_generation, more than 1 s × 28¢ cents_per_second_output",
        ),
        (OCTOBER["runway/aleph-2"], {"duration": 2}, "0.56", "2 s × 28¢ cents_per_second_output"),
        (
            OCTOBER["black-forest-labs/flux-3-video"],
            {"duration": 2, "resolution": "1080p"},
            "0.58",
            "2 s × 29¢ cents_per_second_output_1080p",
        ),
        (
            OCTOBER["black-forest-labs/flux-3-video"],
            {"duration": 4, "resolution": "720p", "previous_job_id": EARLIER},
            "1.64",
            "4 s × 41¢ cents_per_second_video_continuation_720p",
        ),
        (
            OCTOBER["x-ai/grok-imagine-video-1.5"],
            {"duration": 2, "resolution": "1080p", "input_references": [IMAGE, IMAGE]},
            "0.52",
            "2 s × 25¢ cents_per_video_output_second_1080p + 2 input images × 1¢ cents_per_image_input",
        ),
    ],
)
def test_a_request_that_says_all_has_one_price(
    entry: dict[str, Any], fields: dict[str, Any], usd: str, derivation: str
) -> None:
    found = asked(entry, **fields)
    assert exactly(found) == Decimal(usd)
    assert found.derivation == derivation
    assert found.is_known
    assert found.reason is None


@pytest.mark.parametrize(
    ("skus", "fields", "usd"),
    [
        ({"duration_seconds": "0.1", "duration_seconds_720p": "0.2"}, {}, "0.8"),
        ({"duration_seconds": "0.1", "duration_seconds_1080p": "0.2"}, {}, "0.4"),
        ({"duration_seconds": "0.2", "duration_seconds_with_audio": "0.05"}, {"generate_audio": True}, "0.2"),
        ({"duration_seconds_720p": "0.2", "text_to_video_duration_seconds_720p": "0.1"}, {}, "0.4"),
        (
            {"cents_per_second_output": "9", "cents_per_second_output_720p": "8", "cents_per_image_input": "0"},
            {"frame_images": [FRAME]},
            "0.32",
        ),
        # The API ignores references beside frames.
        (
            {"duration_seconds": "0.1", "reference_images": "5"},
            {"frame_images": [FRAME], "input_references": [IMAGE]},
            "0.4",
        ),
        (
            {"cents_per_second_output": "10", "minimum_cents_per_generation": "41", "cents_per_image_input": "1"},
            {"frame_images": [FRAME, {**FRAME, "frame_type": "last_frame"}]},
            "0.42",
        ),
        # 1280 x 720 = 0.9216 megapixels.
        ({"cents_per_megapixel_second_precise": "10"}, {"creativity": 0}, "0.36864"),
        (
            {"cents_per_megapixel_second_precise": "10", "cents_per_megapixel_second_creative": "20"},
            {"creativity": 1, "size": "1000x1000", "resolution": None},
            "0.8",
        ),
    ],
)
def test_the_most_specific_price_is_taken_and_inputs_come_on_top(
    skus: dict[str, str], fields: dict[str, Any], usd: str
) -> None:
    assert exactly(priced(skus, **fields)) == Decimal(usd)


def test_dollars_and_cents_are_not_mistaken_for_each_other() -> None:
    assert exactly(priced({"duration_seconds": "5"})) == 20
    assert exactly(priced({"cents_per_second_output": "5"})) == Decimal("0.20")


def test_the_callers_rounding_does_not_touch_the_sum() -> None:
    with localcontext(prec=3):
        found = priced({"duration_seconds": "0.1234567"}, duration=9)
        assert found.usd == Decimal("1.1111103")
        assert str(found) == "$1.11111 = 9 s × $0.1234567 duration_seconds"


# ── Sound ────────────────────────────────────────────────────────────────────────────────────────────────────────────

BOTH = {"duration_seconds_with_audio": "0.40", "duration_seconds_without_audio": "0.20"}


@pytest.mark.parametrize(("makes_sound", "usd", "word"), [(True, "1.6", "on"), (False, "0.8", "off")])
def test_sound_that_is_not_set_is_billed_as_the_model_makes_it(*, makes_sound: bool, usd: str, word: str) -> None:
    found = priced(BOTH, {"generate_audio": makes_sound})
    assert exactly(found) == Decimal(usd)
    assert found.notes == (f"'generate_audio' is not set: the model's default is {word}",)


@pytest.mark.parametrize(("asked_for", "usd"), [(True, "1.6"), (False, "0.8")])
def test_sound_that_is_set_is_billed_as_set(*, asked_for: bool, usd: str) -> None:
    found = priced(BOTH, {"generate_audio": not asked_for}, generate_audio=asked_for)
    assert exactly(found) == Decimal(usd)
    assert found.notes == ()


def test_sound_that_nobody_tells_is_a_range() -> None:
    found = priced(BOTH, {"generate_audio": None})
    assert (found.low, found.high) == (Decimal("0.8"), Decimal("1.6"))
    assert "'generate_audio' is not set" in str(found)


# ── Ranges ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_set_ranges_over_what_the_model_supports() -> None:
    found = asked(JUNE["google/veo-3.1-fast"])
    assert (found.low, found.high, found.usd) == (Decimal("0.40"), Decimal("2.40"), Decimal("2.40"))
    assert str(found) == (
        "$0.40 to $2.40 = 4 s × $0.10 duration_seconds_with_audio_720p "
        "to 8 s × $0.30 duration_seconds_with_audio_4k ('duration' is not set: 4 to 8 s; "
        "'resolution' is not set: 720p, 1080p, 4K; 'generate_audio' is not set: the model's default is on)"
    )


def test_what_no_price_depends_on_may_stay_open() -> None:
    found = asked(JUNE["alibaba/wan-2.7"], duration=5)
    assert exactly(found) == Decimal("0.5")
    assert found.notes == ()


def test_where_the_minimum_is_more_than_all_that_is_open_nothing_is_open() -> None:
    skus = {"duration_seconds": "0.01", "minimum_cents_per_generation": "56"}
    found = priced(skus, {"supported_durations": [4, 8]}, duration=None)
    assert exactly(found) == Decimal("0.56")
    assert found.notes == ()


def test_megapixels_are_shown_with_the_size_that_they_come_from() -> None:
    found = priced({"cents_per_megapixel_second": "2"}, size="1280x720", resolution=None, aspect_ratio=None)
    assert exactly(found) == Decimal("0.073728")
    assert found.derivation == "1280x720 = 0.9216 MP × 4 s × 2¢ cents_per_megapixel_second"


@pytest.mark.parametrize(("field", "value"), [("resolution", "9" * 300), ("size", f"{'9' * 150}x{'9' * 150}")])
def test_a_value_without_end_is_not_shown_at_length(field: str, value: str) -> None:
    fields: dict[str, Any] = {"resolution": None, field: value}
    found = priced({"video_tokens": "0.000001"}, **fields)
    assert f"'{field}' is '999" in str(found.reason)
    assert len(str(found.reason)) < 200


def test_resolutions_that_only_the_prices_name_are_ranged_over() -> None:
    found = asked(OCTOBER["alibaba/wan-3.0"], duration=2)
    assert (found.low, found.high) == (Decimal("0.1"), Decimal("0.4"))
    assert found.notes == ("'resolution' is not set: 480p, 720p, 1080p",)
    both = priced({"duration_seconds": "0.05", "duration_seconds_4k": "0.6"}, resolution=None)
    assert (both.low, both.high) == (Decimal("0.2"), Decimal("2.4"))
    assert both.notes == ("'resolution' is not set: 4K, another",)


def test_a_model_with_one_duration_needs_none() -> None:
    for durations in ([5], [5, 0, -3]):
        found = priced({"duration_seconds": "0.1"}, {"supported_durations": durations}, duration=None)
        assert exactly(found) == Decimal("0.5")


def test_of_two_prices_that_say_nothing_about_each_other_either_may_bill() -> None:
    found = asked(JUNE["kwaivgi/kling-v3.0-pro"], duration=5)
    assert (found.low, found.high) == (Decimal("0.56"), Decimal("0.84"))
    assert "more than one price fits" in found.notes[0]


@pytest.mark.parametrize("field", [{"input_references": [IMAGE]}, {"previous_job_id": EARLIER}])
def test_a_mode_that_the_prices_do_not_name_is_a_range(field: dict[str, Any]) -> None:
    found = asked(JUNE["alibaba/wan-2.6"], duration=5, resolution="720p", **field)
    assert (found.low, found.high) == (Decimal("0.40"), Decimal("0.50"))
    (name,) = field
    assert f"{name!r} " in found.notes[0]
    assert "text-to-video or image-to-video" in found.notes[0]


def test_references_that_are_no_images_may_bill_or_not() -> None:
    found = asked(OCTOBER["minimax/hailuo-3"], duration=6, input_references=[IMAGE, AUDIO])
    assert (found.low, found.high) == (Decimal("0.82"), Decimal("0.86"))
    assert "audio and video references" in found.notes[0]


def test_creativity_that_is_not_set_is_a_range() -> None:
    found = priced({"cents_per_megapixel_second_precise": "10", "cents_per_megapixel_second_creative": "20"})
    assert (found.low, found.high) == (Decimal("0.36864"), Decimal("0.73728"))
    assert found.notes == ("'creativity' is not set",)


def test_size_and_resolution_that_disagree_are_a_range() -> None:
    found = asked(JUNE["openai/sora-2-pro"], duration=4, resolution="720p", size="1920x1080")
    assert (found.low, found.high) == (Decimal("1.20"), Decimal("2.00"))
    assert found.notes[0] == "'size' and 'resolution' may mean 720p or 1080p"


def test_a_size_of_two_resolutions_is_the_one_that_the_model_supports() -> None:
    skus = {"duration_seconds_1080p": "0.2", "duration_seconds_2k": "0.5"}
    fields = {"resolution": None, "aspect_ratio": None, "size": "1440x1440"}
    assert exactly(priced(skus, {"supported_resolutions": ["720p", "1080p"]}, **fields)) == Decimal("0.8")
    found = priced(skus, {"supported_resolutions": ["1080p", "2K"]}, **fields)
    assert (found.low, found.high) == (Decimal("0.8"), Decimal("2.0"))


def test_an_odd_size_beside_a_resolution_is_a_range() -> None:
    found = priced({"cents_per_megapixel_second": "20"}, size="1000x1000")
    assert (found.low, found.high) == (Decimal("0.73728"), Decimal("0.8"))
    assert found.notes == ("720p may be 1280x720 to 1000x1000",)


def test_a_size_that_belongs_to_no_resolution_ranges_over_all_of_them() -> None:
    found = asked(JUNE["openai/sora-2-pro"], duration=4, size="1000x900")
    assert (found.low, found.high) == (Decimal("1.20"), Decimal("2.00"))
    assert found.notes[0] == "'size' names no resolution: 720p, 1080p"


# ── Tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_square_is_priced_as_the_larger_of_both_layouts_where_the_model_lists_the_smaller() -> None:
    found = asked(JUNE["bytedance/seedance-1-5-pro"], duration=4, resolution="480p", aspect_ratio="1:1")
    # 480 x 480 x 96 / 1024 = 21,600 tokens; 640 x 640 x 97 / 1024 = 38,800 tokens; at $2.40 a million.
    assert (found.low, found.high) == (Decimal("0.05184"), Decimal("0.09312"))
    assert "480p may be 480x480 to 640x640" in found.notes


def test_a_size_that_the_model_may_not_really_make_is_priced_as_the_larger_one_too() -> None:
    found = asked(JUNE["bytedance/seedance-1-5-pro"], duration=4, size="480x480")
    assert (found.low, found.high) == (Decimal("0.05184"), Decimal("0.09312"))


def test_a_size_that_belongs_to_no_resolution_is_priced_as_it_stands() -> None:
    found = asked(OCTOBER["bytedance/seedance-2.0-mini"], duration=4, size="1000x1000")
    # 1000 x 1000 x 96 / 1024 = 93,750 tokens; one frame more is 97 / 96 of that.
    assert (found.low, found.high) == (Decimal("0.328125"), Decimal("0.33154296875"))


def test_a_widescreen_is_priced_with_its_real_pixels() -> None:
    found = asked(OCTOBER["bytedance/seedance-2.0-mini"], duration=4, resolution="480p", aspect_ratio="9:16")
    # 496 x 864 x 97 / 1024 = 40,594.5 tokens.
    assert found.high == Decimal("0.14208075")
    assert "480x854" not in found.derivation


def test_a_size_is_priced_as_it_stands() -> None:
    found = asked(OCTOBER["bytedance/seedance-2.0"], duration=4, size="1920x1080")
    # 1920 x 1080 x 97 / 1024 = 196,425 tokens.
    assert (found.low, found.high) == (Decimal("1.49688"), Decimal("1.5124725"))
    assert "video_tokens_1080p" in found.derivation


def test_tokens_without_sound_have_their_own_price() -> None:
    fields = {"duration": 4, "resolution": "720p", "aspect_ratio": "16:9"}
    loud, mute = (asked(JUNE["bytedance/seedance-1-5-pro"], **fields, generate_audio=sound) for sound in (True, False))
    # 1280 x 720 x 97 / 1024 = 87,300 tokens.
    assert loud.high == Decimal("0.20952")
    assert mute.high == Decimal("0.10476")


def test_sizes_tell_the_resolutions_of_a_model_that_lists_none() -> None:
    found = priced({"video_tokens": "0.000001"}, {"supported_sizes": ["1280x720", "odd"]}, resolution=None)
    assert found.high == Decimal("0.0873")


@pytest.mark.parametrize(("aspect_ratio", "said"), [(None, "not set"), ("adaptive", "none that says a size")])
def test_an_aspect_ratio_that_says_nothing_ranges_over_what_the_model_supports(
    aspect_ratio: str | None, said: str
) -> None:
    found = priced(
        {"video_tokens": "0.000001"},
        {"supported_aspect_ratios": ["16:9", "1:1"], "supported_sizes": ["1280x720", "960x960"]},
        aspect_ratio=aspect_ratio,
    )
    assert found.low == Decimal("0.0864")
    assert found.high == Decimal("0.0873")
    assert f"'aspect_ratio' is {said}: any that the model supports" in found.notes


def test_of_many_sizes_the_smallest_and_the_largest_are_said_and_priced() -> None:
    ratios = {"supported_aspect_ratios": ["21:9", "16:9", "1:1"]}
    found = priced({"video_tokens": "0.000001"}, ratios, aspect_ratio=None)
    assert "720p may be 720x720 to 1680x720" in found.notes
    assert found.low == Decimal(720 * 720 * 96) / 1024 / 1_000_000


def test_of_many_resolutions_each_one_is_priced_by_its_pixels() -> None:
    offered = {"supported_resolutions": ["480p", "1080p"], "supported_sizes": ["854x480", "1920x1080"]}
    found = priced({"video_tokens": "0.000001"}, offered, resolution=None)
    assert found.low == Decimal(854 * 480 * 96) / 1024 / 1_000_000
    assert found.high == Decimal(1920 * 1080 * 97) / 1024 / 1_000_000


def test_a_second_is_a_length_that_a_model_may_offer() -> None:
    found = priced({"duration_seconds": "0.1"}, {"supported_durations": [0, 1, 4]}, duration=None)
    assert (found.low, found.high) == (Decimal("0.10"), Decimal("0.40"))


def test_a_model_with_one_aspect_ratio_needs_none() -> None:
    found = priced({"video_tokens": "0.000001"}, {"supported_aspect_ratios": ["16:9"]}, aspect_ratio=None)
    assert found.is_known
    assert "aspect_ratio" not in str(found)


@pytest.mark.parametrize("field", [{"input_references": [VIDEO]}, {"previous_job_id": EARLIER}])
def test_an_input_video_may_be_billed_in_tokens_so_that_nobody_can_tell(field: dict[str, Any]) -> None:
    found = asked(OCTOBER["bytedance/seedance-2.0"], duration=4, size="1280x720", **field)
    assert not found.is_known
    assert "the length of the input video" in str(found.reason)
    assert "the output alone would be $0." in str(found.reason)


# ── Unknown ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("skus", "reason"),
    [
        (None, "lists no price"),
        ({}, "lists no price"),
        ({"minimum_cents_per_generation": "56"}, "lists no price of its output"),
        # Names of the API's own documentation; the live catalogue has never had them.
        ({"generate": "0.50"}, "'generate' at '0.50' (no known kind of price)"),
        ({"per-video-second": "0.1"}, "'per-video-second'"),
        ({"duration_seconds": "about 5"}, "'about 5' (no decimal number)"),
        ({"duration_seconds": "-1"}, "no decimal number"),
        ({"duration_seconds": "NaN"}, "no decimal number"),
        ({"duration_seconds": "1e9"}, "no decimal number"),
        ({"duration_seconds": ""}, "no decimal number"),
        ({"duration_seconds": "$1"}, "no decimal number"),
        ({"duration_seconds_1080p": "0.1"}, "no price of the model is for 720p"),
        ({"cents_per_second_video_continuation": "41"}, "no price of the model is for such a job"),
        ({"duration_seconds": "0.1", "video_tokens": "0.000007"}, "prices by different units fit"),
        ({"duration_seconds": "0.1", "frames_interpolated": "0.2"}, "without them it would be $0.40"),
    ],
)
def test_a_price_list_that_does_not_tell_is_unknown_with_a_reason(skus: dict[str, str] | None, reason: str) -> None:
    found = priced(skus)
    assert (found.low, found.high, found.usd, found.derivation) == (None, None, None, "")
    assert not found.is_known
    assert reason in str(found.reason)
    assert str(found).startswith("unknown: ")


def test_a_job_that_has_no_price_is_described_by_all_that_prices_depend_on() -> None:
    skus = {"text_to_video_duration_seconds_1080p_with_audio": "0.1", "duration_seconds_720p_precise": "0.2"}
    found = priced(skus, frame_images=[FRAME], creativity=1)
    assert "no price of the model is for 720p creative image_to_video without_audio; " in str(found.reason)


def test_a_resolution_that_no_price_names_is_not_named_either() -> None:
    skus = {"duration_seconds_with_audio": "0.1", "duration_seconds_1080p_without_audio": "0.2"}
    found = priced(skus, resolution=None)
    assert "no price of the model is for without_audio; " in str(found.reason)


@pytest.mark.parametrize("skus", [{"duration_seconds": "9" * 500}, {"odd" * 200: "1"}])
def test_a_price_without_end_is_not_shown_at_length(skus: dict[str, str]) -> None:
    assert len(str(priced(skus).reason)) < 200


@pytest.mark.parametrize(
    ("number", "listed"), [(1, "'odd_0' at '1'"), (3, "'odd_2' at '1'"), (4, "'odd_2' at '1'"), (9, "'odd_2' at '1'")]
)
def test_of_many_unreadable_prices_three_are_listed(number: int, listed: str) -> None:
    found = priced({f"odd_{each}": "1" for each in range(number)})
    more = ", …" if number > 3 else ""
    assert str(found.reason).endswith(f"{listed} (no known kind of price){more}")
    assert str(found.reason).count(" at '1' (no known kind of price)") == min(number, 3)
    assert str(found.reason).count("), '") == min(number, 3) - 1


def test_a_price_of_zero_is_unknown_for_it_may_be_a_placeholder() -> None:
    found = priced({"duration_seconds": "0.00"})
    assert found.usd is None
    assert "listed at 0" in str(found.reason)
    assert exactly(priced({"duration_seconds": "0", "duration_seconds_720p": "0.1"})) == Decimal("0.4")


@pytest.mark.parametrize("month", [JUNE, OCTOBER])
def test_no_model_is_ever_free_whatever_is_left_open(month: dict[str, dict[str, Any]]) -> None:
    for entry in month.values():
        found = asked(entry)
        assert found.usd is None or found.usd > 0
        assert found.is_known == (found.reason is None)


@pytest.mark.parametrize(
    ("entry", "fields", "reason"),
    [
        (OCTOBER["runway/aleph-2"], {}, "'duration' is not set"),
        (OCTOBER["runway/aleph-2"], {}, "56¢ minimum_cents_per_generation"),
        (OCTOBER["runway/aleph-2"], {"duration": 5, "input_references": [VIDEO]}, "as long as the input"),
        (OCTOBER["runway/aleph-2"], {"duration": 5, "previous_job_id": EARLIER}, "as long as the input"),
        (OCTOBER["heygen/heygen-video-1"], {"duration": 5, "input_references": [AUDIO]}, "as long as the input"),
        (
            OCTOBER["black-forest-labs/flux-3-video"],
            {"resolution": "720p", "previous_job_id": EARLIER},
            "the continued job's video",
        ),
        (
            OCTOBER["black-forest-labs/flux-video-upscale"],
            {"upscale_factor": 2, "creativity": 0, "duration": 5, "size": "1920x1080", "input_references": [VIDEO]},
            "the request says neither length nor size of the input",
        ),
        (OCTOBER["black-forest-labs/flux-video-upscale"], {}, "7.5¢ cents_per_megapixel_second_precise"),
        (OCTOBER["runway/gen-4.5"], {"duration": 5, "upscale_factor": 2}, "upscaled"),
        (JUNE["openai/sora-2-pro"], {"duration": 4, "resolution": "ultra"}, "'resolution' is 'ultra'"),
        (JUNE["openai/sora-2-pro"], {"duration": 4, "resolution": "360p"}, "no price of the model is for 360p"),
        (JUNE["openai/sora-2-pro"], {"duration": 4, "size": "9999999x1"}, "'size' is '9999999x1'"),
        (
            {"id": "a/b", "pricing_skus": {"video_tokens": "0.000007"}},
            {"duration": 4},
            "video_tokens goes by the pixel",
        ),
        (
            {"id": "a/b", "pricing_skus": {"duration_seconds_with_audio": "1"}, "generate_audio": False},
            {"duration": 4},
            "no price of the model is for without_audio",
        ),
    ],
)
def test_what_the_price_depends_on_and_nobody_says_makes_it_unknown(
    entry: dict[str, Any], fields: dict[str, Any], reason: str
) -> None:
    found = asked(entry, **fields)
    assert found.usd is None
    assert reason in str(found.reason)


def test_many_unreadable_prices_are_not_all_listed_and_none_is_echoed_at_length() -> None:
    odd = {f"odd_{number}_{'x' * 5000}": "https://example.com/?X-Amz-Signature=topsecret" for number in range(9)}
    text = str(priced(odd))
    assert len(text) < 1000
    assert ", …" in text
    assert "topsecret" not in text


# ── Notes, and the estimate itself ───────────────────────────────────────────────────────────────────────────────────


def test_provider_options_are_said_not_to_be_considered() -> None:
    found = priced({"duration_seconds": "0.1"}, provider={"options": {"wan": {"size": "4k"}}})
    assert exactly(found) == Decimal("0.4")
    assert "provider.options" in found.notes[0]
    assert priced({"duration_seconds": "0.1"}, provider={"options": {"wan": {}}}).notes == ()


@pytest.mark.parametrize(
    ("field", "note"),
    [
        ({"input_references": [VIDEO]}, "no price of its own for an input video"),
        ({"previous_job_id": EARLIER}, "no price of its own for continuing a job"),
    ],
)
def test_inputs_that_no_price_names_are_noted(field: dict[str, Any], note: str) -> None:
    found = asked(JUNE["alibaba/wan-2.7"], duration=5, **field)
    assert exactly(found) == Decimal("0.5")
    assert note in found.notes[0]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reason": ""},
        {"low": Decimal(0), "high": Decimal(0)},
        {"low": Decimal(0), "high": Decimal(1)},
        {"low": Decimal(2), "high": Decimal(1)},
        {"low": Decimal(-1), "high": Decimal(1)},
        {"low": Decimal(1)},
        {"high": Decimal(1)},
        {"low": Decimal(1), "high": Decimal(1), "reason": "unknown"},
    ],
)
def test_an_estimate_that_could_pass_for_free_cannot_be_made(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="an estimate is"):
        Estimate(**fields)


def test_a_sum_too_small_to_show_is_not_shown_as_nothing() -> None:
    assert str(priced({"duration_seconds": "0.000000001"})).startswith("$0.000000004 = ")

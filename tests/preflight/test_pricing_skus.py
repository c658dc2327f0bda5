"""Price lists: each SKU that the live catalogue was seen with is understood, and decides what something costs."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest
from airflow_provider_orvideo.preflight.money import Cents, Dollars
from airflow_provider_orvideo.preflight.pricing import estimate
from airflow_provider_orvideo.preflight.skus import Condition, PriceList, Qualifier, Sku, Unit, UnreadableSku, parse_sku

LISTS = json.loads(Path(__file__).with_name("price_lists.json").read_text(encoding="utf-8"))
MODELS = [pytest.param(entry, id=f"{entry['id']}-{month}") for month in LISTS for entry in LISTS[month]]
ALL = [
    pytest.param(*sku, id=f"{entry['id']}-{sku[0]}")
    for month in LISTS.values()
    for entry in month
    for sku in entry["pricing_skus"].items()
]

SOUND, MUTE, VIDEO = Condition.WITH_AUDIO, Condition.WITHOUT_AUDIO, Condition.WITH_VIDEO_INPUT
TEXT, IMAGE, REFERENCE = Condition.TEXT_TO_VIDEO, Condition.IMAGE_TO_VIDEO, Condition.REFERENCE
#: What each name means, written down by hand: unit, money and conditions.
MEANINGS: dict[str, tuple[Unit, type[Dollars | Cents], set[Qualifier]]] = {
    "duration_seconds": (Unit.SECOND, Dollars, set()),
    "duration_seconds_480p": (Unit.SECOND, Dollars, {480}),
    "duration_seconds_720p": (Unit.SECOND, Dollars, {720}),
    "duration_seconds_768p": (Unit.SECOND, Dollars, {768}),
    "duration_seconds_1024p": (Unit.SECOND, Dollars, {1024}),
    "duration_seconds_1080p": (Unit.SECOND, Dollars, {1080}),
    "duration_seconds_with_audio": (Unit.SECOND, Dollars, {SOUND}),
    "duration_seconds_with_audio_720p": (Unit.SECOND, Dollars, {SOUND, 720}),
    "duration_seconds_with_audio_4k": (Unit.SECOND, Dollars, {SOUND, 2160}),
    "duration_seconds_without_audio": (Unit.SECOND, Dollars, {MUTE}),
    "duration_seconds_without_audio_720p": (Unit.SECOND, Dollars, {MUTE, 720}),
    "duration_seconds_without_audio_4k": (Unit.SECOND, Dollars, {MUTE, 2160}),
    "text_to_video_duration_seconds_480p": (Unit.SECOND, Dollars, {TEXT, 480}),
    "text_to_video_duration_seconds_720p": (Unit.SECOND, Dollars, {TEXT, 720}),
    "text_to_video_duration_seconds_1080p": (Unit.SECOND, Dollars, {TEXT, 1080}),
    "image_to_video_duration_seconds_720p": (Unit.SECOND, Dollars, {IMAGE, 720}),
    "image_to_video_duration_seconds_1080p": (Unit.SECOND, Dollars, {IMAGE, 1080}),
    "reference_duration_seconds_480p": (Unit.SECOND, Dollars, {REFERENCE, 480}),
    "reference_duration_seconds_768p": (Unit.SECOND, Dollars, {REFERENCE, 768}),
    "reference_images": (Unit.REFERENCE, Dollars, set()),
    "video_tokens": (Unit.TOKEN, Dollars, set()),
    "video_tokens_4k": (Unit.TOKEN, Dollars, {2160}),
    "video_tokens_1080p": (Unit.TOKEN, Dollars, {1080}),
    "video_tokens_without_audio": (Unit.TOKEN, Dollars, {MUTE}),
    "video_tokens_with_video_input": (Unit.TOKEN, Dollars, {VIDEO}),
    "video_tokens_4k_with_video_input": (Unit.TOKEN, Dollars, {VIDEO, 2160}),
    "video_tokens_1080p_with_video_input": (Unit.TOKEN, Dollars, {VIDEO, 1080}),
    "cents_per_image_input": (Unit.IMAGE, Cents, set()),
    "cents_per_video_output_second_480p": (Unit.SECOND, Cents, {480}),
    "cents_per_video_output_second_720p": (Unit.SECOND, Cents, {720}),
    "cents_per_video_output_second_1080p": (Unit.SECOND, Cents, {1080}),
    "cents_per_second_output": (Unit.SECOND, Cents, set()),
    "cents_per_second_output_720p": (Unit.SECOND, Cents, {720}),
    "cents_per_second_output_1080p": (Unit.SECOND, Cents, {1080}),
    "cents_per_second_video_continuation_720p": (Unit.SECOND, Cents, {Condition.CONTINUATION, 720}),
    "cents_per_second_video_continuation_1080p": (Unit.SECOND, Cents, {Condition.CONTINUATION, 1080}),
    "cents_per_megapixel_second_precise": (Unit.MEGAPIXEL_SECOND, Cents, {Condition.PRECISE}),
    "cents_per_megapixel_second_creative": (Unit.MEGAPIXEL_SECOND, Cents, {Condition.CREATIVE}),
    "minimum_cents_per_generation": (Unit.MINIMUM, Cents, set()),
}


def test_the_list_of_june_is_whole() -> None:
    assert len(LISTS["2026-06"]) == 15
    assert {name for month in LISTS.values() for entry in month for name in entry["pricing_skus"]} == set(MEANINGS)


@pytest.mark.parametrize(("name", "price"), ALL)
def test_each_sku_means_what_it_says(name: str, price: str) -> None:
    unit, money, qualifiers = MEANINGS[name]
    sku = parse_sku(name, price)
    assert sku == Sku(name, unit, money(Decimal(price)), frozenset(qualifiers))


@pytest.mark.parametrize("entry", MODELS)
def test_no_sku_of_a_model_is_dropped(entry: dict[str, Any]) -> None:
    prices = PriceList.parse(entry["pricing_skus"])
    assert {sku.name for sku in (*prices.outputs, *prices.extras)} == set(entry["pricing_skus"])
    assert prices.unreadable == ()


FRAME = {"image_url": {"url": "https://example.com/a.png"}, "frame_type": "first_frame"}
IMAGE_REFERENCE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
VIDEO_REFERENCE = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}
INPUTS: tuple[dict[str, Any], ...] = (
    {},
    {"frame_images": [FRAME]},
    {"input_references": [IMAGE_REFERENCE]},
    {"input_references": [VIDEO_REFERENCE]},
    {"previous_job_id": "gen-vid-1790000000-aaaaaaaaaaaaaaaaaaaa"},
)


@pytest.mark.parametrize("entry", MODELS)
def test_each_sku_of_a_model_decides_what_some_request_costs(entry: dict[str, Any]) -> None:
    model = VideoModel.model_validate(entry)
    texts = [
        str(
            estimate(
                VideoRequest.build(
                    model=model.id,
                    prompt="x",
                    duration=1,
                    resolution=resolution,
                    aspect_ratio="16:9",
                    generate_audio=sound,
                    **inputs,
                ),
                model,
            )
        )
        for resolution, sound, inputs in product(
            ("360p", "480p", "720p", "768p", "1K", "1080p", "4K"), (True, False), INPUTS
        )
    ]
    words = {word.rstrip(";,)") for text in texts for word in text.split()}
    assert set(entry["pricing_skus"]) <= words


@pytest.mark.parametrize(
    "name",
    [
        "",
        "generate",
        "per-video-second",
        "duration",
        "duration_seconds_",
        "duration_seconds_hdr",
        "duration_seconds_720p_1080p",
        "duration_seconds_with_audio_without_audio",
        "duration_seconds_720p_hdr",
        "hdr_duration_seconds",
        "text_to_video_image_to_video_duration_seconds",
        "duration_minutes",
        "Duration_Seconds",
        "duration_seconds ",
        "cents_duration_seconds",
        "dollars_per_second_output",
        "cents_per_image_input_720p",
        "cents_per_image_output",
        "minimum_per_generation",
        "reference_images_4k",
        "audio_tokens",
        "cents_per_megapixel_second_precise_creative",
        "٣duration_seconds",
    ],
)
def test_a_name_that_is_not_known_whole_is_reported(name: str) -> None:
    sku = parse_sku(name, "0.5")
    assert isinstance(sku, UnreadableSku)
    assert sku.why == "no known kind of price"
    assert PriceList.parse({name: "0.5", "duration_seconds": "1"}).unreadable == (sku,)


@pytest.mark.parametrize(
    ("price", "amount"),
    [("0.40", "0.4"), (".40", "0.4"), ("7", "7"), ("7.", "7"), ("7e-06", "0.000007"), ("2.4E-6", "0.0000024")],
)
def test_prices_may_be_written_as_servers_write_numbers(price: str, amount: str) -> None:
    sku = parse_sku("duration_seconds", price)
    assert isinstance(sku, Sku)
    assert sku.price == Dollars(Decimal(amount))


@pytest.mark.parametrize(
    "price", ["", " 1", "1 ", "-1", "+1", "1,5", "1_0", "٣", "NaN", "Infinity", "1e5", "1e-999", "9" * 40, ".", "0x1"]
)
def test_a_price_that_is_no_plain_number_is_reported(price: str) -> None:
    sku = parse_sku("duration_seconds", price)
    assert isinstance(sku, UnreadableSku)
    assert sku.why == "no decimal number"


def test_dollars_and_cents_do_not_mix() -> None:
    assert Dollars(Decimal("0.1")) + Dollars(Decimal("0.2")) == Dollars(Decimal("0.3"))
    assert Cents(Decimal(40)).to_dollars() == Dollars(Decimal("0.4"))
    assert Cents(Decimal(1)) != Dollars(Decimal(1))  # type: ignore[comparison-overlap]
    with pytest.raises(TypeError):
        Dollars(Decimal(1)) + Cents(Decimal(1))  # type: ignore[operator]
    with pytest.raises(TypeError):
        assert Dollars(Decimal(1)) < Cents(Decimal(1))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Dollars(Decimal("0.4")), "$0.40"),
        (Dollars(Decimal(12)), "$12.00"),
        (Dollars(Decimal("0.168")), "$0.168"),
        (Dollars(Decimal("0.0000035")), "$0.0000035"),
        (Dollars(Decimal("1E+2")), "$100.00"),
        (Dollars(Decimal("0.1000")), "$0.10"),
        (Cents(Decimal("0.2")), "0.2¢"),
        (Cents(Decimal("5.0")), "5¢"),
        (Cents(Decimal("1E+1")), "10¢"),
    ],
)
def test_money_reads_as_people_write_it(money: Dollars | Cents, text: str) -> None:
    assert str(money) == text

"""Bills, against figures that were billed live, and the rules behind them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from airflow_provider_orvideo.simulator.pricing import Billable, cost

FRAME = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}, "frame_type": "first_frame"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}


def request(model: str, **fields: object) -> dict[str, Any]:
    return {"model": model, "prompt": "x", **fields}


@pytest.mark.parametrize(
    ("body", "bill"),
    [
        # Billed live.
        (request("bytedance/seedance-2.0-mini", resolution="480p", aspect_ratio="1:1", duration=4), 0.1358),
        (request("google/veo-3.1-lite", duration=4, resolution="720p", generate_audio=False), 0.12),
        (request("x-ai/grok-imagine-video", duration=1, resolution="480p", frame_images=[FRAME]), 0.052),
        (request("alibaba/wan-3.0", duration=2, resolution="480p"), 0.2125),
        # By the listed prices.
        (request("google/veo-3.1", duration=8, resolution="4K"), 4.8),
        (request("google/veo-3.1", duration=8, size="2160x3840", generate_audio=False), 3.2),
        (request("google/veo-3.1-fast"), 0.8),
        (request("google/veo-3.1-fast", resolution="1080p", duration=4), 0.48),
        (request("alibaba/wan-2.6", duration=5), 0.4),
        (request("alibaba/wan-2.6", duration=5, frame_images=[FRAME]), 0.5),
        (request("alibaba/wan-2.6", duration=5, input_references=[IMAGE], resolution="1080p"), 0.75),
        (request("kwaivgi/kling-v3.0-pro", duration=3, generate_audio=False), 0.336),
        (request("kwaivgi/kling-v3.0-pro", duration=3), 0.504),
        (request("minimax/hailuo-3", duration=6, input_references=[IMAGE, IMAGE]), 0.86),
        # Frames win over references, which then cost nothing.
        (request("minimax/hailuo-3", duration=6, input_references=[IMAGE, IMAGE], frame_images=[FRAME]), 0.78),
        (request("runway/gen-4.5", duration=5), 0.6),
        (request("openai/sora-2-pro", duration=4, resolution="1080p"), 2.0),
        (request("black-forest-labs/flux-3-video", duration=2, resolution="1080p"), 0.58),
        # 2560x1440 from 1280x720, five seconds: 18.432 megapixel seconds.
        (
            request("black-forest-labs/flux-video-upscale", input_references=[VIDEO], upscale_factor=2),
            1.3824,
        ),
        (
            request("black-forest-labs/flux-video-upscale", input_references=[VIDEO], upscale_factor=2, creativity=1),
            1.93536,
        ),
        # 1280x720, four seconds and a frame.
        (request("bytedance/seedance-2.0", duration=4), 0.6111),
        (request("bytedance/seedance-2.0", duration=4, input_references=[VIDEO]), 0.37539),
    ],
)
def test_a_completed_job_bills(
    client: httpx.Client, submit: Callable[..., str], body: dict[str, Any], bill: float
) -> None:
    job_id = submit(**{"duration": None, "resolution": None} | body)
    assert client.get(f"/videos/{job_id}").json()["usage"] == {"cost": bill, "is_byok": False}


def job(seconds: int = 4, **fields: Any) -> Billable:  # noqa: ANN401 - fields of Billable
    return Billable(Decimal(seconds), 1280, 720, **{"resolution": "720p", **fields})


@pytest.mark.parametrize(
    ("skus", "billable", "bill"),
    [
        ({"duration_seconds": "0.1"}, job(), "0.4"),
        ({"duration_seconds": "0.1", "duration_seconds_720p": "0.2"}, job(), "0.8"),
        ({"duration_seconds": "0.1", "duration_seconds_1080p": "0.2"}, job(), "0.4"),
        ({"duration_seconds": "0.1", "duration_seconds_with_audio": "0.05"}, job(audio=True), "0.20"),
        # Two prices that say nothing about each other: the dearer one.
        ({"duration_seconds_with_audio": "0.3", "duration_seconds_720p": "0.2"}, job(audio=True), "1.2"),
        ({"duration_seconds_with_audio": "0.1", "duration_seconds_720p": "0.2"}, job(audio=True), "0.8"),
        (
            {"duration_seconds_with_audio": "0.3", "duration_seconds_with_audio_720p": "0.2"},
            job(audio=True),
            "0.8",
        ),
        ({"reference_duration_seconds_720p": "0.4", "duration_seconds": "0.1"}, job(mode="reference"), "1.6"),
        ({"cents_per_second_output": "12"}, job(), "0.48"),
        ({"cents_per_second_output": "28", "minimum_cents_per_generation": "56"}, job(1), "0.56"),
        ({"cents_per_second_output": "28", "minimum_cents_per_generation": "56"}, job(3), "0.84"),
        (
            {"cents_per_second_output_720p": "17", "cents_per_second_video_continuation_720p": "41"},
            job(continuation=True),
            "1.64",
        ),
        ({"video_tokens": "0.000007", "video_tokens_without_audio": "0.000005"}, job(), "0.432"),
        ({"video_tokens_4k": "0.000004", "video_tokens": "0.000007"}, job(resolution="4K"), "0.3456"),
    ],
)
def test_the_most_specific_price_wins(skus: dict[str, str], billable: Billable, bill: str) -> None:
    assert cost(skus, billable) == Decimal(bill)


@pytest.mark.parametrize(
    "skus",
    [
        None,
        {},
        {"per-video-second": "0.1"},
        {"duration_seconds": "0.1", "a_new_kind_of_price": "0.1"},
        {"duration_seconds_1080p": "0.1"},
        {"minimum_cents_per_generation": "56"},
    ],
)
def test_a_price_that_cannot_be_told_is_unknown_and_not_nothing(skus: dict[str, str] | None) -> None:
    assert cost(skus, job()) is None

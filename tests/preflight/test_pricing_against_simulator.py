"""The simulator computes its bills on its own, by the same facts: what it bills lies within the estimate."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest
from airflow_provider_orvideo.preflight.pricing import estimate
from airflow_provider_orvideo.simulator.offered import MODELS
from airflow_provider_orvideo.simulator.order import place

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator.catalogue import Model

FRAME = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}, "frame_type": "first_frame"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
AUDIO = {"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}}
VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}
INPUTS: tuple[dict[str, Any], ...] = (
    {},
    {"frame_images": [FRAME]},
    {"input_references": [IMAGE, AUDIO]},
    {"input_references": [VIDEO]},
    {"previous_job_id": "gen-vid-1790000000-aaaaaaaaaaaaaaaaaaaa"},
)
HONEST = [pytest.param(model, id=model.id) for model in MODELS if model.bill_factor == 1]


def bodies(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Every request that the model's own list of capabilities suggests, with and without each field."""
    choices = {
        "duration": [None, *(entry["supported_durations"] or [5])[:2]],
        "resolution": [None, *(entry["supported_resolutions"] or [])],
        # Of other ratios, the simulator knows only the sizes that it lists, not one for each resolution.
        "aspect_ratio": [None, "16:9"],
        "generate_audio": [None, True, False],
    }
    found = [dict(zip(choices, values, strict=True)) | inputs for *values, inputs in product(*choices.values(), INPUTS)]
    found += [{"size": size, "duration": 4} for size in entry["supported_sizes"] or []]
    return [{name: value for name, value in body.items() if value is not None} for body in found]


@pytest.mark.parametrize("model", HONEST)
def test_the_simulators_bill_lies_within_the_estimate(model: Model) -> None:
    entry = VideoModel.model_validate(model.entry)
    known = 0
    for body in bodies(model.entry):
        found = estimate(VideoRequest.build(model=model.id, prompt="x", **body), entry)
        if found.low is None or found.high is None:
            continue
        known += 1
        bill = place(model, {"model": model.id, "prompt": "x", **body}).cost
        assert bill is not None
        assert found.low <= bill <= found.high, f"{body}: billed {bill}, estimated {found}"
    assert known > 0 or model.is_upscaler


def test_the_model_that_bills_more_than_it_lists_leaves_the_estimate() -> None:
    (model,) = (model for model in MODELS if model.bill_factor != 1)
    body = {"duration": 2, "resolution": "480p"}
    found = estimate(VideoRequest.build(model=model.id, prompt="x", **body), VideoModel.model_validate(model.entry))
    bill = place(model, {"model": model.id, "prompt": "x", **body}).cost
    assert bill is not None
    assert found.usd is not None
    assert bill > found.usd

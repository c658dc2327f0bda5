"""What a valid request orders, with every default filled in: size, length, sound, and what decides its price."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_orvideo.simulator.catalogue import Model
from airflow_provider_orvideo.simulator.pricing import Billable, cost

# The short side that a resolution's name stands for.
SHORT_SIDES = {"360p": 360, "480p": 480, "720p": 720, "768p": 768, "1080p": 1080, "1K": 1024, "2K": 1440, "4K": 2160}
# An upscaler's input cannot be fetched here; it is taken to be this.
UPSCALER_INPUT = (1280, 720)


@dataclass(frozen=True, slots=True)
class Order:
    """One accepted request.

    Args:
        model: The model that makes it.
        prompt: The text; empty where none was needed.
        width: Pixels across.
        height: Pixels down.
        seconds: Length, in seconds.
        audio: Whether it has sound.
        cost: The bill in US dollars, or None where it cannot be computed.
    """

    model: Model
    prompt: str
    width: int
    height: int
    seconds: int
    audio: bool
    cost: Decimal | None


def place(model: Model, body: dict[str, Any]) -> Order:
    """Fill in what a validated request leaves open, and compute the bill."""
    width, height, resolution = _geometry(model, body)
    seconds = body.get("duration") or _default_seconds(model)
    audio = body.get("generate_audio")
    if audio is None:
        audio = bool(model.entry["generate_audio"])
    frames = body.get("frame_images") or []
    # With both kinds of input, the frames win and the references are ignored.
    references = [] if frames else body.get("input_references") or []
    kinds = [reference["type"] for reference in references]
    billable = Billable(
        seconds=Decimal(seconds),
        width=width,
        height=height,
        extra_frames=model.extra_frames,
        resolution=resolution,
        audio=audio,
        mode="image_to_video" if frames else "reference" if references else "text_to_video",
        images=len(frames) + kinds.count("image_url"),
        references=len(references),
        video_input="video_url" in kinds,
        continuation=body.get("previous_job_id") is not None,
        creative=bool(body.get("creativity")),
    )
    listed = cost(model.skus, billable)
    bill = None if listed is None else listed * model.bill_factor
    return Order(model, body.get("prompt") or "", width, height, seconds, audio, bill)


def _default_seconds(model: Model) -> int:
    durations: list[int] | None = model.entry["supported_durations"]
    return model.seconds if not durations or model.seconds in durations else min(durations)


def _geometry(model: Model, body: dict[str, Any]) -> tuple[int, int, str | None]:
    """The size in pixels and the resolution's name that its price goes by."""
    if model.is_upscaler:
        factor = body.get("upscale_factor") or model.entry["upscale_factor"]["min"]
        return _even(UPSCALER_INPUT[0] * factor), _even(UPSCALER_INPUT[1] * factor), None
    if size := body.get("size"):
        width, height = parse_size(size)
        return width, height, _name_of(model, width, height)
    resolutions = model.entry["supported_resolutions"] or ["720p"]
    aspects = model.entry["supported_aspect_ratios"] or ["16:9"]
    resolution = body.get("resolution") or ("720p" if "720p" in resolutions else resolutions[0])
    aspect = body.get("aspect_ratio") or ("16:9" if "16:9" in aspects else aspects[0])
    width, height = _size_for(model, resolution, aspect)
    return width, height, resolution


def parse_size(size: str) -> tuple[int, int]:
    """The two numbers of ``WIDTHxHEIGHT``."""
    width, _, height = size.partition("x")
    return int(width), int(height)


def _even(value: float) -> int:
    """The nearest even number: yuv420p halves both sides."""
    return max(2, round(value / 2) * 2)


def _name_of(model: Model, width: int, height: int) -> str:
    """The model's resolution whose widescreen area is nearest."""
    return min(model.entry["supported_resolutions"] or SHORT_SIDES, key=lambda name: abs(_area(name) - width * height))


def _area(resolution: str) -> float:
    side = SHORT_SIDES[resolution]
    return side * side * 16 / 9


def _size_for(model: Model, resolution: str, aspect: str) -> tuple[int, int]:
    """The model's own size for a resolution and an aspect ratio, else the arithmetical one.

    Some models keep the short side and some keep the area: Seedance's 480p square is 640x640. So a listed size with
    the right short side comes first, then the listed size of the nearest area.
    """
    across, _, down = aspect.partition(":")
    ratio = int(across) / int(down)
    side = SHORT_SIDES[resolution]
    fitting = [
        (width, height)
        for width, height in map(parse_size, model.entry["supported_sizes"] or [])
        if abs(width / height / ratio - 1) < 0.06  # noqa: PLR2004 - 864x496 passes for 16:9
    ]
    if exact := [size for size in fitting if min(size) == side]:
        return exact[0]
    if fitting:
        return min(fitting, key=lambda size: abs(size[0] * size[1] - _area(resolution)))
    return (_even(side * ratio), side) if ratio >= 1 else (side, _even(side / ratio))

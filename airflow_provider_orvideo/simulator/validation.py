"""Whether a submit request can be accepted, in the API's order of questions and, where they are known, in its words."""

import ipaddress
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_orvideo.simulator.answers import FAILED_VALIDATION, ApiError, ZodError
from airflow_provider_orvideo.simulator.catalogue import Catalogue, Model
from airflow_provider_orvideo.simulator.jobs import COMPLETED, JobStore
from airflow_provider_orvideo.simulator.order import Order, place
from airflow_provider_orvideo.simulator.shapes import find_issues

_NAMES = {"x-ai": "xAI", "openai": "OpenAI", "bytedance": "ByteDance", "minimax": "MiniMax"}


def accept(body: Any, catalogue: Catalogue, jobs: JobStore) -> Order:  # noqa: ANN401 - whatever JSON arrived
    """The order behind a request body.

    Args:
        body: The decoded JSON.
        catalogue: The models on offer.
        jobs: Where ``previous_job_id`` is looked up.

    Raises:
        ApiError: The request is refused; nothing was accepted and nothing bills.
    """
    if issues := find_issues(body):
        raise ZodError(issues)
    model = catalogue.get(body["model"])
    if model is None:
        raise ApiError(400, f"{body['model']} is not a valid model ID")
    _check_urls(body)
    _check_prompt(model, body)
    _check_duration(model, body)
    _check_choice(model, body, "resolution", "Resolution", "supported_resolutions")
    _check_choice(model, body, "aspect_ratio", "Aspect ratio", "supported_aspect_ratios")
    _check_choice(model, body, "size", "Size", "supported_sizes")
    _check_frames(model, body)
    _check_capabilities(model, body)
    _check_previous(model, body, jobs)
    return place(model, body)


def _inputs(body: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Path, kind and URL of every input."""
    for key in ("frame_images", "input_references"):
        for position, item in enumerate(body.get(key) or []):
            kind = item["type"]
            yield f"{key}[{position}].{kind}.url", kind, item[kind]["url"]


def _check_urls(body: dict[str, Any]) -> None:
    for path, kind, url in _inputs(body):
        if kind == "image_url" and url.startswith("data:image/"):
            continue
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            raise ApiError(400, f"Invalid reference URL: {path}: Invalid URL") from None
        if _is_local(host):
            raise ApiError(400, f"Invalid reference URL: {path}: Localhost URLs are not allowed")
        if parts.scheme != "https":
            raise ApiError(400, f"Invalid reference URL: {path}: Only HTTPS URLs are allowed")
        if not host:
            raise ApiError(400, f"Invalid reference URL: {path}: Invalid URL")


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_prompt(model: Model, body: dict[str, Any]) -> None:
    if (body.get("prompt") or "").strip():
        return
    has_picture = any(kind != "audio_url" for _, kind, _ in _inputs(body))
    if not (model.images_suffice and has_picture):
        vendor = model.id.partition("/")[0]
        name = _NAMES.get(vendor, vendor.title())
        exception = " when no image input is provided" if model.images_suffice else ""
        raise ApiError(400, f"{name} video generations require a prompt{exception}")


def _check_duration(model: Model, body: dict[str, Any]) -> None:
    duration = body.get("duration")
    supported: list[int] | None = model.entry["supported_durations"]
    if duration is not None and supported is not None and duration not in supported:
        offered = ", ".join(map(str, supported))
        raise ApiError(
            400,
            f"Duration {duration}s is not supported for this model. Supported durations: {offered}s",
            FAILED_VALIDATION,
        )


def _check_choice(model: Model, body: dict[str, Any], key: str, label: str, capability: str) -> None:
    value = body.get(key)
    supported: list[str] | None = model.entry[capability]
    if value is not None and supported is not None and value not in supported:
        raise ApiError(
            400,
            f"{label} {value} is not supported for this model. Supported {label.lower()}s: {', '.join(supported)}",
            FAILED_VALIDATION,
        )


def _check_frames(model: Model, body: dict[str, Any]) -> None:
    supported: list[str] = model.entry["supported_frame_images"] or []
    for frame in body.get("frame_images") or []:
        if frame["frame_type"] not in supported:
            offered = ", ".join(supported) or "none"
            raise ApiError(
                400,
                f"Frame type {frame['frame_type']} is not supported for this model. Supported frame types: {offered}",
                FAILED_VALIDATION,
            )


def _check_capabilities(model: Model, body: dict[str, Any]) -> None:
    """Fields that a model without the capability refuses, even when they only repeat its default."""
    for key in ("generate_audio", "seed"):
        if body.get(key) is not None and model.entry[key] is False:
            raise ApiError(400, f"{key} is not supported for this model", FAILED_VALIDATION)
    for key in ("upscale_factor", "creativity"):
        if body.get(key) is not None and model.entry[key] is None:
            raise ApiError(400, f"{key} is not supported for this model", FAILED_VALIDATION)
    if not model.is_upscaler:
        return
    limits = model.entry["upscale_factor"]
    factor = body.get("upscale_factor")
    if factor is not None and not limits["min"] <= factor <= limits["max"]:
        raise ApiError(400, f"upscale_factor must be between {limits['min']} and {limits['max']}", FAILED_VALIDATION)
    if body.get("creativity") is not None and body["creativity"] not in model.entry["creativity"]:
        raise ApiError(400, f"creativity must be one of {model.entry['creativity']}", FAILED_VALIDATION)


def _check_previous(model: Model, body: dict[str, Any], jobs: JobStore) -> None:
    previous_id = body.get("previous_job_id")
    if previous_id is None:
        return
    if not model.continues:
        raise ApiError(400, f"{model.slug} does not support previous_job_id")
    previous = jobs.find(previous_id)
    if previous is None:
        raise ApiError(404, f"Job {previous_id} not found")
    if previous.order.model is not model:
        raise ApiError(400, "previous_job_id must name a job of the same model")
    if previous.status != COMPLETED:
        raise ApiError(400, f"previous_job_id must name a completed job; {previous_id} is {previous.status}")

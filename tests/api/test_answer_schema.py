"""Answers are read leniently: nothing that the server adds, leaves out or bends loses what can be read."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_orvideo.api.schema import (
    TERMINAL_STATUSES,
    GenerationRecord,
    JobStatus,
    KeyInfo,
    VideoJob,
    VideoModel,
    parse_answer,
    parse_models,
)
from airflow_provider_orvideo.exceptions import ResponseInvalidError

SIGNED = "https://storage.example/v.mp4?X-Goog-Signature=5ec2e7"


def job(**fields: Any) -> VideoJob:  # noqa: ANN401
    return parse_answer(VideoJob, {"id": "job-1", "status": "completed", **fields}, operation="getVideos")


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired", "dead"])
def test_ended_job_is_terminal(status: str) -> None:
    assert job(status=status).is_terminal
    assert status in TERMINAL_STATUSES


@pytest.mark.parametrize("status", ["pending", "in_progress", "queued", "moderating", "COMPLETED", ""])
def test_running_or_unknown_status_is_not_terminal(status: str) -> None:
    assert not job(status=status).is_terminal


@pytest.mark.parametrize("status", [None, 7, ["completed"], {"is": "completed"}, True])
def test_status_that_is_no_text_is_unknown_and_not_the_end(status: object) -> None:
    read = job(status=status)
    assert read.status not in set(JobStatus)
    assert not read.is_terminal


def test_status_that_is_absent_is_unknown() -> None:
    assert not parse_answer(VideoJob, {"id": "job-1"}, operation="x").is_terminal


def test_unknown_fields_do_not_break_and_are_not_kept() -> None:
    read = job(progress=0.5, signed_download=SIGNED)
    assert read.id == "job-1"
    assert "5ec2e7" not in repr(vars(read))


@pytest.mark.parametrize("polling_url", ["/api/v1/videos/job-1", "https://openrouter.ai/api/v1/videos/job-1", None, 5])
def test_polling_url_may_be_relative_absolute_or_missing(polling_url: object) -> None:
    expected = None if polling_url is None else str(polling_url)
    assert job(polling_url=polling_url).polling_url == expected


@pytest.mark.parametrize("job_id", ["gen-vid-1790983457-BXyYqhSkuztnVdDoZpef", "a/b?c", "0", " ", "日本"])
def test_job_id_is_opaque(job_id: str) -> None:
    assert job(id=job_id).id == job_id


def test_number_as_job_id_is_not_lost_since_the_job_is_paid() -> None:
    assert job(id=12345).id == "12345"


@pytest.mark.parametrize("payload", [None, [], "text", 5, {}, {"id": None}, {"id": ""}, {"id": ["job-1"]}])
def test_answer_without_an_id_is_invalid_and_says_so(payload: object) -> None:
    with pytest.raises(ResponseInvalidError, match="getVideos was answered with a 2xx that is not the API's"):
        parse_answer(VideoJob, payload, operation="getVideos")


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 0.052, "is_byok": False}, Decimal("0.052")),
        ({"cost": 0}, Decimal(0)),
        ({"cost": "0.1358"}, Decimal("0.1358")),
        ({"cost": 7e-06}, Decimal("0.000007")),
        ({"cost": None, "is_byok": True}, None),
        ({"cost": "free"}, None),
        ({"cost": float("nan")}, None),
        ({"cost": float("inf")}, None),
        ({"cost": {"usd": 1}}, None),
        ({}, None),
    ],
)
def test_cost_is_exact_or_unknown_and_never_zero_for_unknown(usage: dict[str, Any], cost: Decimal | None) -> None:
    read = job(usage=usage).usage
    assert read is not None
    assert read.cost == cost


@pytest.mark.parametrize("usage", [None, 5, "0.5", [0.5]])
def test_odd_usage_is_absent(usage: object) -> None:
    assert job(usage=usage).usage is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("Content policy violation", "Content policy violation"),
        ({"message": "Content policy violation", "code": 400}, "Content policy violation"),
        ({"code": "E42"}, "{'code': 'E42'}"),
        (["first"], "['first']"),
        (42, "42"),
        (None, None),
        ({"message": None}, None),
        (f"could not fetch {SIGNED}", "could not fetch https://storage.example/v.mp4?***"),
    ],
)
def test_error_is_text_in_any_shape_without_secrets(error: object, text: str | None) -> None:
    assert job(status="failed", error=error).error == text


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"unsigned_urls": ["https://h/content?index=0", "https://h/content?index=1"]}, 2),
        ({"unsigned_urls": ["https://h/0"], "urls": [SIGNED, SIGNED]}, 2),
        ({"unsigned_urls": []}, 1),
        ({"unsigned_urls": None}, 1),
        ({}, 1),
        ({"status": "pending"}, 0),
        ({"status": "failed"}, 0),
    ],
)
def test_completed_job_has_at_least_the_output_that_the_content_endpoint_serves(
    fields: dict[str, Any], count: int
) -> None:
    assert job(**fields).output_count == count


@pytest.mark.parametrize("urls", [None, "https://h/0", 5, {"0": "https://h/0"}])
def test_odd_list_of_urls_is_empty(urls: object) -> None:
    read = job(unsigned_urls=urls, urls=urls)
    assert (read.unsigned_urls, read.urls) == ((), ())


def test_odd_entries_do_not_hide_the_other_urls() -> None:
    read = job(unsigned_urls=["https://h/0", None, 5], urls=[None, SIGNED])
    # Each keeps its place: there is an output behind /content at that index, whatever its URL looks like.
    assert read.unsigned_urls == ("https://h/0", "", "")
    assert [url.get_secret_value() for url in read.urls] == ["", SIGNED]


def test_signed_urls_do_not_show() -> None:
    read = job(urls=[SIGNED], unsigned_urls=[SIGNED], polling_url=SIGNED)
    for text in (repr(read), str(read), f"{read}", repr(read.urls), str(read.urls), repr([read])):
        assert "5ec2e7" not in text
    assert "5ec2e7" not in VideoJob.model_dump_json(job(urls=[SIGNED]))


def test_answers_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        job().status = "pending"  # type: ignore[misc]


# ── The catalogue ────────────────────────────────────────────────────────────────────────────────────────────────────

VEO: dict[str, Any] = {
    "id": "google/veo-3.1-fast", "canonical_slug": "google/veo-3.1-fast-20260320", "hugging_face_id": None,
    "name": "Google: Veo 3.1 Fast", "created": 1776994666, "description": "Google's mid-tier...",
    "supported_resolutions": ["720p", "1080p", "4K"], "supported_aspect_ratios": ["16:9", "9:16"],
    "supported_sizes": ["1280x720"], "supported_durations": [4, 6, 8],
    "supported_frame_images": ["first_frame", "last_frame"], "upscale_factor": {"min": 1.5, "max": None},
    "creativity": [0, 1], "generate_audio": True, "seed": None,
    "pricing_skus": {"duration_seconds_with_audio": "0.12"}, "allowed_passthrough_parameters": ["negativePrompt"],
}  # fmt: skip


def test_whole_entry_is_read() -> None:
    (model,) = parse_models({"data": [VEO]})
    assert model.supported_resolutions == ("720p", "1080p", "4K")
    assert model.supported_durations == (4, 6, 8)
    assert model.upscale_factor is not None
    assert (model.upscale_factor.min, model.upscale_factor.max) == (Decimal("1.5"), None)
    assert (model.creativity, model.generate_audio, model.seed) == ((0, 1), True, None)
    assert model.pricing_skus == {"duration_seconds_with_audio": "0.12"}
    assert model.allowed_passthrough_parameters == ("negativePrompt",)


@pytest.mark.parametrize("field", [field for field in VEO if field != "id"])
@pytest.mark.parametrize("shape", ["absent", "null", "odd"])
def test_entry_without_a_field_loses_neither_itself_nor_the_list(field: str, shape: str) -> None:
    entry = {**VEO, field: {"absent": None, "null": None, "odd": [{"odd": object}]}[shape]}
    if shape == "absent":
        del entry[field]
    models = parse_models({"data": [VEO, entry, {"id": "c"}]})
    assert [model.id for model in models] == ["google/veo-3.1-fast", "google/veo-3.1-fast", "c"]
    assert getattr(models[1], field) is None
    assert all(getattr(models[1], other) == getattr(models[0], other) for other in VEO if other != field)


@pytest.mark.parametrize("entry", [None, 5, "x", [], {}, {"name": "no id"}, {"id": ""}, {"id": None}])
def test_entry_without_an_id_is_left_out_and_logged(entry: object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "airflow_provider_orvideo"):
        assert [model.id for model in parse_models({"data": [{"id": "a"}, entry, {"id": "b"}]})] == ["a", "b"]
    assert "entry 1" in caplog.text


def test_new_values_and_fields_of_a_model_pass() -> None:
    entry = {"id": "a", "supported_resolutions": ["16K"], "supported_frame_images": ["middle_frame"], "brand_new": 1}
    (model,) = parse_models({"data": [entry]})
    assert model.supported_resolutions == ("16K",)
    assert model.supported_frame_images == ("middle_frame",)


def test_prices_told_as_numbers_are_not_lost() -> None:
    (model,) = parse_models({"data": [{"id": "a", "pricing_skus": {"duration_seconds": 0.1}}]})
    assert model.pricing_skus == {"duration_seconds": "0.1"}


@pytest.mark.parametrize("payload", [None, [], {}, {"data": None}, {"data": {"id": "a"}}, {"models": []}])
def test_catalogue_without_a_list_is_an_invalid_answer(payload: object) -> None:
    with pytest.raises(ResponseInvalidError, match="without a list under 'data'"):
        parse_models(payload)


def test_empty_catalogue_is_one() -> None:
    assert parse_models({"data": []}) == ()


@pytest.mark.parametrize("kind", [VideoJob, VideoModel, GenerationRecord])
def test_only_the_id_is_needed(kind: type[VideoJob | VideoModel | GenerationRecord]) -> None:
    assert parse_answer(kind, {"id": "x"}, operation="x").id == "x"


def test_key_without_a_limit_or_anything_else_is_read() -> None:
    info = parse_answer(KeyInfo, {"limit": None, "usage": "odd"}, operation="getCurrentKey")
    assert (info.limit, info.limit_remaining, info.usage, info.is_management_key) == (None, None, None, None)

"""What tasks hand to each other: JSON both ways, and between two versions of the provider."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from airflow_provider_orvideo.manifests import SCHEMA_VERSION, JobManifest, LandedFile, LandedManifest, iso

JOB = JobManifest(
    job_id="gen-vid-1-Ab",
    status="completed",
    model="google/veo-3.1",
    generation_id="gen-1",
    cost_usd=0.0,
    estimated_cost_usd=1.25,
    outputs=2,
    submitted_at="2026-10-02T23:24:17+00:00",
    completed_at="2026-10-02T23:25:17+00:00",
    conn_id="c",
)
FILE = LandedFile(
    uri="s3://aws@bucket/vidéo.mp4",
    index=0,
    bytes=2**40,
    sha256="0" * 64,
    content_type="video/mp4",
    duration_s=8.04,
    width=1280,
    height=720,
    fps=24.0,
    has_audio=False,
)
BARE = LandedFile(uri="file:///v.webm", index=1, bytes=1, sha256="1" * 64, content_type="video/webm")


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(JOB, id="job"),
        pytest.param(JobManifest(job_id="j", status="unknown"), id="a job id alone"),
        pytest.param(LandedManifest(**JOB.model_dump(), files=(FILE, BARE), landed_at=iso(1.0)), id="landed"),
        pytest.param(LandedManifest(job_id="j", status="completed", files=()), id="landed nothing"),
    ],
)
def test_a_manifest_survives_json(manifest: JobManifest) -> None:
    payload = manifest.to_json()
    assert payload["schema_version"] == SCHEMA_VERSION
    assert type(manifest).model_validate(json.loads(json.dumps(payload))) == manifest


def test_the_names_that_others_depend_on() -> None:
    promised = {"schema_version", "job_id", "status", "model", "generation_id", "cost_usd", "estimated_cost_usd"}
    promised |= {"outputs", "submitted_at", "completed_at", "conn_id"}
    assert promised <= JOB.to_json().keys()
    landed = LandedManifest(**JOB.model_dump(), files=(FILE,)).to_json()
    assert promised | {"files"} <= landed.keys()
    file = {"uri", "index", "bytes", "sha256", "content_type", "duration_s", "width", "height"}
    assert file <= landed["files"][0].keys()


def test_a_landed_manifest_serves_as_a_job_manifest() -> None:
    landed = LandedManifest(**JOB.model_dump(), files=(FILE,), landed_at=iso(1.0))
    assert JobManifest.model_validate(landed.to_json()) == JOB


def test_fields_of_a_newer_version_are_ignored() -> None:
    payload = {**JOB.to_json(), "schema_version": 2, "thumbnails": ["x"]}
    manifest = JobManifest.model_validate(payload)
    assert manifest.schema_version == 2
    assert "thumbnails" not in manifest.to_json()
    newer = {**FILE.to_json(), "codec": "av1"}
    landed = LandedManifest.model_validate({**payload, "files": [newer]})
    assert landed.files == (FILE,)


@pytest.mark.parametrize("payload", [{}, {"job_id": "j"}, {"status": "completed"}, {"job_id": None, "status": "x"}])
def test_what_names_no_job_is_no_manifest(payload: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        JobManifest.model_validate(payload)


def test_a_manifest_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        JOB.status = "failed"  # type: ignore[misc]  # the point of the test


def test_unknown_costs_stay_unknown_and_nothing_stays_nothing() -> None:
    assert JobManifest(job_id="j", status="completed").to_json()["cost_usd"] is None
    assert JOB.to_json()["cost_usd"] == 0.0


@pytest.mark.parametrize(
    ("epoch", "text"),
    [
        (None, None),
        (0.0, "1970-01-01T00:00:00+00:00"),
        (1790983457.9, "2026-10-02T23:24:17+00:00"),
        (1790983457, "2026-10-02T23:24:17+00:00"),
    ],
)
def test_times_are_iso_8601_in_utc_to_the_second(epoch: float | None, text: str | None) -> None:
    assert iso(epoch) == text

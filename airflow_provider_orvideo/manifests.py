"""What tasks hand to each other: small JSON without a secret, one schema with a version.

The submit operator returns a `JobManifest`, the download operator a `LandedManifest`; the latter also lies beside each
landed file as ``<name>.json``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION: Final = 1


def iso(epoch: float | None) -> str | None:
    """Write epoch seconds as ISO 8601 in UTC, to the second."""
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")


class _Manifest(BaseModel):
    """Frozen; fields of a newer version are ignored, so that tasks of two provider versions can pass manifests on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that goes into XCom and sidecars."""
        return self.model_dump(mode="json")


class JobManifest(_Manifest):
    """One job, as the submit operator returns it.

    Attributes:
        schema_version: version of this schema.
        job_id: the API's opaque job id.
        status: the job's status when the task ended; ``completed`` unless the task did not wait.
        model: model id that was ordered, None for a job that this provider did not submit.
        generation_id: id for the API's accounting record.
        cost_usd: US dollars that the API reports, None for unknown.
        estimated_cost_usd: US dollars estimated before the submit, the high end; None for unknown.
        total_cost_usd: US dollars of this job and of those that this task instance bought before it; None where one of
            them is unknown.
        outputs: how many videos the job has; 0 until it completed.
        submitted_at: when the job was accepted, ISO 8601 in UTC.
        completed_at: when the end of the job was seen, ISO 8601 in UTC.
        conn_id: Airflow connection that the job belongs to.
        request: what was ordered, as the API takes it, with media as their sha256 and URLs without their queries;
            None for a job that this task did not order.
    """

    schema_version: int = SCHEMA_VERSION
    job_id: str
    status: str
    model: str | None = None
    generation_id: str | None = None
    cost_usd: float | None = None
    estimated_cost_usd: float | None = None
    total_cost_usd: float | None = None
    outputs: int = 0
    submitted_at: str | None = None
    completed_at: str | None = None
    conn_id: str | None = None
    request: dict[str, Any] | None = None


class LandedFile(_Manifest):
    """One video at its destination.

    Attributes:
        uri: where it lies, with the storage connection's id if one was given, as ``ObjectStoragePath`` takes it.
        index: number of the job's output, from 0.
        bytes: size.
        sha256: of the whole file, in hex.
        content_type: media type of what it really is.
        duration_s: seconds, None where it could not be probed (the ``media`` extra does that).
        width: pixels.
        height: pixels.
        fps: frames a second.
        has_audio: whether there is an audio track.
        video_codec: name of the video's codec, for example ``h264``.
        audio_codec: name of the sound's codec, for example ``aac``.
        has_c2pa: whether it carries provenance by C2PA, None where that cannot be told.
        poster_uri: where its still image lies, None for none.
        unexpected: one sentence for each difference between what was ordered and what came.
        skipped: whether this file lay there already and was left alone, whatever it is (``on_existing="skip"``).
    """

    uri: str
    index: int
    bytes: int
    sha256: str
    content_type: str
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    has_audio: bool | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    has_c2pa: bool | None = None
    poster_uri: str | None = None
    unexpected: tuple[str, ...] = ()
    skipped: bool = False


class LandedManifest(JobManifest):
    """A job and the files it landed as.

    Attributes:
        dag_id: of the task that landed it.
        run_id: of the task that landed it.
        task_id: of the task that landed it.
        map_index: of the task that landed it, as text; ``-1`` for a task that is not mapped.
        files: one for each output, in order.
        landed_at: when all files were landed, or found to have landed before; ISO 8601 in UTC.
        provider_version: version of this provider that landed it.
        reused_from: where the result of an identical earlier order served, the task that had ordered it, as
            ``dag_id/run_id/task_id``; nothing was ordered then. None otherwise.
    """

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: str | None = None
    files: tuple[LandedFile, ...]
    landed_at: str | None = None
    provider_version: str | None = None
    reused_from: str | None = None

"""The pay-once record and the one decision it exists for: may this attempt send a POST? Pure: no I/O, no clock."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_orvideo.api.schema import JobStatus
from airflow_provider_orvideo.exceptions import LedgerUnavailableError

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.schema import VideoRequest

SCHEMA_VERSION: Final = 1

#: Fields that describe the call, not the video: a value that changes with each attempt must not buy a second one.
_NOT_THE_VIDEO: Final = frozenset({"callback_url", "session_id", "trace", "user"})


class Phase(StrEnum):
    """How far the purchase got."""

    #: The POST is about to leave, or left; no answer is known.
    INTENT = "intent"
    #: The API accepted it; the job id is known.
    SUBMITTED = "submitted"
    #: The job ended, one way or the other.
    TERMINAL = "terminal"


class PastJob(BaseModel):
    """A job that this task instance bought before and no longer follows; kept, since it was paid for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job_id: str
    status: str | None = None
    cost_usd: float | None = None
    submitted_at: float | None = None


class Record(BaseModel):
    """What one task instance ordered. Holds no prompt, no URL and no key.

    Attributes:
        schema_version: version of this schema.
        phase: how far the purchase got.
        fingerprint: of request, connection and base URL.
        model: model id ordered.
        conn_id: Airflow connection used.
        intent_at: epoch seconds at which the POST was about to leave.
        submitted_at: epoch seconds at which the API accepted.
        job_id: the API's job id; set from ``submitted`` on.
        status: terminal status.
        error: why the job ended without a video.
        generation_id: id of the accounting record.
        cost_usd: US dollars reported at the end.
        outputs: number of videos at the end.
        finished_at: epoch seconds at which the end was seen.
        past: earlier jobs of this task instance.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    phase: Phase
    fingerprint: str
    model: str
    conn_id: str
    intent_at: float
    submitted_at: float | None = None
    job_id: str | None = None
    status: str | None = None
    error: str | None = None
    generation_id: str | None = None
    cost_usd: float | None = None
    outputs: int = 0
    finished_at: float | None = None
    past: tuple[PastJob, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that stores keep."""
        return self.model_dump(mode="json", exclude_none=True)

    def submitted(self, job_id: str, *, now: float) -> Record:
        """Return the record after the API accepted."""
        return self.model_copy(update={"phase": Phase.SUBMITTED, "job_id": job_id, "submitted_at": now})

    def terminal(
        self,
        *,
        status: str,
        now: float,
        error: str | None,
        generation_id: str | None,
        cost_usd: float | None,
        outputs: int,
    ) -> Record:
        """Return the record after the job ended."""
        return self.model_copy(
            update={
                "phase": Phase.TERMINAL,
                "status": status,
                "error": error,
                "generation_id": generation_id,
                "cost_usd": cost_usd,
                "outputs": outputs,
                "finished_at": now,
            }
        )

    def history(self) -> tuple[PastJob, ...]:
        """Return the jobs to remember when this record is replaced."""
        if self.job_id is None:
            return self.past
        job = PastJob(job_id=self.job_id, status=self.status, cost_usd=self.cost_usd, submitted_at=self.submitted_at)
        return (*self.past, job)


def read_record(value: object) -> Record | None:
    """Read what a store kept; None only where there was nothing.

    Raises:
        LedgerUnavailableError: something is there that is no record of ours, or of a newer version: never "nothing".
    """
    if value is None:
        return None
    try:
        record = Record.model_validate(value)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors())
        raise LedgerUnavailableError(
            f"The pay-once record of this task cannot be read ({fields}). Nothing was sent. Mend or delete the record "
            "in the task's state store; deleting it lets the next attempt order a new video."
        ) from None
    if record.schema_version > SCHEMA_VERSION or (record.phase != Phase.INTENT and not record.job_id):
        raise LedgerUnavailableError(
            f"The pay-once record of this task is of version {record.schema_version}, phase {record.phase}, and cannot "
            "be used by this provider. Nothing was sent. Upgrade the provider on this worker, or mend the record."
        )
    return record


def fingerprint(request: VideoRequest, *, conn_id: str, base_url: str) -> str:
    """Return the identity of an order: the same for each attempt at the same video.

    Covers every field that shapes the video, media in ``data:`` URLs by content, and who pays where. Fields that only
    describe the call (``trace``, ``session_id``, ``user``, ``callback_url``) are left out.
    """
    video = {name: value for name, value in request.to_wire().items() if name not in _NOT_THE_VIDEO}
    order = {"request": video, "conn_id": conn_id, "base_url": base_url}
    return hashlib.sha256(json.dumps(order, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# ── The decision ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Submit:
    """Send the POST, after writing an intent.

    Attributes:
        past: jobs that the new record must remember.
        reason: why, where it is not the first order.
    """

    past: tuple[PastJob, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Attach:
    """A job is already paid for: follow it, send nothing."""

    record: Record


@dataclass(frozen=True)
class Reuse:
    """The job already ended with its video: hand it on, send nothing."""

    record: Record


@dataclass(frozen=True)
class EndedWithoutVideo:
    """The job already ended without a video, and is not bought again by itself."""

    record: Record


@dataclass(frozen=True)
class Ambiguous:
    """An earlier POST may have been accepted: a person must decide."""

    record: Record


Decision = Submit | Attach | Reuse | EndedWithoutVideo | Ambiguous


def decide(record: Record | None, *, order: str) -> Decision:
    """Say what an attempt may do.

    Args:
        record: what the store holds, None for nothing.
        order: fingerprint of what the attempt wants.
    """
    if record is None:
        return Submit()
    if record.phase == Phase.INTENT:
        return Ambiguous(record)
    if record.fingerprint != order:
        return Submit(past=record.history(), reason=f"the request changed since job {record.job_id} was ordered")
    if record.phase == Phase.SUBMITTED:
        return Attach(record)
    return Reuse(record) if record.status == JobStatus.COMPLETED else EndedWithoutVideo(record)

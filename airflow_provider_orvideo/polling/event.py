"""How a wait ended, as the small JSON that a trigger hands to the worker: no URL, no prompt, no secret."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, assert_never

from pydantic import BaseModel, ConfigDict

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.polling.decision import Ended, GaveUp, TimedOut

if TYPE_CHECKING:
    from airflow_provider_orvideo.polling.decision import Wait

SCHEMA_VERSION: Final = 1


class Outcome(StrEnum):
    """How the wait ended; the job's own end is in ``status``."""

    ENDED = "ended"
    TIMED_OUT = "timed_out"
    GAVE_UP = "gave_up"


class WaitEvent(BaseModel):
    """All that the worker needs: ``dag.test()`` hands a resumed task nothing but this.

    Attributes:
        schema_version: version of this schema.
        outcome: how the wait ended.
        job_id: the job.
        conn_id: Airflow connection that the job belongs to.
        model: model id that was ordered.
        submitted_at: epoch seconds.
        observed_at: epoch seconds at which the wait ended.
        status: last status of the job, None if none was read.
        error: why the job ended without a video, or why the wait was given up.
        generation_id: id of the accounting record.
        cost_usd: US dollars that the API reports, None for unknown.
        outputs: number of videos.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    outcome: Outcome
    job_id: str
    conn_id: str
    model: str | None
    submitted_at: float
    observed_at: float
    status: str | None = None
    error: str | None = None
    generation_id: str | None = None
    cost_usd: float | None = None
    outputs: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the payload of the trigger's event."""
        return self.model_dump(mode="json")


class BatchEvent(BaseModel):
    """Why a task with many jobs wakes up: counts only, since it reads the jobs themselves.

    Attributes:
        schema_version: version of this schema.
        jobs: how many were waited for.
        ended: waits that are over, whichever way.
        timed_out: of these, the ones whose deadline passed.
        gave_up: of these, the ones whose job cannot be read.
        error: why the first of those cannot be read.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    jobs: int
    ended: int
    timed_out: int = 0
    gave_up: int = 0
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the payload of the trigger's event."""
        return self.model_dump(mode="json")


def event_of(end: Ended | TimedOut | GaveUp, wait: Wait, *, conn_id: str, model: str | None, now: float) -> WaitEvent:
    """Describe the end of a wait."""
    details: dict[str, Any]
    if isinstance(end, Ended):
        job = end.job
        cost = job.usage.cost if job.usage else None
        details = {
            "outcome": Outcome.ENDED,
            "status": _word(job.status),
            "error": job.error,
            "generation_id": _word(job.generation_id),
            "cost_usd": None if cost is None else float(cost),
            "outputs": job.output_count,
        }
    elif isinstance(end, TimedOut):
        details = {"outcome": Outcome.TIMED_OUT, "status": _word(end.status)}
    elif isinstance(end, GaveUp):
        details = {"outcome": Outcome.GAVE_UP, "error": str(end.error)}
    else:
        assert_never(end)
    return WaitEvent(
        job_id=wait.job_id,
        conn_id=conn_id,
        model=model,
        submitted_at=wait.submitted_at,
        observed_at=now,
        **details,
    )


def _word(text: str | None) -> str | None:
    """Keep the server's own words short: the event lies in the metadata database."""
    return None if text is None else redact(text, limit=100)

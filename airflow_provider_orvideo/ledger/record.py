"""The pay-once record: what one task instance ordered. Pure: no I/O, no clock. What it allows is in ``decision.py``."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_orvideo.exceptions import LedgerUnavailableError

SCHEMA_VERSION: Final = 1


class Phase(StrEnum):
    """How far the purchase got."""

    #: The POST is about to leave, or left; no answer is known.
    INTENT = "intent"
    #: The API accepted it; the job id is known.
    SUBMITTED = "submitted"
    #: The job ended, one way or the other.
    TERMINAL = "terminal"


class PastJob(BaseModel):
    """A job that this task instance bought before and no longer follows; kept, since it was paid for.

    Attributes:
        job_id: the API's job id.
        status: how it ended, None where that was never seen.
        cost_usd: US dollars that the API reported, None for unknown.
        submitted_at: epoch seconds at which the API accepted.
        model: model id ordered.
        error: why it ended without a video.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    job_id: str
    status: str | None = None
    cost_usd: float | None = None
    submitted_at: float | None = None
    model: str | None = None
    error: str | None = None


class Refused(BaseModel):
    """An order of which nothing was accepted, and after which another model was asked.

    Attributes:
        model: model id that was asked.
        at: epoch seconds of the order.
        error: how it was refused.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    at: float
    error: str


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
        estimated_cost_usd: US dollars estimated before the POST, the high end; None for unknown.
        estimated_low_usd: the low end, where that is another.
        deadline: epoch seconds until which the attempt that ordered waits; for those who watch.
        poll_interval: seconds between two looks of that attempt, at most; for those who watch.
        adjusted: fields of the request that were sent otherwise than the author wrote them, media excepted.
        outputs: number of videos at the end.
        finished_at: epoch seconds at which the end was seen.
        past: earlier jobs of this task instance.
        lost: epoch seconds of earlier POSTs whose outcome was never learned: each may have billed a video.
        max_tries: Airflow's ``max_tries`` of the attempt that wrote last; only a person's clear changes it.
        try_number: the attempt that ordered.
        adopted: whether the job was not ordered here but named by ``job_id``.
        detached_at: epoch seconds at which a worker that followed the job was told to stop.
        evidence: what was seen where the outcome of the POST is unknown; None where nobody lived to see it.
        refused: where several models may serve, those that had no room before this one was asked.
        nonce: what the order's callback URL ends in; by it, a job whose answer was lost tells its id.
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
    estimated_cost_usd: float | None = None
    estimated_low_usd: float | None = None
    deadline: float | None = None
    poll_interval: float | None = None
    adjusted: dict[str, Any] = {}
    outputs: int = 0
    finished_at: float | None = None
    past: tuple[PastJob, ...] = ()
    lost: tuple[float, ...] = ()
    max_tries: int | None = None
    try_number: int | None = None
    adopted: bool = False
    detached_at: float | None = None
    evidence: str | None = None
    refused: tuple[Refused, ...] = ()
    nonce: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that stores keep."""
        return self.model_dump(mode="json", exclude_none=True)

    def submitted(self, job_id: str, *, now: float, timeout: float | None = None) -> Record:
        """Return the record after the API accepted; ``timeout`` is how many seconds the attempt waits from now on."""
        deadline = None if timeout is None else now + timeout
        return self.model_copy(
            update={"phase": Phase.SUBMITTED, "job_id": job_id, "submitted_at": now, "deadline": deadline}
        )

    def terminal(
        self,
        *,
        status: str,
        now: float,
        error: str | None,
        generation_id: str | None,
        cost_usd: float | None,
        outputs: int,
        max_tries: int | None = None,
    ) -> Record:
        """Return the record after the job ended."""
        return self.model_copy(
            update={
                "max_tries": self.max_tries if max_tries is None else max_tries,
                "phase": Phase.TERMINAL,
                "status": status,
                "error": error,
                "generation_id": generation_id,
                "cost_usd": cost_usd,
                "outputs": outputs,
                "finished_at": now,
            }
        )

    def detached(self, *, now: float) -> Record:
        """Return the record after a worker let go of the job, which goes on."""
        return self.model_copy(update={"detached_at": now})

    def history(self) -> tuple[PastJob, ...]:
        """Return the jobs to remember when this record is replaced."""
        if self.job_id is None:
            return self.past
        job = PastJob(
            job_id=self.job_id,
            status=self.status,
            cost_usd=self.cost_usd,
            submitted_at=self.submitted_at,
            model=self.model,
            error=self.error,
        )
        return (*self.past, job)

    def all_lost(self) -> tuple[float, ...]:
        """Return the times of POSTs with an unknown outcome, this record's own included."""
        return (*self.lost, self.intent_at) if self.phase == Phase.INTENT else self.lost


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

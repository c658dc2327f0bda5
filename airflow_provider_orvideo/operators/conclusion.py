"""How a job's end becomes a task's end: the record closed, a manifest returned, or an error that says what to do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.api.schema import JobStatus
from airflow_provider_orvideo.exceptions import (
    JobCancelledError,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobTimedOutError,
    JobUnreachableError,
    LedgerUnavailableError,
)
from airflow_provider_orvideo.ledger.record import Phase, Record
from airflow_provider_orvideo.manifests import JobManifest, iso
from airflow_provider_orvideo.polling.event import Outcome, WaitEvent

if TYPE_CHECKING:
    from airflow_provider_orvideo.ledger.stores import Store

log = logging.getLogger(__name__)

_BY_STATUS: Final = {JobStatus.CANCELLED: JobCancelledError, JobStatus.EXPIRED: JobExpiredError}


def manifest_of(record: Record) -> JobManifest:
    """Describe a job that was ordered."""
    return JobManifest(
        job_id=record.job_id or "",
        status=record.status or JobStatus.PENDING,
        model=record.model,
        generation_id=record.generation_id,
        cost_usd=record.cost_usd,
        outputs=record.outputs,
        submitted_at=iso(record.submitted_at),
        completed_at=iso(record.finished_at),
        conn_id=record.conn_id,
    )


def conclude(record: Record) -> JobManifest:
    """Return the manifest of a job that ended.

    Raises:
        JobError: it ended without a video.
    """
    if record.status != JobStatus.COMPLETED:
        raise _ended_without_video(record)
    cost = "an unknown amount" if record.cost_usd is None else f"${record.cost_usd:.4f}"
    log.info("Job %s completed with %d video(s) for %s.", record.job_id, record.outputs, cost)
    return manifest_of(record)


def settle(event: WaitEvent, store: Store) -> Record:
    """Write the end of a wait into the record and return it, terminal.

    Raises:
        JobTimedOutError, JobUnreachableError: the job did not end; the record stays as it is, for the next attempt.
    """
    if event.outcome == Outcome.TIMED_OUT:
        raise JobTimedOutError(
            f"Job {event.job_id} was still '{event.status or 'unknown'}' when this task's timeout passed. It cannot be "
            "cancelled, goes on, and bills when it completes. A retry or a clear of this task looks at it again and "
            "orders nothing; raise 'timeout' if such jobs take longer.",
            job_id=event.job_id,
        )
    if event.outcome == Outcome.GAVE_UP:
        raise JobUnreachableError(
            f"The status of job {event.job_id} cannot be read: {event.error} The job is not affected, and bills when "
            "it completes. Mend the cause, then retry or clear this task: it re-attaches and orders nothing.",
            job_id=event.job_id,
        )
    try:
        kept = store.load()
    except LedgerUnavailableError as error:
        # Never written over: what cannot be read may be a record that an attempt needs in order not to pay again.
        log.warning("The end of job %s was not recorded, since its record cannot be read: %s", event.job_id, error)
        return _ended(event, None)
    if kept is not None and kept.job_id not in {None, event.job_id}:
        log.warning("The end of job %s was not recorded: the record is of job %s by now.", event.job_id, kept.job_id)
        return _ended(event, None)
    ended = _ended(event, kept)
    try:
        store.save(ended)
    except LedgerUnavailableError as error:
        # Nothing is lost: the record still names the job, and the next attempt would read its end from the API.
        log.warning("The end of job %s could not be recorded: %s", event.job_id, error)
    return ended


def _ended(event: WaitEvent, kept: Record | None) -> Record:
    """Close the record that the event belongs to; where none is at hand, the event says enough to make one."""
    if kept is None or kept.job_id is None:
        kept = Record(
            phase=Phase.SUBMITTED,
            fingerprint=kept.fingerprint if kept else "",
            model=event.model or "unknown",
            conn_id=event.conn_id,
            intent_at=event.submitted_at,
            submitted_at=event.submitted_at,
            job_id=event.job_id,
            past=kept.past if kept else (),
        )
    return kept.terminal(
        status=event.status or "unknown",
        now=event.observed_at,
        error=event.error,
        generation_id=event.generation_id,
        cost_usd=event.cost_usd,
        outputs=event.outputs,
    )


def _ended_without_video(record: Record) -> JobError:
    billed = (
        "Whether it was billed is not documented; see https://openrouter.ai/activity"
        if record.cost_usd is None
        else f"The API reports a cost of ${record.cost_usd:.4f}"
    )
    kind = (
        _BY_STATUS.get(JobStatus(record.status), JobFailedError) if record.status in set(JobStatus) else JobFailedError
    )
    return kind(
        f"Job {record.job_id} ({record.model}) ended as '{record.status}' without a video"
        f"{f': {record.error.rstrip(chr(46))}' if record.error else ''}. {billed}. Airflow's retries do not order "
        "another. Change the request and clear this task, or delete the record 'orvideo_job' from its state store to "
        "order the same again.",
        job_id=record.job_id or "",
    )

"""How a job's end becomes a task's end: the record closed, a manifest returned, or an error that says what to do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.api.schema import JobStatus
from airflow_provider_orvideo.exceptions import (
    JobError,
    JobRefusedError,
    JobTimedOutError,
    JobUnreachableError,
    LedgerUnavailableError,
)
from airflow_provider_orvideo.jobs import completed_in_words, end_in_words, kind_of_end
from airflow_provider_orvideo.ledger.record import Phase, Record
from airflow_provider_orvideo.manifests import JobManifest, iso
from airflow_provider_orvideo.operators import observing
from airflow_provider_orvideo.polling.event import Outcome, WaitEvent

if TYPE_CHECKING:
    from airflow_provider_orvideo.ledger.policies import Policies
    from airflow_provider_orvideo.ledger.stores import Store

log = logging.getLogger(__name__)

#: A bill that is off the estimate by more than this share is worth a warning.
_SURPRISE: Final = 0.2


def manifest_of(record: Record) -> JobManifest:
    """Describe a job that was ordered."""
    return JobManifest(
        job_id=record.job_id or "",
        status=record.status or JobStatus.PENDING,
        model=record.model,
        generation_id=record.generation_id,
        cost_usd=record.cost_usd,
        estimated_cost_usd=record.estimated_cost_usd,
        total_cost_usd=_total(record),
        outputs=record.outputs,
        submitted_at=iso(record.submitted_at),
        completed_at=iso(record.finished_at),
        conn_id=record.conn_id,
    )


def conclude(record: Record, store: Store, policies: Policies) -> JobManifest:
    """Return the manifest of a job that ended.

    Raises:
        JobError: it ended without a video.
    """
    if record.status != JobStatus.COMPLETED:
        raise _ended_without_video(record, store, policies)
    log.info(completed_in_words(record.job_id, outputs=record.outputs, cost_usd=record.cost_usd))
    _compare(record)
    return manifest_of(record)


def _total(record: Record) -> float | None:
    """Add up what this task instance paid; an order whose outcome was never learned makes it unknown."""
    costs = [past.cost_usd for past in record.past] + [record.cost_usd] + [None] * len(record.lost)
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _compare(record: Record) -> None:
    """Tell how far the bill is from the estimate."""
    estimated, billed = record.estimated_cost_usd, record.cost_usd
    if estimated is None or billed is None:
        return
    low = estimated if record.estimated_low_usd is None else record.estimated_low_usd
    expected = min(max(billed, low), estimated)
    off = (billed - expected) / expected
    span = f"up to ${estimated:.4f}" if low == estimated else f"${low:.4f} to ${estimated:.4f}"
    how = f", {off:+.0%}" if off else ""
    level = logging.WARNING if abs(off) > _SURPRISE else logging.INFO
    log.log(level, "Job %s was estimated at %s and billed $%.4f%s.", record.job_id, span, billed, how)


def settle(event: WaitEvent, store: Store, *, max_tries: int | None = None) -> Record:
    """Write the end of a wait into the record and return it, terminal.

    Args:
        event: how the wait ended.
        store: keeps the record.
        max_tries: Airflow's ``max_tries`` of this attempt: a later one tells that a person cleared the task since.

    Raises:
        JobTimedOutError, JobUnreachableError: the job did not end; the record stays as it is, for the next attempt.
    """
    if event.outcome != Outcome.ENDED:
        observing.ended(event)
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
        return _ended(event, None, max_tries)
    if kept is not None and kept.job_id not in {None, event.job_id}:
        log.warning("The end of job %s was not recorded: the record is of job %s by now.", event.job_id, kept.job_id)
        return _ended(event, None, max_tries)
    ended = _ended(event, kept, max_tries)
    try:
        store.save(ended)
    except LedgerUnavailableError as error:
        # Nothing is lost: the record still names the job, and the next attempt would read its end from the API.
        log.warning("The end of job %s could not be recorded: %s", event.job_id, error)
    return ended


def is_kept(record: Record, store: Store) -> bool:
    """Whether the store holds the end of this job, so that the next order is decided by it."""
    try:
        kept = store.load()
    except LedgerUnavailableError:
        return False
    return kept is not None and (kept.phase, kept.job_id) == (Phase.TERMINAL, record.job_id)


def _ended(event: WaitEvent, kept: Record | None, max_tries: int | None) -> Record:
    """Close the record that the event belongs to; where none is at hand, the event says enough to make one."""
    if kept is None or kept.phase != Phase.TERMINAL:
        observing.ended(event, adopted=kept is not None and kept.adopted)
    if kept is None:
        kept = Record(
            phase=Phase.SUBMITTED,
            fingerprint="",
            model=event.model or "unknown",
            conn_id=event.conn_id,
            intent_at=event.submitted_at,
        )
    if kept.job_id is None:
        kept = kept.submitted(event.job_id, now=event.submitted_at)
    return kept.terminal(
        status=event.status or "unknown",
        now=event.observed_at,
        error=event.error,
        generation_id=event.generation_id,
        cost_usd=event.cost_usd,
        outputs=event.outputs,
        max_tries=max_tries,
    )


def _ended_without_video(record: Record, store: Store, policies: Policies) -> JobError:
    kind = kind_of_end(record.status, record.error)
    if policies.on_job_failure == "resubmit" and kind is not JobRefusedError:
        then = "on_job_failure is 'resubmit': a retry of this task orders another"
        then += ", once job_id is no longer set." if record.adopted else "."
    else:
        then = (
            "Airflow's retries do not order another. Change the request and clear this task, or delete the record "
            f"{store.where} to order the same again."
        )
    end = end_in_words(
        record.job_id, model=record.model, status=record.status, error=record.error, cost_usd=record.cost_usd
    )
    return kind(f"{end} {then}", job_id=record.job_id or "")

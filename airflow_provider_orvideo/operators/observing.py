"""Counts and traces what the operators do: each order, end and landing once, and none of it able to fail a task."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo import exceptions as exc
from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.api.schema import JobStatus
from airflow_provider_orvideo.jobs import kind_of_end
from airflow_provider_orvideo.observability import names
from airflow_provider_orvideo.observability.stats import harmless, send
from airflow_provider_orvideo.observability.tracing import Span, record, start
from airflow_provider_orvideo.polling.event import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_orvideo.ledger.purchase import Prepared
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.manifests import JobManifest, LandedFile, LandedManifest
    from airflow_provider_orvideo.polling.event import WaitEvent

_MICROS: Final = 1_000_000
_REASONS: Final[dict[type[exc.JobError], names.Failure]] = {
    exc.JobRefusedError: "refused",
    exc.JobCancelledError: "cancelled",
    exc.JobExpiredError: "expired",
}


def _tags(conn_id: str, model: str | None) -> dict[str, str]:
    return {"conn_id": conn_id, "model": model or "unknown"}


# ── The order ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Ordering:
    """One task's try to obtain its job. Nothing is counted unless an order leaves.

    Args:
        conn_id: Airflow connection that pays.
        task_instance: Airflow's.
    """

    def __init__(self, conn_id: str, task_instance: object) -> None:
        self._conn_id = conn_id
        self._model = "unknown"
        self._task_instance = task_instance
        self._span = Span()
        self._left = False

    def leaves(self, prepared: Prepared) -> Prepared:
        """Begin the span of an order, and let the API know it, if its author says nothing else in ``trace``."""
        if self._left:  # another model was asked before
            self._refused("rejected")
        self._left, self._model = True, prepared.request.model
        with harmless():
            attributes = {
                names.CONN_ID: self._conn_id,
                names.MODEL: self._model,
                names.ESTIMATED_COST_USD: prepared.estimated_cost_usd,
            }
            self._span = start(names.SUBMIT_SPAN, self._task_instance, attributes)
            request = prepared.request
            ids = self._span.ids()
            if ids and request.trace is None:
                trace_id, span_id = ids
                request = request.model_copy(update={"trace": {"trace_id": trace_id, "parent_span_id": span_id}})
            self._span.set(_trace_attributes(request.trace))
            return replace(prepared, request=request)
        return prepared

    @harmless()
    def accepted(self, job: Record) -> None:
        """Count the order, if the job was not there before."""
        if not self._left:
            return
        self._left = False
        self._span.set({names.JOB_ID: job.job_id})
        self._span.end()
        send(names.SUBMITTED, 1, **_tags(self._conn_id, self._model))

    @harmless()
    def failed(self, error: BaseException) -> None:
        """Count an order that left and came to nothing, as far as is known."""
        if not self._left:
            return
        self._span.end(error=type(error).__name__)
        reason: names.SubmitFailure = "unknown_outcome"
        if isinstance(error, exc.ClientStatusError | exc.RedirectError):
            reason = "rejected"
        elif isinstance(error, exc.BeforeSendError | exc.NotSentError | exc.LedgerError):
            reason = "not_sent"
        self._refused(reason)

    @harmless()
    def _refused(self, reason: names.SubmitFailure) -> None:
        self._left = False
        self._span.end()
        send(names.SUBMIT_FAILED, 1, **_tags(self._conn_id, self._model), reason=reason)


@contextmanager
def ordering(conn_id: str, task_instance: object) -> Iterator[Ordering]:
    """Watch the purchase inside the block; whoever gets the job's record calls `Ordering.accepted` with it."""
    order = Ordering(conn_id, task_instance)
    try:
        yield order
    except BaseException as error:  # Airflow's timeout and a kill are none of Exception's
        order.failed(error)
        raise


# ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@harmless()
def waited(event: WaitEvent, task_instance: object) -> None:
    """Send the span of a wait that is over: from the submission to the moment at which its end was seen."""
    attributes = {
        names.CONN_ID: event.conn_id,
        names.MODEL: event.model,
        names.JOB_ID: event.job_id,
        names.GENERATION_ID: event.generation_id,
        names.OUTCOME: str(event.outcome),
        names.STATUS: event.status,
        names.COST_USD: event.cost_usd,
        names.OUTPUTS: event.outputs,
    }
    record(
        names.WAIT_SPAN,
        task_instance,
        attributes,
        start_at=event.submitted_at,
        end_at=event.observed_at,
        error=_failure(event),
    )


@harmless()
def ended(event: WaitEvent, *, adopted: bool = False) -> None:
    """Count how a job ended, or how a wait for it did, and what it cost. Call it once for each.

    Args:
        event: how the wait ended.
        adopted: whether the job was ordered elsewhere, so that nobody here knows for how long it has been under way.
    """
    tags = _tags(event.conn_id, event.model)
    failure = _failure(event)
    if failure is None:
        send(names.COMPLETED, 1, **tags)
    else:
        send(names.FAILED, 1, **tags, reason=failure)
    if event.cost_usd is not None:
        send(names.COST, round(event.cost_usd * _MICROS), **tags)
    if failure is None and not adopted:
        send(names.GENERATION, max(0.0, event.observed_at - event.submitted_at), **tags)


@harmless()
def unreachable(conn_id: str, model: str | None) -> None:
    """Count a wait that was given up since its trigger was lost."""
    reason: names.Failure = "unreachable"
    send(names.FAILED, 1, **_tags(conn_id, model), reason=reason)


def _failure(event: WaitEvent) -> names.Failure | None:
    if event.outcome == Outcome.TIMED_OUT:
        return "timed_out"
    if event.outcome == Outcome.GAVE_UP:
        return "unreachable"
    if event.status == JobStatus.COMPLETED:
        return None
    return _REASONS.get(kind_of_end(event.status, event.error), "failed")


# ── The landing ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Landing:
    """One job on its way home.

    Args:
        conn_id: Airflow connection that it comes through.
        job: the job.
        span: of the landing.
    """

    def __init__(self, conn_id: str, job: JobManifest, span: Span) -> None:
        self._tags = _tags(conn_id, job.model)
        self._span = span

    @harmless()
    def landed(self, file: LandedFile, seconds: float) -> None:
        """Count a file that was downloaded and stored just now. May be called by several threads."""
        send(names.LANDED_FILES, 1, **self._tags)
        send(names.LANDED_BYTES, file.bytes, **self._tags)
        send(names.LANDED_TIME, seconds, **self._tags)

    @harmless()
    def done(self, manifest: LandedManifest) -> None:
        """Tell the span what lies there now, whenever it was landed."""
        self._span.set(
            {
                **_job_attributes(manifest),
                names.FILES: len(manifest.files),
                names.BYTES: sum(file.bytes for file in manifest.files),
            }
        )


@contextmanager
def landing(conn_id: str, job: JobManifest, task_instance: object) -> Iterator[Landing]:
    """Watch the landing inside the block."""
    span = start(names.LAND_SPAN, task_instance, {names.CONN_ID: conn_id, **_job_attributes(job)})
    try:
        yield Landing(conn_id, job, span)
    except BaseException as error:  # Airflow's timeout and a kill are none of Exception's
        span.end(error=type(error).__name__)
        raise
    finally:
        span.end()


def _job_attributes(job: JobManifest) -> dict[str, Any]:
    request = job.request or {}
    return {
        names.MODEL: job.model,
        names.JOB_ID: job.job_id,
        names.GENERATION_ID: job.generation_id,
        names.STATUS: job.status,
        names.COST_USD: job.cost_usd,
        names.OUTPUTS: job.outputs,
        **_trace_attributes(request.get("trace")),
    }


def _trace_attributes(trace: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Return what joins a span with the API's side. Other keys of ``trace`` are the author's, and stay out."""
    found = trace if isinstance(trace, dict) else {}
    shown = {names.TRACE_ID: found.get("trace_id"), names.PARENT_SPAN_ID: found.get("parent_span_id")}
    return {name: redact(value, limit=128) for name, value in shown.items() if isinstance(value, str)}

"""The one place that orders a video: record, POST, record. Everything that submits goes through here."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from airflow_provider_orvideo.exceptions import (
    AmbiguousSubmitError,
    BeforeSendError,
    ChangedRequestError,
    ClientStatusError,
    LedgerUnavailableError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RedirectError,
    RequestInvalidError,
)
from airflow_provider_orvideo.ledger.decision import Adopt, Ambiguous, Changed, Submit, decide, was_cleared
from airflow_provider_orvideo.ledger.fingerprint import differences, fingerprint
from airflow_provider_orvideo.ledger.policies import DEFAULT_POLICIES, Policies
from airflow_provider_orvideo.ledger.record import Phase, Record
from airflow_provider_orvideo.manifests import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.ledger.stores import Store

log = logging.getLogger(__name__)

#: Failures of the POST after which it is certain that nothing was accepted. Any other leaves the intent where it is.
NOTHING_ACCEPTED: Final = (BeforeSendError, NotSentError, ClientStatusError, RedirectError)


@dataclass(frozen=True)
class Prepared:
    """An order that is ready to leave.

    Attributes:
        request: what is sent.
        estimated_cost_usd: US dollars that it is expected to cost, None for unknown.
    """

    request: VideoRequest
    estimated_cost_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Who asks, and what its author wants.

    Args:
        conn_id: id of the Airflow connection that pays.
        policies: what to do where the record leaves a choice.
        try_number: Airflow's number of this attempt, for the record.
        max_tries: Airflow's ``max_tries`` of this attempt, by which a person's clear is told from a retry.
        adopt: id of an existing job to follow instead of ordering.
        timeout: seconds that the attempt waits for its job, None if it does not; for the record.
        poll_interval: seconds between two looks at it, for the record.
    """

    conn_id: str
    policies: Policies = DEFAULT_POLICIES
    try_number: int | None = None
    max_tries: int | None = None
    adopt: str | None = None
    timeout: float | None = None
    poll_interval: float | None = None


def obtain(
    client: VideoClient,
    request: VideoRequest,
    store: Store,
    attempt: Attempt,
    *,
    prepare: Callable[[VideoRequest], Prepared] = Prepared,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Record:
    """Return the record of this order's job: the one that exists, or else a newly ordered one.

    Args:
        client: of the connection that pays.
        request: what is wanted.
        store: keeps the record of the running task instance.
        attempt: who asks, and what its author wants.
        prepare: has the last word before an order leaves, and is asked only then: a job that exists is followed
            whatever it would say today. What it raises, this raises; nothing was sent or recorded then.
        clock: epoch seconds; for tests.
        sleep: pauses between tries to write the record; for tests.

    Returns:
        A record that is submitted or terminal.

    Raises:
        AmbiguousSubmitError: an earlier attempt's POST may have been accepted; nothing was sent now.
        ChangedRequestError: the job that exists was ordered with another request; nothing was sent now.
        LedgerUnavailableError: the record cannot be read or written; nothing was sent.
        RequestInvalidError: the job to adopt does not exist.
        NotSentError, ClientStatusError, RedirectError: nothing was accepted; the next attempt may submit.
        OutcomeUnknownError: a job may exist; the record says so, and the next attempt will not submit.
    """
    order = fingerprint(request, conn_id=attempt.conn_id, base_url=client.config.base_url)
    before = store.load()
    decision = decide(before, order=order, policies=attempt.policies, max_tries=attempt.max_tries, adopt=attempt.adopt)
    intent = Record(
        phase=Phase.INTENT,
        fingerprint=order,
        model=request.model,
        conn_id=attempt.conn_id,
        intent_at=clock(),
        try_number=attempt.try_number,
        max_tries=attempt.max_tries,
        poll_interval=attempt.poll_interval,
    )
    if isinstance(decision, Submit):
        if decision.reason:
            log.warning("A new video is ordered: %s.", decision.reason)
        intent = intent.model_copy(update={"past": decision.past, "lost": decision.lost})
        # What the author wrote is the order's identity; what is sent may be adjusted otherwise tomorrow.
        prepared = prepare(request)
        intent = intent.model_copy(
            update={
                "estimated_cost_usd": prepared.estimated_cost_usd,
                "adjusted": differences(request, prepared.request),
            }
        )
        return _order(client, prepared.request, store, intent, before, attempt.timeout, clock, sleep)
    if isinstance(decision, Adopt):
        intent = intent.model_copy(update={"past": decision.past, "lost": decision.lost, "adopted": True})
        return _adopt(client, store, intent, decision.job_id, clock)
    if isinstance(decision, Ambiguous):
        raise _ambiguous(decision.record, store)
    if isinstance(decision, Changed):
        raise ChangedRequestError(
            f"Job {decision.record.job_id} was ordered by this task with another request, and on_changed_request is "
            "'fail'. Nothing was sent. Undo the change to get that job's video, or delete the record "
            f"{store.where} to order the new request."
        )
    _say_attached(decision.record, attempt)
    return decision.record


def _order(
    client: VideoClient,
    request: VideoRequest,
    store: Store,
    intent: Record,
    before: Record | None,
    timeout: float | None,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Record:
    """Record, POST, record."""
    # Before the POST: a process that dies from here on leaves word that money may have been spent.
    store.save(intent)
    try:
        job = client.generate(request)
    except NOTHING_ACCEPTED:
        _withdraw(store, before)
        raise
    except OutcomeUnknownError as error:
        # The intent is on record already; what was seen only helps the person who will have to decide.
        with suppress(LedgerUnavailableError):
            store.save(intent.model_copy(update={"evidence": error.evidence}))
        raise OutcomeUnknownError(
            error.evidence, status_code=error.status_code, advice=_advice(store)
        ) from error.__cause__
    # Before anything else can fail: with its id, a person finds the job even if the record never gets it.
    log.info("Ordered: job %s, status '%s'.", job.id, job.status)
    submitted = intent.submitted(job.id, now=clock(), timeout=timeout)
    _keep(store, submitted, sleep)
    return submitted


def _adopt(client: VideoClient, store: Store, intent: Record, job_id: str, clock: Callable[[], float]) -> Record:
    """Make sure that the job exists, and record it as if it had been ordered here."""
    try:
        job = client.get_generation(job_id)
    except NotFoundError as error:
        problem = (
            f"'job_id' is {job_id!r}, which the API does not know under connection '{intent.conn_id}': check the id, "
            "and that the key belongs to the account that ordered it."
        )
        raise RequestInvalidError((problem,)) from error
    log.info("Adopted job %s, status '%s'; nothing is ordered.", job_id, job.status)
    record = intent.submitted(job_id, now=clock())
    store.save(record)
    return record


def _ambiguous(record: Record, store: Store) -> AmbiguousSubmitError:
    return AmbiguousSubmitError(
        f"{f'Attempt {record.try_number}' if record.try_number else 'An earlier attempt'} of this task sent the paid "
        f"request for {record.model} at "
        f"{iso(record.intent_at)} and never learned the outcome "
        f"({record.evidence.rstrip('.') if record.evidence else 'the worker died before an answer came'}): a job may "
        f"exist, and one video may have been billed. Nothing was sent now. {_advice(store)}"
    )


def _advice(store: Store) -> str:
    return (
        "Look at https://openrouter.ai/activity around that time. If the job is there, adopt it: run this task with "
        f"job_id set to its id. If it is not, delete the record {store.where} and clear the task to order anew."
    )


def _say_attached(record: Record, attempt: Attempt) -> None:
    by = f" by attempt {record.try_number}" if record.try_number else ""
    if record.phase == Phase.TERMINAL:
        log.info(
            "Job %s was ordered at %s%s and has ended as '%s'; nothing is ordered now.",
            record.job_id,
            iso(record.submitted_at),
            by,
            record.status,
        )
        return
    log.info(
        "Re-attached to job %s, ordered at %s%s%s; nothing is ordered now%s.",
        record.job_id,
        iso(record.submitted_at),
        by,
        f", detached at {iso(record.detached_at)}" if record.detached_at else "",
        ", although the task was cleared: the job is still in flight" if was_cleared(record, attempt.max_tries) else "",
    )


def _withdraw(store: Store, before: Record | None) -> None:
    """Take the intent back after a clear refusal. If that fails, the next attempt errs on the side of not paying."""
    try:
        if before is None:
            store.delete()
        else:
            store.save(before)
    except LedgerUnavailableError as error:
        log.warning(
            "Nothing was ordered, but the record that says so could not be withdrawn: %s The next attempt will ask for "
            "a person; delete the record %s to let it order.",
            error,
            store.where,
        )


def _keep(store: Store, record: Record, sleep: Callable[[float], None]) -> None:
    """Write down the job id. A job was paid for: failing to note that must neither lose it nor stop the wait."""
    retrying = Retrying(
        stop=stop_after_attempt(5),
        wait=wait_exponential(multiplier=0.5, max=5),
        retry=retry_if_exception_type(LedgerUnavailableError),
        sleep=sleep,
        reraise=True,
    )
    try:
        retrying(store.save, record)
    except LedgerUnavailableError as error:
        log.error(
            "Job %s was ordered and paid for, but its id could not be recorded: %s This attempt goes on with it. "
            "Should it fail, adopt the job: run this task with job_id='%s', or set the record %s to %s. Until then a "
            "retry stops instead of ordering again.",
            record.job_id,
            error,
            record.job_id,
            store.where,
            json.dumps(record.to_json()),
        )

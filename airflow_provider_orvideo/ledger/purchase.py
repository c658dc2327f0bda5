"""The one place that orders a video: record, POST, record. Everything that submits goes through here."""

from __future__ import annotations

import logging
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from airflow_provider_orvideo.exceptions import (
    AmbiguousSubmitError,
    ChangedRequestError,
    ConfigurationError,
    LedgerUnavailableError,
    NotFoundError,
    RequestInvalidError,
)
from airflow_provider_orvideo.ledger.decision import Adopt, Ambiguous, Changed, Submit, decide, was_cleared
from airflow_provider_orvideo.ledger.policies import DEFAULT_POLICIES, Policies
from airflow_provider_orvideo.ledger.record import Phase, Record
from airflow_provider_orvideo.ledger.sending import Order, advice
from airflow_provider_orvideo.ledger.wanted import Wanted, unchanged
from airflow_provider_orvideo.manifests import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.ledger.stores import Store

log = logging.getLogger(__name__)

#: Job ids as the live API gives them, with the epoch second of their birth; older and newer ones may be otherwise.
_BORN: Final = re.compile(r"gen-vid-(\d{9,11})-")
#: Seconds by which two clocks may differ.
_CLOCKS_APART: Final = 300.0


@dataclass(frozen=True)
class Prepared:
    """An order that is ready to leave.

    Attributes:
        request: what is sent.
        estimated_cost_usd: US dollars that it is expected to cost at most, None for unknown.
        estimated_low_usd: US dollars that it is expected to cost at least, None for unknown.
    """

    request: VideoRequest
    estimated_cost_usd: float | None = None
    estimated_low_usd: float | None = None


class Reported(Protocol):
    """What a callback said of a job."""

    @property
    def job_id(self) -> str:
        """Its id."""

    @property
    def model(self) -> str | None:
        """Its model, None where the call did not say."""


class Callbacks(Protocol):
    """By which a job whose answer was lost tells its id."""

    def require_usable(self) -> None:
        """Raise ConfigurationError where no order may leave."""

    def new_nonce(self) -> str:
        """Return what tells one order's callback from another's."""

    def url(self, nonce: str) -> str:
        """Return the address that the API calls at the job's end."""

    def reported(self, nonce: str) -> Reported | None:
        """Return what was called in; raise LedgerUnavailableError or ConfigurationError where that cannot be told."""


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
        models: where several models may serve, all of them, in the order in which they are asked; the request's first.
        goes_on: whether this attempt goes on with its own order, whose job has ended: what templates render now is no
            changed request.
        callbacks: by which a job whose answer is lost tells its id; None without webhooks.
    """

    conn_id: str
    policies: Policies = DEFAULT_POLICIES
    try_number: int | None = None
    max_tries: int | None = None
    adopt: str | None = None
    timeout: float | None = None
    poll_interval: float | None = None
    models: tuple[str, ...] = ()
    goes_on: bool = False
    callbacks: Callbacks | None = None


def obtain(
    client: VideoClient,
    request: VideoRequest | Callable[[], VideoRequest],
    store: Store,
    attempt: Attempt,
    *,
    resolve: Callable[[VideoRequest], VideoRequest] = unchanged,
    first: Callable[[str], None] = lambda _order: None,
    prepare: Callable[[VideoRequest], Prepared] = Prepared,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Record:
    """Return the record of this order's job: the one that exists, or else a newly ordered one.

    Args:
        client: of the connection that pays.
        request: what is wanted, or what tells it; see `Wanted`.
        store: keeps the record of the running task instance.
        attempt: who asks, and what its author wants.
        resolve: replaces addresses in the request that only this worker can read; see `Wanted`.
        first: is told the fingerprint of an order that would be the first of its task instance, and may raise instead
            of having it leave.
        prepare: has the last word before an order leaves, and is asked only then: a job that exists is followed
            whatever it would say today. What it raises, this raises; nothing was sent or recorded then.
        clock: epoch seconds; for tests.
        sleep: pauses between tries to write the record; for tests.

    Returns:
        A record that is submitted or terminal.

    Raises:
        AmbiguousSubmitError: an earlier attempt's POST may have been accepted; nothing was sent now.
        ConfigurationError: callbacks are meant to be on and cannot work; nothing was sent.
        ChangedRequestError: the job that exists was ordered with another request; nothing was sent now.
        LedgerUnavailableError: the record cannot be read or written; nothing was sent.
        RequestInvalidError: the job to adopt does not exist.
        NotSentError, ClientStatusError, RedirectError: nothing was accepted; the next attempt may submit.
        OutcomeUnknownError: a job may exist; the record says so, and the next attempt will not submit.
    """
    before = _on_record(client, store, attempt)
    wanted = Wanted(request, resolve, client, attempt)
    decision = decide(
        before,
        order=wanted.identity(before),
        policies=attempt.policies,
        max_tries=attempt.max_tries,
        adopt=attempt.adopt,
        models=attempt.models,
    )
    if isinstance(decision, Submit):
        if decision.reason:
            log.warning("A new video is ordered: %s.", decision.reason)
        if before is None:
            first(wanted.fingerprint)
        if attempt.callbacks is not None:
            attempt.callbacks.require_usable()
        intent = _intent(wanted, attempt, clock).model_copy(update={"past": decision.past, "lost": decision.lost})
        return Order(client, store, attempt, before, prepare, clock, sleep).send(
            wanted.request, intent, begin_with=decision.model
        )
    if isinstance(decision, Adopt):
        intent = _intent(wanted, attempt, clock).model_copy(
            update={"past": decision.past, "lost": decision.lost, "adopted": True}
        )
        return _adopt(client, store, intent, decision.job_id, clock)
    if isinstance(decision, Ambiguous):
        raise _ambiguous(decision.record, store, attempt)
    if isinstance(decision, Changed):
        raise ChangedRequestError(
            f"Job {decision.record.job_id} was ordered by this task with another request, and on_changed_request is "
            "'fail'. Nothing was sent. Undo the change to get that job's video, or delete the record "
            f"{store.where} to order the new request."
        )
    _say_attached(decision.record, attempt)
    return _answered(decision.record, store, attempt) if callable(request) else decision.record


def _on_record(client: VideoClient, store: Store, attempt: Attempt) -> Record | None:
    record = store.load()
    if record is None:
        return None
    try:
        return called_in(client, record, store, attempt)
    except ConfigurationError:
        if attempt.adopt is None:
            raise
        return record  # whoever names the job need not know what called in


def _answered(record: Record, store: Store, attempt: Attempt) -> Record:
    """Note that a clear was answered: its retries must not ask the function once more."""
    if not was_cleared(record, attempt.max_tries):
        return record
    record = record.model_copy(update={"max_tries": attempt.max_tries})
    with suppress(LedgerUnavailableError):
        store.save(record)
    return record


def _intent(wanted: Wanted, attempt: Attempt, clock: Callable[[], float]) -> Record:
    return Record(
        phase=Phase.INTENT,
        fingerprint=wanted.fingerprint,
        model=wanted.request.model,
        conn_id=attempt.conn_id,
        intent_at=clock(),
        try_number=attempt.try_number,
        max_tries=attempt.max_tries,
        poll_interval=attempt.poll_interval,
    )


def called_in(client: VideoClient, record: Record, store: Store, attempt: Attempt) -> Record:
    """Return the record of an order with an unknown outcome, with its job if that called in meanwhile.

    The callback only says where to look: the job counts once the API knows it.

    Args:
        client: of the connection that pays.
        record: what is on record; any other than an intent with a nonce is returned as it is.
        store: keeps the record.
        attempt: who asks.

    Raises:
        LedgerUnavailableError: what was called in cannot be read, or the record not be written.
        ConfigurationError: callbacks are meant to be on and cannot work.
        OrVideoError: the job cannot be read.
    """
    if record.phase != Phase.INTENT or record.nonce is None or attempt.callbacks is None:
        return record
    reported = attempt.callbacks.reported(record.nonce)
    if reported is None:
        return record
    if not _may_be_ours(reported, record):
        log.warning("A callback named job %s for this task's order, which is none of it.", reported.job_id)
        return record
    try:
        job = client.get_generation(reported.job_id)
    except NotFoundError:
        log.warning("A callback named job %s for this task's order, which the API does not know.", reported.job_id)
        return record
    log.info("The order with the unknown outcome was accepted: job %s called in, status '%s'.", job.id, job.status)
    found = record.submitted(reported.job_id, now=record.intent_at, timeout=attempt.timeout)
    store.save(found)
    return found


def _may_be_ours(reported: Reported, record: Record) -> bool:
    """Whether a job fits the order: a genuine call that somebody caught could be played to another order's address."""
    # The model may be told by its dated name, such as google/veo-3.1-20260320.
    fits = reported.model is None or reported.model.startswith(record.model)
    born = _BORN.match(reported.job_id)
    return fits and (born is None or int(born[1]) >= record.intent_at - _CLOCKS_APART)


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


def _ambiguous(record: Record, store: Store, attempt: Attempt) -> AmbiguousSubmitError:
    calls_in = record.nonce is not None and attempt.callbacks is not None
    return AmbiguousSubmitError(
        f"{f'Attempt {record.try_number}' if record.try_number else 'An earlier attempt'} of this task sent the paid "
        f"request for {record.model} at "
        f"{iso(record.intent_at)} and never learned the outcome "
        f"({record.evidence.rstrip('.') if record.evidence else 'the worker died before an answer came'}): a job may "
        f"exist, and one video may have been billed. Nothing was sent now. {advice(store, calls_in=calls_in)}",
        calls_in=calls_in,
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

"""Sends an order: record, POST, record. Where several models may serve, one after the other until one accepts."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from airflow_provider_orvideo.exceptions import (
    BeforeSendError,
    ClientStatusError,
    LedgerUnavailableError,
    NotSentError,
    OutcomeUnknownError,
    RedirectError,
)
from airflow_provider_orvideo.ledger.fallback import after_refusal
from airflow_provider_orvideo.ledger.fingerprint import differences
from airflow_provider_orvideo.ledger.record import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.exceptions import OrVideoError
    from airflow_provider_orvideo.ledger.purchase import Attempt, Prepared
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.ledger.stores import Store

log = logging.getLogger(__name__)

#: Failures of the POST after which it is certain that nothing was accepted. Any other leaves the intent where it is.
NOTHING_ACCEPTED: Final = (BeforeSendError, NotSentError, ClientStatusError, RedirectError)


@dataclass(frozen=True)
class Order:
    """One order that may leave.

    Attributes:
        client: of the connection that pays.
        store: keeps the record of the running task instance.
        attempt: who asks, and what its author wants.
        before: what is on record.
        prepare: has the last word before it leaves.
        clock: epoch seconds.
        sleep: pauses between tries to write the record.
    """

    client: VideoClient
    store: Store
    attempt: Attempt
    before: Record | None
    prepare: Callable[[VideoRequest], Prepared]
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def send(self, request: VideoRequest, intent: Record, *, begin_with: str | None = None) -> Record:
        """Order, and return the record of the job that was accepted.

        Args:
            request: what is wanted.
            intent: what to put on record; the model is filled in here.
            begin_with: of several models, the one to ask first; None for the request's own.

        Raises:
            OrVideoError: as `obtain`; of several models that had no room, what the first one said.
        """
        models = self.attempt.models
        # Whoever told the request may have named another model than the task did.
        models = models if request.model in models else (request.model,)
        models = models[models.index(begin_with if begin_with in models else request.model) :]
        first: OrVideoError | None = None
        for model, following in zip(models, (*models[1:], None), strict=True):
            asked = request if model == request.model else request.model_copy(update={"model": model})
            try:
                return self._send(asked, intent.model_copy(update={"model": model}))
            except NOTHING_ACCEPTED as error:
                # What a later model does not support must not hide that the first one had no room.
                skipped = first is not None and isinstance(error, BeforeSendError)
                if following is None or not (skipped or after_refusal(error, self.attempt.policies.fallback_on)):
                    if first is None:
                        raise
                    log.warning("%s did not accept the order either: %s", model, error)
                    raise first from error
                first = first or error
                log.warning("%s did not accept the order, so %s is asked. %s", model, following, error)
                refusal = Refused(model=model, at=intent.intent_at, error=str(error))
                intent = intent.model_copy(update={"refused": (*intent.refused, refusal), "intent_at": self.clock()})
        raise AssertionError("there is no model to ask")  # pragma: no cover - there is always one

    def _send(self, request: VideoRequest, intent: Record) -> Record:
        """Record, POST, record."""
        # What the author wrote is the order's identity; what is sent may be adjusted otherwise tomorrow.
        prepared = self.prepare(request)
        sent = prepared.request
        changed: dict[str, Any] = {
            "estimated_cost_usd": prepared.estimated_cost_usd,
            "estimated_low_usd": prepared.estimated_low_usd,
            "adjusted": differences(request, sent),
        }
        callbacks = self.attempt.callbacks
        if callbacks is not None and sent.callback_url is None:
            changed["nonce"] = nonce = callbacks.new_nonce()
            sent = sent.model_copy(update={"callback_url": callbacks.url(nonce)})
        intent = intent.model_copy(update=changed)
        # Before the POST: a process that dies from here on leaves word that money may have been spent.
        self.store.save(intent)
        try:
            job = self.client.generate(sent)
        except NOTHING_ACCEPTED:
            _withdraw(self.store, self.before)
            raise
        except OutcomeUnknownError as error:
            # The intent is on record already; what was seen only helps the person who will have to decide.
            with suppress(LedgerUnavailableError):
                self.store.save(intent.model_copy(update={"evidence": error.evidence}))
            calls_in = intent.nonce is not None
            raise OutcomeUnknownError(
                error.evidence,
                status_code=error.status_code,
                advice=advice(self.store, calls_in=calls_in),
                calls_in=calls_in,
            ) from error.__cause__
        # Before anything else can fail: with its id, a person finds the job even if the record never gets it.
        log.info("Ordered: job %s, status '%s'.", job.id, job.status)
        submitted = intent.submitted(job.id, now=self.clock(), timeout=self.attempt.timeout)
        _keep(self.store, submitted, self.sleep)
        return submitted


def advice(store: Store, *, calls_in: bool) -> str:
    """Say what to do about an order with an unknown outcome.

    Args:
        store: keeps its record.
        calls_in: whether the job, if there is one, calls in at its end.
    """
    look = "Look at https://openrouter.ai/activity around that time."
    if calls_in:
        look = (
            "If it was accepted, the job calls this Airflow at its end, and a retry or a clear of this task after that "
            "follows it. To know sooner, look at https://openrouter.ai/activity around that time."
        )
    return (
        f"{look} If the job is there, adopt it: run this task with job_id set to its id. If it is not, delete the "
        f"record {store.where} and clear the task to order anew."
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
        wait=wait_exponential(multiplier=0.5),
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

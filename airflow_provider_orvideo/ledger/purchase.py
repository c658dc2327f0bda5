"""The one place that orders a video: record, POST, record. Everything that submits goes through here."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from airflow_provider_orvideo.exceptions import (
    AmbiguousSubmitError,
    BeforeSendError,
    ClientStatusError,
    LedgerUnavailableError,
    NotSentError,
    RedirectError,
)
from airflow_provider_orvideo.ledger.record import Ambiguous, Phase, Record, Submit, decide, fingerprint
from airflow_provider_orvideo.manifests import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.ledger.stores import Store

log = logging.getLogger(__name__)

#: Failures of the POST after which it is certain that nothing was accepted. Any other leaves the intent where it is.
_NOTHING_ACCEPTED: Final = (BeforeSendError, NotSentError, ClientStatusError, RedirectError)


def obtain(
    client: VideoClient,
    request: VideoRequest,
    store: Store,
    *,
    conn_id: str,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Record:
    """Return the record of this order's job: the one that exists, or else a newly ordered one.

    Args:
        client: of the connection that pays.
        request: what is wanted.
        store: keeps the record of the running task instance.
        conn_id: id of that connection, for the record.
        clock: epoch seconds; for tests.
        sleep: pauses between tries to write the record; for tests.

    Returns:
        A record that is submitted or terminal.

    Raises:
        AmbiguousSubmitError: an earlier attempt's POST may have been accepted; nothing was sent now.
        LedgerUnavailableError: the record cannot be read or written; nothing was sent.
        NotSentError, ClientStatusError, RedirectError: nothing was accepted; the next attempt may submit.
        OutcomeUnknownError: a job may exist; the record says so, and the next attempt will not submit.
    """
    order = fingerprint(request, conn_id=conn_id, base_url=client.config.base_url)
    before = store.load()
    decision = decide(before, order=order)
    if isinstance(decision, Ambiguous):
        raise AmbiguousSubmitError(
            f"An attempt at {iso(decision.record.intent_at)} sent the paid request for {decision.record.model} and "
            "never learned the answer: a job may exist and one video may have been billed. Nothing was sent now. Look "
            "at https://openrouter.ai/activity: if there is no such job, delete the record 'orvideo_job' from this "
            "task's state store and clear the task to order anew."
        )
    if not isinstance(decision, Submit):
        log.info("Job %s was ordered by an earlier attempt; nothing is sent.", decision.record.job_id)
        return decision.record
    if decision.reason:
        log.warning("A new video is ordered: %s.", decision.reason)
    intent = Record(
        phase=Phase.INTENT,
        fingerprint=order,
        model=request.model,
        conn_id=conn_id,
        intent_at=clock(),
        past=decision.past,
    )
    # Before the POST: a process that dies from here on leaves word that money may have been spent.
    store.save(intent)
    try:
        job = client.generate(request)
    except _NOTHING_ACCEPTED:
        _withdraw(store, before)
        raise
    # Before anything else can fail: with its id, a person finds the job even if the record never gets it.
    log.info("Ordered: job %s, status '%s'.", job.id, job.status)
    submitted = intent.submitted(job.id, now=clock())
    _keep(store, submitted, sleep)
    return submitted


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
            "a person; delete the record 'orvideo_job' from this task's state store to let it order.",
            error,
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
            "Job %s was ordered and paid for, but its id could not be recorded: %s This attempt goes on with it. If it "
            "fails, a retry will not order again; keep this id to find the video.",
            record.job_id,
            error,
        )

"""Follows a job that exists: in the triggerer, on the worker, after a lost trigger, and on being told to let go."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.exceptions import JobUnreachableError, LedgerUnavailableError
from airflow_provider_orvideo.ledger.record import Phase
from airflow_provider_orvideo.ledger.stores import NoStore
from airflow_provider_orvideo.manifests import iso
from airflow_provider_orvideo.operators import observing
from airflow_provider_orvideo.polling.decision import FIRST_POLL, Wait, first_delay
from airflow_provider_orvideo.polling.event import event_of
from airflow_provider_orvideo.polling.waiting import look_once, wait_for_job
from airflow_provider_orvideo.triggers.deferral import deferral

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.ledger.stores import Store
    from airflow_provider_orvideo.polling.decision import Ended, GaveUp, TimedOut

log = logging.getLogger(__name__)

#: Seconds that a worker which is being stopped may take to note that it let go; Airflow kills it after five.
_DETACH_SECONDS: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class Following:
    """One job, and how its author wants it waited for.

    Args:
        record: of the job; submitted.
        conn_id: Airflow connection that the job belongs to.
        timeout: seconds from the submission.
        poll_interval: seconds between two looks.
    """

    record: Record
    conn_id: str
    timeout: float
    poll_interval: float

    @property
    def wait(self) -> Wait:
        """The wait, by the rules of the polling room."""
        submitted_at = self.record.intent_at if self.record.submitted_at is None else self.record.submitted_at
        return Wait(
            job_id=str(self.record.job_id),
            submitted_at=submitted_at,
            deadline=submitted_at + self.timeout,
            poll_interval=self.poll_interval,
        )

    def look(self, client: VideoClient) -> dict[str, Any] | None:
        """Return the event of a job that has already ended, if it was not ordered just now."""
        wait = self.wait
        if not self.record.adopted and time.time() <= wait.submitted_at + FIRST_POLL:
            return None
        end = look_once(client, wait)
        return self._event(end) if end else None

    def here(self, client: VideoClient) -> dict[str, Any]:
        """Wait on this worker and return the event."""
        wait = self.wait
        log.info(
            "Waiting for job %s on this worker until %s. The first look is in %.0f s, the next ones every %g s.",
            wait.job_id,
            iso(wait.deadline),
            first_delay(wait, now=time.time()),
            wait.poll_interval,
        )
        return self._event(wait_for_job(client, wait))

    def deferral(self) -> dict[str, Any]:
        """Return the arguments of ``defer``."""
        return deferral(self.wait, conn_id=self.conn_id, model=self.record.model)

    def rescue(self, client: VideoClient, error: Exception) -> dict[str, Any]:
        """Look at the job after its trigger was lost, and return the event if it ended.

        Raises:
            JobUnreachableError: it did not; the next attempt waits for it again.
        """
        if end := look_once(client, self.wait):
            log.warning("The trigger was lost (%s), but job %s has ended.", error, self.record.job_id)
            return self._event(end)
        observing.unreachable(self.conn_id, self.record.model)
        raise JobUnreachableError(
            f"The trigger that waited for job {self.record.job_id} was lost: {error}. The job is not affected, still "
            "billing; a retry of this task re-attaches to it and orders nothing.",
            job_id=str(self.record.job_id),
        ) from error

    def _event(self, end: Ended | TimedOut | GaveUp) -> dict[str, Any]:
        return event_of(end, self.wait, conn_id=self.conn_id, model=self.record.model, now=time.time()).to_json()


def detach(job_id: str | None, store: Store) -> None:
    """Say, and record, that a worker lets go of a job. There is nothing to cancel: the API cannot.

    Runs inside a signal handler on a thread that may be anywhere, so the record is written by another one.

    Args:
        job_id: the job; None where its id is not known yet.
        store: keeps the record.
    """
    if job_id is None:
        log.warning(
            "Stopped while the paid request may be under way. %s",
            "No record is kept, so the next attempt orders again, and may pay twice: look at "
            "https://openrouter.ai/activity first."
            if isinstance(store, NoStore)
            else "If it was accepted, it is on record as an order with an unknown outcome, and the next attempt asks "
            "for a person.",
        )
        return
    log.warning(
        "Detached from job %s: the API cannot cancel it, so it is still billing. %s",
        job_id,
        f"No record is kept, so adopt it: run this task with job_id='{job_id}'."
        if isinstance(store, NoStore)
        else "The next attempt of this task re-attaches to it.",
    )

    def note() -> None:
        with suppress(LedgerUnavailableError):
            record = store.load()
            if record is not None and record.job_id == job_id and record.phase == Phase.SUBMITTED:
                store.save(record.detached(now=time.time()))

    thread = threading.Thread(target=note, name=f"orvideo-detach-{job_id}", daemon=True)
    thread.start()
    thread.join(_DETACH_SECONDS)

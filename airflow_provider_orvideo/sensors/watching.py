"""Looks at a job for the sensor, and turns its end into the sensor's."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.api.schema import JobStatus
from airflow_provider_orvideo.exceptions import JobTimedOutError, JobUnreachableError, OrVideoError
from airflow_provider_orvideo.jobs import completed_in_words, end_in_words, kind_of_end
from airflow_provider_orvideo.manifests import JobManifest, iso
from airflow_provider_orvideo.polling.decision import PollAgain, Progress, Wait, after_error, after_status
from airflow_provider_orvideo.polling.event import Outcome, WaitEvent, event_of

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.client import VideoClient

log = logging.getLogger(__name__)


def wait_of(job: JobManifest, *, started_at: float, timeout: float, poll_interval: float) -> Wait:
    """Return the wait for a job, by the rules of the polling room.

    Args:
        job: the job. One that is only known by its id counts as submitted when the waiting began.
        started_at: epoch seconds at which the waiting began; the timeout counts from there.
        timeout: seconds.
        poll_interval: seconds between two looks.
    """
    return Wait(
        job_id=job.job_id,
        submitted_at=min(_epoch(job.submitted_at, started_at), started_at),
        deadline=started_at + timeout,
        poll_interval=poll_interval,
    )


@dataclass(kw_only=True)
class Watch:
    """One job, and how far the waiting for it has come in this process.

    Args:
        job: the job as it was given.
        conn_id: Airflow connection that it belongs to.
        wait: the wait.
    """

    job: JobManifest
    conn_id: str
    wait: Wait
    #: Seconds until the next look.
    pause: float = field(init=False)
    _progress: Progress = field(init=False, default=Progress())

    def __post_init__(self) -> None:
        self.pause = self.wait.poll_interval

    def look(self, client: VideoClient) -> WaitEvent | None:
        """Read the status once; return how the waiting ended, None where it goes on."""
        job_id = self.wait.job_id
        try:
            job = client.get_generation(job_id, retry=NO_RETRY)
        except OrVideoError as error:
            decision = after_error(self.wait, self._progress, error, now=time.time())
            if isinstance(decision, PollAgain):
                log.info("Reading the status of job %s failed; the job is not affected. %s", job_id, error)
        else:
            decision = after_status(self.wait, job, now=time.time())
            log.info("Job %s is '%s'.", job_id, redact(job.status, limit=100))
        if isinstance(decision, PollAgain):
            self._progress, self.pause = decision.progress, decision.delay
            return None
        return event_of(decision, self.wait, conn_id=self.conn_id, model=self.job.model, now=time.time())


def conclude(event: WaitEvent, job: JobManifest | None) -> dict[str, Any]:
    """Return the manifest of a job that completed.

    Args:
        event: how the waiting ended.
        job: the job as it was given, None where that can no longer be read. What the event does not tell is its.

    Raises:
        AirflowFailException: the job ended without a video.
        AirflowSensorTimeout: it did not end in time.
        JobUnreachableError: its status cannot be read.
    """
    if event.outcome == Outcome.TIMED_OUT:
        raise AirflowSensorTimeout(
            f"Job {event.job_id} was still '{event.status or 'unknown'}' when this sensor's timeout passed. It cannot "
            "be cancelled, goes on, and bills when it completes. Clear this task to wait for it again, which orders "
            "nothing; raise 'timeout' if such jobs take longer."
        ) from JobTimedOutError("The timeout passed.", job_id=event.job_id)
    if event.outcome == Outcome.GAVE_UP:
        raise JobUnreachableError(
            f"The status of job {event.job_id} cannot be read with connection '{event.conn_id}': {event.error} The job "
            "is not affected, and bills when it completes. Check the job id, and that the key belongs to the account "
            "that ordered it; then retry or clear this task, which orders nothing.",
            job_id=event.job_id,
        )
    if event.status != JobStatus.COMPLETED:
        raise _ended_without_video(event)
    log.info(completed_in_words(event.job_id, outputs=event.outputs, cost_usd=event.cost_usd))
    return _manifest(event, job).to_json()


def _ended_without_video(event: WaitEvent) -> AirflowFailException:
    end = end_in_words(event.job_id, model=event.model, status=event.status, error=event.error, cost_usd=event.cost_usd)
    text = (
        f"{end} Nothing is ordered by this sensor or by its retries. For another video, change the request of the task "
        "that ordered this one, or delete that task's record, and clear it."
    )
    error = AirflowFailException(text)
    error.__cause__ = kind_of_end(event.status, event.error)(text, job_id=event.job_id)
    return error


def _manifest(event: WaitEvent, job: JobManifest | None) -> JobManifest:
    # The template may have come to mean another job while the task was deferred; the event is of the one awaited.
    if job is None or job.job_id != event.job_id:
        job = JobManifest(job_id=event.job_id, status="unknown", model=event.model)
    return job.model_copy(
        update={
            "status": event.status,
            "generation_id": event.generation_id or job.generation_id,
            "cost_usd": job.cost_usd if event.cost_usd is None else event.cost_usd,
            "outputs": event.outputs,
            "completed_at": job.completed_at or iso(event.observed_at),
            "conn_id": event.conn_id,
        }
    )


def _epoch(text: str | None, default: float) -> float:
    try:
        return datetime.fromisoformat(text).timestamp() if text else default
    except ValueError:
        return default

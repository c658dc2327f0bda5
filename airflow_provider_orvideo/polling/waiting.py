"""Waits for one job on a worker, by the rules of ``decision.py``; triggers wait in the hub."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.exceptions import OrVideoError
from airflow_provider_orvideo.polling.decision import (
    Decision,
    Ended,
    GaveUp,
    PollAgain,
    Progress,
    TimedOut,
    Wait,
    after_error,
    after_status,
    first_delay,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient

log = logging.getLogger(__name__)


def wait_for_job(
    client: VideoClient,
    wait: Wait,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Ended | TimedOut | GaveUp:
    """Poll until the wait is over; blocks. Errors of the API end up in the result, never as an exception."""
    decision: Decision = PollAgain(first_delay(wait, now=clock()))
    while isinstance(decision, PollAgain):
        sleep(decision.delay)
        try:
            job = client.get_generation(wait.job_id, retry=NO_RETRY)
        except OrVideoError as error:
            decision = _failed(wait, decision.progress, error, now=clock())
        else:
            decision = after_status(wait, job, now=clock())
    return decision


def look_once(client: VideoClient, wait: Wait, *, clock: Callable[[], float] = time.time) -> Ended | None:
    """Return how the job ended if it already has; None where it has not, or where that cannot be told now."""
    try:
        decision = after_status(wait, client.get_generation(wait.job_id, retry=NO_RETRY), now=clock())
    except OrVideoError as error:
        log.info("The first look at job %s failed; waiting for it all the same. %s", wait.job_id, error)
        return None
    return decision if isinstance(decision, Ended) else None


def _failed(wait: Wait, progress: Progress, error: OrVideoError, *, now: float) -> Decision:
    decision = after_error(wait, progress, error, now=now)
    if isinstance(decision, PollAgain):
        log.info(
            "Reading the status of job %s failed; the job is not affected. Next try in %.0f s. %s",
            wait.job_id,
            decision.delay,
            error,
        )
    return decision

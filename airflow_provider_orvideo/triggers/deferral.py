"""How a task hands its wait to the triggerer."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.manifests import iso
from airflow_provider_orvideo.options import resume_grace
from airflow_provider_orvideo.polling.decision import first_delay
from airflow_provider_orvideo.triggers.batch import OrVideoBatchTrigger
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orvideo.polling.decision import Wait

log = logging.getLogger(__name__)

#: What Airflow's own trigger timeout gets on top of the deadline, in seconds: it only catches a trigger that is lost.
_SAFETY_NET: Final = 900.0


def deferral(wait: Wait, *, conn_id: str, model: str | None) -> dict[str, Any]:
    """Return the arguments of ``defer``, and say in the log what is waited for.

    Args:
        wait: the job and how long to wait for it.
        conn_id: Airflow connection that the job belongs to.
        model: model id that was ordered, None for unknown.
    """
    now = time.time()
    wait = replace(wait, not_before=now + resume_grace())
    log.info(
        "Waiting for job %s in the triggerer, without a worker slot, until %s. The first look is in %.0f s; once the "
        "job may be done, looks are at most %g s apart.",
        wait.job_id,
        iso(wait.deadline),
        first_delay(wait, now=now),
        wait.poll_interval,
    )
    trigger = OrVideoJobTrigger(
        conn_id=conn_id,
        job_id=wait.job_id,
        submitted_at=wait.submitted_at,
        deadline=wait.deadline,
        poll_interval=wait.poll_interval,
        model=model,
        not_before=wait.not_before,
    )
    return {"trigger": trigger, "timeout": timedelta(seconds=max(0.0, wait.deadline - now) + _SAFETY_NET)}


def batch_deferral(
    waits: Sequence[tuple[Wait, str | None]],
    *,
    conn_id: str,
    poll_interval: float,
    wake_after: int,
) -> dict[str, Any]:
    """Return the arguments of ``defer`` for many jobs.

    Args:
        waits: each job, how long to wait for it, and the model id that was ordered; at least one.
        conn_id: Airflow connection that the jobs belong to.
        poll_interval: seconds between two looks at a job.
        wake_after: jobs whose wait must have ended before the task resumes.
    """
    now = time.time()
    trigger = OrVideoBatchTrigger(
        conn_id=conn_id,
        jobs=[(wait.job_id, wait.submitted_at, wait.deadline, model) for wait, model in waits],
        poll_interval=poll_interval,
        wake_after=wake_after,
        not_before=now + resume_grace(),
    )
    last = max(wait.deadline for wait, _ in waits)
    return {"trigger": trigger, "timeout": timedelta(seconds=max(0.0, last - now) + _SAFETY_NET)}

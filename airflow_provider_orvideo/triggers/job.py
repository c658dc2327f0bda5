"""The trigger: waits for one job in the triggerer, then fires one small event."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_orvideo.polling.decision import Wait
from airflow_provider_orvideo.polling.event import event_of
from airflow_provider_orvideo.triggers.in_hub import wait_in_hub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class OrVideoJobTrigger(BaseTrigger):
    """Waits for one job. Reads only: however often it is started again, nothing is ordered.

    Its arguments are stored as plain JSON in the metadata database, so they hold no secret. The deadline is epoch time
    and survives restarts of the triggerer. The event is a `WaitEvent`; its schema is the interface to whoever deferred.

    Args:
        conn_id: Airflow connection that the job belongs to.
        job_id: the API's job id.
        submitted_at: epoch seconds at which the job was accepted.
        deadline: epoch seconds after which waiting ends; a passed one still reads the status once.
        poll_interval: longest pause between two polls, in seconds; longer, up to 300, only while the API fails.
            Default: 30 s.
        model: model id that was ordered; passed on to the event, and told by metrics. None, the default, for unknown.
        not_before: epoch seconds of the earliest first poll; see ``[orvideo] resume_grace`` in the configuration.
            Default: 0, at once.

    An error is no exception here but an event with the outcome ``gave_up``: the worker that resumes says what to do.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        job_id: str,
        submitted_at: float,
        deadline: float,
        poll_interval: float = 30.0,
        model: str | None = None,
        not_before: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self.conn_id = conn_id
        self.job_id = job_id
        self.submitted_at = submitted_at
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.model = model
        self.not_before = not_before
        self._fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, JSON values all."""
        return (
            "airflow_provider_orvideo.triggers.job.OrVideoJobTrigger",
            {
                "conn_id": self.conn_id,
                "job_id": self.job_id,
                "submitted_at": self.submitted_at,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "model": self.model,
                "not_before": self.not_before,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait and fire one event. Nothing happens after the yield: the trigger's row is gone by then."""
        wait = Wait(
            job_id=self.job_id,
            submitted_at=self.submitted_at,
            deadline=self.deadline,
            poll_interval=self.poll_interval,
            not_before=self.not_before,
        )
        end = await wait_in_hub(self.conn_id, wait, model=self.model)
        self._fired = True
        event = event_of(end, wait, conn_id=self.conn_id, model=self.model, now=time.time())
        yield TriggerEvent(event.to_json())

    async def on_kill(self) -> None:
        """Say what a clear, a mark or a deletion does not do; called by Airflow 3.3 and later.

        There is nothing to cancel, and the record cannot be reached from here: it says "submitted", which is true.
        """
        if not self._fired:  # Airflow also calls this for a trigger that has done its work
            self.log.warning(
                "Detached from job %s: the API cannot cancel it, so it is still billing. The next attempt of this task "
                "re-attaches to it.",
                self.job_id,
            )

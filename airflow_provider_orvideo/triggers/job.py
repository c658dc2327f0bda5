"""The trigger: waits for one job in the triggerer, then fires one small event."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from tenacity import AsyncRetrying, retry_if_not_exception_type, stop_after_attempt, wait_exponential

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import BeforeSendError, ConfigurationError
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.polling.decision import GaveUp, Wait
from airflow_provider_orvideo.polling.event import event_of
from airflow_provider_orvideo.polling.hub import hub_for
from airflow_provider_orvideo.triggers.metrics import send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_orvideo.api.config import ClientConfig
    from airflow_provider_orvideo.polling.decision import Ended, TimedOut

#: How often the connection is looked up before the wait is given up; over a minute in all.
_LOOKUPS: Final = 7


class OrVideoJobTrigger(BaseTrigger):
    """Waits for one job. Reads only: however often it is started again, nothing is ordered.

    Its arguments are stored as plain JSON in the metadata database, so they hold no secret. The deadline is epoch time
    and survives restarts of the triggerer. The event is a `WaitEvent`; its schema is the interface to whoever deferred.

    Args:
        conn_id: Airflow connection that the job belongs to.
        job_id: the API's job id.
        submitted_at: epoch seconds at which the job was accepted.
        deadline: epoch seconds after which waiting ends; a passed one still reads the status once.
        poll_interval: seconds between two polls.
        model: model id that was ordered; passed on to the event.
        not_before: epoch seconds of the earliest first poll; see `[orvideo] resume_grace` in the configuration.
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
        end = await self._wait(wait)
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

    async def _wait(self, wait: Wait) -> Ended | TimedOut | GaveUp:
        try:
            return await hub_for(self.conn_id, send).wait(wait, model=self.model, lookup=self._lookup)
        except BeforeSendError as error:
            return GaveUp(error)
        except Exception as error:  # noqa: BLE001 - Airflow's own errors differ by version; the worker must hear of it
            # Airflow's words may quote the connection, and the event goes into the database and a log.
            reason = redact(f"{type(error).__name__} {error}")
            return GaveUp(
                ConfigurationError(f"The connection '{self.conn_id}' cannot be read in the triggerer: {reason}")
            )

    async def _lookup(self) -> ClientConfig:
        """Look the connection up; a secrets backend that is away for a moment must not end a healthy wait."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(_LOOKUPS),
            wait=wait_exponential(multiplier=0.5, max=30),
            retry=retry_if_not_exception_type((BeforeSendError, AirflowNotFoundException, ValueError, TypeError)),
            reraise=True,
        )
        return await retrying(OrVideoHook(self.conn_id).aget_config)

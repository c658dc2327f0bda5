"""The batch trigger: waits for many jobs in the triggerer, then fires one small event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.polling.decision import GaveUp, TimedOut, Wait
from airflow_provider_orvideo.polling.event import BatchEvent
from airflow_provider_orvideo.triggers.in_hub import wait_in_hub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class OrVideoBatchTrigger(BaseTrigger):
    """Waits for many jobs of one connection. Reads only: however often it is started again, nothing is ordered.

    Its arguments are stored as plain JSON in the metadata database, so they hold no secret. Started anew, it reads each
    job again: those that ended before count at once. The event is a `BatchEvent`, counts and nothing else: whoever
    deferred reads the jobs themselves.

    Args:
        conn_id: Airflow connection that the jobs belong to.
        jobs: for each job its id, the epoch seconds at which it was accepted, those after which waiting for it ends,
            and the model id that was ordered, None for unknown.
        poll_interval: longest pause between two polls of a job, in seconds, as at `OrVideoJobTrigger`. Default: 30 s.
        wake_after: jobs whose wait must have ended before the event is fired. Default: 1.
        not_before: epoch seconds of the earliest first poll; see ``[orvideo] resume_grace``. Default: 0, at once.

    An error is no exception here: the event counts the jobs that cannot be read, and tells why of the first.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        jobs: Sequence[Sequence[Any]],
        poll_interval: float = 30.0,
        wake_after: int = 1,
        not_before: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self.conn_id = conn_id
        self.jobs = [list(job) for job in jobs]
        self.poll_interval = poll_interval
        self.wake_after = wake_after
        self.not_before = not_before
        self._fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, JSON values all."""
        return (
            "airflow_provider_orvideo.triggers.batch.OrVideoBatchTrigger",
            {
                "conn_id": self.conn_id,
                "jobs": self.jobs,
                "poll_interval": self.poll_interval,
                "wake_after": self.wake_after,
                "not_before": self.not_before,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait and fire one event. Nothing happens after the yield: the trigger's row is gone by then."""
        event = await self._wait()
        self._fired = True
        yield TriggerEvent(event.to_json())

    async def on_kill(self) -> None:
        """Say what a clear, a mark or a deletion does not do; called by Airflow 3.3 and later.

        There is nothing to cancel, and the records cannot be reached from here: they say "submitted", which is true.
        """
        if not self._fired:  # Airflow also calls this for a trigger that has done its work
            self.log.warning(
                "Detached from %d jobs: the API cannot cancel them, so they are still billing. The next attempt of "
                "this task re-attaches to them.",
                len(self.jobs),
            )

    async def _wait(self) -> BatchEvent:
        waits = [asyncio.ensure_future(self._wait_for(*job)) for job in self.jobs]
        ended = timed_out = gave_up = 0
        error: str | None = None
        try:
            for next_end in asyncio.as_completed(waits):
                end = await next_end
                ended += 1
                if isinstance(end, TimedOut):
                    timed_out += 1
                elif isinstance(end, GaveUp):
                    gave_up += 1
                    error = error or str(end.error)
                    if isinstance(end.error, ConfigurationError):
                        # So it is for all of them, and each would take its time to find out.
                        gave_up, ended = gave_up + len(waits) - ended, len(waits)
                if ended >= self.wake_after:
                    break
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return BatchEvent(jobs=len(waits), ended=ended, timed_out=timed_out, gave_up=gave_up, error=error)

    async def _wait_for(self, job_id: str, submitted_at: float, deadline: float, model: str | None) -> object:
        wait = Wait(
            job_id=job_id,
            submitted_at=submitted_at,
            deadline=deadline,
            poll_interval=self.poll_interval,
            not_before=self.not_before,
        )
        return await wait_in_hub(self.conn_id, wait, model=model)

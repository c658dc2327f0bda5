"""Triggers to compare with inside a real triggerer: one that only sleeps, and the plainest one that polls."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SleepTrigger(BaseTrigger):
    """Only sleeps: what Airflow itself costs for each trigger.

    Args:
        seconds: how long.
        number: makes the arguments of no two triggers the same.
    """

    def __init__(self, *, seconds: float, number: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self.seconds = seconds
        self.number = number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return "benchmarks.peer_triggers.SleepTrigger", {"seconds": self.seconds, "number": self.number}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep, then fire."""
        await asyncio.sleep(self.seconds)
        yield TriggerEvent({"outcome": "ended", "status": "completed"})


class HttpxTrigger(BaseTrigger):
    """Polls one job with an httpx client of its own. The key stands in the code, so no connection is looked up.

    Args:
        url: of the job.
        poll_interval: seconds between two polls.
        not_before: epoch seconds of the first poll.
    """

    def __init__(self, *, url: str, poll_interval: float, not_before: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self.url = url
        self.poll_interval = poll_interval
        self.not_before = not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        arguments = {"url": self.url, "poll_interval": self.poll_interval, "not_before": self.not_before}
        return "benchmarks.peer_triggers.HttpxTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the job ended, then fire."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            await asyncio.sleep(max(0.0, self.not_before - time.time()))
            while True:
                response = await client.get(self.url)
                if response.is_success and (status := response.json()["status"]) == "completed":
                    break
                await asyncio.sleep(self.poll_interval)
        yield TriggerEvent({"outcome": "ended", "status": status})

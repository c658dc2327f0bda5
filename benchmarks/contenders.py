"""Three ways to wait for a job in an event loop: this provider's trigger, an httpx client each, an SDK client each."""

from __future__ import annotations

import asyncio
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.measuring import CONN_ID, KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_TERMINAL: Final = frozenset({"completed", "failed", "cancelled", "expired"})


@dataclass
class Plan:
    """What every contender is told.

    Args:
        base_url: the fake API.
        interval: seconds between two polls of a job.
        age: seconds that the jobs have been running for when the polls begin.
        deadline: seconds after which waiting ends.
        go: resolves to the epoch second from which polls may begin; set beforehand for who must know it at once.
    """

    base_url: str
    interval: float
    age: float
    deadline: float
    go: asyncio.Future[float]


async def through_trigger(plan: Plan, job_id: str, offset: float) -> str:
    """Wait as the triggerer does: run a trigger until it fires."""
    from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger  # noqa: PLC0415 - only this contender's cost

    begin = plan.go.result()
    trigger = OrVideoJobTrigger(
        conn_id=CONN_ID,
        job_id=job_id,
        submitted_at=begin - plan.age,
        deadline=begin + plan.deadline,
        poll_interval=plan.interval,
        model="bench/model",
        not_before=begin + offset,
    )
    async for event in trigger.run():
        payload = event.payload
        return str(payload["status"] if payload["outcome"] == "ended" else payload["outcome"])
    return "no event"


async def through_httpx(plan: Plan, job_id: str, offset: float) -> str:
    """Wait as the plainest trigger does: a client of its own, a loop around GET and sleep."""
    import httpx  # noqa: PLC0415 - only this contender's cost

    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as client:
        await _sleep_until(await plan.go + offset)
        while True:
            response = await client.get(f"{plan.base_url}/videos/{job_id}")
            if response.is_success and (status := str(response.json()["status"])) in _TERMINAL:
                return status
            await asyncio.sleep(plan.interval)


async def through_sdk(plan: Plan, job_id: str, offset: float) -> str:
    """Wait with a client of the official SDK, settings at their defaults."""
    from openrouter import OpenRouter  # noqa: PLC0415 - only this contender's cost

    async with OpenRouter(api_key=KEY, server_url=plan.base_url) as sdk:
        await _sleep_until(await plan.go + offset)
        while True:
            job = await sdk.video_generation.get_generation_async(job_id=job_id)
            if str(job.status) in _TERMINAL:
                return str(job.status)
            await asyncio.sleep(plan.interval)


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.time()))


@dataclass(frozen=True)
class Contender:
    """One way to wait.

    Args:
        label: its name in tables.
        follow: waits for one job and returns how that ended.
        most: jobs above which it is left out unless named: it would take minutes to set up, and gigabytes.
        head_start: seconds per job to set up where polls must begin at a time that is known beforehand; None where
            polls begin as soon as all are ready.
    """

    label: str
    follow: Callable[[Plan, str, float], Awaitable[str]]
    most: int | None = None
    head_start: float | None = None


CONTENDERS: Final[Mapping[str, Contender]] = {
    "provider": Contender("this provider's trigger", through_trigger, head_start=0.003),
    "httpx": Contender("httpx client per job", through_httpx, most=1000),
    "sdk": Contender("official SDK client per job", through_sdk, most=1000),
}


def quieten() -> None:
    """Keep the SDK's import warnings out of the figures."""
    warnings.simplefilter("ignore")

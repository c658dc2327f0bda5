"""A person kills, clears or marks a task that is deferred: its trigger says what that does not do."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow.triggers.base import BaseTrigger

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Simulate

    Fire = Callable[[BaseTrigger], Awaitable[dict[str, Any]]]
    Warnings = Callable[[], list[str]]


@pytest.fixture
def manual(simulate: Simulate, connect: Connect) -> Simulator:
    """A simulator whose jobs end when told to, and ``orvideo_default`` pointing to it."""
    simulator = simulate(job_seconds="manual")
    connect(simulator)
    return simulator


@pytest.fixture
def trigger(manual: Simulator) -> OrVideoJobTrigger:
    """A trigger that waits for a job of `manual`."""
    with OrVideoHook() as hook:
        job = hook.generate(VideoRequest.build(model="x-ai/grok-imagine-video", prompt="a red boat", duration=1))
    assert manual.posts == 1
    now = time.time()
    return OrVideoJobTrigger(
        conn_id="orvideo_default", job_id=job.id, submitted_at=now, deadline=now + 60, poll_interval=0.01
    )


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Warnings:
    """Return what the trigger has warned of."""
    monkeypatch.setattr(OrVideoJobTrigger, "log", logging.getLogger("orvideo.trigger"))

    def read() -> list[str]:
        return [entry.getMessage() for entry in caplog.records if entry.name == "orvideo.trigger"]

    return read


async def test_a_kill_says_once_that_the_job_goes_on_and_asks_the_api_for_nothing(
    manual: Simulator, trigger: OrVideoJobTrigger, warnings: Warnings
) -> None:
    requests = len(manual.requests())
    await trigger.on_kill()
    (warning,) = warnings()
    for part in (trigger.job_id, "cannot cancel it", "still billing", "re-attaches"):
        assert part in warning
    assert len(manual.requests()) == requests


async def test_a_kill_in_the_midst_of_waiting_says_so(
    manual: Simulator, trigger: OrVideoJobTrigger, fire: Fire, warnings: Warnings
) -> None:
    running: asyncio.Future[dict[str, Any]] = asyncio.ensure_future(fire(trigger))
    await asyncio.to_thread(manual.wait_for_requests, 1, 10, operation="getVideos")
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await trigger.on_kill()
    assert len(warnings()) == 1
    assert (manual.posts, manual.job(trigger.job_id).status) == (1, "pending")


async def test_after_the_event_there_is_nothing_to_detach_from(
    manual: Simulator, trigger: OrVideoJobTrigger, fire: Fire, warnings: Warnings
) -> None:
    manual.finish(trigger.job_id)
    await fire(trigger)
    await trigger.on_kill()
    assert warnings() == []
    assert manual.posts == 1


async def test_once_the_wait_is_over_a_kill_no_longer_says_that_it_bills(
    manual: Simulator, trigger: OrVideoJobTrigger, warnings: Warnings
) -> None:
    manual.finish(trigger.job_id)
    async for _ in trigger.run():
        await trigger.on_kill()
    assert warnings() == []
    assert manual.posts == 1

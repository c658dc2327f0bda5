"""The trigger of a batch: plain JSON, the shared poller, one small event when enough jobs have ended."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

try:
    from airflow.sdk._shared.module_loading import import_string
    from airflow.sdk.serde import deserialize, serialize
except ImportError:  # Airflow 3.1
    from airflow.serialization.serde import deserialize, serialize  # type: ignore[import-not-found,no-redef]
    from airflow.utils.module_loading import import_string  # type: ignore[import-not-found,no-redef]

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.polling.decision import Wait
from airflow_provider_orvideo.polling.event import BatchEvent
from airflow_provider_orvideo.triggers.batch import OrVideoBatchTrigger
from airflow_provider_orvideo.triggers.deferral import batch_deferral

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from airflow.triggers.base import BaseTrigger

    from airflow_provider_orvideo.api.config import ClientConfig
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Simulate

    Fire = Callable[[BaseTrigger], Coroutine[Any, Any, dict[str, Any]]]
    WatchFor = Callable[..., OrVideoBatchTrigger]


@pytest.fixture
def manual(simulate: Simulate, connect: Connect) -> Simulator:
    """A simulator whose jobs end when told to, with four jobs of somebody."""
    simulator = simulate(job_seconds="manual")
    connect(simulator)
    with OrVideoHook() as hook:
        for number in range(4):
            hook.generate(VideoRequest.build(model="x-ai/grok-imagine-video", prompt=f"take {number}", duration=1))
    return simulator


@pytest.fixture
def watch(manual: Simulator) -> WatchFor:
    """Build a trigger for the jobs of `manual`, looked at often."""

    def build(**changes: Any) -> OrVideoBatchTrigger:  # noqa: ANN401 - the trigger's own
        now, seconds = time.time(), changes.pop("seconds", 60)
        jobs = [(job.id, now, now + seconds, "m") for job in manual.jobs()]
        return OrVideoBatchTrigger(**{"conn_id": "orvideo_default", "jobs": jobs, "poll_interval": 0.01, **changes})

    return build


async def test_it_wakes_when_enough_jobs_have_ended(manual: Simulator, watch: WatchFor, fire: Fire) -> None:
    for job in manual.jobs()[:2]:
        manual.finish(job.id)
    event = await fire(watch(wake_after=2))
    assert event == BatchEvent(jobs=4, ended=2).to_json()
    assert manual.posts == 4


async def test_it_waits_for_all_that_are_asked_for(manual: Simulator, watch: WatchFor, fire: Fire) -> None:
    for job in manual.jobs():
        manual.finish(job.id, "failed")
    assert await fire(watch(wake_after=4)) == BatchEvent(jobs=4, ended=4).to_json()


async def test_jobs_that_outlast_their_deadline_end_the_wait(watch: WatchFor, fire: Fire) -> None:
    event = await fire(watch(wake_after=4, seconds=0.05))
    assert (event["ended"], event["timed_out"], event["gave_up"]) == (4, 4, 0)


async def test_a_key_that_is_refused_is_told_and_named_once(manual: Simulator, watch: WatchFor, fire: Fire) -> None:
    manual.add_fault({"match": {"operation": "getVideos"}, "respond": {"status": 401}})
    event = await fire(watch(wake_after=4))
    assert (event["ended"], event["gave_up"]) == (4, 4)
    assert "HTTP 401" in event["error"]
    assert "sk-or-" not in json.dumps(event)


async def test_a_connection_that_is_not_there_is_told(
    watch: WatchFor, fire: Fire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_ORVIDEO_DEFAULT")
    event = await fire(watch(wake_after=4))
    assert event["gave_up"] == 4
    assert "cannot be read in the triggerer" in event["error"]


async def test_the_connection_is_read_once_for_all_jobs(
    manual: Simulator, watch: WatchFor, fire: Fire, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = OrVideoHook.aget_config

    async def get(hook: OrVideoHook) -> ClientConfig:
        read.append(hook.orvideo_conn_id)
        return await real(hook)

    monkeypatch.setattr(OrVideoHook, "aget_config", get)
    for job in manual.jobs():
        manual.finish(job.id)
    await fire(watch(wake_after=4))
    assert read == ["orvideo_default"]


async def test_a_connection_that_cannot_be_read_for_one_job_is_not_asked_for_by_the_others(
    watch: WatchFor, fire: Fire, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    async def get(hook: OrVideoHook) -> ClientConfig:
        read.append(hook.orvideo_conn_id)
        if len(read) > 1:  # each try may take more than a minute, and they come one after the other
            await asyncio.Event().wait()
        raise TypeError("the secrets backend is broken")

    monkeypatch.setattr(OrVideoHook, "aget_config", get)
    event = await asyncio.wait_for(fire(watch(wake_after=4)), 10)
    assert (event["ended"], event["gave_up"]) == (4, 4)


async def test_a_trigger_that_is_cancelled_waits_for_nothing_any_more(manual: Simulator, watch: WatchFor) -> None:
    running = asyncio.ensure_future(anext(watch(wake_after=4).run()))
    await asyncio.to_thread(manual.wait_for_requests, 4, operation="getVideos")
    others = asyncio.all_tasks() - {asyncio.current_task(), running}
    assert len(others) >= 4
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert not [task for task in others if not task.done() and "_wait_for" in repr(task)]


def test_it_survives_the_database(watch: WatchFor) -> None:
    trigger = watch(wake_after=3, not_before=12.5)
    path, kwargs = trigger.serialize()
    stored = json.dumps(serialize(kwargs))
    back: dict[str, Any] = deserialize(json.loads(stored))  # type: ignore[assignment]
    again = import_string(path)(**back)
    assert isinstance(again, OrVideoBatchTrigger)
    assert again.serialize() == (path, kwargs)
    assert json.loads(json.dumps(kwargs)) == kwargs, "JSON primitives and nothing else"


async def test_a_trigger_that_starts_anew_counts_what_has_ended_before(
    manual: Simulator, watch: WatchFor, fire: Fire
) -> None:
    first = watch(wake_after=2)
    manual.finish(manual.jobs()[0].id)
    manual.finish(manual.jobs()[1].id)
    path, kwargs = first.serialize()
    assert (await fire(import_string(path)(**kwargs)))["ended"] == 2


async def test_a_kill_says_how_many_jobs_go_on_unless_the_work_is_done(
    manual: Simulator, watch: WatchFor, fire: Fire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(OrVideoBatchTrigger, "log", logging.getLogger("orvideo.trigger"))
    await watch().on_kill()
    (warning,) = [entry.getMessage() for entry in caplog.records if entry.name == "orvideo.trigger"]
    assert warning.startswith("Detached from 4 jobs: the API cannot cancel them, so they are still billing.")
    for job in manual.jobs():
        manual.finish(job.id)
    done = watch(wake_after=4)
    await fire(done)
    await done.on_kill()
    assert len([entry for entry in caplog.records if entry.name == "orvideo.trigger"]) == 1


def test_the_deferral_outlasts_the_last_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__RESUME_GRACE", "10")
    now = time.time()
    waits = [
        (Wait(job_id=f"j{hours}", submitted_at=now, deadline=now + hours * 3600, poll_interval=30), "m")
        for hours in (1, 3, 2)
    ]
    arguments = batch_deferral(waits, conn_id="c", poll_interval=30, wake_after=2)
    assert 3 * 3600 < arguments["timeout"].total_seconds() < 4 * 3600
    kwargs = arguments["trigger"].serialize()[1]
    assert [job[0] for job in kwargs["jobs"]] == ["j1", "j3", "j2"]
    assert kwargs["not_before"] >= now + 10

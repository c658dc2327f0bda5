"""The trigger: stored as plain JSON, one small event whatever happens, and never an order."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import BaseHook

try:
    from airflow.sdk._shared.module_loading import import_string
    from airflow.sdk.serde import deserialize, serialize
except ImportError:  # Airflow 3.1
    from airflow.serialization.serde import deserialize, serialize  # type: ignore[import-not-found,no-redef]
    from airflow.utils.module_loading import import_string  # type: ignore[import-not-found,no-redef]

from airflow_provider_orvideo.api.client import AsyncVideoClient
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.polling import hub
from airflow_provider_orvideo.polling.event import WaitEvent
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger
from tests.polling.hub_world import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow.triggers.base import BaseTrigger

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Defer, MakeSubmit, Simulate

    Fire = Callable[[BaseTrigger], Awaitable[dict[str, Any]]]
    WatchFor = Callable[..., OrVideoJobTrigger]

POLL = {"operation": "getVideos"}
#: For a trigger that looks once at first, and by itself not again within the test.
SELDOM = {"submitted_at": time.time() - 600, "poll_interval": 600.0}


@pytest.fixture
def watch() -> WatchFor:
    """Build a trigger for a job that was submitted just now and is looked at often."""

    def build(job_id: str, **changes: Any) -> OrVideoJobTrigger:  # noqa: ANN401 - the trigger's own
        now = time.time()
        values: dict[str, Any] = {"conn_id": "orvideo_default", "submitted_at": now, "deadline": now + 60}
        return OrVideoJobTrigger(job_id=job_id, **{**values, "poll_interval": 0.01, "model": "m", **changes})

    return build


@pytest.fixture
def job_id(sim: Simulator) -> str:
    """The id of a job of `sim`, ordered by somebody."""
    return order(sim)


def order(sim: Simulator) -> str:
    request = VideoRequest.build(model="x-ai/grok-imagine-video", prompt="a very private prompt", duration=1)
    with OrVideoHook() as hook:
        job = hook.generate(request)
    assert sim.posts == 1
    return job.id


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hold what became of each asynchronous client: opened, closed."""
    story: list[str] = []
    real_init, real_close = AsyncVideoClient.__init__, AsyncVideoClient.aclose

    def init(self: AsyncVideoClient, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the client's own
        story.append("opened")
        real_init(self, *arguments, **options)

    async def close(self: AsyncVideoClient) -> None:
        await real_close(self)
        story.append("closed")

    monkeypatch.setattr(AsyncVideoClient, "__init__", init)
    monkeypatch.setattr(AsyncVideoClient, "aclose", close)
    return story


# ── Stored ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_survives_the_database(sim: Simulator, make_submit: MakeSubmit, defer: Defer, key: str) -> None:
    trigger = defer(make_submit(deferrable=True, prompt="a very private prompt")).trigger
    path, kwargs = trigger.serialize()
    # The worker's serialiser, the database's JSON, the triggerer's constructor.
    stored = json.dumps(serialize(kwargs))
    back: dict[str, Any] = deserialize(json.loads(stored))  # type: ignore[assignment]
    again = import_string(path)(**back)
    assert isinstance(again, OrVideoJobTrigger)
    assert again.serialize() == (path, kwargs)
    assert all(isinstance(value, str | int | float | None) for value in kwargs.values())
    for secret in (key, "private", "http", sim.origin):
        assert secret not in stored


def test_a_trigger_that_an_older_version_stored_still_starts() -> None:
    trigger = OrVideoJobTrigger(conn_id="c", job_id="j", submitted_at=1.0, deadline=2.0)
    assert (trigger.poll_interval, trigger.model, trigger.not_before) == (30.0, None, 0.0)


# ── One event ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_completed(sim: Simulator, job_id: str, watch: WatchFor, fire: Fire) -> None:
    trigger = watch(job_id)
    event = await fire(trigger)
    assert WaitEvent.model_validate(event).to_json() == event
    assert event == {
        "schema_version": 1,
        "outcome": "ended",
        "job_id": job_id,
        "conn_id": "orvideo_default",
        "model": "m",
        "submitted_at": trigger.submitted_at,
        "observed_at": event["observed_at"],
        "status": "completed",
        "error": None,
        "generation_id": event["generation_id"],
        "cost_usd": float(sim.jobs()[0].cost or 0),
        "outputs": 1,
    }
    assert trigger.submitted_at < event["observed_at"] <= time.time()
    assert (sim.posts, sim.stats()["polls"]) == (1, 1)


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired"])
async def test_ended_without_a_video(
    simulate: Simulate, connect: Connect, watch: WatchFor, fire: Fire, status: str
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    job_id = order(sim)
    sim.finish(job_id, status, "Content policy violation")
    event = await fire(watch(job_id))
    assert (event["outcome"], event["status"], event["outputs"]) == ("ended", status, 0)
    assert event["error"] == "Content policy violation"
    assert sim.posts == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"status": "queued_upstream"},
        {"status": "in_progress"},
        {"respond": {"status": 404}},
        {"respond": {"status": 500}},
        {"respond": {"status": 502, "html": True}},
        {"respond": {"status": 200, "body": {"odd": True}}},
        {"drop": {}},
        {"drop": {"how": "reset"}},
    ],
    ids=str,
)
async def test_what_passes_is_waited_out(
    sim: Simulator, job_id: str, watch: WatchFor, fire: Fire, fault: dict[str, Any]
) -> None:
    sim.add_fault({"match": POLL, "times": 3, **fault})
    event = await fire(watch(job_id))
    assert (event["outcome"], event["status"]) == ("ended", "completed")
    assert (sim.posts, sim.stats()["polls"]) == (1, 4)


async def test_a_rate_limit_is_obeyed(sim: Simulator, job_id: str, watch: WatchFor, fire: Fire) -> None:
    sim.add_fault({"match": POLL, "times": 1, "respond": {"status": 429, "retry_after": 1}})
    trigger = watch(job_id)
    event = await fire(trigger)
    assert event["status"] == "completed"
    assert event["observed_at"] >= trigger.submitted_at + 1
    assert (sim.posts, sim.stats()["polls"]) == (1, 2)


async def test_a_refused_key_gives_the_wait_up_after_one_more_look(
    sim: Simulator, job_id: str, connect: Connect, watch: WatchFor, fire: Fire
) -> None:
    connect(sim, key="sk-or-live-5ec2e7")
    event = await fire(watch(job_id, **SELDOM))
    assert (event["outcome"], event["status"]) == ("gave_up", None)
    assert "401" in event["error"]
    assert "password field" in event["error"]
    assert "5ec2e7" not in str(event)
    assert sim.stats()["polls"] == 2


@pytest.mark.parametrize("polls", [1, 4], ids=["a short look", "a long look"])
async def test_a_key_that_was_changed_meanwhile_is_used(
    sim: Simulator,
    job_id: str,
    connect: Connect,
    watch: WatchFor,
    fire: Fire,
    monkeypatch: pytest.MonkeyPatch,
    polls: int,
) -> None:
    connect(sim, key="sk-or-live-5ec2e7")
    lookup, lookups = BaseHook.aget_connection, 0

    async def changed(_: type[BaseHook], conn_id: str) -> object:
        nonlocal lookups
        lookups += 1
        if lookups == 2:
            # Meanwhile the job is looked at as often as before.
            await until(lambda: sim.stats()["polls"] >= polls)
            connect(sim)
        return await lookup(conn_id)

    monkeypatch.setattr(BaseHook, "aget_connection", classmethod(changed))
    assert (await fire(watch(job_id, **(SELDOM if polls == 1 else {}))))["status"] == "completed"
    assert lookups == 2
    if polls == 1:
        assert sim.stats()["polls"] == 2, "one that was refused, and one as soon as the new key was there"


async def test_a_missing_connection_gives_the_wait_up(
    watch: WatchFor, fire: Fire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ORVIDEO_DEFAULT", "")
    event = await fire(watch("gen-vid-1", conn_id="nowhere"))
    assert event["outcome"] == "gave_up"
    assert "'nowhere' cannot be read in the triggerer" in event["error"]


async def test_a_connection_that_cannot_work_gives_the_wait_up(
    sim: Simulator, connect: Connect, watch: WatchFor, fire: Fire
) -> None:
    connect(sim, key=None)
    event = await fire(watch("gen-vid-1"))
    assert event["outcome"] == "gave_up"
    assert "no API key" in event["error"]


async def test_airflows_own_words_about_a_connection_do_not_leak_its_key(
    watch: WatchFor, fire: Fire, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    async def broken(_: type[BaseHook], __: str) -> None:
        raise ValueError(f"Invalid connection string: orvideo://:{key}@http://h.example:x. " + "x" * 5000)

    monkeypatch.setattr(BaseHook, "aget_connection", classmethod(broken))
    event = await fire(watch("gen-vid-1"))
    assert "Invalid connection string" in event["error"]
    assert key not in event["error"]
    assert len(event["error"]) < 1000


async def test_a_connection_lookup_that_fails_for_a_moment_does_not_end_the_wait(
    sim: Simulator, job_id: str, watch: WatchFor, fire: Fire, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup, failures = BaseHook.aget_connection, [RuntimeError("API_SERVER_ERROR: 503")]

    async def shaky(_: type[BaseHook], conn_id: str) -> object:
        if failures:
            raise failures.pop()
        return await lookup(conn_id)

    monkeypatch.setattr(BaseHook, "aget_connection", classmethod(shaky))
    event = await fire(watch(job_id))
    assert (event["outcome"], event["status"], failures) == ("ended", "completed", [])
    assert sim.posts == 1


async def test_the_deadline_ends_the_wait_with_the_last_status(
    simulate: Simulate, connect: Connect, watch: WatchFor, fire: Fire
) -> None:
    sim = simulate(job_seconds="manual", in_progress_after=0)
    connect(sim)
    job_id = order(sim)
    event = await fire(watch(job_id, deadline=time.time() + 0.1))
    assert (event["outcome"], event["status"]) == ("timed_out", "in_progress")
    assert sim.posts == 1


async def test_a_passed_deadline_still_reads_the_status_once(
    sim: Simulator, job_id: str, watch: WatchFor, fire: Fire
) -> None:
    event = await fire(watch(job_id, submitted_at=1e9, deadline=1e9 + 60))
    assert (event["outcome"], event["status"]) == ("ended", "completed")
    assert sim.stats()["polls"] == 1


async def test_the_first_look_waits_for_the_scheduler(sim: Simulator, job_id: str, watch: WatchFor, fire: Fire) -> None:
    not_before = time.time() + 0.5
    event = await fire(watch(job_id, submitted_at=time.time() - 600, not_before=not_before))
    assert event["observed_at"] >= not_before
    assert sim.stats()["polls"] == 1


async def test_the_event_is_small_and_tells_no_secret(
    simulate: Simulate, connect: Connect, watch: WatchFor, fire: Fire, key: str
) -> None:
    sim = simulate(job_seconds="manual", signed_urls=True)
    connect(sim)
    job_id = order(sim)
    sim.finish(job_id, "failed", f"Refused: {key} https://files.example/x?sig=5ec2e7 " + "x" * 5000)
    text = json.dumps(await fire(watch(job_id)))
    assert len(text) < 2000
    for secret in (key, "sig=", "private", sim.origin):
        assert secret not in text


# ── Restarted, stopped ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_running_again_reads_and_never_orders(sim: Simulator, job_id: str, watch: WatchFor, fire: Fire) -> None:
    trigger = watch(job_id)
    path, kwargs = trigger.serialize()
    events = [await fire(each) for each in (trigger, trigger, import_string(path)(**kwargs))]
    for event in events:
        del event["observed_at"]
    assert events[0] == events[1] == events[2]
    assert (sim.posts, len(sim.jobs())) == (1, 1)


async def test_two_triggerers_may_watch_one_job_at_once(
    sim: Simulator, job_id: str, watch: WatchFor, fire: Fire
) -> None:
    first, second = await asyncio.gather(fire(watch(job_id)), fire(watch(job_id)))
    assert first["status"] == second["status"] == "completed"
    assert sim.posts == 1


def test_triggers_share_one_client_which_ends_with_the_loop(
    job_id: str, watch: WatchFor, fire: Fire, clients: list[str]
) -> None:
    async def triggerer() -> None:
        await asyncio.gather(*(fire(watch(job_id)) for _ in range(20)))
        await fire(watch(job_id))
        assert clients == ["opened"]

    asyncio.run(triggerer())
    assert clients == ["opened", "closed"]


async def test_a_stopped_trigger_leaves_no_client_and_fires_nothing(
    simulate: Simulate,
    connect: Connect,
    watch: WatchFor,
    fire: Fire,
    clients: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "LINGER", 0.0)
    sim = simulate(job_seconds="manual")
    connect(sim)
    job_id = order(sim)
    running: asyncio.Future[dict[str, Any]] = asyncio.ensure_future(fire(watch(job_id)))
    await asyncio.to_thread(sim.wait_for_requests, 2, 10, operation="getVideos")
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
    await until(lambda: clients == ["opened", "closed"])
    assert (sim.posts, sim.job(job_id).status) == (1, "pending")


async def test_the_connection_is_read_without_blocking_the_loop(
    sim: Simulator, job_id: str, watch: WatchFor, fire: Fire, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups: list[str] = []
    real = BaseHook.aget_connection

    async def count(_: type[BaseHook], conn_id: str) -> object:
        lookups.append(conn_id)
        return await real(conn_id)

    def explode(_: type[BaseHook], conn_id: str) -> object:
        raise AssertionError(f"a blocking lookup of {conn_id}")

    monkeypatch.setattr(BaseHook, "aget_connection", classmethod(count))
    monkeypatch.setattr(BaseHook, "get_connection", classmethod(explode))
    sim.add_fault({"match": POLL, "times": 3, "status": "pending"})
    assert (await fire(watch(job_id)))["status"] == "completed"
    assert lookups == ["orvideo_default"]

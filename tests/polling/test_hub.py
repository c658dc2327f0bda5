"""The hub when all is well: what is shared, when it asks, how it starts and ends."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
import threading
import weakref
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.polling import hub as hub_module
from airflow_provider_orvideo.polling.decision import Ended, TimedOut, Wait
from airflow_provider_orvideo.polling.hub import AT_ONCE, IN_FLIGHT, hub_for
from airflow_provider_orvideo.polling.schedule import ENOUGH, DurationModel
from airflow_provider_orvideo.polling.shared_client import CONFIG_TTL
from tests.polling.hub_world import NOW, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_orvideo.polling.agenda import End
    from airflow_provider_orvideo.polling.report import Report
    from tests.polling.hub_world import World

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


def ended(ends: list[End]) -> bool:
    return all(isinstance(end, Ended) and end.job.status == "completed" for end in ends)


# ── One hub ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_hub_for_each_loop_and_connection() -> None:
    async def scene() -> list[hub_module.PollHub]:
        assert hub_for("a") is hub_for("a")
        return [hub_for("a"), hub_for("b")]

    hubs = asyncio.run(scene()) + asyncio.run(scene())
    assert len(set(map(id, hubs))) == 4


def test_a_thousand_waiters_share_one_look_and_few_connections(world: World) -> None:
    async def scene() -> list[End]:
        return await asyncio.gather(*(world.wait_for(f"j{n}") for n in range(1000)))

    assert ended(world.run(scene))
    assert len(world.lookups) == 1
    assert len(world.clients) == world.most_under_way == AT_ONCE
    assert len(world.polls) == 1000


@pytest.mark.parametrize(("latency", "under_way"), [(0.001, AT_ONCE), (0.05, 20), (0.5, IN_FLIGHT)])
def test_the_slower_the_api_answers_the_more_is_asked_at_once(world: World, latency: float, under_way: int) -> None:
    world.latency = latency

    async def scene() -> list[End]:
        return await asyncio.gather(*(world.wait_for(f"j{n}", submitted_at=NOW - 60) for n in range(2000)))

    assert ended(world.run(scene))
    assert world.most_under_way == pytest.approx(under_way, abs=1)
    assert len(world.clients) == world.most_under_way


def test_the_connection_is_looked_at_again_in_a_waiters_own_task(world: World) -> None:
    world.answer = lambda _job, _nth: "completed" if world.now > NOW + 2.5 * CONFIG_TTL else "in_progress"
    tasks: list[asyncio.Task[End]] = []

    async def scene() -> list[End]:
        tasks.extend(asyncio.create_task(world.wait_for(f"j{n}")) for n in range(20))
        return await asyncio.gather(*tasks)

    assert ended(world.run(scene))
    assert len(world.lookups) == 3
    assert set(world.lookups) <= set(tasks)
    assert {client.config.api_key for client in world.clients} == {world.key}


def test_what_a_crowd_needed_is_closed_when_it_is_gone(world: World) -> None:
    world.answer = lambda job, _nth: "completed" if world.now > NOW + (200 if job == "last" else 1) else "in_progress"

    async def scene() -> int:
        last = asyncio.create_task(world.wait_for("last", submitted_at=NOW - 60, poll_interval=0.5))
        await asyncio.gather(*(world.wait_for(f"j{n}", submitted_at=NOW - 60) for n in range(200)))
        await asyncio.sleep(100)
        still_open = sum(not client._reads.is_closed for client in world.clients)
        await last
        return still_open

    assert world.run(scene) <= 2
    assert len(world.clients) >= AT_ONCE


def test_waiters_on_one_job_share_its_polls(world: World) -> None:
    world.answer = lambda _job, nth: "in_progress" if nth < 5 else "completed"

    async def scene() -> list[End]:
        return await asyncio.gather(*(world.wait_for("j") for _ in range(50)))

    assert ended(world.run(scene))
    assert world.counts["j"] == 5


def test_each_waiter_keeps_its_own_deadline_and_the_shortest_interval_counts(world: World) -> None:
    world.answer = lambda _job, _nth: "in_progress"
    over: dict[float, float] = {}

    async def one(deadline: float, interval: float) -> None:
        end = await world.wait_for("j", deadline=NOW + deadline, poll_interval=interval, submitted_at=NOW - 3600)
        assert end == TimedOut("in_progress")
        over[deadline] = world.now - NOW

    async def scene() -> None:
        await asyncio.gather(one(50, 5), one(120, 30), one(200, 60))

    world.run(scene)
    assert over == pytest.approx({50: 50, 120: 120, 200: 200}, abs=0.1)
    gaps = [(earlier, later - earlier) for earlier, later in pairwise(world.at("j"))]
    assert max(gap for at, gap in gaps if at < 50) <= 5.1
    assert max(gap for at, gap in gaps if at < 120) <= 30.1


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired"])
def test_an_end_is_told(world: World, status: str) -> None:
    world.answer = lambda _job, nth: status if nth > 2 else "a_status_of_tomorrow"
    end = world.run(lambda: world.wait_for("j"))
    assert isinstance(end, Ended)
    assert end.job.status == status


def test_the_first_look_waits_for_the_job_and_for_the_scheduler(world: World) -> None:
    async def scene() -> list[End]:
        return list(await asyncio.gather(world.wait_for("new"), world.wait_for("later", not_before=NOW + 20)))

    assert ended(world.run(scene))
    assert world.at("new") == [pytest.approx(5, abs=0.1)]
    assert world.at("later") == [pytest.approx(20, abs=0.1)]


def one_after_the_other(world: World, jobs: int, *, pause: float, takes: float, model: str | None = "m") -> None:
    """Order jobs that each take as long, and wait for each from its submission on."""
    begun = {str(number): NOW + pause * number for number in range(jobs)}
    world.answer = lambda job, _nth: "completed" if world.now >= begun[job] + takes else "in_progress"

    async def one(job: str) -> None:
        await asyncio.sleep(begun[job] - NOW)
        await world.wait_for(job, model=model, submitted_at=begun[job], deadline=NOW + 1e6)

    async def scene() -> None:
        await asyncio.gather(*map(one, begun))

    world.run(scene)


def test_it_learns_how_long_a_model_takes(world: World) -> None:
    one_after_the_other(world, 20, pause=100, takes=120)
    assert world.counts["0"] >= 6
    assert world.counts["19"] <= 3
    assert 80 <= world.at("19")[0] - 1900 <= 130


def test_what_it_learned_outlives_a_pause_without_jobs(world: World) -> None:
    one_after_the_other(world, 20, pause=500, takes=120)
    assert len(world.clients) == 20, "each job had a hub of its own"
    assert world.counts["19"] <= 3


def test_jobs_of_which_nobody_knows_the_model_teach_nothing(world: World) -> None:
    one_after_the_other(world, 20, pause=100, takes=120, model=None)
    assert world.counts["19"] == pytest.approx(world.counts["0"], abs=1)
    assert world.counts["19"] >= 6


def test_a_job_that_was_done_before_anybody_came_teaches_nothing(world: World) -> None:
    async def scene() -> float:
        for number in range(10):
            await world.wait_for(f"old{number}", submitted_at=NOW - 5000)
        begun = world.now
        await world.wait_for("new", submitted_at=begun)
        return world.now - begun

    assert world.run(scene) < 6


def test_an_expected_wait_still_ends_at_the_deadline(world: World) -> None:
    world.answer = lambda _job, _nth: "in_progress"

    async def scene() -> tuple[End, float]:
        hub_module._learned[asyncio.get_running_loop()] = learned
        begun = world.now
        return await world.wait_for("new", submitted_at=begun, deadline=begun + 50), world.now - begun

    learned = {("c", "m"): DurationModel()}
    for _ in range(ENOUGH):
        learned["c", "m"].add(120.0)
    end, took = world.run(scene)
    assert end == TimedOut("in_progress")
    assert took == pytest.approx(50, abs=0.1)


# ── Starting and ending ──────────────────────────────────────────────────────────────────────────────────────────────


def test_it_lingers_and_then_it_is_closed(world: World) -> None:
    async def scene() -> None:
        await world.wait_for("one")
        hub = hub_for("c")
        await asyncio.sleep(hub_module.LINGER - 1)
        await world.wait_for("two", submitted_at=NOW - 60)
        assert hub_for("c") is hub
        await asyncio.sleep(hub_module.LINGER - 0.1)
        assert not world.clients[0]._reads.is_closed
        await asyncio.sleep(0.2)
        assert world.clients[0]._reads.is_closed
        await world.wait_for("three", submitted_at=NOW - 60)

    world.run(scene)
    assert (len(world.lookups), len(world.clients)) == (2, 2)


def test_it_reports_what_it_did_and_that_it_ended(world: World) -> None:
    reports: list[Report] = []
    world.answer = lambda _job, nth: 429 if nth == 1 else "completed" if world.now > NOW + 25 else "in_progress"

    def observe(conn_id: str, report: Report) -> None:
        assert conn_id == "c"
        reports.append(report)
        if len(reports) == 1:
            raise RuntimeError("statsd is away")

    async def scene() -> None:
        hub_for("c", observe)
        await asyncio.gather(*(world.wait_for(f"j{n}") for n in range(3)))

    world.run(scene)
    assert sum(report.polls for report in reports) == len(world.polls)
    assert sum(report.throttled for report in reports) == 3
    assert reports[0].jobs == 3
    assert reports[0].rate is not None
    assert reports[0].latency == pytest.approx(0.01)
    assert reports[-1].jobs == 0


def test_the_hub_polls_and_logs_in_a_clean_context(world: World, caplog: pytest.LogCaptureFixture) -> None:
    seen: set[str] = set()
    world.on_poll = lambda _job: seen.add(WHO.get())
    world.answer = lambda _job, nth: 500 if nth < 3 else "completed"

    class Spy(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.add(WHO.get() if record.name == hub_module.log.name else "nobody")

    async def scene() -> None:
        WHO.set("a trigger")
        hub_for("c", lambda _conn_id, _report: seen.add(WHO.get()))
        await asyncio.gather(world.wait_for("j"), world.wait_for("k"))

    spy = Spy()
    hub_module.log.addHandler(spy)
    try:
        with caplog.at_level(logging.INFO, hub_module.log.name):
            world.run(scene)
    finally:
        hub_module.log.removeHandler(spy)
    assert seen == {"nobody"}
    assert "is not affected" in caplog.text


# ── Real HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """A tiny HTTP server; counts connections and requests under way."""

    def __init__(self) -> None:
        self.connections = self.open = self.requests = self.under_way = self.most = 0
        self.latency, self.deaf_to = 0.002, ""
        self.base_url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                job = head.split(b" ")[1].decode().rpartition("/")[2]
                self.requests += 1
                self.under_way += 1
                self.most = max(self.most, self.under_way)
                deaf, self.deaf_to = job == self.deaf_to, "" if job == self.deaf_to else self.deaf_to
                await asyncio.sleep(5 if deaf else self.latency)
                self.under_way -= 1
                body = json.dumps({"id": job, "status": "completed", "polling_url": "/"}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def lookup(self) -> ClientConfig:
        return ClientConfig(api_key="sk-or-1", base_url=self.base_url, read_timeout=0.2)

    async def wait_for(self, job: str, **changes: float) -> End:
        values = {"submitted_at": 0.0, "deadline": 4e9, "poll_interval": 0.05} | changes
        return await hub_for("real").wait(Wait(job_id=job, **values), model=None, lookup=self.lookup)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api/v1"
    try:
        yield server
    finally:
        listener.close()


def sockets() -> int:
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder's own, closed by now
            count += str(link.readlink()).startswith("socket:")
    return count


async def test_hundreds_of_waits_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LINGER", 0.02)
    async with serving() as server, asyncio.timeout(15):
        tasks, links = len(asyncio.all_tasks()), sockets()
        assert ended(await asyncio.gather(*(server.wait_for(f"j{n}") for n in range(500))))
        assert server.connections <= IN_FLIGHT
        assert server.most <= IN_FLIGHT
        assert server.requests == 500
        hub = weakref.ref(hub_for("real"))
        await until(lambda: server.open == 0)
        await until(lambda: len(asyncio.all_tasks()) == tasks)
        await until(lambda: sockets() == links)
        gc.collect()
        assert hub() is None
        assert not hub_module._hubs.get(asyncio.get_running_loop())


async def test_a_request_that_hangs_is_cut_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LINGER", 0.0)
    async with serving() as server, asyncio.timeout(4):
        server.deaf_to = "j1"
        assert ended(await asyncio.gather(*(server.wait_for(f"j{n}") for n in range(4))))
        assert server.requests == 5
        await until(lambda: not hub_module._hubs.get(asyncio.get_running_loop()))


@pytest.mark.filterwarnings("error")
def test_the_end_of_the_loop_closes_everything(recwarn: pytest.WarningsRecorder) -> None:
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    troubles: list[Any] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: troubles.append(context))
        loops.append(weakref.ref(loop))
        async with serving() as server:
            server.latency = 0.05
            waits = [asyncio.create_task(server.wait_for(f"j{n}")) for n in range(30)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)

    gc.collect()  # what earlier tests left
    recwarn.clear()
    before = sockets()
    asyncio.run(scene())
    gc.collect()
    assert sockets() == before
    assert not troubles
    # anyio has this said of a connection that is cancelled before it begins; there is no socket of it yet.
    unbegun = "coroutine 'connect_tcp.<locals>.try_connect' was never awaited"
    assert {str(warning.message) for warning in recwarn.list} <= {unbegun}
    assert loops[0]() is None, "nor does the registry keep the loop"


def test_loops_in_several_threads_do_not_disturb_each_other() -> None:
    ends: list[End] = []
    troubles: list[Any] = []

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        async with serving() as server, asyncio.timeout(15):
            server.latency = 0.0
            ends.extend(await asyncio.gather(*(server.wait_for(f"j{n}") for n in range(150))))

    threads = [threading.Thread(target=asyncio.run, args=(scene(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not troubles
    assert len(ends) == 450
    assert ended(ends)

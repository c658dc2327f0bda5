"""A world for the hub: a loop whose time passes only while everybody waits, and an API that answers as told."""

# ruff: noqa: S311 - luck that can be repeated, not secrets

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from airflow_provider_orvideo.api.client import AsyncVideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.polling import hub as hub_module
from airflow_provider_orvideo.polling import shared_client
from airflow_provider_orvideo.polling.decision import Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    import pytest

    from airflow_provider_orvideo.polling.agenda import End

NOW = 1000.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer; fails where nothing could ever happen again."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None) -> Any:  # noqa: ANN401 - the selector's own
            if events := select(0):
                return events
            if timeout is None:
                raise AssertionError("everybody waits for ever")
            self.now += timeout
            return events

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now


async def until(what: Callable[[], object]) -> None:
    """Wait for what has no event of its own."""
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@dataclass
class World:
    """The API, the connection, and what was seen of both."""

    answer: Callable[[str, int], Any] = lambda _job, _nth: "completed"
    latency: float = 0.01
    key: str = "sk-or-one"
    limit: float | None = None
    lookup_takes: float = 0.03
    lookup_error: Exception | None = None
    polls: list[tuple[float, str, str]] = field(default_factory=list)
    #: The key of the request that is being answered.
    asked_with: str = ""
    under_way: int = 0
    most_under_way: int = 0
    lookups: list[asyncio.Task[Any] | None] = field(default_factory=list)
    clients: list[AsyncVideoClient] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    on_poll: Callable[[str], None] = lambda _job: None

    async def api(self, request: httpx.Request) -> httpx.Response:
        job = request.url.path.rpartition("/")[2]
        self.polls.append((self.now, job, request.headers["Authorization"].removeprefix("Bearer ")))
        self.counts[job] += 1
        self.on_poll(job)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.under_way -= 1
        self.asked_with = request.headers["Authorization"].removeprefix("Bearer ")
        answer = self.answer(job, self.counts[job])
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            return httpx.Response(200, json={"id": job, "status": answer, "polling_url": "/"})
        if isinstance(answer, int):
            return httpx.Response(answer, json={"error": {"code": answer, "message": "as told"}})
        assert isinstance(answer, httpx.Response)
        return answer

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def lookup(self) -> ClientConfig:
        self.lookups.append(asyncio.current_task())
        await asyncio.sleep(self.lookup_takes)
        if self.lookup_error is not None:
            raise self.lookup_error
        return ClientConfig(api_key=self.key, base_url="http://127.0.0.1:9/api/v1", max_requests_per_second=self.limit)

    def wait_for(
        self, job: str, *, conn_id: str = "c", model: str | None = "m", **changes: float
    ) -> Coroutine[Any, Any, End]:
        """Wait as the trigger does, for a job that was ordered now unless told otherwise."""
        values = {"submitted_at": NOW, "deadline": NOW + 3600, "poll_interval": 30.0} | changes
        wait = Wait(job_id=job, **values)
        return hub_module.hub_for(conn_id).wait(wait, model=model, lookup=self.lookup)

    def at(self, job: str) -> list[float]:
        return [round(at - NOW, 2) for at, name, _ in self.polls if name == job]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> World:
        def client(config: ClientConfig) -> AsyncVideoClient:
            made = AsyncVideoClient(config, transport=httpx.MockTransport(self.api))
            self.clients.append(made)
            return made

        clock: Callable[[], float] = lambda: self.now  # noqa: E731
        made = partial(hub_module.PollHub, clock=clock, rng=random.Random(1))
        monkeypatch.setattr(hub_module, "PollHub", made)
        monkeypatch.setattr(shared_client, "AsyncVideoClient", client)
        return self

    def run(self, scene: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - the scene's own
        """Play a scene to its end, let the hub linger and close, and see that nothing is left."""

        async def play() -> Any:  # noqa: ANN401
            async with asyncio.timeout(100_000):
                result = await scene()
            await asyncio.sleep(60)
            assert asyncio.all_tasks() == {asyncio.current_task()}, "tasks are left"
            assert not hub_module._hubs.get(asyncio.get_running_loop()), "hubs are left"
            assert all(client._reads.is_closed for client in self.clients), "clients are left"
            return result

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(play())

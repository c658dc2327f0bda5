"""The connection behind a hub: read once, again after a while, and after a refusal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.polling.shared_client import CONFIG_TTL, FAILED_TTL, REFUSAL_STANDS, SharedClient

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.client import AsyncVideoClient


@dataclass
class Connection:
    now: float = 1000.0
    key: str = "sk-or-one"
    reads: int = 0
    error: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.shared = SharedClient("c", lambda: self.now)

    async def lookup(self) -> ClientConfig:
        self.reads += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return ClientConfig(api_key=self.key, base_url="http://127.0.0.1:9/api/v1")

    async def ensure(self) -> None:
        await self.shared.ensure(self.lookup)

    async def borrowed(self) -> AsyncVideoClient:
        """The client that a request would get now."""
        async with self.shared.borrow() as client:
            return client


@pytest.fixture
async def connection() -> Connection:
    return Connection()


async def test_all_that_come_together_share_one_look(connection: Connection) -> None:
    connection.gate.clear()
    comers = [asyncio.create_task(connection.ensure()) for _ in range(1000)]
    await asyncio.sleep(0)
    connection.gate.set()
    await asyncio.gather(*comers)
    assert connection.reads == 1


async def test_it_is_read_again_when_its_time_is_over(connection: Connection) -> None:
    await connection.ensure()
    client = await connection.borrowed()
    connection.now += CONFIG_TTL - 1
    await connection.ensure()
    assert (connection.reads, connection.shared.is_stale) == (1, False)
    connection.now += 1
    assert connection.shared.is_stale
    await connection.ensure()
    assert connection.reads == 2
    assert await connection.borrowed() is client, "the same settings, the same client"


async def test_while_one_looks_again_the_others_go_on(connection: Connection) -> None:
    await connection.ensure()
    connection.now += CONFIG_TTL
    connection.gate.clear()
    looking = asyncio.create_task(connection.ensure())
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await connection.ensure()
    assert not looking.done()
    connection.gate.set()
    await looking
    assert connection.reads == 2


async def test_a_first_look_that_is_cancelled_leaves_it_to_the_next(connection: Connection) -> None:
    connection.gate.clear()
    first, second = (asyncio.create_task(connection.ensure()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    connection.gate.set()
    async with asyncio.timeout(1):
        await second
    assert (await connection.borrowed()).config.api_key == connection.key


async def test_a_first_failure_is_raised_to_everybody(connection: Connection) -> None:
    connection.error = KeyError("no connection")
    for _ in range(2):
        with pytest.raises(KeyError):
            await connection.ensure()
    with pytest.raises(RuntimeError, match="never read"):
        await connection.borrowed()


async def test_a_later_failure_keeps_what_works_and_is_soon_tried_again(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await connection.ensure()
    before = (connection.shared.config, await connection.borrowed())
    connection.now += CONFIG_TTL
    connection.error = RuntimeError("password=hunter2")
    await connection.ensure()
    assert (connection.shared.config, await connection.borrowed()) == before
    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text
    assert not connection.shared.is_stale
    connection.now += FAILED_TTL
    assert connection.shared.is_stale


async def test_each_request_at_a_time_has_a_client_and_they_are_used_again(connection: Connection) -> None:
    await connection.ensure()
    async with connection.shared.borrow() as one, connection.shared.borrow() as two:
        assert one is not two
    async with connection.shared.borrow() as again:
        assert again in {one, two}


async def test_a_replaced_client_is_closed_once_nobody_uses_it(connection: Connection) -> None:
    await connection.ensure()
    async with connection.shared.borrow() as used:
        unused = await connection.borrowed()
        connection.key = "sk-or-two"
        await connection.shared.reload(connection.lookup)
        assert (used._reads.is_closed, unused._reads.is_closed) == (False, True)
        assert (await connection.borrowed()).config.api_key == "sk-or-two"
    assert used._reads.is_closed


async def test_what_is_on_loan_at_the_end_is_closed_when_it_comes_back(connection: Connection) -> None:
    await connection.ensure()
    async with connection.shared.borrow() as used:
        await connection.shared.aclose()
        assert not used._reads.is_closed
    assert used._reads.is_closed


async def test_a_refusal_is_worth_one_look_for_a_while(connection: Connection) -> None:
    shared = connection.shared
    await connection.ensure()
    used = shared.config
    assert shared.may_be_renewed(used)
    assert shared.may_be_renewed(used), "nobody has looked yet"
    await shared.reload(connection.lookup)
    assert not shared.may_be_renewed(used)
    connection.now += REFUSAL_STANDS
    assert shared.may_be_renewed(used)


async def test_a_refusal_of_an_older_key_says_nothing_about_the_new_one(connection: Connection) -> None:
    shared = connection.shared
    await connection.ensure()
    used = shared.config
    shared.may_be_renewed(used)
    connection.key = "sk-or-two"
    await shared.reload(connection.lookup)
    assert shared.may_be_renewed(used)
    assert not shared.may_be_renewed(shared.config)


async def test_a_regular_look_does_not_use_the_one_after_a_refusal_up(connection: Connection) -> None:
    await connection.ensure()
    connection.now += CONFIG_TTL
    await connection.ensure()
    assert connection.shared.may_be_renewed(connection.shared.config)

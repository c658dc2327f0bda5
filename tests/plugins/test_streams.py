"""How a file gets to clients of any speed, without a network."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.plugins.ranges import Span
from airflow_provider_orvideo.plugins.streams import BLOCK, PIECE, BusyError, MediaResponse, Readers, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

DATA = bytes(range(251)) * (3 * BLOCK // 251)
SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}


@dataclass
class MemoryFile:
    """A file in memory that notes what is done to it."""

    data: bytes = DATA
    reads: list[tuple[int, int]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    opened: int = 0
    closed: int = 0

    @property
    def size(self) -> int:
        return len(self.data)

    def open(self) -> MemoryFile:
        self.opened += 1
        return self

    def read(self, start: int, length: int) -> bytes:
        self.reads.append((start, length))
        self.threads.add(threading.current_thread().name)
        return self.data[start : start + length]

    def close(self) -> None:
        self.closed += 1


class Client:
    """The other end of a response: takes messages when the test lets it."""

    def __init__(self) -> None:
        self.body = b""
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.blocked = asyncio.Event()
        self.left = asyncio.Event()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if not self.goes_on.is_set():
            self.blocked.set()
            await self.goes_on.wait()
        self.body += message.get("body", b"")

    async def receive(self) -> MutableMapping[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}


def response(reading: Reading, span: Span, *, stall_timeout: float = 60) -> MediaResponse:
    return MediaResponse(reading, span, stall_timeout=stall_timeout, status_code=200, headers={})


@pytest.fixture
def file() -> MemoryFile:
    return MemoryFile()


@pytest.fixture
def places() -> asyncio.Semaphore:
    return asyncio.Semaphore(1)


@pytest.fixture
def reading(file: MemoryFile, places: asyncio.Semaphore) -> Callable[[], Reading]:
    readers = Readers()
    return lambda: Reading(readers, places, file.open)


async def test_a_part_arrives_whole_in_bounded_blocks_read_by_other_threads(
    reading: Callable[[], Reading], file: MemoryFile, places: asyncio.Semaphore
) -> None:
    client, part = Client(), reading()
    assert await part.start() == len(DATA)
    await response(part, Span(10, 2 * BLOCK, partial=True))(SCOPE, client.receive, client.send)
    assert client.body == DATA[10 : 10 + 2 * BLOCK]
    assert file.reads == [(10, BLOCK), (10 + BLOCK, BLOCK)]
    assert all(name.startswith("orvideo-preview") for name in file.threads)
    assert (file.opened, file.closed, places.locked()) == (1, 1, False)


async def test_pieces_are_small(reading: Callable[[], Reading]) -> None:
    part = reading()
    sizes = {len(piece) async for piece in part.pieces(Span(0, BLOCK + 1, partial=True))}
    part.let_go()
    assert sizes == {PIECE, 1}


async def test_no_more_streams_run_than_may(reading: Callable[[], Reading], file: MemoryFile) -> None:
    first, second = reading(), reading()
    await first.start()
    with pytest.raises(BusyError):
        await second.start()
    assert file.opened == 1
    first.let_go()
    assert await second.start() == len(DATA)
    second.let_go()


async def test_giving_back_twice_gives_back_once(reading: Callable[[], Reading], places: asyncio.Semaphore) -> None:
    first, second, third = reading(), reading(), reading()
    await first.start()
    first.let_go()
    first.let_go()
    await second.start()
    assert places.locked()
    with pytest.raises(BusyError):
        await third.start()
    second.let_go()


async def test_a_client_that_takes_nothing_gives_its_place_to_another_and_goes_on_later(
    reading: Callable[[], Reading], file: MemoryFile, places: asyncio.Semaphore
) -> None:
    client, part = Client(), reading()
    await part.start()
    client.goes_on.clear()
    sending = asyncio.create_task(
        response(part, Span(0, len(DATA), partial=False), stall_timeout=0)(SCOPE, client.receive, client.send)
    )
    await client.blocked.wait()
    async with places:
        assert file.closed == 1
        client.goes_on.set()
    await sending
    assert client.body == DATA
    assert file.opened == file.closed > 1
    assert not places.locked()


async def test_a_client_that_leaves_gives_everything_back(
    reading: Callable[[], Reading], file: MemoryFile, places: asyncio.Semaphore
) -> None:
    client, part = Client(), reading()
    await part.start()
    client.goes_on.clear()
    sending = asyncio.create_task(response(part, Span(0, len(DATA), partial=False))(SCOPE, client.receive, client.send))
    await client.blocked.wait()
    assert places.locked()
    client.left.set()
    await sending
    assert (client.body, file.opened, file.closed, places.locked()) == (b"", 1, 1, False)


async def test_a_file_that_ends_early_breaks_the_connection(
    reading: Callable[[], Reading], file: MemoryFile, places: asyncio.Semaphore
) -> None:
    client, part = Client(), reading()
    await part.start()
    file.data = DATA[:BLOCK]
    with pytest.raises(OSError, match="has become shorter"):
        await response(part, Span(0, len(DATA), partial=False))(SCOPE, client.receive, client.send)
    assert (client.body, file.closed, places.locked()) == (DATA[:BLOCK], 1, False)


async def test_a_file_that_cannot_be_opened_keeps_no_place(places: asyncio.Semaphore) -> None:
    def refuse() -> MemoryFile:
        raise PermissionError

    part = Reading(Readers(), places, refuse)
    with pytest.raises(PermissionError):
        await part.start()
    part.let_go()
    assert not places.locked()

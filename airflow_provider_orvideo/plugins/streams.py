"""Streams blocks to clients of any speed: threads only read, and a client that takes nothing costs next to nothing."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from fastapi.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import Message, Receive, Scope, Send

    from airflow_provider_orvideo.plugins.ranges import Span
    from airflow_provider_orvideo.plugins.source import Source

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Bytes of one read from the store; what a stream holds in memory.
BLOCK: Final = 1024 * 1024
#: Bytes that are handed on at a time; what a stream holds while its client takes nothing.
PIECE: Final = 64 * 1024
#: Threads that read; more streams than this take turns.
_THREADS: Final = 8
#: Seconds for one read, the wait for a thread included.
_READ_TIMEOUT: Final = 60.0


class BusyError(Exception):
    """As many streams run as may."""


class Readers:
    """Threads of the preview's own, so that a slow store takes none of Airflow's."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="orvideo-preview")

    async def run(self, read: Callable[[], T]) -> T:
        """Run something that blocks.

        Raises:
            TimeoutError: it took too long; it goes on in its thread until the store lets go.
        """
        async with asyncio.timeout(_READ_TIMEOUT):
            return await asyncio.get_running_loop().run_in_executor(self._pool, read)


class Reading:
    """A file that is read piece by piece: a place among the streams, an open file, a block.

    All three can be given back while the client takes nothing, and are taken again when it goes on.

    Args:
        readers: for what blocks.
        places: how many streams may run.
        open_source: opens the file, and makes sure that it may be read; called in a thread, also when it goes on.
    """

    def __init__(self, readers: Readers, places: asyncio.Semaphore, open_source: Callable[[], Source]) -> None:
        self._readers = readers
        self._places = places
        self._open = open_source
        self._source: Source | None = None
        self._has_place = False
        self._block = b""

    async def start(self) -> int:
        """Open the file and return its size in bytes.

        Raises:
            BusyError: no place is free.
        """
        if self._places.locked():
            raise BusyError
        return (await self._opened()).size

    async def pieces(self, span: Span) -> AsyncIterator[bytes]:
        """Yield a part of the file; the next block is read when the client has taken the last.

        Raises:
            OSError: the file ends early; the connection breaks then, since the length was promised.
        """
        position, end = span.start, span.start + span.length
        while position < end:
            source = await self._opened()
            length = min(BLOCK, end - position)
            self._block = await self._readers.run(partial(source.read, position, length))
            if not self._block:
                raise OSError("the file has become shorter while it was read")
            while self._block:
                piece, self._block = self._block[:PIECE], self._block[PIECE:]
                position += len(piece)
                yield piece

    def let_go(self) -> None:
        """Give everything back; whoever reads on gets it again."""
        self._block = b""
        if self._source is not None:
            self._source.close()
            self._source = None
        if self._has_place:
            self._has_place = False
            self._places.release()

    async def _opened(self) -> Source:
        if not self._has_place:
            await self._places.acquire()
            self._has_place = True
        if self._source is None:
            self._source = await self._readers.run(self._open)
        return self._source


class MediaResponse(StreamingResponse):
    """A part of a file, to a client that may pause for as long as it likes.

    Browsers do: a video that nobody plays is not read to its end. Closing such a connection from here is not possible
    (Airflow's middlewares hold its other end), and not needed, since what is left of it is one piece in memory.

    Args:
        reading: of the file, started; everything is given back at the end.
        span: what to send.
        stall_timeout: seconds for a client to take a piece, before everything is given back until it does.
        status_code: 200 or 206.
        headers: complete, Content-Type and Content-Length included.
    """

    def __init__(
        self, reading: Reading, span: Span, *, stall_timeout: float, status_code: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(reading.pieces(span), status_code=status_code, headers=headers)
        self._reading = reading
        self._stall_timeout = stall_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        loop = asyncio.get_running_loop()

        async def send_patiently(message: Message) -> None:
            timer = loop.call_later(self._stall_timeout, self._reading.let_go)
            try:
                await send(message)
            finally:
                timer.cancel()

        try:
            await super().__call__(scope, receive, send_patiently)
        finally:
            self._reading.let_go()

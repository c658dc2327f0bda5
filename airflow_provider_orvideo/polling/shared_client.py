"""The clients of a hub, and the connection behind them: looked up once, again after a while, and after a refusal."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.api.client import AsyncVideoClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from airflow_provider_orvideo.api.config import ClientConfig

    Lookup = Callable[[], Awaitable[ClientConfig]]

log = logging.getLogger(__name__)

#: Seconds after which the connection is looked up again.
CONFIG_TTL: Final = 300.0
#: Seconds after which it is looked up again where that failed.
FAILED_TTL: Final = 30.0
#: Seconds for which a 401 that outlived a look at the connection is believed.
REFUSAL_STANDS: Final = 60.0
#: Seconds after which a connection that nobody needed is closed; what crowds need for a moment is not kept.
IDLE: Final = 20.0


class SharedClient:
    """Clients of one connection each, as many as there are requests at once, with the settings of the connection.

    One client with a pool would walk through all its connections at each request: with 64 of them, measured, that costs
    five times the processor time. The clients share their TLS settings, and lie on a stack, so that few stay in use.

    Look-ups run in the coroutine of whoever calls: Airflow answers a trigger's own coroutine only.

    Args:
        conn_id: Airflow connection, for messages.
        clock: epoch seconds.
    """

    def __init__(self, conn_id: str, clock: Callable[[], float]) -> None:
        self.config: ClientConfig | None = None
        #: The same, for one connection.
        self._single: ClientConfig | None = None
        self._conn_id = conn_id
        self._clock = clock
        self._stale_at = float("-inf")
        #: Whether a key was refused since the connection was read, and when it was read after such a refusal.
        self._refused = False
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()
        #: Clients that nobody uses now, and since when, the longest unused one first.
        self._free: list[tuple[AsyncVideoClient, float]] = []
        self._closed = False

    @property
    def is_stale(self) -> bool:
        """Whether the connection was read long ago, or never."""
        return self._clock() >= self._stale_at

    async def ensure(self, lookup: Lookup) -> None:
        """Look the connection up if that is due, once for all that come at the same time.

        Raises:
            Exception: whatever ``lookup`` raises, where the connection was never read before.
        """
        # Where settings are at hand, one looks and the others go on: a secrets backend may be away for a minute.
        if self.is_stale and (self.config is None or not self._lock.locked()):
            async with self._lock:
                if self.is_stale:
                    await self._read(lookup)

    async def reload(self, lookup: Lookup) -> None:
        """Look the connection up now."""
        async with self._lock:
            await self._read(lookup)

    def may_be_renewed(self, config: ClientConfig | None) -> bool:
        """Tell after a 401 whether a look at the connection may help: until one was taken, then not for a while."""
        if config is not self.config:
            return True
        if self._clock() - self._looked_at < REFUSAL_STANDS:
            return False
        self._refused = True
        return True

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[AsyncVideoClient]:
        """Lend a client for one request; the connection must have been read."""
        if self._single is None:
            raise RuntimeError("the connection was never read")
        client = self._free.pop()[0] if self._free else AsyncVideoClient(self._single)
        try:
            yield client
        finally:
            await self._take_back(client)

    async def aclose(self) -> None:
        """Close all clients, those on loan when they come back."""
        self._closed = True
        free, self._free = self._free, []
        for client, _ in free:
            await client.aclose()

    async def _take_back(self, client: AsyncVideoClient) -> None:
        if self._closed or client.config is not self._single:
            await client.aclose()
            return
        now = self._clock()
        self._free.append((client, now))
        if now - self._free[0][1] > IDLE:
            oldest, _ = self._free.pop(0)
            await oldest.aclose()

    async def _read(self, lookup: Lookup) -> None:
        keep = CONFIG_TTL
        try:
            config = await lookup()
            # One is made at once: settings that no client can be made of must show here.
            first = None if config == self.config else AsyncVideoClient(replace(config, max_connections=1))
        except Exception as error:
            if self.config is None:
                raise
            # What worked until now is better than nothing. Only the kind is told: an error may quote the connection.
            kind = type(error).__name__
            log.warning("Connection '%s' could not be read again (%s); its settings stay.", self._conn_id, kind)
            config, first, keep = self.config, None, FAILED_TTL
        now = self._clock()
        self._stale_at = now + keep
        if self._refused:
            self._refused, self._looked_at = False, now
        if first is not None:
            old, self._free = self._free, [(first, now)]
            self.config, self._single = config, first.config
            for client, _ in old:
                await client.aclose()

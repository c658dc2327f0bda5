"""The one client of a hub, and the connection behind it: looked up once, again after a while, and after a refusal."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.api.client import AsyncVideoClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_orvideo.api.config import ClientConfig

    Lookup = Callable[[], Awaitable[ClientConfig]]

log = logging.getLogger(__name__)

#: Seconds after which the connection is looked up again.
CONFIG_TTL: Final = 300.0
#: Seconds after which it is looked up again where that failed.
FAILED_TTL: Final = 30.0
#: Seconds for which a 401 that outlived a look at the connection is believed.
REFUSAL_STANDS: Final = 60.0


class SharedClient:
    """A client whose settings follow the Airflow connection.

    Look-ups run in the coroutine of whoever calls: Airflow answers a trigger's own coroutine only.

    Args:
        conn_id: Airflow connection, for messages.
        clock: epoch seconds.
    """

    def __init__(self, conn_id: str, clock: Callable[[], float]) -> None:
        self.config: ClientConfig | None = None
        self.http: AsyncVideoClient | None = None
        self._conn_id = conn_id
        self._clock = clock
        self._stale_at = float("-inf")
        #: Whether a key was refused since the connection was read, and when it was read after such a refusal.
        self._refused = False
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._retired: AsyncVideoClient | None = None

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

    async def aclose(self) -> None:
        """Close the client, and the one that it replaced."""
        clients, self.http, self._retired = (self.http, self._retired), None, None
        for client in clients:
            if client is not None:
                await client.aclose()

    async def _read(self, lookup: Lookup) -> None:
        keep = CONFIG_TTL
        try:
            config = await lookup()
            http = self.http if config == self.config else AsyncVideoClient(config)
        except Exception as error:
            if self.config is None:
                raise
            # What worked until now is better than nothing. Only the kind is told: an error may quote the connection.
            kind = type(error).__name__
            log.warning("Connection '%s' could not be read again (%s); its settings stay.", self._conn_id, kind)
            config, http, keep = self.config, self.http, FAILED_TTL
        now = self._clock()
        self._stale_at = now + keep
        if self._refused:
            self._refused, self._looked_at = False, now
        if http is not self.http:
            # Requests may be under way on the old client; it is closed when the next one retires, or with the hub.
            closing, self._retired = self._retired, self.http
            self.config, self.http = config, http
            if closing is not None:
                await closing.aclose()

"""The catalogue of video models, fetched at most once per time to live and worker host.

It is kept in this process and, for the other processes of this user, in a small file. Where it cannot be fetched, the
last good copy is used, whatever its age. Nothing about the file can make a task fail: without one that works, each
process fetches for itself.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import math
import random
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_orvideo import __version__
from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.api.schema import parse_models
from airflow_provider_orvideo.exceptions import OrVideoError, ReadInterruptedError, ResponseInvalidError
from airflow_provider_orvideo.preflight.private_folder import PrivateFolder, try_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.config import ClientConfig
    from airflow_provider_orvideo.api.retry import RetryPolicy
    from airflow_provider_orvideo.api.schema import VideoModel

log = logging.getLogger(__name__)

#: Seconds for which a copy counts as current. Models come and go by the week.
DEFAULT_TTL: Final = 3600.0
#: Name of our folder inside the one that is configured; the user's number is appended.
FOLDER: Final = "airflow-provider-orvideo"
#: Changes with the layout of the file.
_FORMAT: Final = 1
#: Largest file that is read, in bytes; thirty models take about thirty thousand.
_LARGEST: Final = 4 * 1024 * 1024
#: Seconds between two looks at a lock that another process holds, at first and at most.
_LOOK_AGAIN: Final = (0.01, 0.25)


class Source(Protocol):
    """What fetches the catalogue: `airflow_provider_orvideo.api.client.VideoClient`."""

    @property
    def config(self) -> ClientConfig:
        """Where it fetches from."""

    def list_videos_models(self, *, retry: RetryPolicy | None = None) -> tuple[VideoModel, ...]:
        """``GET /videos/models``."""


@dataclass(frozen=True)
class Catalogue:
    """The models on offer.

    Attributes:
        models: every entry that could be read, at least one.
        fetched_at: when, in unix seconds; longer ago than the time to live where it could not be fetched since.
    """

    models: tuple[VideoModel, ...]
    fetched_at: float


@dataclass(frozen=True)
class _Entry:
    """What is known of one API's catalogue: the last good copy, and the last failure since; either may be missing."""

    models: tuple[VideoModel, ...] = ()
    fetched_at: float = -math.inf
    failed_at: float = -math.inf
    failure: str = ""


class CatalogueCache:
    """The catalogues of any number of base URLs, in this process and on this host. For blocking use, on workers.

    Args:
        folder: where the private folder for the files is made; made itself if it is missing. Default the system's
            temporary folder: it is the host's own, as the lock must be, writable for every user, and emptied at times;
            a home folder may be none of these.
        ttl: seconds for which a copy counts as current.
        lock_wait: longest time in seconds to wait for another process that is fetching.
        failure_pause: seconds after a failed fetch in which no process of this user tries again.
        clock: unix seconds, for tests.
        sleep: how to pause, for tests.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        ttl: float = DEFAULT_TTL,
        lock_wait: float = 30.0,
        failure_pause: float = 60.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.folder = Path(folder) if folder is not None else Path(tempfile.gettempdir())
        self.ttl = ttl
        self._lock_wait = lock_wait
        self._failure_pause = failure_pause
        self._clock = clock
        self._sleep = sleep
        self._memory: dict[str, _Entry] = {}
        self._said: set[str] = set()

    def get(self, client: Source) -> Catalogue:
        """Return the catalogue of the API that ``client`` calls, fetching it only if no current copy is at hand.

        Raises:
            OrVideoError: it cannot be fetched, and there is no earlier copy. ReadInterruptedError if that was found out
                by another process a moment ago.
        """
        key = _key(client.config.base_url)
        known = self._memory.get(key, _Entry())
        if not self._is_settled(known):
            known = self._memory[key] = self._from_outside(client, key, known)
        return self._catalogue(known)

    def _from_outside(self, client: Source, key: str, known: _Entry) -> _Entry:
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(PrivateFolder(self.folder, FOLDER))
                known = _newer(known, self._load(folder, key))
                if self._is_settled(known):
                    return known
                locked = self._lock(stack, folder, key)
                # Whoever held the lock may have fetched meanwhile.
                known = _newer(known, self._load(folder, key))
            except OSError as error:
                self._say_useless(error)
                return self._fetched(client, key, known)
            if self._is_settled(known):
                return known
            if locked:
                return self._fetched(client, key, known, folder)
            busy = f"Another process has been fetching it for {self._lock_wait:.0f} s."
            if known.models:
                return replace(known, failed_at=self._clock(), failure=busy)
            self._say(f"The catalogue of video models is fetched without waiting any longer. {busy}")
            return self._fetched(client, key, known)

    def _is_settled(self, known: _Entry) -> bool:
        """Whether nothing is to be fetched now."""
        return self._is_current(known) or abs(self._clock() - known.failed_at) < self._failure_pause

    def _is_current(self, known: _Entry) -> bool:
        # A time in the future is the mark of a clock that was set back: it must not hold for ever.
        return bool(known.models) and abs(self._clock() - known.fetched_at) < self.ttl

    def _catalogue(self, known: _Entry) -> Catalogue:
        if not known.models:
            raise ReadInterruptedError(
                f"The catalogue of video models could not be fetched {self._clock() - known.failed_at:.0f} s ago and "
                f"is not tried again before {self._failure_pause:.0f} s have passed. {known.failure}"
            )
        if known.failure and not self._is_current(known):
            log.warning(
                "The catalogue of video models is a copy of %.0f s ago, since no newer one could be had. %s",
                self._clock() - known.fetched_at,
                known.failure,
            )
        return Catalogue(known.models, known.fetched_at)

    def _fetched(self, client: Source, key: str, known: _Entry, folder: PrivateFolder | None = None) -> _Entry:
        """Fetch; keep the result, good or bad, in ``folder`` if there is one, which must be locked."""
        try:
            # With a copy to fall back to, nobody needs to wait for a second attempt.
            models = client.list_videos_models(retry=NO_RETRY if known.models else None)
            if not models:
                # Taken for the truth, it would forbid every model there is.
                raise ResponseInvalidError("listVideosModels was answered with a list that has no model in it.")
        except OrVideoError as error:
            known = replace(known, failed_at=self._clock(), failure=str(error))
            self._keep(key, known, folder)
            if not known.models:
                raise
            return known
        fetched = _Entry(models, self._clock())
        self._keep(key, fetched, folder)
        log.info("Fetched the catalogue of video models: %d models.", len(models))
        return fetched

    def _keep(self, key: str, known: _Entry, folder: PrivateFolder | None) -> None:
        self._memory[key] = known
        if folder is not None:
            try:
                folder.replace(_file(key), _written(known, key))
            except OSError as error:
                self._say_useless(error)

    # ── The file ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _load(self, folder: PrivateFolder, key: str) -> _Entry:
        try:
            content = folder.read(_file(key), limit=_LARGEST)
            return _Entry() if content is None else _read(content, key)
        except (OSError, ValueError, TypeError, KeyError, RecursionError, OrVideoError) as error:
            self._say(f"The cached catalogue of video models cannot be read and is replaced: {redact(str(error))}")
            return _Entry()

    def _lock(self, stack: ExitStack, folder: PrivateFolder, key: str) -> bool:
        """Wait until this process may fetch; False where it need not, or where it waited long enough.

        The lock is gone with the process that holds it, however that ends.
        """
        descriptor = stack.enter_context(folder.lock_file(f"{key}.lock"))
        waited, pause = 0.0, _LOOK_AGAIN[0]
        while not try_lock(descriptor):
            if waited >= self._lock_wait or self._is_settled(self._load(folder, key)):
                return False
            # A jitter, not a secret: a thousand waiting tasks must not look all at once.
            self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            waited += pause
            pause = min(1.5 * pause, _LOOK_AGAIN[1])
        return True

    def _say_useless(self, error: OSError) -> None:
        self._say(
            f"The catalogue of video models cannot be kept below {self.folder}, so each process fetches it for itself: "
            f"{error}. Set [orvideo] cache_dir to a folder on this host that this user can write."
        )

    def _say(self, warning: str) -> None:
        """Log a warning once: what is wrong with a folder stays wrong, and is looked at again and again."""
        if warning not in self._said:
            self._said.add(warning)
            log.warning("%s", warning)


@functools.cache
def shared_cache(folder: str | None = None, ttl: float = DEFAULT_TTL) -> CatalogueCache:
    """Return the one cache of this process for a folder and a time to live; the arguments are `CatalogueCache`'s."""
    return CatalogueCache(folder, ttl=ttl)


def _key(base_url: str) -> str:
    """Name the catalogue of one API, as this version reads it, without showing where it lies."""
    return hashlib.sha256(f"{_FORMAT}\n{__version__}\n{base_url}".encode()).hexdigest()[:32]


def _file(key: str) -> str:
    return f"{key}.json"


def _newer(one: _Entry, other: _Entry) -> _Entry:
    return max(one, other, key=lambda entry: (entry.fetched_at, entry.failed_at))


def _written(known: _Entry, key: str) -> bytes:
    content: dict[str, Any] = {"key": key}
    if known.models:
        content["fetched_at"] = known.fetched_at
        content["data"] = [model.model_dump(mode="json", exclude_none=True) for model in known.models]
    if known.failure:
        content |= {"failed_at": known.failed_at, "failure": known.failure}
    return json.dumps(content, separators=(",", ":")).encode()


def _read(content: bytes, key: str) -> _Entry:
    """Read what `_written` wrote; for all else, raise ValueError, TypeError, KeyError, RecursionError, OrVideoError."""
    found = json.loads(content)
    if found["key"] != key:
        raise ValueError("it is that of another API or version")
    failure = str(found.get("failure", ""))
    failed_at = float(found["failed_at"]) if failure else -math.inf
    if "data" not in found:
        return _Entry(failed_at=failed_at, failure=failure)
    return _Entry(parse_models(found), float(found["fetched_at"]), failed_at, failure)

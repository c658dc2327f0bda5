"""The request log: what arrived, what was answered, and how often. Never a key."""

import hashlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from heapq import merge
from pathlib import Path
from typing import Any, Literal, TextIO

from starlette.requests import Request

MAX_DATA_URL = 80
_COUNTERS = {
    "createVideos": "posts",
    "getVideos": "polls",
    "listVideosContent": "content_reads",
    "listVideosModels": "model_lists",
    "getKey": "key_reads",
    "getGeneration": "generation_reads",
    "getCredits": "credit_reads",
    "getStored": "stored_reads",
}


@dataclass(slots=True)
class LoggedRequest:
    """One request.

    Args:
        seq: Its number, from 1, in order of arrival.
        time: Unix time of arrival, in seconds.
        monotonic: The machine's monotonic time of arrival, in seconds; only differences mean something.
        method: The HTTP method.
        operation: The API's operation id.
        path: Path and query.
        job_id: The job that it is about; for a submit, the job that it created.
        status: The HTTP status that was sent, ``"dropped"`` where the connection was ended instead, ``"disconnected"``
            where the client was gone first, and None while there is no answer yet.
        authorization: Whether the header was present.
        key_sha256: The first characters of the key's hash: enough to tell two keys apart.
        user_agent: The header of that name.
        headers: Those of the headers that a test may want to see, never the key.
        body: The body of a submit, with data URLs shortened.
        rules: The fault rules that changed the answer.
        sent: Bytes of content sent.
    """

    seq: int
    time: float
    monotonic: float
    method: str
    path: str
    operation: str
    job_id: str | None = None
    status: int | Literal["dropped", "disconnected"] | None = None
    authorization: bool = False
    key_sha256: str | None = None
    user_agent: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    rules: list[str] = field(default_factory=list)
    sent: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry as the control endpoint and the log file show it."""
        return asdict(self)


# Headers that a test may want to see; Authorization is not among them and never will be.
SHOWN_HEADERS = (
    "accept",
    "content-type",
    "http-referer",
    "idempotency-key",
    "range",
    "x-openrouter-app-visibility",
    "x-openrouter-categories",
    "x-openrouter-title",
    "x-session-id",
    "x-title",
)


def fingerprint(key: str | None) -> str | None:
    """A name for a key that does not reveal it."""
    return None if key is None else hashlib.sha256(key.encode()).hexdigest()[:12]


def bearer(request: Request) -> str | None:
    """The key of a request, if it has one."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None


def shorten(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """A copy of a JSON value in which data URLs keep only their beginning."""
    if isinstance(value, dict):
        return {key: shorten(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shorten(item) for item in value]
    if isinstance(value, str) and value.startswith("data:") and len(value) > MAX_DATA_URL:
        return f"{value[:MAX_DATA_URL]}… ({len(value)} characters)"
    return value


class RequestLog:
    """All requests, in memory and optionally in a file. Every method may be called from every thread.

    Args:
        size: Entries kept in memory besides the submits, which are all kept; the counts go on.
        file: Where finished entries are appended as lines of JSON.
    """

    def __init__(self, size: int, file: Path | None = None) -> None:
        # Submits are kept however many polls there are: they are what a test is about.
        self._submits: deque[LoggedRequest] = deque()
        self._others: deque[LoggedRequest] = deque(maxlen=size)
        self._unwritten: dict[int, LoggedRequest] = {}
        self._counts: Counter[str] = Counter()
        self._seq = 0
        self._changed = threading.Condition()
        self._file: TextIO | None = None if file is None else file.open("a", encoding="utf-8", buffering=1)

    def arrive(self, request: Request, operation: str, job_id: str | None) -> LoggedRequest:
        """Note a request before anything is done about it."""
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        with self._changed:
            self._seq += 1
            entry = LoggedRequest(
                seq=self._seq,
                time=time.time(),
                monotonic=time.monotonic(),
                method=request.method,
                path=path,
                operation=operation,
                job_id=job_id,
                authorization="authorization" in request.headers,
                key_sha256=fingerprint(bearer(request)),
                user_agent=request.headers.get("user-agent"),
                headers={name: request.headers[name] for name in SHOWN_HEADERS if name in request.headers},
            )
            (self._submits if operation == "createVideos" else self._others).append(entry)
            self._unwritten[entry.seq] = entry
            self._counts[_COUNTERS[operation]] += 1
            if operation == "getStored" and entry.authorization:
                self._counts["leaked_authorizations"] += 1
            self._changed.notify_all()
        return entry

    def update(self, entry: LoggedRequest, **changes: object) -> None:
        """Note something that was learned about a request."""
        with self._changed:
            for name, value in changes.items():
                setattr(entry, name, value)
            self._changed.notify_all()

    def finish(
        self, entry: LoggedRequest, status: int | Literal["dropped", "disconnected"], sent: int | None = None
    ) -> None:
        """Note the answer, before its last byte leaves: whoever has seen the answer finds it in the log."""
        with self._changed:
            entry.status = status
            entry.sent = sent
            if not isinstance(status, int):
                self._counts[status] += 1
            if self._unwritten.pop(entry.seq, None) is not None:
                self._write(entry)
            self._changed.notify_all()

    def find(self, **filters: object) -> list[LoggedRequest]:
        """Copies of the entries whose fields have the given values, oldest first."""
        with self._changed:
            return [replace(entry) for entry in self._entries() if _matches(entry, filters)]

    def wait(self, count: int, timeout: float, **filters: object) -> list[LoggedRequest]:
        """As `find`, once at least `count` entries match.

        Raises:
            TimeoutError: They did not come in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._count(filters) >= count, timeout):
                raise TimeoutError(f"{self._count(filters)} of {count} requests with {filters} after {timeout} s")
            return self.find(**filters)

    def counts(self) -> dict[str, int]:
        """How many requests of each kind arrived, forgotten entries included."""
        names = [*_COUNTERS.values(), "dropped", "disconnected", "leaked_authorizations"]
        with self._changed:
            return {name: self._counts[name] for name in names}

    def clear(self) -> None:
        """Forget all entries and counts; the file keeps its lines and the numbers go on."""
        with self._changed:
            self._submits.clear()
            self._others.clear()
            self._counts.clear()

    def close(self) -> None:
        """Write the entries that never got an answer, and close the file."""
        with self._changed:
            for entry in self._unwritten.values():
                self._write(entry)
            self._unwritten.clear()
            if self._file is not None:
                self._file.close()
                self._file = None

    def _count(self, filters: dict[str, object]) -> int:
        return sum(_matches(entry, filters) for entry in self._entries())

    def _entries(self) -> Iterator[LoggedRequest]:
        """What is kept, in order of arrival."""
        return merge(self._submits, self._others, key=lambda entry: entry.seq)

    def _write(self, entry: LoggedRequest) -> None:
        if self._file is not None:
            self._file.write(json.dumps(entry.as_json(), ensure_ascii=False) + "\n")


def _matches(entry: LoggedRequest, filters: dict[str, object]) -> bool:
    return all(getattr(entry, name) == value for name, value in filters.items())

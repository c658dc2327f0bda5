"""A fake API for measuring waiters: one process, one kind of answer, as little processor time per request as possible.

``GET /api/v1/videos/<id>`` answers for ids ``job-<milliseconds>-<anything>``: pending until that long after "go", then
completed; pending for ever while nobody said "go". It notes when each job was polled, which is all that a waiter can be
judged by from outside. ``GET /_control/<word>`` steers it: go (forget everything, the clock of all jobs starts now),
hold (forget everything, no clock), window (forget what was measured, not the jobs), stats (JSON).

The simulator is the judge of behaviour; it could not carry a thousand requests a second beside what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from array import array
from collections import deque
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final, cast

from benchmarks.measuring import HOST, percentile, process, raise_file_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

_PENDING: Final = b'{"id":"%b","polling_url":"/api/v1/videos/%b","status":"in_progress"}'
_COMPLETED: Final = (
    b'{"id":"%b","polling_url":"/api/v1/videos/%b","status":"completed","generation_id":"gen-%b",'
    b'"unsigned_urls":["/api/v1/videos/%b/content?index=0"],"usage":{"cost":0.4}}'
)
_REFUSED: Final = b'{"error":{"code":429,"message":"Rate limit exceeded"}}'
_ODD: Final = b'{"error":{"code":404,"message":"The fake API only knows polls"}}'
_HEAD: Final = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
#: A poll this many intervals after the one before it was starved, not late.
STARVED: Final = 3


def job_id(seconds: float, index: int) -> str:
    """Return the id of a job that completes ``seconds`` after "go"."""
    return f"job-{round(seconds * 1000):09d}-{index}"


@dataclass(slots=True)
class Job:
    """One job: seconds from "go" to its completion, when it was polled last, whether its end was noticed."""

    duration: float
    last: float
    noticed: bool = False


@dataclass
class Record:
    """What was asked and when.

    Args:
        interval: the waiters' interval in seconds, which gaps between polls are compared with.
        limit: requests per second above which polls are refused; 0 for none.
    """

    interval: float
    limit: int = 0
    go: float | None = None
    jobs: dict[bytes, Job] = field(default_factory=dict)
    noticed: array[float] = field(default_factory=lambda: array("d"))
    gaps: array[float] = field(default_factory=lambda: array("d"))
    rates: dict[int, list[int]] = field(default_factory=dict)
    recent: deque[float] = field(default_factory=deque)
    polls: int = 0
    refused: int = 0
    posts: int = 0
    odd: int = 0
    connections: int = 0
    peak_connections: int = 0

    def start(self, go: float | None) -> None:
        """Forget everything but the POSTs; the jobs' time begins at ``go``."""
        self.go = go
        self.jobs.clear()
        self.rates.clear()
        self.window()

    def window(self) -> None:
        """Begin a new measurement."""
        self.noticed, self.gaps = array("d"), array("d")
        self.polls = self.refused = 0
        self.peak_connections = self.connections

    def poll(self, name: bytes) -> tuple[bytes, bytes]:
        """Answer one poll: status line and body."""
        now = time.time()
        second = self.rates.setdefault(int(now - self.go) if self.go else -1, [0, 0])
        if self.limit and not self._admitted(now):
            self.refused += 1
            second[1] += 1
            return b"429 Too Many Requests", _REFUSED
        self.polls += 1
        second[0] += 1
        job = self.jobs.get(name)
        if job is None:
            job = self.jobs[name] = Job(int(name.split(b"-")[1]) / 1000, now)
        elif not job.noticed:
            self.gaps.append(now - job.last)
        job.last = now
        if self.go is None or now < self.go + job.duration:
            return b"200 OK", _PENDING % (name, name)
        if not job.noticed:
            job.noticed = True
            self.noticed.append(now - self.go - job.duration)
        return b"200 OK", _COMPLETED % (name, name, name, name)

    def _admitted(self, now: float) -> bool:
        recent = self.recent
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if len(recent) >= self.limit:
            return False
        recent.append(now)
        return True

    def stats(self) -> dict[str, Any]:
        """Return what was measured since the window began; gaps of jobs that are still waiting included."""
        now = time.time()
        waiting = [now - job.last for job in self.jobs.values() if not job.noticed]
        return {
            "now": now,
            "cpu": time.process_time(),
            "polls": self.polls,
            "refused": self.refused,
            "posts": self.posts,
            "odd": self.odd,
            "connections": self.connections,
            "peak_connections": self.peak_connections,
            "jobs": len(self.jobs),
            "noticed": len(self.noticed),
            "notice_p50": percentile(self.noticed, 0.5),
            "notice_p95": percentile(self.noticed, 0.95),
            "late_p95": max(0.0, percentile(self.gaps, 0.95) - self.interval),
            "worst_gap": max([*self.gaps, *waiting], default=0.0),
            "gaps": len(self.gaps),
            "starved": sum(gap > STARVED * self.interval for gap in self.gaps),
            "rates": sorted([second, *counts] for second, counts in self.rates.items()),
        }

    def control(self, word: bytes) -> bytes:
        """Do what the benchmark says."""
        if word == b"go":
            self.start(time.time())
        elif word == b"hold":
            self.start(None)
        elif word == b"window":
            self.window()
        return json.dumps(self.stats()).encode()


class Connection(asyncio.Protocol):
    """One keep-alive connection, HTTP/1.1, requests without a body."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.record.connections += 1
        self.record.peak_connections = max(self.record.peak_connections, self.record.connections)

    def connection_lost(self, _: Exception | None) -> None:
        """Count it out."""
        self.record.connections -= 1

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            line = self.buffer[: self.buffer.find(b"\r\n")]
            self.buffer = self.buffer[end + 4 :]
            self._answer(line)

    def _answer(self, line: bytes) -> None:
        method, target, _ = line.split(b" ", 2)
        folder, _, name = target.rpartition(b"/")
        status, body = b"200 OK", b""
        if method == b"GET" and folder == b"/api/v1/videos" and name.startswith(b"job-"):
            status, body = self.record.poll(name)
        elif method == b"GET" and folder == b"/_control":
            body = self.record.control(name)
        else:
            self.record.posts += method == b"POST"
            self.record.odd += 1
            status, body = b"404 Not Found", _ODD
        if self.transport:
            self.transport.write(_HEAD % (status, len(body)) + body)
            if method != b"GET":
                self.transport.close()  # whatever body follows is not read


class FakeApi:
    """The fake API as a process of its own, as its benchmark sees it.

    Args:
        port: where it listens.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.base_url = f"http://{HOST}:{port}/api/v1"

    @classmethod
    @contextmanager
    def running(cls, *, interval: float, limit: int = 0) -> Iterator[FakeApi]:
        """Start it on a free port, and end it with the block."""
        command = ["-m", "benchmarks.fake_api", "--interval", str(interval), "--limit", str(limit)]
        with process(command) as started:
            told = started.stdout.readline() if started.stdout else ""
            if not told:
                raise RuntimeError("The fake API did not start.")
            yield cls(json.loads(told)["port"])

    def control(self, word: str) -> dict[str, Any]:
        """Say one word to it and return its figures. Blocks."""
        with closing(HTTPConnection(HOST, self.port, timeout=60)) as connection:
            connection.request("GET", f"/_control/{word}")
            figures: dict[str, Any] = json.load(connection.getresponse())
        return figures


async def _serve(record: Record) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(lambda: Connection(record), HOST, 0, backlog=4096)
    async with server:
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        await ended.wait()


def main() -> None:
    """Serve until SIGTERM; the first line printed tells the port."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interval", type=float, default=10.0, help="interval that lateness is counted from")
    parser.add_argument("--limit", type=int, default=0, help="polls per second above which 429 is answered")
    options = parser.parse_args()
    raise_file_limit()
    asyncio.run(_serve(Record(options.interval, options.limit)))


if __name__ == "__main__":
    main()

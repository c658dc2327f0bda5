"""What the API client's tests share: a server scripted by the byte, a scripted transport, one face for both clients.

Test modules import nothing from each other; the names here reach them as fixtures, and as types while type checking.
"""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import httpx
import pytest

from airflow_provider_orvideo.api.client import AsyncVideoClient, VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.schema import VideoRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    from airflow_provider_orvideo.api.calls import ContentHead
    from airflow_provider_orvideo.api.retry import RetryPolicy
    from airflow_provider_orvideo.api.schema import GenerationRecord, KeyInfo, VideoJob, VideoModel

    Content = AbstractAsyncContextManager[tuple[ContentHead, AsyncIterator[bytes]]]

KEY = "sk-or-v1-" + "5ec2e7" * 10
END_OF_HEAD = b"\r\n\r\n"


# ── A server that says exactly the scripted bytes ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Reply:
    """What the server does with one request: send these bytes, then keep, close, reset or hold the connection."""

    pieces: Iterable[bytes] = ()
    then: Literal["keep", "close", "reset", "hold"] = "keep"
    unread: bool = False  # act on the bare connection, before a request is read


@dataclass(frozen=True)
class Heard:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - decoded JSON
        return json.loads(self.body)


class WireServer:
    """Plays one `Reply` after the other, the last one forever, and counts what it was asked."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[Heard] = []
        self._script: list[Reply] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):  # the client may go away at any moment
                    owner._serve(self.request)

        self._tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._tcp.serve_forever, args=(0.005,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._tcp.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/api/v1"

    def play(self, *replies: Reply) -> Self:
        self._script.extend(replies)
        return self

    def finish(self) -> list[Heard]:
        """Stop, wait for every connection's thread, and return all requests that ever arrived whole."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._tcp.shutdown()
            with self._lock:
                for connection in self._open:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            self._tcp.server_close()
            self._thread.join()
        return self.requests

    # What can be scripted

    @staticmethod
    def answer(
        status: int = 200,
        payload: object = None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        then: Literal["keep", "close", "reset", "hold"] = "keep",
    ) -> Reply:
        content = json.dumps(payload).encode() if body is None else body
        lines = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
        head = f"HTTP/1.1 {status} Scripted\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return Reply((head.encode() + b"\r\n" + content,), then)

    @staticmethod
    def redirect(status: int, location: str) -> Reply:
        return WireServer.answer(status, body=b"", headers={"Location": location})

    @staticmethod
    def raw(data: bytes, then: Literal["keep", "close", "reset", "hold"] = "close") -> Reply:
        return Reply((data,), then)

    @staticmethod
    def drop(*, unread: bool = False, reset: bool = False) -> Reply:
        """End the connection without a word: after the request, or before it is read."""
        return Reply((), "reset" if reset else "close", unread=unread)

    @staticmethod
    def silence() -> Reply:
        """Read the request and never answer."""
        return Reply((), "hold")

    @staticmethod
    def chunked(
        chunks: Iterable[bytes],
        *,
        finished: bool = True,
        headers: str = "Content-Type: video/mp4\r\n",
        then: Literal["keep", "close", "reset", "hold"] = "keep",
    ) -> Reply:
        """Stream as the content endpoint does: chunked, no length, and perhaps cut before the end is told."""

        def pieces() -> Iterator[bytes]:
            yield f"HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
            for chunk in chunks:
                yield b"%x\r\n%s\r\n" % (len(chunk), chunk)
            if finished:
                yield b"0\r\n\r\n"

        return Reply(pieces(), then)

    @staticmethod
    def late(seconds: float, reply: Reply) -> Reply:
        """Answer after a while."""

        def pieces() -> Iterator[bytes]:
            time.sleep(seconds)
            yield from reply.pieces

        return Reply(pieces(), reply.then)

    # How it is played

    def _next(self, *, unread: bool) -> Reply | None:
        with self._lock:
            reply = self._script[0]
            if unread and not reply.unread:
                return None
            if len(self._script) > 1:
                self._script.pop(0)
            return reply

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._open.add(connection)
        try:
            reply = self._next(unread=True)
            if reply is not None:
                connection.recv(1, socket.MSG_PEEK)  # the request is on its way: past the connect phase for certain
            rest = b""
            while reply is None or reply.then == "keep":
                heard, rest = self._read(connection, rest)
                with self._lock:
                    self.requests.append(heard)
                reply = self._next(unread=False)
                for piece in reply.pieces if reply else ():
                    connection.sendall(piece)
            if reply.then == "hold":
                self._stopping.wait(10)
            if reply.then == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    @staticmethod
    def _read(connection: socket.socket, data: bytes) -> tuple[Heard, bytes]:
        def more() -> bytes:
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError
            return piece

        while END_OF_HEAD not in data:
            data += more()
        head, _, rest = data.partition(END_OF_HEAD)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(rest) < length:
            rest += more()
        method, target, _ = first.split(" ")
        return Heard(method, target, headers, rest[:length]), rest[length:]


@pytest.fixture
def server() -> Iterator[WireServer]:
    """The configured origin."""
    running = WireServer()
    yield running
    running.finish()


@pytest.fixture
def elsewhere() -> Iterator[WireServer]:
    """Another origin: another port of the same machine."""
    running = WireServer()
    yield running
    running.finish()


# ── A transport that answers from a list, for where only the mapping matters ─────────────────────────────────────────


@dataclass
class Replay:
    """A transport's handler: gives one answer after the other, the last one forever, or raises it."""

    answers: list[httpx.Response | Exception]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def replay() -> Callable[..., Replay]:
    return lambda *answers: Replay(list(answers))


# ── One face for both clients ────────────────────────────────────────────────────────────────────────────────────────


class Api(Protocol):
    """The operations, to be awaited, whichever client is behind them."""

    pauses: list[float]

    async def generate(self, request: VideoRequest, *, retry: RetryPolicy | None = None) -> VideoJob: ...
    async def get_generation(self, job_id: str, *, retry: RetryPolicy | None = None) -> VideoJob: ...
    async def list_videos_models(self, *, retry: RetryPolicy | None = None) -> tuple[VideoModel, ...]: ...
    async def get_current_key(self, *, retry: RetryPolicy | None = None) -> KeyInfo: ...
    async def get_generation_record(
        self, generation_id: str, *, retry: RetryPolicy | None = None
    ) -> GenerationRecord: ...
    def get_video_content(self, job_id: str, index: int = 0, *, retry: RetryPolicy | None = None) -> Content: ...
    async def aclose(self) -> None: ...


class Blocking:
    """`VideoClient` behind the common face."""

    def __init__(self, config: ClientConfig, handler: Replay | None) -> None:
        self.pauses: list[float] = []
        transport = httpx.MockTransport(handler) if handler else None
        self._client = VideoClient(config, transport=transport, sleep=self.pauses.append)

    async def generate(self, request: VideoRequest, *, retry: RetryPolicy | None = None) -> VideoJob:
        return self._client.generate(request, retry=retry)

    async def get_generation(self, job_id: str, *, retry: RetryPolicy | None = None) -> VideoJob:
        return self._client.get_generation(job_id, retry=retry)

    async def list_videos_models(self, *, retry: RetryPolicy | None = None) -> tuple[VideoModel, ...]:
        return self._client.list_videos_models(retry=retry)

    async def get_current_key(self, *, retry: RetryPolicy | None = None) -> KeyInfo:
        return self._client.get_current_key(retry=retry)

    async def get_generation_record(self, generation_id: str, *, retry: RetryPolicy | None = None) -> GenerationRecord:
        return self._client.get_generation_record(generation_id, retry=retry)

    @asynccontextmanager
    async def get_video_content(
        self, job_id: str, index: int = 0, *, retry: RetryPolicy | None = None
    ) -> AsyncIterator[tuple[ContentHead, AsyncIterator[bytes]]]:
        with self._client.get_video_content(job_id, index, retry=retry) as (head, chunks):
            yield head, _awaited(chunks)

    async def aclose(self) -> None:
        self._client.close()


async def _awaited(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


class Awaiting(AsyncVideoClient):
    """`AsyncVideoClient` as it is, with its pauses noted."""

    def __init__(self, config: ClientConfig, handler: Replay | None) -> None:
        self.pauses: list[float] = []
        super().__init__(config, transport=httpx.MockTransport(handler) if handler else None, sleep=self._noted)

    async def _noted(self, seconds: float) -> None:
        self.pauses.append(seconds)


class Connect(Protocol):
    """Makes a client for a server's base URL or for a `Replay`; further arguments are `ClientConfig`'s."""

    def __call__(self, to: str | Replay, **settings: Any) -> Api: ...  # noqa: ANN401


@pytest.fixture(params=["blocking", "asynchronous"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    kind: type[Blocking | Awaiting] = Blocking if request.param == "blocking" else Awaiting
    made: list[Api] = []

    def open_client(to: str | Replay, **settings: Any) -> Api:  # noqa: ANN401
        if isinstance(to, str):
            settings.setdefault("base_url", to)
        config = ClientConfig(**{"api_key": KEY, **settings})
        made.append(kind(config, None if isinstance(to, str) else to))
        return made[-1]

    yield open_client
    for api in made:
        await api.aclose()


# ── Data ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def key() -> str:
    """The API key of every client that `connect` makes."""
    return KEY


@pytest.fixture
def order() -> VideoRequest:
    """A request that costs money."""
    return VideoRequest.build(model="google/veo-3.1", prompt="A lake at dawn")


@pytest.fixture
def pending() -> dict[str, Any]:
    """The live API's answer to a submit."""
    job_id = "gen-vid-1790983457-BXyYqhSkuztnVdDoZpef"
    return {"id": job_id, "polling_url": f"https://openrouter.ai/api/v1/videos/{job_id}", "status": "pending"}


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the chance out of pauses: the jitter's factor is 1."""
    monkeypatch.setattr("airflow_provider_orvideo.api.retry.random.uniform", lambda _low, high: high)

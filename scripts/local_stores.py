"""Object stores on this machine: S3 by moto, Azure Blob by Azurite, Cloud Storage by gcp-storage-emulator.

Every store is reached through a `Door`, a small reverse proxy that passes all on and refuses what it is told to: that
is how an upload breaks off in the middle, without a patch in the file system under test.
"""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from local_airflow import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPOSITORY: Final = Path(__file__).resolve().parent.parent
#: Where `make test-extras` installs Azurite; nothing else reads this folder.
AZURITE: Final = REPOSITORY / ".tools" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"

#: Azurite's documented account for development, the same on every machine.
AZURITE_ACCOUNT: Final = "devstoreaccount1"
AZURITE_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_START_SECONDS: Final = 30.0
#: Headers that belong to one connection only.
_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "proxy-connection"})


@dataclass(frozen=True)
class Answer:
    """What a door says instead of the store.

    Args:
        status: HTTP status.
        body: in the words of the store.
        content_type: of the body.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"


@dataclass(frozen=True)
class Asked:
    """A request that arrived at a door."""

    method: str
    path: str
    query: Mapping[str, list[str]]


#: Looks at a request; an answer is given at once, None passes the request on.
Rule = Callable[[Asked], Answer | None]


@dataclass(frozen=True)
class _Hold:
    """Requests that hang, from `Door.holding`."""

    matches: Callable[[Asked], bool]
    done: bool
    hangs: threading.Event
    over: threading.Event


class Door:
    """A reverse proxy on a free port of 127.0.0.1; use it as a context manager.

    Args:
        upstream: ``host:port`` of the store.
        rule: what this door always refuses or answers by itself.
    """

    def __init__(self, upstream: str, rule: Rule | None = None) -> None:
        self.upstream = upstream
        #: All requests since the door opened or `asked` was cleared, those that were refused too.
        self.asked: list[Asked] = []
        self._rules = [rule] if rule else []
        self._holds: list[_Hold] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.door = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where the door stands."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def guarded(self, rule: Rule) -> Iterator[None]:
        """Ask this rule as well, for a while."""
        self._rules.append(rule)
        try:
            yield
        finally:
            self._rules.remove(rule)

    @contextmanager
    def holding(self, matches: Callable[[Asked], bool], *, done: bool = False) -> Iterator[threading.Event]:
        """Leave such requests without an answer, and hang up on them at the end.

        Args:
            matches: which requests.
            done: whether the store gets them all the same, and only its answer is kept back.

        Yields:
            Is set when the first of them hangs.
        """
        hold = _Hold(matches, done, threading.Event(), threading.Event())
        self._holds.append(hold)
        try:
            yield hold.hangs
        finally:
            self._holds.remove(hold)
            hold.over.set()

    def held(self, asked: Asked, *, done: bool) -> bool:
        """Wait as long as this request is to hang; return whether it had to."""
        for hold in list(self._holds):
            if hold.done == done and hold.matches(asked):
                hold.hangs.set()
                hold.over.wait()
                return True
        return False

    def answer(self, asked: Asked) -> Answer | None:
        """Return what the door says by itself."""
        self.asked.append(asked)
        for rule in list(self._rules):
            if (said := rule(asked)) is not None:
                return said
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    door: Door


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        # A body is read in any case: the next request of this connection begins behind it.
        body = self._body()
        parts = urlsplit(self.path)
        asked = Asked(self.command, parts.path, parse_qs(parts.query, keep_blank_values=True))
        said = self.server.door.answer(asked)
        if said is not None:
            self._reply(said.status, {"Content-Type": said.content_type}, said.body)
        elif self.server.door.held(asked, done=False):
            self.close_connection = True
        else:
            self._forward(asked, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _serve  # noqa: N815 - http.server's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _forward(self, asked: Asked, body: bytes) -> None:
        connection = http.client.HTTPConnection(self.server.door.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            named = {name.lower() for name in self.headers}
            for name, value in self.headers.items():
                if name.lower() not in _HOP:
                    connection.putheader(name, value)
            if "transfer-encoding" in named:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP}
            content = response.read()
            if self.server.door.held(asked, done=True):
                self.close_connection = True
            else:
                self._reply(response.status, headers, content)
        finally:
            connection.close()

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response_only(status)
        length = "Content-Length"
        for name, value in headers.items():
            if name.lower() != length.lower():
                self.send_header(name, value)
        told = next((value for name, value in headers.items() if name.lower() == length.lower()), "0")
        self.send_header(length, told if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self) -> None:
        # A client that goes away in the middle is what these tests are about.
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Say nothing."""


# ── Servers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def missing_for_azure() -> str | None:
    """Return what is not installed and how to get it, None if all is there."""
    if find_spec("adlfs") is None:
        return "needs the extra azure: make test-extras"
    if shutil.which("node") is None:
        return "needs Azurite, which needs Node.js: apt-get install nodejs npm, then make test-extras"
    if not AZURITE.is_file():
        return "needs Azurite: make test-extras"
    return None


def missing_for_gcs() -> str | None:
    """Return what is not installed and how to get it, None if all is there."""
    if find_spec("gcsfs") is None:
        return "needs the extra gcs: make test-extras"
    if find_spec("gcp_storage_emulator") is None:
        return "needs gcp-storage-emulator: make test-extras"
    return None


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Run Azurite's blob service in memory, as ``host:port``.

    Args:
        folder: its working folder, for its log.

    Raises:
        RuntimeError: it does not start; the text is its log.
    """
    address = f"127.0.0.1:{free_port()}"
    command = ["node", str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", address.split(":")[1], "--silent"]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    log = folder / "azurite.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)  # noqa: S603 - our own
    try:
        _wait_for(address, lambda: process.poll() is None, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class GcsEmulator:
    """Cloud Storage in this process and in memory; use it as a context manager."""

    def __init__(self) -> None:
        from gcp_storage_emulator.server import create_server  # noqa: PLC0415 - a tool of the tests

        logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
        self.address = f"127.0.0.1:{free_port()}"
        host, port = self.address.split(":")
        self._server: Any = create_server(host, int(port), in_memory=True)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def sessions(self) -> dict[str, str]:
        """The object that each unfinished resumable upload is for, by the session's id."""
        # The JSON API cannot list them, neither here nor in the real service.
        return {key: meta["name"] for key, meta in self._server._storage.resumable.items()}  # noqa: SLF001

    def cancel(self, asked: Asked) -> Answer | None:
        """Cancel a resumable upload as the real service does, a door's rule: the emulator does not know how."""
        # https://cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload
        if asked.method != "DELETE" or "upload_id" not in asked.query:
            return None
        self._server._storage.resumable.pop(asked.query["upload_id"][0], None)  # noqa: SLF001
        return Answer(499)


def _wait_for(address: str, alive: Callable[[], bool], log: Path) -> None:
    host, port = address.split(":")
    end = time.monotonic() + _START_SECONDS
    while alive() and time.monotonic() < end:
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"The server at {address} did not start: {log.read_text(errors='replace')[-2000:]}")


def all_needed() -> bool:
    """Whether a missing store is an error rather than a reason to skip, as for ``make test-extras``."""
    return os.environ.get("ORVIDEO_EXTRAS") == "all"

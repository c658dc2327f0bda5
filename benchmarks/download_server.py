"""A fake API for measuring downloads: one process, files straight from the page cache to the socket.

``GET /api/v1/videos/<name>`` answers that the job is completed, ``GET /api/v1/videos/<name>/content`` sends the file
``<name>.mp4`` of its folder as the real endpoint does: in HTTP/1.1 chunks, without a length, knowing no Range. With
``sendfile`` the server costs a tenth of what the fastest client does, so it is the client that is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measuring import HOST, process

if TYPE_CHECKING:
    from collections.abc import Iterator

_TARGET: Final = re.compile(rb"GET /api/v1/videos/([a-z0-9-]+)(/content)?(?:\?\S*)? HTTP/1\.1\r\n")
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked\r\nCache-Control: no-store\r\n\r\n"
)
_JSON: Final = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_COMPLETED: Final = (
    b'{"id":"%b","polling_url":"/api/v1/videos/%b","status":"completed","generation_id":"gen-%b",'
    b'"unsigned_urls":["/api/v1/videos/%b/content?index=0"],"usage":{"cost":0.4}}'
)
_ODD: Final = b'{"error":{"code":404,"message":"The fake API only knows status and content of its files"}}'
#: Bytes of one HTTP chunk.
CHUNK: Final = 64 * 1024


@contextmanager
def content_server(folder: Path) -> Iterator[str]:
    """Serve the files of a folder on a free port, and end that with the block.

    Yields:
        The base URL of the API.
    """
    with process(["-m", "benchmarks.download_server", str(folder)]) as started:
        told = started.stdout.readline() if started.stdout else ""
        if not told:
            raise RuntimeError("The content server did not start.")
        yield f"http://{HOST}:{json.loads(told)['port']}/api/v1"


def _serve(connection: socket.socket, folder: Path) -> None:
    """Answer one connection until the client closes it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, suppress(ConnectionError):
        buffer = b""
        while data := connection.recv(CHUNK):
            buffer += data
            while (end := buffer.find(b"\r\n\r\n")) >= 0:
                asked, buffer = buffer[: end + 2], buffer[end + 4 :]
                _answer(connection, asked, folder)


def _answer(connection: socket.socket, asked: bytes, folder: Path) -> None:
    target = _TARGET.match(asked)
    path = folder / f"{target[1].decode()}.mp4" if target else None
    if target is None or path is None or not path.is_file():
        connection.sendall(_JSON % (b"404 Not Found", len(_ODD), _ODD))
    elif target[2]:
        _send(connection, path)
    else:
        body = _COMPLETED % ((target[1],) * 4)
        connection.sendall(_JSON % (b"200 OK", len(body), body))


def _send(connection: socket.socket, path: Path) -> None:
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size
        mark = _HEAD
        while left:
            # The mark between two chunks waits for what follows it: no packets of ten bytes.
            size = min(left, CHUNK)
            connection.sendall(mark + b"%x\r\n" % size, socket.MSG_MORE)
            left -= size
            while size:
                size -= os.sendfile(connection.fileno(), file.fileno(), None, size)
            mark = b"\r\n"
        connection.sendall(mark + b"0\r\n\r\n")


def main() -> None:
    """Serve until SIGTERM; the first line printed tells the port."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with socket.create_server((HOST, 0)) as server:
        print(json.dumps({"port": server.getsockname()[1]}), flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_serve, args=(connection, folder), daemon=True).start()


if __name__ == "__main__":
    main()

"""What an ordinary ASGI response cannot do: cut a connection, or send a video as the API sends it.

uvicorn hides the transport from the application. `SimulatorProtocol` hands it over in the request's scope, which needs
no registry and cannot mix up two connections.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any, Literal

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

TRANSPORT = "orvideo.transport"
DropHow = Literal["close", "reset"]


class SimulatorProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, with the connection's transport in every scope."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's arguments, passed on
        super().__init__(*args, **kwargs)
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = self.transport
            # Cancelled means that the simulator stops with this request unanswered, which is no error to report.
            with contextlib.suppress(asyncio.CancelledError):
                await inner(scope, receive, send)

        self.app = app


async def _until_gone(receive: Receive) -> None:
    """Wait until uvicorn has noticed that the connection is gone, so that it adds no answer of its own."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Dropped(Response):
    """No answer at all: the connection ends without a single byte."""

    def __init__(self, how: DropHow) -> None:
        super().__init__()
        self.how = how

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """End the connection, by a plain close or by a TCP reset."""
        del send
        transport: asyncio.Transport = scope[TRANSPORT]
        if self.how == "reset":
            # Closing a socket that lingers for zero seconds sends RST instead of FIN.
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await _until_gone(receive)


class VideoStream(Response):
    """A video sent in chunks, without a length: what was meant to arrive is visible only in the final chunk.

    Args:
        body: The bytes to send.
        cut: End the connection after the body instead of ending the body properly.
        bytes_per_second: Send no faster than this.
        chunk_bytes: Size of a chunk.
        on_end: Told how many bytes were sent and whether the client was still there, before the end that it waits for.
    """

    def __init__(
        self,
        body: bytes,
        *,
        content_type: str,
        chunk_bytes: int,
        on_end: Callable[[int, bool], None],
        cut: bool = False,
        bytes_per_second: float | None = None,
    ) -> None:
        super().__init__()
        self.payload = memoryview(body)
        self.content_type = content_type
        self.chunk_bytes = chunk_bytes
        self.on_end = on_end
        self.cut = cut
        self.bytes_per_second = bytes_per_second

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body as ordered."""
        transport: asyncio.Transport = scope[TRANSPORT]
        headers = [(b"content-type", self.content_type.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        size, pause = self.chunk_bytes, 0.0
        if self.bytes_per_second is not None:
            # About twenty chunks a second, so that a client sees progress.
            size = max(1, min(size, int(self.bytes_per_second / 20)))
            pause = size / self.bytes_per_second
        sent = 0
        while sent < len(self.payload) and not transport.is_closing():
            chunk = self.payload[sent : sent + size]
            await send({"type": "http.response.body", "body": bytes(chunk), "more_body": True})
            sent += len(chunk)
            if pause:
                await asyncio.sleep(pause)
        self.on_end(sent, not transport.is_closing())
        if self.cut:
            # close() sends what is buffered first, so exactly `sent` bytes arrive; the terminating chunk never does.
            transport.close()
            await _until_gone(receive)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

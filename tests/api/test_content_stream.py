"""Videos come as a stream: in bounded memory, whole or with an error, and without a connection left behind."""

from __future__ import annotations

import gc
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.api.client import AsyncVideoClient, VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.exceptions import (
    BadGatewayError,
    BadRequestError,
    ReadInterruptedError,
    RequestInvalidError,
    ResponseInvalidError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.api.conftest import Connect, Content, Reply, WireServer

FTYP = bytes.fromhex("0000002066747970") + b"isom"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_live_answer_is_streamed_as_it_is(server: WireServer, connect: Connect) -> None:
    server.play(server.chunked([FTYP, b"moov" * 100, b"mdat"]))
    async with connect(server.base_url).get_video_content("job-1", 1) as (head, chunks):
        assert (head.content_type, head.content_length) == ("video/mp4", None)
        assert b"".join([chunk async for chunk in chunks]) == FTYP + b"moov" * 100 + b"mdat"
    (heard,) = server.requests
    assert heard.target == "/api/v1/videos/job-1/content?index=1"
    assert heard.headers["accept-encoding"] == "identity"
    assert "video/" in heard.headers["accept"]


async def test_first_output_is_index_0(server: WireServer, connect: Connect) -> None:
    server.play(server.chunked([FTYP]))
    async with connect(server.base_url).get_video_content("job-1"):
        pass
    assert server.requests[0].target.endswith("/content?index=0")


@pytest.mark.parametrize("index", [-1, -5])
async def test_negative_index_is_refused_before_sending(server: WireServer, connect: Connect, index: int) -> None:
    with pytest.raises(RequestInvalidError, match=f"'index' is {index}"):
        async with connect(server.base_url).get_video_content("job-1", index):
            pass
    assert server.connections == 0


@pytest.mark.parametrize(
    ("content_type", "seen"),
    [
        ("video/mp4", "video/mp4"),
        ("Video/WebM; codecs=vp9", "video/webm"),
        ("video/quicktime", "video/quicktime"),
        ("application/octet-stream", "application/octet-stream"),
        ("", ""),
    ],
)
async def test_media_type_of_the_provider_is_passed_on(
    server: WireServer, connect: Connect, content_type: str, seen: str
) -> None:
    server.play(server.answer(200, body=FTYP, headers={"Content-Type": content_type}))
    async with connect(server.base_url).get_video_content("job-1") as (head, chunks):
        assert head.content_type == seen
        assert head.content_length == len(FTYP)
        assert b"".join([chunk async for chunk in chunks]) == FTYP


async def test_length_of_a_compressed_body_is_not_the_videos(server: WireServer, connect: Connect) -> None:
    packed = zlib.compress(FTYP)
    headers = {"Content-Type": "video/mp4", "Content-Encoding": "deflate"}
    server.play(server.answer(200, body=packed, headers=headers))
    async with connect(server.base_url).get_video_content("job-1") as (head, chunks):
        assert head.content_length is None
        assert b"".join([chunk async for chunk in chunks]) == FTYP


async def test_first_bytes_arrive_before_the_last_are_sent(server: WireServer, connect: Connect) -> None:
    server.play(server.chunked([FTYP], finished=False, then="hold"))
    async with connect(server.base_url).get_video_content("job-1") as (_, chunks):
        assert await anext(chunks) == FTYP


async def test_memory_stays_bounded(server: WireServer, connect: Connect) -> None:
    piece = bytes(256 * 1024)
    server.play(server.chunked(piece for _ in range(128)))
    received = 0
    async with connect(server.base_url).get_video_content("job-1") as (_, chunks):
        tracemalloc.start()
        try:
            async for chunk in chunks:
                received += len(chunk)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert received == 32 * 1024 * 1024
    assert peak < 4 * 1024 * 1024


CUTS: dict[str, Callable[[WireServer], Reply]] = {
    "chunked, then closed": lambda s: s.chunked([FTYP], finished=False, then="close"),
    "chunked, then reset": lambda s: s.chunked([FTYP], finished=False, then="reset"),
    "chunked, then silent": lambda s: s.chunked([FTYP], finished=False, then="hold"),
    "chunked, then cut in a chunk": lambda s: s.raw(CHUNKED_HEAD + b"fff\r\n" + FTYP),
    "chunked, then garbage": lambda s: s.raw(CHUNKED_HEAD + b"c\r\n" + FTYP + b"\r\nzz\r\n"),
    "shorter than its length": lambda s: s.raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 1000\r\n\r\n" + FTYP
    ),
}


async def collect(content: Content, into: bytearray) -> None:
    async with content as (_, chunks):
        async for chunk in chunks:
            into += chunk


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_cut_stream_raises_from_the_iterator_and_is_not_read_again(
    server: WireServer, connect: Connect, cut: Callable[[WireServer], Reply]
) -> None:
    server.play(cut(server))
    api = connect(server.base_url, read_timeout=0.1)
    received = bytearray()
    with pytest.raises(ReadInterruptedError, match=r"listVideosContent: the answer of .* broke off"):
        await collect(api.get_video_content("job-1"), received)
    assert bytes(received) in {FTYP, b""}  # a reset may overtake the bytes before it
    assert len(server.requests) == 1
    assert api.pauses == []


JSON_INSTEAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a refusal": ({"error": {"code": 400, "message": "index out of range"}}, BadRequestError, "index out of range"),
    "an upstream failure": (
        {"error": {"code": 502, "message": "Provider returned error"}},
        BadGatewayError,
        "Provider",
    ),
    "a job": ({"id": "job-1", "status": "pending"}, ResponseInvalidError, "JSON instead of a video"),
    "an error without a code": ({"error": "no output"}, ResponseInvalidError, "no output"),
}


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/problem+json"])
@pytest.mark.parametrize(("payload", "kind", "words"), JSON_INSTEAD.values(), ids=JSON_INSTEAD)
async def test_json_instead_of_a_video_raises(
    server: WireServer, connect: Connect, payload: object, kind: type[Exception], words: str, content_type: str
) -> None:
    server.play(server.answer(200, payload, headers={"Content-Type": content_type}))
    with pytest.raises(kind, match=words):
        async with connect(server.base_url).get_video_content("job-1"):
            pytest.fail("JSON was handed out as a video")


async def test_json_instead_of_a_video_that_breaks_off_is_an_error_of_ours(
    server: WireServer, connect: Connect
) -> None:
    cut = server.chunked([b'{"error"'], finished=False, headers="Content-Type: application/json\r\n", then="close")
    server.play(cut)
    with pytest.raises(ReadInterruptedError):
        async with connect(server.base_url).get_video_content("job-1", retry=NO_RETRY):
            pytest.fail("half of a JSON was handed out as a video")


async def test_leaving_early_closes_the_connection_and_the_client_goes_on(server: WireServer, connect: Connect) -> None:
    piece = bytes(65536)
    server.play(server.chunked(piece for _ in range(1000)), server.answer(200, {"id": "job-1", "status": "completed"}))
    api = connect(server.base_url, max_connections=1, connect_timeout=0.5)
    async with api.get_video_content("job-1") as (_, chunks):
        async for _chunk in chunks:
            break
    # The pool holds one connection: were it still taken, this would time out.
    assert (await api.get_generation("job-1")).status == "completed"
    assert server.connections == 2


async def test_error_in_the_block_closes_the_connection_and_passes_through(
    server: WireServer, connect: Connect
) -> None:
    server.play(server.chunked([FTYP] * 10), server.chunked([FTYP]))
    api = connect(server.base_url, max_connections=1, connect_timeout=0.5)
    with pytest.raises(ZeroDivisionError):
        async with api.get_video_content("job-1"):
            raise ZeroDivisionError
    async with api.get_video_content("job-1") as (_, chunks):
        assert await anext(chunks) == FTYP


async def test_block_left_unread_leaves_nothing_open(server: WireServer, connect: Connect) -> None:
    server.play(server.chunked([FTYP] * 10))
    api = connect(server.base_url)
    async with api.get_video_content("job-1"):
        pass
    await api.aclose()
    gc.collect()  # an unclosed socket would warn, and warnings are errors


def _endless() -> Iterator[bytes]:
    while True:
        yield bytes(65536)


def test_blocking_client_as_a_context_manager_closes_its_connections(server: WireServer, key: str) -> None:
    server.play(server.chunked(_endless()))
    config = ClientConfig(api_key=key, base_url=server.base_url)
    with VideoClient(config) as client, client.get_video_content("job-1") as (_, chunks):
        assert next(chunks)
    with pytest.raises(RuntimeError, match="closed"):
        client.get_generation("job-1")


async def test_asynchronous_client_as_a_context_manager_closes_its_connections(server: WireServer, key: str) -> None:
    server.play(server.chunked(_endless()))
    config = ClientConfig(api_key=key, base_url=server.base_url)
    async with AsyncVideoClient(config) as client, client.get_video_content("job-1") as (_, chunks):
        assert await anext(chunks)
    with pytest.raises(RuntimeError, match="closed"):
        await client.get_generation("job-1")

"""Free reads are repeated when another read may help, after pauses that spread and that the server can stretch."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.retry import RetryPolicy
from airflow_provider_orvideo.exceptions import (
    NotSentError,
    RateLimitedError,
    ReadInterruptedError,
    ServiceUnavailableError,
    StatusError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.conftest import Connect, Replay, Reply, WireServer

    Script = Callable[[WireServer], Reply]

JOB: dict[str, Any] = {"id": "job-1", "status": "in_progress"}

BREAKS: dict[str, Script] = {
    "closes after reading": lambda s: s.drop(),
    "resets after reading": lambda s: s.drop(reset=True),
    "resets before reading": lambda s: s.drop(unread=True, reset=True),
    "never answers": lambda s: s.silence(),
    "answers half": lambda s: s.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id"'),
    "cuts a chunked body": lambda s: s.chunked([b'{"id": "job-1", "status": "failed"}'], finished=False, then="close"),
    "does not speak HTTP": lambda s: s.raw(b"220 smtp.example ready\r\n"),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_broken_read_is_read_again(server: WireServer, connect: Connect, name: str) -> None:
    server.play(BREAKS[name](server), server.answer(200, JOB))
    # Where the end of the client's patience is the break, a busy machine may wear out that of a later try, too.
    is_silent = name == "never answers"
    api = connect(
        server.base_url,
        read_timeout=0.15 if is_silent else 60.0,
        read_retry=RetryPolicy(attempts=99 if is_silent else 3),
    )
    assert (await api.get_generation("job-1")).status == "in_progress"
    assert api.pauses if is_silent else len(api.pauses) == 1


@pytest.mark.parametrize("behaviour", BREAKS.values(), ids=BREAKS)
async def test_read_that_stays_broken_is_interrupted(server: WireServer, connect: Connect, behaviour: Script) -> None:
    server.play(*[behaviour(server)] * 2)
    api = connect(server.base_url, read_timeout=0.05, read_retry=RetryPolicy(attempts=2))
    with pytest.raises(ReadInterruptedError, match=r"getVideos: the answer of 127\.0\.0\.1:\d+ broke off"):
        await api.get_generation("job-1")
    assert len(api.pauses) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 524, 529])
async def test_passing_refusal_is_read_again(server: WireServer, connect: Connect, status: int) -> None:
    refusal = server.answer(status, {"error": {"code": status, "message": "later"}})
    server.play(refusal, refusal, server.answer(200, JOB))
    api = connect(server.base_url)
    assert (await api.get_generation("job-1")).id == "job-1"
    assert len(server.requests) == 3
    assert len(api.pauses) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 413, 499])
async def test_lasting_refusal_is_read_once(server: WireServer, connect: Connect, status: int) -> None:
    server.play(server.answer(status, {}), server.answer(200, JOB))
    api = connect(server.base_url)
    with pytest.raises(StatusError) as caught:
        await api.get_generation("job-1")
    assert caught.value.status_code == status
    assert len(server.requests) == 1
    assert api.pauses == []


async def test_refused_connection_is_not_sent_and_tried_again(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    api = connect(f"http://127.0.0.1:{port}", read_retry=RetryPolicy(attempts=3))
    with pytest.raises(NotSentError, match=f"no connection to 127.0.0.1:{port}"):
        await api.get_generation("job-1")
    assert len(api.pauses) == 2


async def test_opening_a_video_is_tried_again(server: WireServer, connect: Connect) -> None:
    server.play(server.answer(502, {}), server.drop(), server.chunked([b"video"]))
    api = connect(server.base_url)
    async with api.get_video_content("job-1") as (_, chunks):
        assert [chunk async for chunk in chunks] == [b"video"]
    assert len(api.pauses) == 2


async def test_refusal_told_inside_a_200_is_read_again(replay: Callable[..., Replay], connect: Connect) -> None:
    inside = {"error": {"code": 503, "message": "later"}}
    wire = replay(httpx.Response(200, json=inside), httpx.Response(200, json=JOB))
    assert (await connect(wire).get_generation("job-1")).id == "job-1"


async def test_failed_job_is_an_answer_and_read_once(replay: Callable[..., Replay], connect: Connect) -> None:
    wire = replay(httpx.Response(200, json={"id": "job-1", "status": "failed", "error": "Content policy violation"}))
    job = await connect(wire).get_generation("job-1")
    assert (job.status, job.error) == ("failed", "Content policy violation")
    assert len(wire.requests) == 1


@pytest.mark.usefixtures("no_pause")
async def test_pauses_double_up_to_the_cap(replay: Callable[..., Replay], connect: Connect) -> None:
    api = connect(replay(httpx.Response(503)), read_retry=RetryPolicy(attempts=6, base=1.0, cap=5.0))
    with pytest.raises(ServiceUnavailableError):
        await api.get_generation("job-1")
    assert api.pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_pauses_are_scattered_so_that_tasks_do_not_come_back_together(
    replay: Callable[..., Replay], connect: Connect
) -> None:
    api = connect(replay(httpx.Response(503)), read_retry=RetryPolicy(attempts=21, base=8.0, cap=8.0))
    with pytest.raises(ServiceUnavailableError):
        await api.get_generation("job-1")
    assert all(4.0 <= pause <= 8.0 for pause in api.pauses)
    assert len(set(api.pauses)) > 10


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "3600"}, 60.0),
        ({"Retry-After": "0"}, 1.0),
        ({"Retry-After": "soon"}, 1.0),
        ({"Retry-After": "-5"}, 1.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1.0),
        ({"Retry-After": "Wed, 21 Oct 2999 07:28:00 GMT"}, 60.0),
        ({}, 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.usefixtures("no_pause")
async def test_server_can_stretch_a_pause_up_to_a_cap_but_not_shorten_it(
    replay: Callable[..., Replay], connect: Connect, status: int, headers: dict[str, str], pause: float
) -> None:
    wire = replay(httpx.Response(status, headers=headers), httpx.Response(200, json=JOB))
    api = connect(wire)
    await api.get_generation("job-1")
    assert api.pauses == [pause]


@pytest.mark.usefixtures("no_pause")
async def test_server_can_name_the_moment(replay: Callable[..., Replay], connect: Connect) -> None:
    headers = {"Retry-After": formatdate(time.time() + 30, usegmt=True)}
    api = connect(replay(httpx.Response(429, headers=headers), httpx.Response(200, json=JOB)))
    await api.get_generation("job-1")
    assert api.pauses[0] == pytest.approx(30, abs=3)


@pytest.mark.parametrize(
    "metadata", [{"retry_after_seconds": 9}, {"headers": {"Retry-After": "9"}}, {"retry_after_seconds": 9.0}]
)
@pytest.mark.usefixtures("no_pause")
async def test_wish_relayed_from_the_provider_counts(
    replay: Callable[..., Replay], connect: Connect, metadata: dict[str, Any]
) -> None:
    body = {"error": {"code": 429, "message": "Provider returned error", "metadata": metadata}}
    api = connect(replay(httpx.Response(429, json=body)), read_retry=RetryPolicy(attempts=2))
    with pytest.raises(RateLimitedError) as caught:
        await api.get_generation("job-1")
    assert caught.value.retry_after == 9.0
    assert api.pauses == [9.0]


@pytest.mark.parametrize("wish", [True, -1, None, "later", [], {}, float("inf"), 10**400])
async def test_odd_wish_of_the_provider_is_no_wish(
    replay: Callable[..., Replay], connect: Connect, wish: object
) -> None:
    text = '{"error":{"code":429,"message":"x","metadata":{"retry_after_seconds":%s}}}'
    literal = "Infinity" if wish == float("inf") else httpx.Response(200, json=wish).text
    api = connect(replay(httpx.Response(429, text=text % literal)), read_retry=RetryPolicy(attempts=1))
    with pytest.raises(RateLimitedError) as caught:
        await api.get_generation("job-1")
    assert caught.value.retry_after is None

"""The paid POST leaves once. Real sockets: what counts is what the server received, not what a mock was asked."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.client import AsyncVideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import RetryPolicy
from airflow_provider_orvideo.exceptions import (
    ClientStatusError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    RedirectError,
    StatusError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.schema import VideoRequest
    from tests.api.conftest import Connect, Replay, Reply, WireServer

    Script = Callable[[WireServer], Reply]

ACCEPTED: dict[str, object] = {"id": "job-1", "status": "pending", "polling_url": "/api/v1/videos/job-1"}
#: Would try ten times at once, if anything let it.
EAGER = RetryPolicy(attempts=10, base=0.0)

AFTER_SENDING: dict[str, Script] = {
    "closes after reading the request": lambda s: s.drop(),
    "resets after reading the request": lambda s: s.drop(reset=True),
    "accepts and closes before reading": lambda s: s.drop(unread=True),
    "accepts and resets before reading": lambda s: s.drop(unread=True, reset=True),
    "never answers": lambda s: s.silence(),
    "answers half a status line": lambda s: s.raw(b"HTTP/1.1 20"),
    "answers half of the headers": lambda s: s.raw(b"HTTP/1.1 202 Accepted\r\nContent-"),
    "answers half of the body, then closes": lambda s: s.raw(b'HTTP/1.1 202 A\r\nContent-Length: 99\r\n\r\n{"id":'),
    "answers half of the body, then resets": lambda s: s.raw(b"HTTP/1.1 202 A\r\nContent-Length: 99\r\n\r\n{", "reset"),
    "answers half of the body, then hangs": lambda s: s.raw(b"HTTP/1.1 202 A\r\nContent-Length: 99\r\n\r\n{", "hold"),
    "cuts a chunked body": lambda s: s.chunked([b'{"id": "job-1"}'], finished=False, then="close"),
    "breaks off a 429": lambda s: s.raw(b"HTTP/1.1 429 Slow\r\nContent-Length: 99\r\n\r\n{"),
    "does not speak HTTP": lambda s: s.raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "lies about its compression": lambda s: s.answer(202, body=b"plain", headers={"Content-Encoding": "gzip"}),
}

ANSWERED: dict[str, Script] = {
    **{
        str(status): lambda s, status=status: s.answer(status, {"error": {"code": status, "message": "Oops"}})  # type: ignore[misc]
        for status in (408, 499, 500, 502, 503, 504, 520, 524, 529, 599)
    },
    "503 with Retry-After": lambda s: s.answer(503, {}, headers={"Retry-After": "0"}),
    "303": lambda s: s.redirect(303, "/api/v1/videos/job-1"),
    "an empty 202": lambda s: s.answer(202, body=b""),
    "a 204": lambda s: s.raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "HTML in a 200": lambda s: s.answer(200, body=b"<html><title>Welcome</title></html>"),
    "broken JSON": lambda s: s.answer(202, body=b'{"id": "job-1", "stat'),
    "a list": lambda s: s.answer(202, [ACCEPTED]),
    "null": lambda s: s.answer(202, None),
    "a job without an id": lambda s: s.answer(202, {"status": "pending"}),
    "a job with an empty id": lambda s: s.answer(202, {**ACCEPTED, "id": ""}),
    "a rate limit inside a 200": lambda s: s.answer(200, {"error": {"code": 429, "message": "Slow down"}}),
    "a refusal inside a 200": lambda s: s.answer(200, {"error": {"code": 400, "message": "Bad prompt"}}),
    "a text as error inside a 200": lambda s: s.answer(200, {"error": "upstream broke"}),
}


def posts(server: WireServer) -> int:
    """Count every POST that arrived whole; nothing can arrive after the server has ended."""
    return sum(heard.method == "POST" for heard in server.finish())


@pytest.mark.parametrize("behaviour", AFTER_SENDING.values(), ids=AFTER_SENDING)
async def test_broken_exchange_is_an_unknown_outcome_and_is_not_repeated(
    server: WireServer, connect: Connect, order: VideoRequest, behaviour: Script
) -> None:
    # Whoever asks twice is told "accepted": the second POST would look like a success.
    server.play(behaviour(server), server.answer(202, ACCEPTED))
    api = connect(server.base_url, submit_timeout=0.2)
    with pytest.raises(OutcomeUnknownError) as caught:
        await api.generate(order, retry=EAGER)
    assert posts(server) <= 1
    assert server.connections == 1
    assert api.pauses == []
    assert "127.0.0.1" in str(caught.value)
    assert "may have been billed" in str(caught.value)


@pytest.mark.parametrize("behaviour", ANSWERED.values(), ids=ANSWERED)
async def test_answer_that_names_no_job_and_refuses_nothing_is_an_unknown_outcome_and_is_not_repeated(
    server: WireServer, connect: Connect, order: VideoRequest, behaviour: Script
) -> None:
    server.play(behaviour(server), server.answer(202, ACCEPTED))
    api = connect(server.base_url)
    with pytest.raises(OutcomeUnknownError) as caught:
        await api.generate(order, retry=EAGER)
    assert posts(server) == 1
    assert server.connections == 1
    assert api.pauses == []
    assert caught.value.status_code in range(200, 600)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirected_submit_is_refused_and_follows_nowhere(
    server: WireServer, elsewhere: WireServer, connect: Connect, order: VideoRequest, status: int
) -> None:
    server.play(server.redirect(status, f"{elsewhere.base_url}/videos"))
    elsewhere.play(elsewhere.answer(202, ACCEPTED))
    with pytest.raises(RedirectError, match="base URL"):
        await connect(server.base_url).generate(order, retry=EAGER)
    assert posts(server) == 1
    assert elsewhere.connections == 0


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 410, 413, 418, 422])
async def test_refused_submit_is_a_client_status_error_and_is_not_repeated(
    server: WireServer, connect: Connect, order: VideoRequest, status: int
) -> None:
    server.play(server.answer(status, {"error": {"code": status, "message": "No"}}, headers={"Retry-After": "0"}))
    with pytest.raises(ClientStatusError) as caught:
        await connect(server.base_url).generate(order, retry=EAGER)
    assert caught.value.status_code == status
    assert posts(server) == 1


async def test_rate_limited_submit_is_tried_again_because_nothing_was_accepted(
    server: WireServer, connect: Connect, order: VideoRequest
) -> None:
    limited = server.answer(429, {"error": {"code": 429, "message": "Slow down"}}, headers={"Retry-After": "7"})
    server.play(limited, limited, server.answer(202, ACCEPTED))
    api = connect(server.base_url)
    job = await api.generate(order)
    assert job.id == "job-1"
    assert posts(server) == 3
    assert api.pauses == [7.0, 7.0]


async def test_rate_limited_submit_gives_up_after_the_policys_attempts(
    server: WireServer, connect: Connect, order: VideoRequest
) -> None:
    server.play(server.answer(429, {"error": {"code": 429, "message": "Slow down"}}))
    with pytest.raises(RateLimitedError):
        await connect(server.base_url).generate(order, retry=RetryPolicy(attempts=2))
    assert posts(server) == 2


async def test_unknown_outcome_after_a_rate_limit_ends_the_attempts(
    server: WireServer, connect: Connect, order: VideoRequest
) -> None:
    server.play(server.answer(429, {}), server.drop(), server.answer(202, ACCEPTED))
    with pytest.raises(OutcomeUnknownError):
        await connect(server.base_url).generate(order, retry=EAGER)
    assert posts(server) == 2


async def test_refused_connection_spends_nothing_and_is_tried_again(connect: Connect, order: VideoRequest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    api = connect(f"http://127.0.0.1:{port}", connect_timeout=0.5)
    with pytest.raises(NotSentError, match="nothing was spent"):
        await api.generate(order, retry=RetryPolicy(attempts=3))
    assert len(api.pauses) == 2


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError], ids=lambda f: f.__name__
)
async def test_submit_succeeds_after_a_failure_to_connect(
    replay: Callable[..., Replay], connect: Connect, order: VideoRequest, failure: type[httpx.HTTPError]
) -> None:
    api = connect(replay(failure("no way"), httpx.Response(202, json=ACCEPTED)))
    assert (await api.generate(order)).id == "job-1"
    assert len(api.pauses) == 1


@pytest.mark.parametrize(
    "failure",
    [httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.WriteError, httpx.CloseError,
     httpx.RemoteProtocolError, httpx.LocalProtocolError, httpx.DecodingError],
    ids=lambda failure: failure.__name__,
)  # fmt: skip
async def test_any_failure_past_the_connect_phase_is_not_repeated(
    replay: Callable[..., Replay], connect: Connect, order: VideoRequest, failure: type[httpx.HTTPError]
) -> None:
    wire = replay(failure("broke"), httpx.Response(202, json=ACCEPTED))
    with pytest.raises(OutcomeUnknownError) as caught:
        await connect(wire).generate(order, retry=EAGER)
    assert len(wire.requests) == 1
    assert isinstance(caught.value.__cause__, failure)


@pytest.mark.parametrize("location", ["javascript:alert(1)", "http://[::1/", "http:no-slash", "\u3002", ""])
async def test_redirect_that_cannot_be_read_is_not_repeated_and_is_no_accident(
    replay: Callable[..., Replay], connect: Connect, order: VideoRequest, location: str
) -> None:
    wire = replay(httpx.Response(307, headers=[(b"Location", location.encode())]))
    with pytest.raises((RedirectError, OutcomeUnknownError)):
        await connect(wire).generate(order, retry=EAGER)
    assert len(wire.requests) == 1


async def test_accident_in_the_transport_counts_as_sent(
    replay: Callable[..., Replay], connect: Connect, order: VideoRequest
) -> None:
    wire = replay(RuntimeError("a bug in some library"))
    with pytest.raises(OutcomeUnknownError, match="RuntimeError a bug in some library"):
        await connect(wire).generate(order, retry=EAGER)
    assert len(wire.requests) == 1


async def test_accident_while_reading_the_answer_counts_as_sent(
    replay: Callable[..., Replay], connect: Connect, order: VideoRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise RuntimeError("a bug in our own reading")

    monkeypatch.setattr("airflow_provider_orvideo.api.wire.parse_answer", stumble)
    wire = replay(httpx.Response(202, json=ACCEPTED))
    with pytest.raises(OutcomeUnknownError, match="could not be read: RuntimeError") as caught:
        await connect(wire).generate(order, retry=EAGER)
    assert caught.value.status_code == 202
    assert len(wire.requests) == 1


HOSTILE: dict[str, dict[str, Any]] = {
    "a charset that is none": {"content": b"abc", "headers": {"Content-Type": "text/html; charset=hex"}},
    "a date beyond counting": {"headers": {"Retry-After": "Wed, 21 Oct 99999999999999 07:28:00 GMT"}},
    "a number beyond counting": {"text": '{"error":{"metadata":{"retry_after_seconds":1%s}}}' % ("0" * 400)},
    "metadata without a floor": {"text": '{"error":{"metadata":' + '{"a":' * 450 + "1" + "}" * 452},
    "JSON without a floor": {"text": "[" * 100_000},
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
async def test_answer_made_to_trip_the_reader_is_still_an_unknown_outcome(
    replay: Callable[..., Replay], connect: Connect, order: VideoRequest, answer: dict[str, Any]
) -> None:
    wire = replay(httpx.Response(500, **answer))
    with pytest.raises(OutcomeUnknownError):
        await connect(wire).generate(order, retry=EAGER)
    assert len(wire.requests) == 1


async def test_unknown_outcome_keeps_the_refusing_status_and_the_servers_words(
    replay: Callable[..., Replay], connect: Connect, order: VideoRequest
) -> None:
    wire = replay(httpx.Response(503, json={"error": {"code": 503, "message": "No provider available"}}))
    with pytest.raises(OutcomeUnknownError, match="No provider available") as caught:
        await connect(wire).generate(order)
    assert caught.value.status_code == 503
    assert isinstance(caught.value.__cause__, StatusError)


async def test_each_submit_has_a_connection_of_its_own(
    server: WireServer, connect: Connect, order: VideoRequest
) -> None:
    # On a kept-alive connection that the server just closed, a lost POST looks like an accepted one.
    server.play(server.answer(202, ACCEPTED))
    api = connect(server.base_url)
    await api.get_generation("job-1")
    await api.generate(order)
    await api.generate(order)
    assert server.connections == 3


async def test_submit_waits_longer_than_a_read(server: WireServer, connect: Connect, order: VideoRequest) -> None:
    server.play(server.late(0.3, server.answer(202, ACCEPTED)))
    job = await connect(server.base_url, read_timeout=0.1, submit_timeout=5.0).generate(order)
    assert job.id == "job-1"


async def test_cancelled_submit_is_not_repeated(server: WireServer, key: str, order: VideoRequest) -> None:
    server.play(server.silence(), server.answer(202, ACCEPTED))
    async with AsyncVideoClient(ClientConfig(api_key=key, base_url=server.base_url)) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.generate(order, retry=EAGER), 0.1)
    assert posts(server) == 1

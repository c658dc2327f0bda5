"""What a person can come to see of a call, a traceback or a log at DEBUG included, shows no secret."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.client import AsyncVideoClient, VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.exceptions import OrVideoError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_orvideo.api.schema import VideoRequest
    from tests.api.conftest import Api, Connect, Replay, Reply, WireServer

SIGNATURE = "51gn4tur3"
SIGNED = f"https://storage.example/v.mp4?X-Goog-Signature={SIGNATURE}"
MEDIA = "bWVkaWEgYnl0ZXM"


def seen(error: BaseException) -> str:
    """Everything that a task log prints of an error, its chain included."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


def submit_and_poll(api: Api, order: VideoRequest) -> list[Callable[[], Awaitable[object]]]:
    return [lambda: api.generate(order, retry=NO_RETRY), lambda: api.get_generation("job-1", retry=NO_RETRY)]


def echo(key: str) -> dict[str, Any]:
    """An error that repeats everything it should not."""
    text = f"Authorization: Bearer {key}; key {key}; at {SIGNED}; with data:image/png;base64,{MEDIA}"
    return {"error": {"code": 400, "message": text, "metadata": {"raw": text, "headers": {"Authorization": key}}}}


ECHOES: dict[str, Callable[[str], dict[str, Any]]] = {
    "documented envelope": lambda key: {"json": echo(key)},
    "error is text": lambda key: {"json": {"error": echo(key)["error"]["message"]}},
    "error is an object without a message": lambda key: {"json": {"error": {"raw": echo(key)}}},
    "zod": lambda key: {
        "json": {"error": {"name": "ZodError", "message": json.dumps([{"path": [key], "message": str(echo(key))}])}}
    },
    "HTML": lambda key: {"html": f"<title>{key} {SIGNED}</title>"},
    "text": lambda key: {"text": str(echo(key))},
    "neither": lambda key: {"json": [echo(key)]},
    "request id": lambda key: {"headers": {"request-id": f"{key} {SIGNED} {MEDIA}"[:75]}},
    "location": lambda key: {"headers": {"Location": f"/login?key={key}&sig={SIGNATURE}&data={MEDIA}"}},
    "location with a fragment": lambda key: {"headers": {"Location": f"/login#{SIGNATURE}{key}"}},
}


@pytest.mark.parametrize("answer", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("status", [200, 400, 429, 500])
async def test_error_does_not_repeat_what_the_server_echoes(
    connect: Connect, replay: Callable[..., Replay], order: VideoRequest, key: str, status: int, answer: Any  # noqa: ANN401
) -> None:  # fmt: skip
    wire = replay(httpx.Response(status, **answer(key)))
    api = connect(wire)
    for call in submit_and_poll(api, order):
        with pytest.raises(OrVideoError) as caught:
            await call()
        for secret in (key, SIGNATURE, MEDIA):
            assert secret not in seen(caught.value)


GARBAGE: dict[str, Callable[[WireServer, str], Reply]] = {
    "status line": lambda s, key: s.raw(f"Bearer {key} {SIGNED}\r\n\r\n".encode()),
    "header line": lambda s, key: s.raw(f"HTTP/1.1 200 OK\r\nAuthorization : Bearer {key}\r\n\r\n".encode()),
    "request echoed": lambda s, key: s.raw(f"POST /x HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()),
    "location": lambda s, key: s.raw(f"HTTP/1.1 302 No\r\nLocation: http://[{SIGNED}{key}\r\n\r\n".encode()),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_traceback_does_not_repeat_what_the_http_library_quotes(
    server: WireServer, connect: Connect, order: VideoRequest, key: str, garbage: Callable[[WireServer, str], Reply]
) -> None:
    server.play(garbage(server, key))
    api = connect(server.base_url)
    for call in submit_and_poll(api, order):
        with pytest.raises(OrVideoError) as caught:
            await call()
        assert key not in seen(caught.value)
        assert SIGNATURE not in seen(caught.value)


async def test_secret_deeper_in_the_chain_stays_out_of_the_traceback_too(
    connect: Connect, replay: Callable[..., Replay], order: VideoRequest, key: str
) -> None:
    broken = httpx.ReadError("it broke")
    broken.__context__ = ValueError("on the way")
    broken.__context__.__cause__ = ValueError(f"while reading Bearer {key}")
    api = connect(replay(broken))
    for call in submit_and_poll(api, order):
        with pytest.raises(OrVideoError, match="ReadError it broke") as caught:
            await call()
        assert key not in seen(caught.value)


async def test_harmless_cause_stays_in_the_traceback(server: WireServer, connect: Connect) -> None:
    server.play(server.drop())
    with pytest.raises(OrVideoError) as caught:
        await connect(server.base_url).get_generation("job-1", retry=NO_RETRY)
    assert isinstance(caught.value.__cause__, httpx.RemoteProtocolError)


async def test_answer_that_is_none_does_not_show_its_secrets(connect: Connect, replay: Callable[..., Replay]) -> None:
    odd = {"identity": 5, "urls": [SIGNED], "preview": f"data:image/png;base64,{MEDIA}"}
    api = connect(replay(httpx.Response(200, json=odd)))
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: api.get_generation("job-1"),
        api.list_videos_models,
        lambda: api.get_generation_record("job-1"),
    ]
    for call in calls:
        with pytest.raises(OrVideoError) as caught:
            await call()
        assert SIGNATURE not in seen(caught.value)
        assert MEDIA not in seen(caught.value)


async def test_own_logs_at_debug_show_no_secret(
    connect: Connect, replay: Callable[..., Replay], key: str, caplog: pytest.LogCaptureFixture
) -> None:
    odd = {
        "id": "job-1", "status": "failed", "error": echo(key), "generation_id": {"url": SIGNED},
        "polling_url": [SIGNED], "expires_at": SIGNED, "usage": {"cost": SIGNED, "is_byok": key}, "urls": [SIGNED],
    }  # fmt: skip
    models = {"data": [{"id": "a", "name": {key: SIGNED}, "pricing_skus": {SIGNED: [MEDIA]}, "created": key}, {key: 1}]}
    with caplog.at_level(logging.DEBUG, "airflow_provider_orvideo"):
        await connect(replay(httpx.Response(200, json=odd))).get_generation("job-1")
        await connect(replay(httpx.Response(200, json=models))).list_videos_models()
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider_orvideo")]
    assert ours
    for record in ours:
        for secret in (key, SIGNATURE, MEDIA):
            assert secret not in record.getMessage()


async def test_signed_location_does_not_reach_the_http_librarys_log(
    server: WireServer, elsewhere: WireServer, connect: Connect, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    # httpx logs the URL of every request at INFO, and so would a task's log.
    server.play(server.redirect(302, f"{elsewhere.url}/v.mp4?X-Goog-Signature={SIGNATURE}"))
    elsewhere.play(elsewhere.chunked([b"video"]))
    with caplog.at_level(logging.INFO), caplog.at_level(logging.INFO, "httpx"):
        async with connect(server.base_url).get_video_content("job-1") as (_, chunks):
            assert b"".join([chunk async for chunk in chunks]) == b"video"
    assert elsewhere.requests[0].target == f"/v.mp4?X-Goog-Signature={SIGNATURE}"
    assert "/v.mp4" in caplog.text
    assert SIGNATURE not in caplog.text
    assert key not in caplog.text


async def test_key_never_reaches_a_log_even_at_debug(
    server: WireServer, connect: Connect, order: VideoRequest, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    server.play(server.answer(202, {"id": "job-1", "status": "pending"}))
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "httpx"):
        api = connect(server.base_url)
        await api.generate(order)
        await api.get_generation("job-1")
    assert "HTTP Request: POST" in caplog.text
    assert key not in caplog.text


async def test_failed_connection_does_not_show_the_proxys_password(connect: Connect, order: VideoRequest) -> None:
    api = connect("http://127.0.0.1:1/api/v1", proxy="http://user:pr0xyp4ss@127.0.0.1:1")
    for call in submit_and_poll(api, order):
        with pytest.raises(OrVideoError) as caught:
            await call()
        assert "pr0xyp4ss" not in seen(caught.value)


async def test_clients_show_no_secret(key: str) -> None:
    config = ClientConfig(api_key=key, proxy="http://user:pr0xyp4ss@127.0.0.1:1")
    async with AsyncVideoClient(config) as asynchronous:
        with VideoClient(config) as blocking:
            text = repr(asynchronous) + str(blocking) + repr(asynchronous.config)
    assert key not in text
    assert "pr0xyp4ss" not in text

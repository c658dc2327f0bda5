"""Each operation of both clients: what goes over the wire, and what comes back."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import (
    AuthenticationError,
    NotFoundError,
    RequestInvalidError,
    ResponseInvalidError,
    ServiceUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.conftest import Api, Connect, Replay, WireServer

EVERY_FIELD: dict[str, Any] = {
    "model": "bytedance/seedance-2.0",
    "prompt": "Ein Wal über Köln 🐋",
    "aspect_ratio": "16:9",
    "callback_url": "https://hooks.example.com/done",
    "creativity": 1,
    "duration": 8,
    "frame_images": [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}, "frame_type": "first_frame"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}, "frame_type": "last_frame"},
    ],
    "generate_audio": False,
    "input_references": [
        {"type": "image_url", "image_url": {"url": "https://example.com/style.png"}},
        {"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/v.mp4"}},
    ],
    "previous_job_id": "gen-vid-1790983457-BXyYqhSkuztnVdDoZpef",
    "provider": {"options": {"google-vertex": {"parameters": {"negativePrompt": "blurry"}}, "brand-new": {"x": None}}},
    "resolution": "1080p",
    "seed": 0,
    "session_id": "run-1",
    "size": "1920x1080",
    "trace": {"trace_id": "t-1", "span_name": "render", "anything": {"else": [1, 2.5, True]}},
    "upscale_factor": 1.5,
    "user": "user-7",
}


async def test_generate_posts_every_field_as_it_was_given(
    server: WireServer, connect: Connect, pending: dict[str, Any], key: str
) -> None:
    server.play(server.answer(202, pending))
    job = await connect(server.base_url).generate(VideoRequest.build(**EVERY_FIELD))
    (heard,) = server.requests
    assert (heard.method, heard.target) == ("POST", "/api/v1/videos")
    assert heard.json == EVERY_FIELD
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["authorization"] == f"Bearer {key}"
    assert (job.id, job.status, job.is_terminal) == (pending["id"], "pending", False)


async def test_generate_posts_no_field_that_was_not_set(
    server: WireServer, connect: Connect, pending: dict[str, Any]
) -> None:
    # "generate_audio": null or a default seed would be refused by models without the capability.
    server.play(server.answer(202, pending))
    await connect(server.base_url).generate(VideoRequest.build(model="m", prompt=None, generate_audio=None))
    assert server.requests[0].json == {"model": "m"}


async def test_get_generation_reads_status_cost_and_outputs(server: WireServer, connect: Connect) -> None:
    answer = {
        "id": "gen-vid-1", "generation_id": "gen-vid-1", "polling_url": "/api/v1/videos/gen-vid-1",
        "status": "completed", "unsigned_urls": ["https://openrouter.ai/api/v1/videos/gen-vid-1/content?index=0"],
        "urls": ["https://storage.example/v.mp4?X-Signature=abc"], "expires_at": 1790990000,
        "usage": {"cost": 0.052, "is_byok": False},
    }  # fmt: skip
    server.play(server.answer(200, answer))
    job = await connect(server.base_url).get_generation("gen-vid-1")
    (heard,) = server.requests
    assert (heard.method, heard.target, heard.body) == ("GET", "/api/v1/videos/gen-vid-1", b"")
    assert job.status == "completed"
    assert job.usage is not None
    assert job.usage.cost == Decimal("0.052")
    assert job.urls[0].get_secret_value() == "https://storage.example/v.mp4?X-Signature=abc"
    assert (job.generation_id, job.expires_at, job.output_count) == ("gen-vid-1", 1790990000, 1)


@pytest.mark.parametrize(
    ("job_id", "segment"),
    [
        ("gen-vid-1790983457-BXyYqhSkuztnVdDoZpef", "gen-vid-1790983457-BXyYqhSkuztnVdDoZpef"),
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("a%2Fb", "a%252Fb"),
        ("../key", "..%2Fkey"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a b+ü", "a%20b%2B%C3%BC"),
        ("job\r\nX-Injected: 1", "job%0D%0AX-Injected%3A%201"),
    ],
)
async def test_job_id_is_opaque_and_stays_one_path_segment(
    server: WireServer, connect: Connect, job_id: str, segment: str
) -> None:
    server.play(server.answer(200, {"id": job_id, "status": "pending"}), server.chunked([b"video"]))
    api = connect(server.base_url)
    assert (await api.get_generation(job_id)).id == job_id
    async with api.get_video_content(job_id, 2):
        pass
    assert [heard.target for heard in server.requests] == [
        f"/api/v1/videos/{segment}",
        f"/api/v1/videos/{segment}/content?index=2",
    ]
    assert "x-injected" not in server.requests[0].headers


async def test_empty_job_id_is_refused_before_sending(server: WireServer, connect: Connect) -> None:
    api = connect(server.base_url)
    with pytest.raises(RequestInvalidError, match="job_id"):
        await api.get_generation("")
    with pytest.raises(RequestInvalidError, match="job_id"):
        async with api.get_video_content(""):
            pass
    assert server.connections == 0


@pytest.mark.parametrize("polling_url", ["/api/v1/videos/job-1", "https://evil.example/api/v1/videos/job-1", None, 7])
async def test_poll_goes_to_the_configured_origin_whatever_the_polling_url(
    server: WireServer, connect: Connect, order: VideoRequest, polling_url: object
) -> None:
    server.play(server.answer(202, {"id": "job-1", "status": "pending", "polling_url": polling_url}))
    api = connect(server.base_url)
    job = await api.generate(order)
    await api.get_generation(job.id)
    assert [heard.target for heard in server.requests] == ["/api/v1/videos", "/api/v1/videos/job-1"]


async def test_list_videos_models_reads_the_catalogue(server: WireServer, connect: Connect) -> None:
    entries = [{"id": "a/b", "supported_durations": [8, 4], "pricing_skus": {"duration_seconds": "0.1"}}, {"id": "c/d"}]
    server.play(server.answer(200, {"data": entries}))
    models = await connect(server.base_url).list_videos_models()
    (heard,) = server.requests
    assert (heard.method, heard.target) == ("GET", "/api/v1/videos/models")
    assert [model.id for model in models] == ["a/b", "c/d"]
    assert models[0].supported_durations == (8, 4)
    assert models[0].pricing_skus == {"duration_seconds": "0.1"}


async def test_get_current_key_reads_limits_and_kind(server: WireServer, connect: Connect) -> None:
    data = {
        "label": "sk-or-v1-abc...def", "limit": 10, "limit_remaining": 7.25, "limit_reset": "monthly", "usage": 2.75,
        "is_free_tier": False, "is_management_key": True, "rate_limit": {"requests": -1},
    }  # fmt: skip
    server.play(server.answer(200, {"data": data}))
    info = await connect(server.base_url).get_current_key()
    (heard,) = server.requests
    assert (heard.method, heard.target) == ("GET", "/api/v1/key")
    assert (info.limit, info.limit_remaining, info.usage) == (Decimal(10), Decimal("7.25"), Decimal("2.75"))
    assert (info.limit_reset, info.is_management_key, info.is_free_tier) == ("monthly", True, False)
    assert "sk-or" not in repr(info)


async def test_bad_key_is_an_authentication_error(server: WireServer, connect: Connect) -> None:
    server.play(server.answer(401, {"error": {"message": "User not found.", "code": 401}}))
    with pytest.raises(AuthenticationError, match=r"User not found\. Check the API key"):
        await connect(server.base_url).get_current_key()
    assert len(server.requests) == 1


async def test_get_generation_record_reads_the_accounting_record(server: WireServer, connect: Connect) -> None:
    data = {
        "id": "gen-vid-1", "model": "x-ai/grok-imagine-video-20260512", "api_type": "video", "provider_name": "xAI",
        "total_cost": 0.052, "usage": 0.052, "is_byok": False, "generation_time": 12350, "latency": 341,
        "created_at": "2026-10-02T23:24:17.628Z", "tokens_prompt": None, "provider_responses": [{"status": 200}],
    }  # fmt: skip
    server.play(server.answer(200, {"data": data}))
    record = await connect(server.base_url).get_generation_record("gen-vid-1&x=1")
    (heard,) = server.requests
    assert heard.target == "/api/v1/generation?id=gen-vid-1%26x%3D1"
    assert (record.total_cost, record.generation_time, record.provider_name) == (Decimal("0.052"), 12350, "xAI")


async def test_young_generation_record_is_not_found(server: WireServer, connect: Connect) -> None:
    server.play(server.answer(404, {"error": {"message": "Generation gen-1 not found", "code": 404}}))
    with pytest.raises(NotFoundError, match="Generation gen-1 not found"):
        await connect(server.base_url).get_generation_record("gen-1")
    assert len(server.requests) == 1


CALLS: dict[str, Callable[[Api], Any]] = {
    "generate": lambda api: api.generate(VideoRequest.build(model="m")),
    "get_generation": lambda api: api.get_generation("job-1"),
    "list_videos_models": lambda api: api.list_videos_models(),
    "get_current_key": lambda api: api.get_current_key(),
    "get_generation_record": lambda api: api.get_generation_record("job-1"),
    "get_video_content": lambda api: api.get_video_content("job-1").__aenter__(),
}
ANY_ANSWER = {"id": "job-1", "data": [], "status": "pending"}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_every_call_says_who_asks(replay: Callable[..., Replay], connect: Connect, call: Any, key: str) -> None:  # noqa: ANN401
    wire = replay(httpx.Response(404, json={"error": "gone"}))
    api = connect(wire, http_referer="https://my.example", title="My DAGs", categories=("video-gen", "etl"))
    with pytest.raises(NotFoundError):
        await call(api)
    headers = wire.requests[0].headers
    assert headers["Authorization"] == f"Bearer {key}"
    assert headers["HTTP-Referer"] == "https://my.example"
    assert headers["X-OpenRouter-Title"] == "My DAGs"
    assert headers["X-OpenRouter-Categories"] == "video-gen,etl"
    assert headers["User-Agent"].startswith("airflow-provider-orvideo/")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_no_attribution_is_sent_unless_configured(
    replay: Callable[..., Replay],
    connect: Connect,
    call: Any,  # noqa: ANN401
) -> None:
    wire = replay(httpx.Response(404, json={"error": "gone"}))
    with pytest.raises(NotFoundError):
        await call(connect(wire))
    names = {name.lower() for name in wire.requests[0].headers}
    assert not {"http-referer", "x-openrouter-title", "x-openrouter-categories", "x-title"} & names


READS: dict[str, Callable[[Api], Any]] = {
    "get_generation": lambda api: api.get_generation("job-1", retry=NO_RETRY),
    "list_videos_models": lambda api: api.list_videos_models(retry=NO_RETRY),
    "get_current_key": lambda api: api.get_current_key(retry=NO_RETRY),
    "get_generation_record": lambda api: api.get_generation_record("job-1", retry=NO_RETRY),
    "get_video_content": lambda api: api.get_video_content("job-1", retry=NO_RETRY).__aenter__(),
}


@pytest.mark.parametrize("call", READS.values(), ids=READS)
async def test_policy_of_one_call_replaces_the_configured_one(
    replay: Callable[..., Replay],
    connect: Connect,
    call: Any,  # noqa: ANN401
) -> None:
    wire = replay(httpx.Response(503, json={}))
    with pytest.raises(ServiceUnavailableError):
        await call(connect(wire))
    assert len(wire.requests) == 1


@pytest.mark.parametrize("name", [name for name in READS if name != "get_video_content"])
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"text"', b"{", b"<html></html>", b"\xff\xfe\x00"])
async def test_read_answered_with_something_else_says_which_operation(
    replay: Callable[..., Replay], connect: Connect, name: str, body: bytes
) -> None:
    wire = replay(httpx.Response(200, content=body))
    operation = {
        "get_generation": "getVideos", "list_videos_models": "listVideosModels",
        "get_current_key": "getCurrentKey", "get_generation_record": "getGeneration",
    }[name]  # fmt: skip
    with pytest.raises(ResponseInvalidError, match=f"^{operation} was answered"):
        await READS[name](connect(wire))

"""The key goes to the configured origin and nowhere else, wherever a redirect leads. Two real servers hear it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.exceptions import ReadInterruptedError, RedirectError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.conftest import Connect, Heard, Replay, WireServer

JOB: dict[str, Any] = {"id": "job-1", "status": "pending"}
REDIRECTS = [301, 302, 303, 307, 308]
ATTRIBUTION: dict[str, Any] = {"http_referer": "https://my.example", "title": "My DAGs", "categories": ("video-gen",)}
PERSONAL = {"authorization", "http-referer", "x-openrouter-title", "x-openrouter-categories", "cookie"}


def personal(heard: Heard) -> set[str]:
    return PERSONAL & set(heard.headers)


@pytest.mark.parametrize("status", REDIRECTS)
async def test_redirected_poll_reaches_the_other_origin_without_key_or_attribution(
    server: WireServer, elsewhere: WireServer, connect: Connect, status: int
) -> None:
    server.play(server.redirect(status, f"{elsewhere.url}/copy?X-Signature=abc"))
    elsewhere.play(elsewhere.answer(200, JOB))
    job = await connect(server.base_url, **ATTRIBUTION).get_generation("job-1")
    assert job.id == "job-1"
    (heard,) = elsewhere.requests
    assert (heard.method, heard.target) == ("GET", "/copy?X-Signature=abc")
    assert personal(heard) == set()
    assert "authorization" in personal(server.requests[0])


@pytest.mark.parametrize("status", REDIRECTS)
async def test_redirected_video_comes_from_the_other_origin_without_the_key(
    server: WireServer, elsewhere: WireServer, connect: Connect, status: int
) -> None:
    server.play(server.redirect(status, f"{elsewhere.url}/v.mp4?X-Signature=abc"))
    elsewhere.play(elsewhere.chunked([b"vid", b"eo"]))
    async with connect(server.base_url, **ATTRIBUTION).get_video_content("job-1") as (head, chunks):
        assert head.content_type == "video/mp4"
        assert b"".join([chunk async for chunk in chunks]) == b"video"
    assert personal(elsewhere.requests[0]) == set()


async def test_another_name_of_the_same_machine_is_another_origin(
    server: WireServer, connect: Connect, key: str
) -> None:
    server.play(server.redirect(302, f"http://localhost:{server.port}/other"), server.answer(200, JOB))
    await connect(server.base_url, **ATTRIBUTION).get_generation("job-1")
    first, second = server.requests
    assert first.headers["authorization"] == f"Bearer {key}"
    assert second.headers["host"] == f"localhost:{server.port}"
    assert personal(second) == set()


async def test_redirect_back_to_the_origin_gets_the_key_again(
    server: WireServer, elsewhere: WireServer, connect: Connect, key: str
) -> None:
    server.play(server.redirect(302, f"{elsewhere.url}/a"), server.answer(200, JOB))
    elsewhere.play(elsewhere.redirect(307, f"{server.url}/api/v1/b"))
    await connect(server.base_url).get_generation("job-1")
    assert [heard.target for heard in server.requests] == ["/api/v1/videos/job-1", "/api/v1/b"]
    assert {heard.headers.get("authorization") for heard in server.requests} == {f"Bearer {key}"}
    assert personal(elsewhere.requests[0]) == set()


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/moved", "/moved"),
        ("moved", "/api/v1/videos/moved"),
        ("?again=1", "/api/v1/videos/job-1?again=1"),
        ("/moved#part", "/moved"),
        ("../../v2/x", "/api/v2/x"),
    ],
)
async def test_relative_redirect_stays_at_the_origin_with_the_key(
    server: WireServer, connect: Connect, location: str, target: str
) -> None:
    server.play(server.redirect(302, location), server.answer(200, JOB))
    await connect(server.base_url).get_generation("job-1")
    assert server.requests[1].target == target
    assert "authorization" in server.requests[1].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirected_submit_sends_the_key_nowhere_else(
    server: WireServer, elsewhere: WireServer, connect: Connect, order: Any, status: int  # noqa: ANN401
) -> None:  # fmt: skip
    server.play(server.redirect(status, f"{elsewhere.url}/videos"))
    elsewhere.play(elsewhere.answer(202, JOB))
    with pytest.raises(Exception, match=f"HTTP {status}"):
        await connect(server.base_url).generate(order)
    assert elsewhere.finish() == []
    assert elsewhere.connections == 0


TRICKS = {
    "scheme-relative": "//{host}/x",
    "own host as user": "http://127.0.0.1@{host}/x",
    "own host and port as user": "http://127.0.0.1:{port}@{host}/x",
    "key of one's own": "http://user:password@{host}/x",
    "upper case": "HTTP://{HOST}/x",
    "own host as path": "http://{host}/127.0.0.1:{port}/x",
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
async def test_no_spelling_of_another_origin_gets_the_key(
    server: WireServer, elsewhere: WireServer, connect: Connect, trick: str, key: str
) -> None:
    host = f"127.0.0.1:{elsewhere.port}"
    server.play(server.redirect(302, trick.format(host=host, HOST=host.upper(), port=server.port)))
    elsewhere.play(elsewhere.answer(200, JOB))
    await connect(server.base_url, **ATTRIBUTION).get_generation("job-1")
    (heard,) = elsewhere.requests
    assert key not in str(heard)
    assert not {"http-referer", "x-openrouter-title"} & set(heard.headers)


async def test_cookies_are_not_carried_on(server: WireServer, elsewhere: WireServer, connect: Connect) -> None:
    cookie = {"Set-Cookie": "session=abc; Path=/", "Location": f"{elsewhere.url}/x"}
    server.play(server.answer(302, body=b"", headers=cookie))
    elsewhere.play(elsewhere.answer(200, JOB))
    await connect(server.base_url).get_generation("job-1")
    assert "cookie" not in elsewhere.requests[0].headers


async def test_redirect_loop_ends(server: WireServer, connect: Connect) -> None:
    server.play(server.redirect(302, "/api/v1/videos/job-1"))
    with pytest.raises(RedirectError, match="HTTP 302"):
        await connect(server.base_url).get_generation("job-1")
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("base_url", "location", "settings"),
    [
        ("https://openrouter.ai/api/v1", "http://openrouter.ai/api/v1/videos/job-1", {}),
        ("https://openrouter.ai/api/v1", "http://storage.example/v.mp4", {}),
        ("https://openrouter.ai/api/v1", "ftp://storage.example/v.mp4", {}),
        ("https://openrouter.ai/api/v1", "file:///etc/passwd", {}),
        ("http://127.0.0.1/api/v1", "gopher://127.0.0.1/", {"allow_insecure_http": True}),
    ],
)
async def test_redirect_to_less_than_https_is_not_followed(
    replay: Callable[..., Replay], connect: Connect, base_url: str, location: str, settings: dict[str, Any]
) -> None:
    wire = replay(httpx.Response(302, headers={"Location": location}), httpx.Response(200, json=JOB))
    with pytest.raises(RedirectError):
        await connect(wire, base_url=base_url, **settings).get_generation("job-1")
    assert len(wire.requests) == 1


async def test_second_hop_may_not_go_down_to_http_either(replay: Callable[..., Replay], connect: Connect) -> None:
    wire = replay(
        httpx.Response(302, headers={"Location": "https://storage.example/a"}),
        httpx.Response(302, headers={"Location": "http://storage.example/b"}),
    )
    with pytest.raises(RedirectError):
        await connect(wire).get_generation("job-1")
    assert [str(request.url) for request in wire.requests][1:] == ["https://storage.example/a"]


async def test_another_port_and_scheme_are_other_origins(replay: Callable[..., Replay], connect: Connect) -> None:
    hops = ["https://openrouter.ai:8443/a", "https://openrouter.ai.evil.example/b", "https://openrouter.ai:443/c"]
    moves = [httpx.Response(302, headers={"Location": hop}) for hop in hops]
    wire = replay(*moves, httpx.Response(200, json=JOB))
    await connect(wire).get_generation("job-1")
    assert ["authorization" in request.headers for request in wire.requests] == [True, False, False, True]


@pytest.mark.parametrize(
    "location", ["javascript:alert(1)", "http://[::1/", "https://h:99999/", "https://ex\x7fample/", "https://\u3002/"]
)
async def test_unreadable_location_is_an_error_of_ours(
    replay: Callable[..., Replay], connect: Connect, location: str
) -> None:
    wire = replay(httpx.Response(302, headers=[(b"Location", location.encode())]))
    with pytest.raises((RedirectError, ReadInterruptedError)):
        await connect(wire).get_generation("job-1", retry=NO_RETRY)
    assert len(wire.requests) == 1


async def test_redirect_without_location_is_not_followed(replay: Callable[..., Replay], connect: Connect) -> None:
    with pytest.raises(RedirectError):
        await connect(replay(httpx.Response(302))).get_generation("job-1")


async def test_loopback_is_reached_past_the_environments_proxy(
    server: WireServer, elsewhere: WireServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Plain http is allowed to loopback because it stays on this machine; a proxy would take the key off it.
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, elsewhere.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    server.play(server.answer(200, JOB))
    elsewhere.play(elsewhere.answer(200, JOB))
    await connect(server.base_url).get_generation("job-1")
    assert len(server.requests) == 1
    assert elsewhere.connections == 0


async def test_configured_proxy_is_used(server: WireServer, elsewhere: WireServer, connect: Connect) -> None:
    elsewhere.play(elsewhere.answer(200, JOB))
    await connect(server.base_url, proxy=elsewhere.url).get_generation("job-1")
    assert elsewhere.requests[0].target == f"{server.base_url}/videos/job-1"
    assert server.connections == 0

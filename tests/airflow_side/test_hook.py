"""The hook over real HTTP: an Airflow connection in, the API's operations out."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import BaseHook, Connection

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import AuthenticationError, NotFoundError, OrVideoError
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Simulate

REQUEST = VideoRequest.build(model="x-ai/grok-imagine-video", prompt="a red boat", duration=1, resolution="480p")


@pytest.fixture
def closed_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# ── Operations ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_video_from_order_to_bytes(sim: Simulator) -> None:
    with OrVideoHook() as hook:
        job = hook.generate(REQUEST)
        assert hook.get_generation(job.id).status == "completed"
        with hook.get_video_content(job.id) as (head, chunks):
            assert head.content_type == "video/mp4"
            assert b"ftyp" in b"".join(chunks)[:12]
    assert sim.posts == 1


def test_the_other_reads(sim: Simulator) -> None:
    with OrVideoHook() as hook:
        assert REQUEST.model in {model.id for model in hook.list_videos_models()}
        assert hook.get_current_key().is_management_key is False
        job = hook.generate(REQUEST)
        generation_id = str(hook.get_generation(job.id).generation_id)
        with pytest.raises(NotFoundError):  # the accounting record comes late
            hook.get_generation_record(generation_id)
        assert hook.get_generation_record(generation_id).api_type == "video"
    assert sim.posts == 1


async def test_the_asynchronous_client_reads_the_same_connection(sim: Simulator) -> None:
    hook = OrVideoHook()
    async with await hook.aget_conn() as client:
        job = await client.generate(REQUEST)
        assert (await client.get_generation(job.id)).status == "completed"
    assert await hook.aget_config() == hook.get_config()
    assert sim.posts == 1


def test_the_key_and_who_we_are_arrive(simulate: Simulate, connect: Connect) -> None:
    sim = simulate(accepted_keys=("sk-or-test-other",))
    attribution = {"http_referer": "https://films.example", "title": "Films", "categories": "video-gen,cli-agent"}
    connect(sim, conn_id="films", key="sk-or-test-other", **attribution)
    with OrVideoHook("films") as hook:
        hook.get_generation(hook.generate(REQUEST).id)
    for request in sim.requests():
        assert request.authorization
        shown = {name: request.headers.get(name) for name in ("http-referer", "x-openrouter-title")}
        assert shown == {"http-referer": "https://films.example", "x-openrouter-title": "Films"}
        assert request.headers["x-openrouter-categories"] == "video-gen,cli-agent"
        assert str(request.user_agent).startswith("airflow-provider-orvideo/")
    assert len(sim.requests()) == 2


def test_without_attribution_no_header_says_who_we_are(sim: Simulator) -> None:
    with OrVideoHook() as hook:
        hook.get_current_key()
    (request,) = sim.requests()
    assert not {"http-referer", "x-openrouter-title", "x-openrouter-categories"} & set(request.headers)


def test_one_connection_lookup_serves_all_calls(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    lookups: list[str] = []
    real = BaseHook.get_connection

    def count(_: type[BaseHook], conn_id: str) -> object:
        lookups.append(conn_id)
        return real(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(count))
    hook = OrVideoHook()
    assert lookups == []
    with hook:
        hook.get_current_key()
        hook.get_current_key()
    assert lookups == ["orvideo_default"]
    assert len(sim.requests()) == 2


def test_a_closed_hook_works_again(sim: Simulator) -> None:
    hook = OrVideoHook()
    for _ in range(2):
        hook.get_current_key()
        hook.close()
    hook.close()
    assert len(sim.requests()) == 2


# ── The connection test ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_good_key_passes(sim: Simulator) -> None:
    assert OrVideoHook().test_connection() == (True, "The API key works (no limit).")
    assert [request.operation for request in sim.requests()] == ["getKey"]


def test_what_is_left_of_a_limit_is_told(sim: Simulator) -> None:
    key = {"data": {"limit": 25, "limit_remaining": 3.5, "is_management_key": False}}
    sim.add_fault({"match": {"operation": "getKey"}, "respond": {"status": 200, "body": key}})
    assert OrVideoHook().test_connection() == (True, "The API key works ($3.5 left of its limit).")


@pytest.mark.skipif(
    not hasattr(Connection, "test_connection"), reason="Airflow 3.1 and 3.2 test connections in the API server only"
)
def test_airflow_itself_can_run_the_test(sim: Simulator, key: str) -> None:
    connection = Connection(conn_id="in_the_form", conn_type="orvideo", host=sim.base_url, password=key)
    assert connection.test_connection() == (True, "The API key works (no limit).")


def _bad_key(sim: Simulator, connect: Connect, _: int) -> None:
    connect(sim, key="sk-or-live-5ec2e7")


def _management_key(sim: Simulator, connect: Connect, _: int) -> None:
    connect(sim, key="sk-or-test-management-5ec2e7")


def _no_key(sim: Simulator, connect: Connect, _: int) -> None:
    connect(sim, key=None)


def _unreachable(_: Simulator, connect: Connect, closed_port: int) -> None:
    connect(f"http://127.0.0.1:{closed_port}/api/v1")


def _wrong_place(sim: Simulator, connect: Connect, _: int) -> None:
    connect(f"{sim.origin}/elsewhere")


def _broken_server(sim: Simulator, connect: Connect, _: int) -> None:
    sim.add_fault({"match": {"operation": "getKey"}, "respond": {"status": 500}})
    connect(sim)


def _cut_off(sim: Simulator, connect: Connect, _: int) -> None:
    sim.add_fault({"match": {"operation": "getKey"}, "drop": {}})
    connect(sim)


def _web_page(sim: Simulator, connect: Connect, _: int) -> None:
    sim.add_fault({"match": {"operation": "getKey"}, "respond": {"status": 200, "html": True}})
    connect(sim)


def _insecure(_: Simulator, connect: Connect, __: int) -> None:
    connect("http://gateway.example/api/v1")


FAILURES: dict[str, tuple[Callable[[Simulator, Connect, int], None], str]] = {
    "bad key": (_bad_key, "does not know this API key"),
    "management key": (_management_key, "management key"),
    "no key": (_no_key, "no API key"),
    "unreachable host": (_unreachable, "cannot be reached, so the key was not tested"),
    "cut off": (_cut_off, "cannot be reached, so the key was not tested"),
    "wrong place": (_wrong_place, "HTTP 404"),
    "broken server": (_broken_server, "HTTP 500"),
    "web page": (_web_page, "an HTML page"),
    "plain http": (_insecure, "unencrypted"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_is_told_apart_costs_nothing_and_shows_no_key(
    sim: Simulator, connect: Connect, closed_port: int, failure: str
) -> None:
    arrange, words = FAILURES[failure]
    arrange(sim, connect, closed_port)
    passed, message = OrVideoHook().test_connection()
    assert not passed
    assert words in message
    assert "5ec2e7" not in message
    assert sim.posts == 0
    assert len(sim.requests()) <= 1, "a test does not retry: a person is waiting"


def test_the_failures_have_different_words(sim: Simulator, connect: Connect, closed_port: int) -> None:
    told = set()
    for failure in ("bad key", "management key", "no key", "unreachable host"):
        FAILURES[failure][0](sim, connect, closed_port)
        told.add(OrVideoHook().test_connection()[1])
    assert len(told) == 4


def test_a_call_with_a_bad_key_says_where_to_mend_it(sim: Simulator, connect: Connect) -> None:
    connect(sim, key="sk-or-live-5ec2e7")
    with OrVideoHook() as hook, pytest.raises(AuthenticationError, match="password field") as caught:
        hook.generate(REQUEST)
    assert isinstance(caught.value, OrVideoError)
    assert "5ec2e7" not in str(caught.value)
    assert sim.jobs() == []

"""The endpoint that OpenRouter calls: what a genuine call does, and that no other call does anything."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import socket
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from airflow.providers_manager import ProvidersManager
from airflow.sdk import ObjectStoragePath
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.execution_time import context as airflows_context
from fastapi import FastAPI

from airflow_provider_orvideo.exceptions import AmbiguousSubmitError, LedgerUnavailableError, OutcomeUnknownError
from airflow_provider_orvideo.ledger.callbacks import Callbacks
from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator
from airflow_provider_orvideo.plugins.orvideo import LazyApp
from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings
from airflow_provider_orvideo.webhooks import MAX_BODY

with warnings.catch_warnings(action="ignore"):  # Airflow's web framework warns of what Airflow itself imports
    from airflow_provider_orvideo.plugins import webhook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    Call = Callable[..., Awaitable[httpx.Response]]

SECRET = "whsec_test_of_this_workspace"
URL = "https://airflow.example.com/orvideo/webhook"
NONCE, OTHER = "ab" * 16, "cd" * 16
JOB = "gen-vid-1790983457-BXyYqhSkuztnVdDoZpef"


def body_of(job_id: str = JOB, status: str = "completed") -> bytes:
    data = {"id": job_id, "status": status, "generation_id": job_id, "model": "google/veo-3.1", "usage": {"cost": 0.5}}
    event = {"type": f"video.generation.{status}", "created_at": "2026-04-24T12:00:00.000Z", "data": data}
    return json.dumps(event).encode()


def signature(body: bytes, *, age: float = 0, secret: str = SECRET) -> str:
    moment = int(time.time() - age)
    return f"t={moment},v1={hmac.new(secret.encode(), f'{moment},'.encode() + body, hashlib.sha256).hexdigest()}"


def genuine(body: bytes) -> dict[str, str]:
    return {"X-OpenRouter-Signature": signature(body), "X-OpenRouter-Idempotency-Key": f"{JOB}-completed"}


@pytest.fixture(params=["local", "s3"])
def state_path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return (tmp_path / "state").as_uri()
    bucket: str = request.getfixturevalue("bucket")
    return f"{bucket}/state"


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callbacks:
    return configure(monkeypatch, (tmp_path / "state").as_uri())


def configure(monkeypatch: pytest.MonkeyPatch, state_path: str) -> Callbacks:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_URL", URL)
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", state_path)
    return Callbacks(URL, state_path)


@pytest.fixture
def airflow() -> FastAPI:
    """Airflow's application, as far as the plugin needs one."""
    app = FastAPI()
    with warnings.catch_warnings(action="ignore"):
        from airflow_provider_orvideo.plugins import app as _  # noqa: F401, PLC0415 - see above
    app.mount("/orvideo", LazyApp())
    return app


@pytest.fixture
def call(airflow: FastAPI) -> Call:
    """Call the endpoint; the body is signed as it should be unless ``headers`` say something else."""

    async def make(
        nonce: str = NONCE,
        body: bytes | AsyncIterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> httpx.Response:
        content = body_of() if body is None else body
        if headers is None:
            headers = genuine(content) if isinstance(content, bytes) else {}
        transport = httpx.ASGITransport(app=airflow)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow.example.com") as client:
            return await client.request(method, f"/orvideo/webhook/{nonce}", content=content, headers=headers)

    return make


def files(callbacks: Callbacks) -> dict[str, bytes]:
    folder = ObjectStoragePath(callbacks.state_path)
    return {str(path): path.read_bytes() for path in folder.rglob("*.json")}


# ── A genuine call ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_genuine_call_is_kept_for_whoever_has_the_nonce(
    call: Call, state_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    callbacks = configure(monkeypatch, state_path)
    answer = await call()
    assert (answer.status_code, answer.json()) == (200, {"kept": True})
    # Read in this thread, whose event loop runs: not with an object store's file system.
    reported = await webhook.Webhook()._run(lambda: callbacks.reported(NONCE), 10)
    assert reported is not None
    assert (reported.job_id, reported.status, reported.model) == (JOB, "completed", "google/veo-3.1")
    assert abs(reported.received_at - time.time()) < 60


async def test_no_session_and_no_cookie_is_needed_and_none_is_set(call: Call, local: Callbacks) -> None:
    answer = await call()
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert local.reported(NONCE) is not None


async def test_answers_have_the_headers_of_all_others(call: Call, local: Callbacks) -> None:  # noqa: ARG001 - sets it up
    for answer in (await call(), await call(headers={}), await call(method="GET")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in answer.headers
    assert (await call()).headers["cache-control"] == "no-store"


async def test_the_other_header_may_be_missing(call: Call, local: Callbacks) -> None:
    body = body_of()
    assert (await call(headers={"X-OpenRouter-Signature": signature(body)})).json() == {"kept": True}
    assert local.reported(NONCE) is not None


async def test_the_store_is_asked_in_a_thread_of_its_own(
    call: Call, local: Callbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    keep = Callbacks.keep

    def watched(self: Callbacks, *arguments: Any) -> bool:  # noqa: ANN401 - passed on
        threads.append(threading.current_thread().name)
        return keep(self, *arguments)

    monkeypatch.setattr(Callbacks, "keep", watched)
    await call()
    assert local.reported(NONCE) is not None
    assert [name.startswith("orvideo-webhook") for name in threads] == [True]


# ── Calls that change nothing ────────────────────────────────────────────────────────────────────────────────────────


def _headers(**changes: Any) -> Callable[[bytes], dict[str, str]]:  # noqa: ANN401 - of `signature`
    return lambda body: {"X-OpenRouter-Signature": signature(body, **changes)}


REFUSED: dict[str, tuple[Callable[[bytes], dict[str, str]], int]] = {
    "unsigned": (lambda _: {}, 401),
    "forged": (_headers(secret="whsec_of_somebody_else"), 401),
    "late": (_headers(age=400), 401),
    "from the future": (_headers(age=-400), 401),
    "of another body": (lambda _: {"X-OpenRouter-Signature": signature(body_of("other"))}, 401),
    "malformed": (lambda _: {"X-OpenRouter-Signature": "t=now,v1=me"}, 401),
    "empty": (lambda _: {"X-OpenRouter-Signature": ""}, 401),
    "with the headers of another call": (
        lambda body: {"X-OpenRouter-Signature": signature(body), "X-OpenRouter-Idempotency-Key": "other-completed"},
        400,
    ),
    "with the headers of another status": (
        lambda body: {"X-OpenRouter-Signature": signature(body), "X-OpenRouter-Idempotency-Key": f"{JOB}-failed"},
        400,
    ),
}


@pytest.mark.parametrize(("headers", "status"), REFUSED.values(), ids=REFUSED)
async def test_a_call_that_is_not_as_it_must_be_changes_nothing(
    call: Call,
    local: Callbacks,
    headers: Callable[[bytes], dict[str, str]],
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = body_of()
    answer = await call(headers=headers(body))
    assert answer.status_code == status
    assert files(local) == {}
    for secret in (SECRET, "v1=me", signature(body)[-64:], JOB):
        assert secret not in caplog.text
        assert secret not in answer.text


async def test_a_refusal_does_not_tell_what_was_wrong(call: Call, local: Callbacks) -> None:
    body = body_of()
    answers = [
        await call(headers=headers(body)) for name, (headers, status) in REFUSED.items() if status == 401 and name
    ]
    assert len({answer.text for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
    assert files(local) == {}


async def test_two_signatures_are_none(call: Call, airflow: FastAPI, local: Callbacks) -> None:
    del call
    body = body_of()
    headers = [("X-OpenRouter-Signature", signature(body))] * 2
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=airflow), base_url="http://a.example") as client:
        answer = await client.post(f"/orvideo/webhook/{NONCE}", content=body, headers=headers)
    assert answer.status_code == 401
    assert files(local) == {}


async def test_refusals_do_not_fill_the_log(
    call: Call,
    local: Callbacks,  # noqa: ARG001 - sets it up
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(20):
        await call(headers={})
    assert caplog.text.count("was refused") == 1
    assert "is not signed" in caplog.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"type":"x","data":{}}', b"\xff"], ids=repr)
async def test_a_signed_body_that_is_no_event_changes_nothing(call: Call, local: Callbacks, body: bytes) -> None:
    answer = await call(body=body, headers={"X-OpenRouter-Signature": signature(body)})
    assert answer.status_code == 400
    assert files(local) == {}


@pytest.mark.parametrize("nonce", ["x", "AB" * 16, "ab" * 17, "%2e%2e%2f" * 4, f"{NONCE}%00", f"{NONCE}%0a"])
async def test_an_address_that_was_never_drawn_is_not_found(call: Call, local: Callbacks, nonce: str) -> None:
    assert (await call(nonce)).status_code == 404
    assert files(local) == {}


async def test_other_methods_are_not_allowed(call: Call, local: Callbacks) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        answer = await call(method=method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert files(local) == {}


# ── Replays ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_repetition_is_answered_and_changes_nothing(
    call: Call, local: Callbacks, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await call()).json() == {"kept": True}
    before = files(local)
    for _ in range(3):
        answer = await call()
        assert (answer.status_code, answer.json()) == (200, {"kept": False})
    assert files(local) == before
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("nonce", "job_id"), [(NONCE, "another-job"), (OTHER, JOB)], ids=["another job", "another address"]
)
async def test_a_genuine_call_that_does_not_fit_changes_nothing_and_is_told(
    call: Call, local: Callbacks, nonce: str, job_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    await call()
    before = files(local)
    body = body_of(job_id)
    answer = await call(nonce, body, {"X-OpenRouter-Signature": signature(body)})
    assert (answer.status_code, answer.json()) == (200, {"kept": False})
    assert files(local) == before
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert job_id in warning


# ── Bodies that are too much ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_that_is_announced_too_long_is_not_read(call: Call, local: Callbacks) -> None:
    for length in (str(MAX_BODY + 1), "9" * 5000):
        answer = await call(headers={"Content-Length": length})
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert files(local) == {}


async def test_a_body_without_end_is_left_when_it_is_too_long(call: Call, local: Callbacks) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b" " * 1024

    answer = await call(body=endless())
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert taken == MAX_BODY // 1024 + 1
    assert files(local) == {}


async def test_the_longest_body_is_read(call: Call, local: Callbacks) -> None:
    body = body_of().ljust(MAX_BODY)
    assert (await call(body=body)).json() == {"kept": True}
    assert local.reported(NONCE) is not None


async def test_a_body_that_does_not_come_is_not_waited_for(
    airflow: FastAPI, local: Callbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_BODY_TIMEOUT", 0.0)
    sent: list[Any] = []
    scope = {
        "type": "http", "method": "POST", "path": f"/orvideo/webhook/{NONCE}", "raw_path": b"", "root_path": "",
        "query_string": b"", "headers": [], "http_version": "1.1", "scheme": "http", "server": ("a", 80),
    }  # fmt: skip

    async def receive() -> Any:  # noqa: ANN401 - never returns
        await asyncio.Event().wait()

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI
        sent.append(message)

    await airflow(scope, receive, send)
    assert sent[0]["status"] == 408
    assert files(local) == {}


# ── Not set up, not available ────────────────────────────────────────────────────────────────────────────────────────


async def test_webhooks_that_are_off_are_not_found(
    call: Call, local: Callbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__ORVIDEO__WEBHOOK_URL")
    assert (await call()).status_code == 404
    assert files(local) == {}


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("WEBHOOK_SECRET", "", "[orvideo] webhook_secret is not"),
        ("WEBHOOK_SECRET", "  ", "[orvideo] webhook_secret is not"),
        ("STATE_PATH", "", "[orvideo] state_path is not"),
        ("STATE_PATH", "memory://x/state", "[orvideo] state_path"),
        ("WEBHOOK_URL", "http://airflow.example.com/orvideo/webhook", "[orvideo] webhook_url is"),
    ],
)
async def test_webhooks_that_cannot_work_ask_the_caller_to_come_again_and_say_why_in_the_log_once(
    call: Call,
    local: Callbacks,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    option: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(f"AIRFLOW__ORVIDEO__{option}", value)
    for _ in range(3):
        answer = await call()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert "orvideo]" not in answer.text
    (error,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert words in error
    assert files(local) == {}


async def test_an_empty_secret_lets_nobody_in(call: Call, local: Callbacks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_SECRET", "")
    body = body_of()
    assert (await call(headers={"X-OpenRouter-Signature": signature(body, secret="x")})).status_code == 503
    assert files(local) == {}


@pytest.fixture
def _configured() -> None:
    """Let Airflow 3.1 read which options of providers are secrets; its API server does, and later versions always."""
    ProvidersManager().initialize_providers_configuration()


@pytest.mark.usefixtures("_configured")
async def test_the_secret_may_come_from_a_command(
    call: Call, local: Callbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__ORVIDEO__WEBHOOK_SECRET")
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_SECRET_CMD", f"echo {SECRET}")
    assert (await call()).json() == {"kept": True}
    assert local.reported(NONCE) is not None


@pytest.mark.usefixtures("_configured")
async def test_a_command_that_fails_is_not_shown(
    call: Call, local: Callbacks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AIRFLOW__ORVIDEO__WEBHOOK_SECRET")
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_SECRET_CMD", f"sh -c 'echo {SECRET}; exit 1'")
    assert (await call()).status_code == 503
    assert "cannot be read" in caplog.text
    assert SECRET not in caplog.text
    assert files(local) == {}


async def test_a_secret_that_changed_counts_within_a_minute(local: Callbacks, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    app = FastAPI()
    app.add_api_route("/{nonce}", webhook.Webhook(monotonic=lambda: now).receive, methods=["POST"])
    body = body_of()

    async def status(secret: str) -> int:
        headers = {"X-OpenRouter-Signature": signature(body, secret=secret)}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://a.example") as client:
            return (await client.post(f"/{NONCE}", content=body, headers=headers)).status_code

    assert await status(SECRET) == 200
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_SECRET", "whsec_new")
    assert (await status("whsec_new"), await status(SECRET)) == (401, 200)
    now += 60
    assert (await status("whsec_new"), await status(SECRET)) == (200, 401)
    assert local.reported(NONCE) is not None


async def test_a_store_that_is_down_asks_the_caller_to_come_again(
    call: Call, local: Callbacks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> bool:
        raise LedgerUnavailableError("What webhooks say cannot be written: the bucket of account 1234 is gone.")

    with monkeypatch.context() as patch:
        patch.setattr(Callbacks, "_create", refuse)
        answer = await call()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert "1234" not in answer.text
        assert "account 1234" in caplog.text
        assert files(local) == {}
    assert (await call()).json() == {"kept": True}


async def test_a_store_that_hangs_asks_the_caller_to_come_again(
    call: Call, local: Callbacks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await call(headers={})  # the options are read
    let_go = threading.Event()
    monkeypatch.setattr(Callbacks, "keep", lambda *_: let_go.wait(30))
    monkeypatch.setattr(webhook, "_STORE_TIMEOUT", 0.0)
    try:
        assert (await call()).status_code == 503
    finally:
        let_go.set()
    assert "did not answer in time" in caplog.text
    assert files(local) == {}


# ── From end to end ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application as Airflow's API server does, and yield its origin."""
    sock = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        sock.close()


ORDER: dict[str, Any] = {
    "model": "x-ai/grok-imagine-video",
    "prompt": "a red boat",
    "duration": 1,
    "resolution": "480p",
}


@pytest.mark.parametrize(
    ("faults", "statuses", "arrives"),
    [
        ([], [200], True),
        ([{"copies": 2}], [200, 200], True),
        ([{"signature": "forged"}], [401], False),
        ([{"signature": "missing"}], [401], False),
        ([{"age": 400}], [401], False),
        ([{"age": -400}], [401], False),
    ],
    ids=["as it should be", "twice", "forged", "unsigned", "late", "from the future"],
)
def test_a_job_whose_answer_was_lost_reports_its_id(
    airflow: FastAPI,
    local: Callbacks,
    faults: list[dict[str, Any]],
    statuses: list[int],
    arrives: bool,  # noqa: FBT001
) -> None:
    nonce = local.new_nonce()
    with served(airflow) as origin:
        settings = SimulatorSettings(job_seconds=0.05, webhook_origin=origin, webhook_secret=SECRET)
        with Simulator(settings) as sim:
            sim.add_fault({"match": {"operation": "createVideos"}, "drop": {"when": "after"}})
            for fault in faults:
                sim.add_fault({"match": {"operation": "sendWebhook"}, "webhook": fault})
            with pytest.raises(httpx.TransportError):
                httpx.post(
                    f"{sim.base_url}/videos",
                    json={**ORDER, "callback_url": local.url(nonce)},
                    headers={"Authorization": "Bearer sk-or-test-1"},
                )
            (job,) = sim.jobs()
            answered = sim.wait_for_webhooks(len(statuses))
            assert [entry.status for entry in answered] == statuses
            assert sim.stats()["polls"] == 0
    reported = local.reported(nonce)
    assert (reported and reported.job_id) == (job.id if arrives else None)


@dataclass
class StateStore:
    """What Airflow's state store keeps for one task instance."""

    values: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: object = None) -> Any:  # noqa: ANN401 - JSON
        return self.values.get(key, default)

    def set(self, key: str, value: object, **_: object) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


@pytest.mark.parametrize("signature", [None, "forged", "missing"], ids=["genuine", "forged", "unsigned"])
def test_a_task_whose_answer_was_lost_lands_its_video_by_a_retry_once_the_job_called(
    airflow: FastAPI, local: Callbacks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signature: str | None
) -> None:
    assert local.webhook_url == URL
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    if not hasattr(airflows_context, "NEVER_EXPIRE"):  # Airflow 3.1 and 3.2 have no task state store; the fake is one
        monkeypatch.setattr(airflows_context, "NEVER_EXPIRE", object(), raising=False)
    identity = {"dag_id": "films", "run_id": "manual__1", "task_id": "film", "map_index": -1}
    context: Any = {
        "ti": SimpleNamespace(**identity, try_number=1, max_tries=2),
        "task_state_store": StateStore(),
        "outlet_events": {},
    }

    def attempt() -> dict[str, Any]:
        return OrVideoGenerateOperator(
            task_id="film", destination=f"{tmp_path}/films/", poll_interval=0.02, deferrable=False, **ORDER
        ).execute(context)

    with served(airflow) as origin:
        settings = SimulatorSettings(
            job_seconds=0.05, max_pixels=160 * 90, webhook_origin=origin, webhook_secret=SECRET
        )
        with Simulator(settings) as sim:
            connection = {"conn_type": "orvideo", "host": sim.base_url, "password": "sk-or-test-1"}
            monkeypatch.setenv("AIRFLOW_CONN_ORVIDEO_DEFAULT", json.dumps(connection))
            sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "drop": {"when": "after"}})
            if signature:
                sim.add_fault({"match": {"operation": "sendWebhook"}, "webhook": {"signature": signature}})
            with pytest.raises(OutcomeUnknownError):  # which Airflow retries, other than without webhooks
                attempt()
            sim.wait_for_webhooks(1)
            if signature:
                with pytest.raises(AmbiguousSubmitError):
                    attempt()
            else:
                assert attempt()["job_id"] == sim.jobs()[0].id
            assert sim.posts == 1

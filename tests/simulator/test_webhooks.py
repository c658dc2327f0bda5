"""The webhooks: who gets one, when, with which body and signature, and how one goes wrong on demand."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

SECRET = "whsec_test"
CALLBACK = "https://hooks.example.com/orvideo/webhook/abc?x=1"

Start = Callable[..., tuple[Simulator, Callable[..., str]]]


@dataclass
class Receiver:
    """Takes calls on this machine, and answers with a status."""

    origin: str = ""
    status: int = 200
    calls: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.calls.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(received.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        received.origin = f"http://127.0.0.1:{server.server_port}"
        yield received
        server.shutdown()
        thread.join()


@pytest.fixture
def start(
    receiver: Receiver,
    simulate: Callable[..., Simulator],
    connect: Callable[..., httpx.Client],
    order: Callable[..., dict[str, Any]],
) -> Start:
    """Start a simulator that calls the receiver; return it and what submits to it."""

    def begin(**settings: Any) -> tuple[Simulator, Callable[..., str]]:  # noqa: ANN401 - settings
        sim = simulate(**{"webhook_origin": receiver.origin, "webhook_secret": SECRET, **settings})
        client = connect(sim)

        def submit(**changes: object) -> str:
            answer = client.post("/videos", json=order(**{"callback_url": CALLBACK, **changes}))
            return str(answer.raise_for_status().json()["id"])

        return sim, submit

    return begin


def is_signed(headers: dict[str, str], body: bytes, secret: str = SECRET) -> bool:
    """As OpenRouter's guide has it."""
    moment, digest = headers["x-openrouter-signature"].removeprefix("t=").split(",v1=")
    return digest == hmac.new(secret.encode(), f"{moment},".encode() + body, hashlib.sha256).hexdigest()


def moment_of(headers: dict[str, str]) -> int:
    return int(headers["x-openrouter-signature"].removeprefix("t=").partition(",")[0])


# ── As documented ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_completed_job_calls_with_a_signed_body_though_nobody_polls(receiver: Receiver, start: Start) -> None:
    sim, submit = start(job_seconds=0.05)
    job_id = submit()
    (entry,) = sim.wait_for_webhooks()
    ((path, headers, body),) = receiver.calls
    assert path == "/orvideo/webhook/abc?x=1"
    assert headers["content-type"] == "application/json"
    assert headers["x-openrouter-idempotency-key"] == f"{job_id}-completed"
    assert is_signed(headers, body)
    assert abs(moment_of(headers) - time.time()) < 60
    event = json.loads(body)
    assert event.pop("created_at").endswith("Z")
    assert event == {
        "type": "video.generation.completed",
        "data": {
            "id": job_id,
            "status": "completed",
            "generation_id": job_id,
            "model": "x-ai/grok-imagine-video",
            "unsigned_urls": [f"{sim.base_url}/videos/{job_id}/content?index=0"],
            "usage": {"cost": 0.05, "is_byok": False},
        },
    }
    assert (entry.job_id, entry.status, entry.signed, entry.rules) == (job_id, 200, "valid", [])
    assert entry.url == f"{receiver.origin}/orvideo/webhook/abc?x=1"
    assert (sim.stats()["polls"], sim.stats()["webhooks"]) == (0, 1)


@pytest.mark.parametrize(
    ("outcome", "error", "text"),
    [
        ("failed", "Content policy violation", "Content policy violation"),
        ("cancelled", None, "Job was cancelled"),
        ("expired", None, "Job exceeded maximum time to live"),
    ],
)
def test_a_job_without_a_video_calls_too(
    receiver: Receiver, start: Start, outcome: str, error: str | None, text: str
) -> None:
    sim, submit = start(job_seconds="manual")
    job_id = submit()
    sim.finish(job_id, outcome, error)
    sim.wait_for_webhooks()
    ((_, headers, body),) = receiver.calls
    event = json.loads(body)
    assert event["type"] == f"video.generation.{outcome}"
    assert event["data"] == {
        "id": job_id,
        "status": outcome,
        "generation_id": job_id,
        "model": "x-ai/grok-imagine-video",
        "error": text,
    }
    assert headers["x-openrouter-idempotency-key"] == f"{job_id}-{outcome}"


def test_the_clock_the_polls_and_a_person_end_jobs_and_each_calls_once(receiver: Receiver, start: Start) -> None:
    sim, submit = start(job_seconds=600)
    sim.add_fault(
        {"match": {"operation": "createVideos", "prompt_contains": "polled"}, "job": {"seconds": 0, "polls": 1}}
    )
    by_clock, by_person, by_poll = submit(), submit(), submit(prompt="polled")
    sim.finish(by_person)
    sim.wait_for_webhooks(1, job_id=by_person)
    for _ in range(3):
        httpx.get(f"{sim.base_url}/videos/{by_poll}", headers={"Authorization": "Bearer sk-or-test-1"})
    sim.wait_for_webhooks(1, job_id=by_poll)
    assert sim.webhooks(by_clock) == []
    sim.advance(600)
    sim.wait_for_webhooks(1, job_id=by_clock)
    assert sorted(entry.job_id for entry in sim.webhooks()) == sorted([by_clock, by_person, by_poll])
    assert len(receiver.calls) == 3
    # Signed by the real clock, which is the receiver's.
    assert all(abs(moment_of(headers) - time.time()) < 60 for _, headers, _ in receiver.calls)


def test_jobs_end_in_the_order_of_their_times_whatever_the_order_of_submits(receiver: Receiver, start: Start) -> None:
    sim, submit = start(job_seconds=600)
    sim.add_fault({"match": {"operation": "createVideos", "prompt_contains": "quick"}, "job": {"seconds": 0.05}})
    submit()
    quick = submit(prompt="quick")
    assert [entry.job_id for entry in sim.wait_for_webhooks()] == [quick]
    assert len(receiver.calls) == 1


def test_without_a_secret_calls_are_not_signed(receiver: Receiver, start: Start) -> None:
    sim, submit = start(webhook_secret=None)
    submit()
    (entry,) = sim.wait_for_webhooks()
    ((_, headers, _),) = receiver.calls
    assert "x-openrouter-signature" not in headers
    assert "x-openrouter-idempotency-key" in headers
    assert entry.signed == "missing"


def test_a_submit_whose_answer_is_lost_calls_too(
    receiver: Receiver, start: Start, order: Callable[..., dict[str, Any]]
) -> None:
    sim, _ = start()
    sim.add_fault({"match": {"operation": "createVideos"}, "drop": {"when": "after"}})
    with pytest.raises(httpx.TransportError):
        httpx.post(
            f"{sim.base_url}/videos",
            json=order(callback_url=CALLBACK),
            headers={"Authorization": "Bearer sk-or-test-1"},
        )
    sim.wait_for_webhooks()
    assert json.loads(receiver.calls[0][2])["data"]["id"] == sim.jobs()[0].id


# ── Nothing leaves this machine ──────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_sent_without_a_receiver_or_an_address(receiver: Receiver, start: Start) -> None:
    silent, submit_silent = start(webhook_origin=None)
    sim, submit = start()
    lonely = submit_silent()
    with pytest.raises(ValueError, match="webhook_origin is missing"):
        silent.send_webhook(lonely)
    without = submit(callback_url=None)
    last = submit()
    sim.wait_for_webhooks(1, job_id=last)
    assert [entry.job_id for entry in sim.webhooks()] == [last]
    assert silent.webhooks() == []
    assert len(receiver.calls) == 1
    with pytest.raises(ValueError, match="has no callback_url"):
        sim.send_webhook(without)


@pytest.mark.parametrize(
    "origin",
    [
        "https://hooks.example.com", "http://10.0.0.7", "http://0.0.0.0:80", "http://127.0.0.1:80/path", "127.0.0.1:80",
        "http://127.0.0.1/", "ftp://127.0.0.1", "http://localhost.example.com", "",
    ],
)  # fmt: skip
def test_a_receiver_elsewhere_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="of this machine"):
        SimulatorSettings(webhook_origin=origin)


@pytest.mark.parametrize("origin", ["http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:8080"])
def test_a_receiver_on_this_machine_is_accepted(origin: str) -> None:
    assert SimulatorSettings(webhook_origin=origin).webhook_origin == origin


def test_the_secret_is_not_shown(start: Start) -> None:
    sim, _ = start(webhook_secret="whsec_hidden")
    assert "whsec_hidden" not in httpx.get(f"{sim.control_url}/health").text
    assert "whsec_hidden" not in repr(sim.settings)


# ── Gone wrong on demand ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_webhook_can_come_several_times(receiver: Receiver, start: Start) -> None:
    sim, submit = start()
    rule = sim.add_fault({"match": {"operation": "sendWebhook"}, "times": 1, "webhook": {"copies": 3}})
    first, second = submit(), submit()
    entries = sim.wait_for_webhooks(4)
    assert sorted(entry.job_id for entry in entries) == sorted([first] * 3 + [second])
    copies = [call for call in receiver.calls if json.loads(call[2])["data"]["id"] == first]
    assert copies[0] == copies[1] == copies[2]
    assert {entry.rules == [rule] for entry in sim.webhooks(first)} == {True}


@pytest.mark.parametrize(("age", "low", "high"), [(1000, 999, 1060), (-1000, -1000, -900)])
def test_a_webhook_can_be_signed_at_another_time(
    receiver: Receiver, start: Start, age: float, low: float, high: float
) -> None:
    sim, submit = start()
    sim.add_fault({"match": {"operation": "sendWebhook"}, "webhook": {"age": age}})
    submit()
    sim.wait_for_webhooks()
    ((_, headers, body),) = receiver.calls
    assert is_signed(headers, body)
    assert low <= time.time() - moment_of(headers) <= high


def test_a_webhook_can_be_forged_or_unsigned(receiver: Receiver, start: Start) -> None:
    sim, submit = start()
    sim.add_fault({"match": {"operation": "sendWebhook"}, "times": 1, "webhook": {"signature": "forged"}})
    submit()
    sim.wait_for_webhooks(1)
    sim.add_fault({"match": {"operation": "sendWebhook"}, "times": 1, "webhook": {"signature": "missing"}})
    submit()
    assert [entry.signed for entry in sim.wait_for_webhooks(2)] == ["forged", "missing"]
    (_, forged, body), (_, unsigned, _) = receiver.calls
    assert not is_signed(forged, body)
    assert "x-openrouter-signature" not in unsigned


def test_a_webhook_can_be_lost_and_sent_again(receiver: Receiver, start: Start) -> None:
    sim, submit = start()
    sim.add_fault({"match": {"operation": "sendWebhook"}, "times": 1, "drop": {}})
    job_id = submit()
    assert [entry.status for entry in sim.wait_for_webhooks()] == ["dropped"]
    assert (receiver.calls, sim.stats()["webhooks"]) == ([], 0)
    sim.send_webhook(job_id)
    assert [entry.status for entry in sim.wait_for_webhooks(2)] == ["dropped", 200]
    assert len(receiver.calls) == 1


def test_the_receivers_answer_is_noted_and_nothing_is_tried_again(receiver: Receiver, start: Start) -> None:
    sim, submit = start()
    receiver.status = 503
    job_id = submit()
    assert [entry.status for entry in sim.wait_for_webhooks()] == [503]
    receiver.status = 200
    sim.send_webhook(job_id)
    assert [entry.status for entry in sim.wait_for_webhooks(2)] == [503, 200]
    assert receiver.calls[0][2] == receiver.calls[1][2]


def test_a_receiver_that_is_not_there_is_noted(start: Start) -> None:
    sim, submit = start(webhook_origin="http://127.0.0.1:9")
    submit()
    assert [entry.status for entry in sim.wait_for_webhooks()] == ["failed"]


def test_a_rule_for_any_request_does_not_mean_webhooks(start: Start) -> None:
    sim, submit = start()
    sim.add_fault({"times": 1, "after": 1, "respond": {"status": 500}})
    submit()
    assert [(entry.status, entry.rules) for entry in sim.wait_for_webhooks()] == [(200, [])]
    assert sim.faults()[0]["hits"] == 0


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"webhook": {"copies": 2}}, "name the operation"),
        ({"match": {"operation": "getVideos"}, "webhook": {"copies": 2}}, "webhook acts on sendWebhook"),
        ({"match": {"operation": "sendWebhook"}, "respond": {"status": 500}}, "nothing to respond"),
        ({"match": {"operation": "sendWebhook"}, "status": "x"}, "nothing to status"),
        ({"match": {"operation": "sendWebhook"}, "webhook": {}}, "say what is wrong with the webhook"),
        ({"match": {"operation": "sendWebhook"}, "webhook": {"copies": 0}}, "greater than or equal to 1"),
        ({"match": {"operation": "sendWebhook"}, "webhook": {"signature": "odd"}}, "'valid', 'forged' or 'missing'"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(sim: Simulator, rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        sim.add_fault(rule)


# ── From outside ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_process_asks_and_sends_through_the_control_endpoints(start: Start) -> None:
    sim, submit = start(job_seconds="manual")

    def control(method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        return httpx.request(method, sim.control_url + path, **options)

    job_id, waiting = submit(), submit()
    control("POST", f"/jobs/{job_id}/finish").raise_for_status()
    (entry,) = control("GET", f"/webhooks?job_id={job_id}&wait=5").json()
    assert (entry["job_id"], entry["status"], entry["signed"]) == (job_id, 200, "valid")
    assert control("POST", f"/jobs/{job_id}/webhook").status_code == 202
    assert len(control("GET", "/webhooks?count=2&wait=5").json()) == 2
    assert control("GET", "/webhooks?count=3&wait=0.05").status_code == 408
    assert control("GET", "/webhooks?colour=red").status_code == 400
    assert control("POST", "/jobs/unknown/webhook").status_code == 404
    assert control("POST", f"/jobs/{waiting}/webhook").status_code == 409
    assert control("POST", "/reset").status_code == 204
    assert (control("GET", "/webhooks").json(), sim.stats()["webhooks"]) == ([], 0)


# ── Its end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_stops_while_a_receiver_is_slow(start: Start) -> None:
    before = set(threading.enumerate())
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as deaf:  # accepts, and never answers
        sim, submit = start(webhook_origin=f"http://127.0.0.1:{deaf.server_port}")
        submit()
        sim.add_fault({"match": {"operation": "sendWebhook"}, "delay": 600})
        submit()
        began = time.monotonic()
        sim.stop()
        assert time.monotonic() - began < 2
    assert [thread for thread in set(threading.enumerate()) - before if thread.name == "orvideo-simulator"] == []

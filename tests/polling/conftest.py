"""What the polling tests share: time that passes only when somebody waits, and an API that answers from a list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.schema import VideoJob
from airflow_provider_orvideo.polling.decision import Wait
from airflow_provider_orvideo.polling.waiting import wait_for_job
from tests.polling.hub_world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.polling.decision import Ended, GaveUp, TimedOut


@dataclass
class Time:
    """A clock that moves when somebody sleeps, and by ``reading`` seconds for each answer of the API."""

    now: float = 1000.0
    reading: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.pauses.append(seconds)
        self.now += seconds


@dataclass
class Answers:
    """Answers polls in turn, the last one forever: a status, a code, a whole answer or an exception."""

    time: Time
    script: list[Any]
    polled_at: list[float] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", "/api/v1/videos/job-1")
        self.time.now += self.time.reading
        self.polled_at.append(self.time.now)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            answer = {"id": "job-1", "status": answer, "polling_url": "/"}
        if isinstance(answer, dict):
            return httpx.Response(200, json=answer)
        if isinstance(answer, int):
            return httpx.Response(answer, json={"error": {"code": answer, "message": "as scripted"}})
        assert isinstance(answer, httpx.Response)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


CONFIG = ClientConfig(api_key="sk-or-test-1", base_url="http://127.0.0.1:9/api/v1")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def answers(time: Time) -> Callable[..., Answers]:
    return lambda *script: Answers(time, list(script))


@pytest.fixture
def client_of() -> Callable[[Answers], VideoClient]:
    return lambda api: VideoClient(CONFIG, transport=httpx.MockTransport(api))


@pytest.fixture
def follow(time: Time) -> Callable[[Answers, Wait], Ended | TimedOut | GaveUp]:
    """Wait for the job as a worker does."""

    def blocking(api: Answers, wait: Wait) -> Ended | TimedOut | GaveUp:
        with VideoClient(CONFIG, transport=httpx.MockTransport(api), sleep=_no_sleep) as client:
            return wait_for_job(client, wait, clock=time.clock, sleep=time.sleep)

    return blocking


def _no_sleep(seconds: float) -> None:
    raise AssertionError(f"the client waits {seconds} s by itself; only the loop may")


@pytest.fixture
def wait_of() -> Callable[..., Wait]:
    """A wait from 1000 to 4600 with 30 s between polls; everything can be told otherwise."""

    def make(**changes: float) -> Wait:
        values = {"submitted_at": 1000.0, "deadline": 4600.0, "poll_interval": 30.0}
        return Wait(job_id="job-1", **(values | changes))

    return make


@pytest.fixture
def job_of() -> Callable[..., VideoJob]:
    def make(status: object, **fields: Any) -> VideoJob:  # noqa: ANN401 - fields of the answer
        return VideoJob.model_validate({"id": "job-1", "status": status, **fields})

    return make


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The hub in a loop of its own, whose time passes only while everybody waits; see `World`."""
    return World().install(monkeypatch)

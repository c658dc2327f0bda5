"""What the ledger's tests share: a store that fails on demand, and an API that counts what it was sent and sold."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import RetryPolicy
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.ledger.record import Phase, Record, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROMPT = "A lighthouse in a storm, secret-of-the-author"
KEY = "sk-or-test-0123456789abcdef"


@dataclass
class Notebook:
    """A store in memory that holds JSON text, as a real one does.

    Args:
        page: the text that is kept, None for nothing.
        trouble: what goes wrong, in turn, with the calls of a method: ``{"save": [None, error]}`` spoils the second
            save. A pair ``(error, "after")`` takes effect first and is raised then.
        calls: what was called and seen, in order; the API double writes here, too.
    """

    page: str | None = None
    trouble: dict[str, list[Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    where: str = "'orvideo_job' in a notebook"

    def load(self) -> Record | None:
        self.calls.append("load")
        self._act("load", lambda: None)
        return self.peek()

    def save(self, record: Record) -> None:
        self.calls.append(f"save {record.phase}")
        text = json.dumps(record.to_json())
        self._act("save", lambda: setattr(self, "page", text))

    def delete(self) -> None:
        self.calls.append("delete")
        self._act("delete", lambda: setattr(self, "page", None))

    def peek(self) -> Record | None:
        """Return what is kept; no call of the code under test."""
        return read_record(None if self.page is None else json.loads(self.page))

    def _act(self, name: str, effect: Callable[[], None]) -> None:
        script = self.trouble.get(name) or [None]
        trouble = script.pop(0)
        error, late = trouble if isinstance(trouble, tuple) else (trouble, None)
        if error is None or late:
            effect()
        if error is not None:
            raise error


@dataclass
class Shop:
    """The API as far as a purchase needs it: answers POSTs by a script, and sells where the script is over.

    Args:
        script: for each POST in turn, the status, the response or the exception that it meets.
        notebook: whose page is noted at each POST.
        bodies: what each POST that arrived held.
        known: status of jobs that can be read, by id; None where nothing may be read.
    """

    notebook: Notebook
    script: list[Any] = field(default_factory=list)
    posts: int = 0
    sold: list[str] = field(default_factory=list)
    pages: list[Record | None] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    known: dict[str, str] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and self.known is not None:
            return self._read(request.url.path.rpartition("/")[2], self.known)
        assert request.method == "POST", "a purchase reads nothing from the API"
        event = self.script.pop(0) if self.script else None
        if isinstance(event, httpx.ConnectError | httpx.ConnectTimeout):
            raise event
        self.posts += 1
        self.notebook.calls.append("POST")
        self.pages.append(self.notebook.peek())
        self.bodies.append(json.loads(request.content))
        if isinstance(event, BaseException):
            raise event
        if isinstance(event, httpx.Response):
            return event
        if isinstance(event, int):
            return httpx.Response(event, json={"error": {"code": event, "message": "as scripted"}})
        self.sold.append(f"job-{len(self.sold) + 1}")
        return httpx.Response(202, json={"id": self.sold[-1], "status": "pending", "polling_url": "/"})

    def _read(self, job_id: str, known: dict[str, str]) -> httpx.Response:
        self.notebook.calls.append("GET")
        if job_id not in known:
            return httpx.Response(404, json={"error": {"code": 404, "message": "Job not found"}})
        return httpx.Response(200, json={"id": job_id, "status": known[job_id]})


@pytest.fixture
def config() -> ClientConfig:
    return ClientConfig(
        api_key=KEY, base_url="http://127.0.0.1:9/api/v1", submit_retry=RetryPolicy(attempts=3, base=0.0)
    )


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def shop(notebook: Notebook) -> Shop:
    return Shop(notebook)


@pytest.fixture
def client(config: ClientConfig, shop: Shop) -> Iterator[VideoClient]:
    with VideoClient(config, transport=httpx.MockTransport(shop)) as made:
        yield made


@pytest.fixture
def order() -> VideoRequest:
    return VideoRequest.build(
        model="google/veo-3.1",
        prompt=PROMPT,
        duration=8,
        callback_url="https://hooks.example.com/secret-hook",
        frame_images=[
            {"image_url": {"url": "https://example.com/secret-frame.png"}, "frame_type": "first_frame"},
            {"image_url": {"url": "data:image/png;base64,c2VjcmV0"}, "frame_type": "last_frame"},
        ],
    )


@pytest.fixture
def secrets() -> tuple[str, ...]:
    """What a record of `order` must not hold."""
    return ("secret", "c2VjcmV0", "data:", "://", KEY, "lighthouse")


@pytest.fixture
def record_of() -> Callable[..., Record]:
    """Make a record; everything can be told otherwise."""

    def make(phase: Phase | str = Phase.SUBMITTED, **changes: Any) -> Record:  # noqa: ANN401 - fields of Record
        values: dict[str, Any] = {
            "phase": Phase(phase),
            "fingerprint": "same",
            "model": "google/veo-3.1",
            "conn_id": "orvideo_default",
            "intent_at": 1000.0,
        }
        if phase != Phase.INTENT:
            values |= {"job_id": "job-1", "submitted_at": 1003.0}
        return Record(**(values | changes))

    return make

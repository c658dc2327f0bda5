"""The video page with answers of the API that the test makes up: what cannot be had from a healthy deployment."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import pytest

import airflow_provider_orvideo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Route

    from tests.plugins.browser.conftest import Visit, Visitor

STATIC: Final = Path(airflow_provider_orvideo.__file__).parent / "plugins" / "static"
ORIGIN: Final = "http://orvideo.test"
TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
ADDRESS: Final = f"{ORIGIN}/orvideo/pages/video?dag_id=films&run_id=run&task_id=task"
AT: Final = "2026-11-01T08:00:00Z"


def instance(operator: str, state: str | None, **more: object) -> dict[str, Any]:
    """Return one task instance."""
    return {
        "dag_id": "films",
        "dag_run_id": "run",
        "task_id": "task",
        "map_index": -1,
        "dag_display_name": "films",
        "task_display_name": "task",
        "operator": operator,
        "operator_name": operator,
        "state": state,
        "try_number": 1,
        "run_after": AT,
        "queued_when": AT,
        "start_date": AT,
        "end_date": AT,
        "rendered_fields": {},
        **more,
    }


def landed(**more: object) -> dict[str, Any]:
    """Return a landed manifest of one file; ``more`` goes into the file."""
    file = {
        "uri": "s3://c@b/film.mp4",
        "index": 0,
        "bytes": 10,
        "sha256": "0" * 64,
        "content_type": "video/mp4",
        **more,
    }
    return {
        "job_id": "job-1",
        "status": "completed",
        "model": "google/veo-3.1-lite",
        "cost_usd": 0.5,
        "total_cost_usd": 0.5,
        "estimated_cost_usd": 0.6,
        "submitted_at": AT,
        "completed_at": AT,
        "landed_at": AT,
        "request": {"prompt": "<b>a boat</b>", "provider": {"options": {"x": {"y": 1}}}},
        "files": [file],
    }


class Api:
    """One task instance behind a REST API.

    Attributes:
        task: the task instance, None for none.
        value: what it returned.
        record: its pay-once record.
        settings: of the plugin.
        preview: HTTP status of the preview.
        denied: HTTP status of the task instance instead of data.
    """

    def __init__(self) -> None:
        self.task: dict[str, Any] | None = None
        self.value: Any = None
        self.record: Any = None
        self.settings: dict[str, Any] = {"preview": True, "version": "0", "how_to_enable": "how to"}
        self.preview = 502
        self.denied: int | None = None

    def serve(self, route: Route) -> None:
        """Answer one request of the browser."""
        parts = [unquote(part) for part in urlsplit(route.request.url).path.strip("/").split("/")]
        if parts[0] == "orvideo" and parts[1] in {"pages", "static"}:
            path = STATIC / (parts[2] if parts[1] == "static" else f"{parts[2]}.html")
            route.fulfill(body=path.read_bytes(), content_type=TYPES[path.suffix])
        elif parts[0] == "orvideo":
            answers = {"settings": (200, self.settings), "preview": (self.preview, {"detail": "told by the server"})}
            status, body = answers.get(parts[2], (404, {"detail": "none"}))
            route.fulfill(status=status, json=body)
        elif self.denied or self.task is None:
            route.fulfill(status=self.denied or 404, json={"detail": "denied"})
        else:
            route.fulfill(json=self._answer(parts))

    def _answer(self, parts: list[str]) -> dict[str, Any]:
        if parts[-1] == "taskInstances":
            return {"task_instances": [self.task], "total_entries": 1}
        if parts[-2] == "xcomEntries":
            return {"key": parts[-1], "value": self.value}
        if parts[-1] == "state-store":
            found = [{"key": "orvideo_job", "value": self.record}] if self.record else []
            return {"task_state_store": found, "total_entries": len(found)}
        if parts[-1] == "events":
            return {"asset_events": [], "total_entries": 0}
        assert self.task is not None
        return self.task


@pytest.fixture
def api() -> Api:
    """An API without a task."""
    return Api()


@pytest.fixture
def video(visit: Visit, api: Api) -> Iterator[Callable[[str], Visitor]]:
    """Open the video page of `api`'s task, and wait for something on it."""
    with visit() as visitor:
        visitor.page.route(f"{ORIGIN}/**", api.serve)

        def open_page(wait: str) -> Visitor:
            visitor.page.goto(ADDRESS)
            visitor.page.locator(wait).first.wait_for()
            return visitor

        yield open_page


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (401, "You are signed out"),
        (403, "This file may not be shown"),
        (404, "The file is not there"),
        (409, "No preview"),
        (502, "The storage cannot be reached"),
        (503, "Too many videos are being played"),
    ],
)
def test_a_video_that_does_not_play_says_why(
    video: Callable[[str], Visitor], api: Api, status: int, title: str
) -> None:
    api.task, api.value, api.preview = instance("OrVideoDownloadOperator", "success"), landed(), status
    page = video(".stage .notice").page
    assert page.locator(".stage .notice h2").inner_text() == title
    assert page.locator(".stage .notice p").inner_text() == ("how to" if status == 409 else "told by the server")


def test_what_is_not_as_ordered_and_where_it_comes_from_is_told(video: Callable[[str], Visitor], api: Api) -> None:
    api.task = instance("OrVideoDownloadOperator", "success")
    api.value = landed(unexpected=["2 s instead of 4 s"], has_c2pa=True, skipped=True)
    page = video(".warnings").page
    text = page.locator("main").inner_text()
    assert "2 s instead of 4 s" in text
    assert "C2PA content credentials are in the file" in text
    assert "left alone" in text
    assert "$0.50" in text
    assert "$0.60" in text
    assert page.locator("blockquote").inner_text() == "<b>a boat</b>"


def test_the_uri_is_copied(video: Callable[[str], Visitor], api: Api) -> None:
    api.task, api.value = instance("OrVideoDownloadOperator", "success"), landed()
    visitor = video(".copy")
    # Plain HTTP has no clipboard of its own, so the page takes the old way; what was copied is pasted here.
    visitor.page.get_by_role("button", name="Copy URI").click()
    visitor.page.get_by_text("Copied").wait_for(state="attached")
    visitor.page.evaluate("document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))")
    visitor.page.locator("#paste").focus()
    visitor.page.keyboard.press("Control+V")
    assert visitor.page.locator("#paste").input_value() == "s3://c@b/film.mp4"


def test_an_order_with_an_unknown_outcome_is_told(video: Callable[[str], Visitor], api: Api) -> None:
    api.task = instance("OrVideoSubmitOperator", "failed", rendered_fields={"prompt": "a boat", "model": "m/x"})
    api.record = {"phase": "intent", "model": "m/x", "conn_id": "c", "intent_at": 1793520000.0}
    page = video(".told").page
    assert "may have been accepted and billed" in page.locator(".told").inner_text()
    assert page.locator(".figure").inner_text() == "Unknown"
    assert "$" not in page.locator("main").inner_text()


def test_deadline_and_next_poll_are_shown_where_the_record_tells_them(
    video: Callable[[str], Visitor], api: Api
) -> None:
    api.task = instance("OrVideoSubmitOperator", "deferred", end_date=None, rendered_fields={"prompt": "a boat"})
    now = time.time()
    api.record = {
        "phase": "submitted",
        "job_id": "job-1",
        "model": "m/x",
        "submitted_at": now - 60,
        "deadline": now + 3600,
        "poll_interval": 30,
    }
    text = video(".told").page.locator("main").inner_text()
    assert "within 30 s" in text
    assert "in 1 h 00 min" in text or "in 59 min" in text
    assert "1 min 0" in text


def test_the_page_stops_asking_when_the_task_is_done(video: Callable[[str], Visitor], api: Api) -> None:
    api.task = instance("OrVideoSubmitOperator", "deferred", end_date=None)
    api.record = {"phase": "submitted", "job_id": "job-1", "model": "m/x", "submitted_at": 1793520000.0}
    visitor = video(".told")
    page = visitor.page
    page.clock.install()
    page.reload()
    page.locator(".told").wait_for()
    api.task, api.value = instance("OrVideoSubmitOperator", "success"), {**landed(), "files": None}
    page.clock.run_for(6_000)
    page.locator(".badge", has_text="Success").wait_for()
    asked = len(visitor.requests)
    page.clock.run_for(120_000)
    assert len(visitor.requests) == asked


def test_the_page_sleeps_while_nobody_looks(video: Callable[[str], Visitor], api: Api) -> None:
    api.task = instance("OrVideoSubmitOperator", "deferred", end_date=None)
    api.record = {"phase": "submitted", "job_id": "job-1", "model": "m/x", "submitted_at": 1793520000.0}
    visitor = video(".told")
    page = visitor.page
    page.clock.install()
    page.reload()
    page.locator(".told").wait_for()
    hide = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});"
    page.evaluate(hide % "true" + "document.dispatchEvent(new Event('visibilitychange'))")
    asked = len(visitor.requests)
    page.clock.run_for(120_000)
    assert len(visitor.requests) == asked
    page.evaluate(hide % "false" + "document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_event("request", timeout=5_000)


@pytest.mark.parametrize(("status", "title"), [(401, "You are signed out"), (403, "No access"), (404, "Not found")])
def test_a_task_that_may_not_be_read_is_told_plainly(
    video: Callable[[str], Visitor], api: Api, status: int, title: str
) -> None:
    api.denied = status
    assert video(".notice").page.get_by_role("alert").locator("h2").inner_text() == title


@pytest.mark.parametrize(
    "value",
    ["text", {"job_id": 3}, {"job_id": "j", "files": [{"uri": "javascript:alert(1)", "index": "x"}], "request": "no"}],
)
def test_a_value_of_any_shape_leaves_the_page_standing(
    video: Callable[[str], Visitor], api: Api, value: object
) -> None:
    api.task, api.value = instance("OrVideoDownloadOperator", "success"), value
    visitor = video(".told")
    assert visitor.page.locator("a[href^=javascript]").count() == 0
    assert not [error for error in visitor.errors if "status of 502" not in error]

"""The gallery with answers of the API that the test makes up: a thousand videos, unknown costs, hostile text."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

import airflow_provider_orvideo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page, Route

    from tests.plugins.browser.conftest import Visit, Visitor

STATIC: Final = Path(airflow_provider_orvideo.__file__).parent / "plugins" / "static"
ORIGIN: Final = "http://orvideo.test"
#: What the plugin sends with its pages: nothing inline, nothing from elsewhere.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
MODELS: Final = ("google/veo-3.1-lite", "x-ai/grok-imagine-video", "kwaivgi/kling-v3.0-std")
START: Final = datetime(2026, 11, 1, 8, tzinfo=UTC)


@dataclass
class Library:
    """A REST API with task instances in it; answers are those of Airflow 3.3, as far as the pages read them.

    Attributes:
        instances: of all tasks, in the order of the list.
        values: what tasks returned, by run and task.
        records: pay-once records, by run and task.
        settings: of the plugin.
        denied: HTTP status of every answer of the public API instead of data.
    """

    instances: list[dict[str, Any]] = field(default_factory=list)
    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    records: dict[tuple[str, str], Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=lambda: {"preview": True, "version": "0", "how_to_enable": "…"})
    denied: int | None = None

    def add(
        self, run_id: str, task_id: str, operator: str, state: str, *, at: datetime = START, **more: object
    ) -> None:
        """Put in one task instance."""
        self.instances.append(
            {
                "dag_id": "films",
                "dag_run_id": run_id,
                "task_id": task_id,
                "map_index": -1,
                "dag_display_name": "films",
                "task_display_name": task_id,
                "operator": operator,
                "operator_name": operator,
                "state": state,
                "try_number": 1,
                "run_after": at.isoformat(),
                "queued_when": at.isoformat(),
                "start_date": at.isoformat(),
                "end_date": None if state in {"running", "deferred"} else at.isoformat(),
                "rendered_map_index": None,
                "rendered_fields": {},
                "trigger": None,
                **more,
            }
        )

    def land(
        self,
        run_id: str,
        job_id: str,
        cost: float | None,
        *,
        task_id: str = "download",
        at: datetime = START,
        **more: object,
    ) -> None:
        """Put in a task that landed a video."""
        self.add(run_id, task_id, "OrVideoDownloadOperator", "success", at=at)
        self.values[run_id, task_id] = manifest(job_id, cost, at, **more) | {"files": [landed_file()]}

    def serve(self, route: Route) -> None:
        """Answer one request of the browser."""
        url = urlsplit(route.request.url)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if parts[:2] == ["orvideo", "pages"] or parts[:2] == ["orvideo", "static"]:
            name = parts[2] if parts[1] == "static" else f"{parts[2]}.html"
            path = STATIC / name
            headers = {"Content-Type": TYPES[path.suffix], "Content-Security-Policy": POLICY}
            route.fulfill(body=path.read_bytes(), headers=headers)
        elif parts[:2] == ["orvideo", "api"]:
            if parts[2] == "settings":
                route.fulfill(json=self.settings)
            elif parts[2] == "poster":
                route.fulfill(body=POSTER, content_type="image/jpeg")
            else:
                route.fulfill(status=404, json={"detail": "nothing here"})
        elif self.denied:
            route.fulfill(status=self.denied, json={"detail": "denied"})
        else:
            self._answer(route, parts, {name: found[0] for name, found in parse_qs(url.query).items()})

    def _answer(self, route: Route, parts: list[str], query: dict[str, str]) -> None:
        if parts[-1] == "taskInstances":
            limit, offset = int(query["limit"]), int(query["offset"])
            found = [one for one in self.instances if parts[3] in {"~", one["dag_id"]}]
            found = [one for one in found if parts[5] in {"~", one["dag_run_id"]}]
            page = found[offset : offset + limit]
            route.fulfill(json={"task_instances": page, "total_entries": len(found)})
        elif parts[-2] == "xcomEntries":
            value = self.values.get((parts[5], parts[7]))
            route.fulfill(json={"key": parts[-1], "value": value})
        elif parts[-1] == "state-store":
            record = self.records.get((parts[5], parts[7]))
            entries = [{"key": "orvideo_job", "value": record}] if record else []
            route.fulfill(json={"task_state_store": entries, "total_entries": len(entries)})
        else:
            route.fulfill(status=404, json={"detail": "not found"})


def manifest(job_id: str, cost: float | None, at: datetime, **more: object) -> dict[str, Any]:
    """Return a job manifest."""
    return {
        "schema_version": 1,
        "job_id": job_id,
        "status": "completed",
        "model": MODELS[0],
        "cost_usd": cost,
        "total_cost_usd": cost,
        "outputs": 1,
        "submitted_at": at.isoformat(),
        "completed_at": at.isoformat(),
        "request": {"prompt": f"film {job_id}"},
        **more,
    }


def landed_file() -> dict[str, Any]:
    """Return one file of a landed manifest."""
    return {
        "uri": "s3://conn@bucket/film.mp4",
        "index": 0,
        "bytes": 1000,
        "sha256": "0" * 64,
        "content_type": "video/mp4",
        "duration_s": 4.0,
        "poster_uri": "s3://conn@bucket/film.jpg",
    }


def _poster() -> bytes:
    image = pytest.importorskip("PIL.Image")
    held = io.BytesIO()
    image.new("RGB", (320, 180), (40, 90, 140)).save(held, "JPEG")
    return held.getvalue()


POSTER: Final = _poster()


@pytest.fixture
def library() -> Library:
    """An API with nothing in it."""
    return Library()


@pytest.fixture
def gallery(visit: Visit, library: Library) -> Iterator[Callable[..., Visitor]]:
    """Open the gallery of `library`."""
    with visit() as visitor:
        visitor.page.route(f"{ORIGIN}/**", library.serve)

        def open_gallery(query: str = "", wait: str = ".card, .notice") -> Visitor:
            visitor.page.goto(f"{ORIGIN}/orvideo/pages/gallery{query}")
            visitor.page.locator(wait).first.wait_for()
            return visitor

        yield open_gallery


def calls(page: Page) -> dict[str, int]:
    """Return how many calls of the API the page has made, by kind."""
    counted: dict[str, int] = json.loads(page.locator("html").get_attribute("data-calls") or "{}")
    return counted


def wait_until_counted(page: Page) -> None:
    """Wait until every value that the gallery reads by itself is there."""
    page.locator(".tiles[data-complete=true]").wait_for()


def tile(page: Page, name: str) -> str:
    """Return what a tile of the summary says."""
    text: str = page.locator(".tile", has_text=name).locator("dd").inner_text()
    return text


# ── A thousand videos ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def thousand(library: Library) -> Library:
    """A thousand landed videos, newest first."""
    for number in range(1000):
        at = START - timedelta(minutes=30 * number)
        library.land(f"run-{number}", f"job-{number}", 0.25, at=at, model=MODELS[number % 3])
    return library


@pytest.mark.usefixtures("thousand")
def test_a_thousand_videos_are_painted_within_two_seconds(gallery: Callable[..., Visitor]) -> None:
    page = gallery().page
    painted = int(page.locator("html").get_attribute("data-painted") or "0")
    assert 0 < painted < 2000
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert first < 2000


@pytest.mark.usefixtures("thousand")
def test_a_thousand_videos_cost_a_bounded_number_of_calls(gallery: Callable[..., Visitor]) -> None:
    visitor = gallery()
    page = visitor.page
    page.locator(".hint", has_text="not loaded yet").wait_for(timeout=30_000)
    page.wait_for_load_state("networkidle")
    counted = calls(page)
    near = page.locator(".card").count()
    assert counted["list"] == 10  # pages of 100
    assert counted["settings"] == 1
    assert 300 <= counted["value"] <= 360  # so many unasked, and those that were near the window
    assert counted["total"] == sum(number for kind, number in counted.items() if kind != "total")
    assert counted["total"] == len(visitor.asked("api/")) - len(visitor.asked("api/poster"))
    assert len(visitor.asked("api/poster")) <= near
    assert "at least" in tile(page, "Total spend")
    assert not visitor.errors


@pytest.mark.usefixtures("thousand")
def test_all_of_a_thousand_are_counted_when_asked(gallery: Callable[..., Visitor]) -> None:
    page = gallery().page
    page.get_by_role("button", name="Count all").click(timeout=30_000)
    page.locator(".tiles[data-complete=true]").wait_for(timeout=60_000)
    assert tile(page, "Total spend") == "$250.00"
    assert calls(page)["value"] == 1000


@pytest.mark.usefixtures("thousand")
def test_only_cards_near_the_window_exist(gallery: Callable[..., Visitor]) -> None:
    page = gallery().page
    assert page.locator(".status").inner_text().startswith("100") or page.locator(".card").count() < 60
    page.locator(".status", has_text="1,000 videos").wait_for()
    assert page.locator(".card").count() < 60
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.locator(".card[aria-posinset='1000']").wait_for()
    assert page.locator(".card").count() < 60
    assert page.locator(".card[aria-posinset='1']").count() == 0


# ── What is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_counts_once_however_many_tasks_tell_of_it(gallery: Callable[..., Visitor], library: Library) -> None:
    library.add("run", "submit", "OrVideoSubmitOperator", "success")
    library.values["run", "submit"] = manifest("job-1", 0.5, START)
    library.land("run", "job-1", 0.5)
    library.land("run", "job-1", 0.5, task_id="download_again")
    library.land("run", "job-2", 0.25, task_id="download_other")
    page = gallery().page
    wait_until_counted(page)
    assert tile(page, "Total spend") == "$0.75"
    assert tile(page, "Jobs counted") == "2"
    assert page.locator(".card").count() == 3  # the order is shown by what it landed as


def test_an_unknown_cost_is_never_zero(gallery: Callable[..., Visitor], library: Library) -> None:
    library.land("run", "job-1", None)
    page = gallery().page
    wait_until_counted(page)
    assert tile(page, "Total spend") == "unknown"
    assert "$0" not in page.locator("main").inner_text()
    assert page.locator(".cost").inner_text() == "cost unknown"


def test_money_of_a_failed_order_counts(gallery: Callable[..., Visitor], library: Library) -> None:
    library.add("run", "submit", "OrVideoSubmitOperator", "failed")
    library.records["run", "submit"] = {
        "phase": "terminal",
        "job_id": "job-2",
        "status": "failed",
        "cost_usd": 0.1,
        "past": [{"job_id": "job-1", "cost_usd": 0.3}],
    }
    page = gallery().page
    wait_until_counted(page)
    assert tile(page, "Total spend") == "$0.40"
    assert page.locator(".card .badge").inner_text() == "Failed"


def test_filters_and_order_narrow_what_is_shown(gallery: Callable[..., Visitor], library: Library) -> None:
    for number, cost in enumerate((0.2, 0.9, None, 0.4)):
        at = START + timedelta(days=number)
        library.land(f"run-{number}", f"job-{number}", cost, at=at, model=MODELS[number % 2])
    library.add("run-9", "submit", "OrVideoSubmitOperator", "deferred", rendered_fields={"prompt": "still going"})
    page = gallery().page
    wait_until_counted(page)
    first = page.locator(".card[aria-posinset='1'] .prompt")
    page.get_by_label("Sort by").select_option("dearest")
    first.filter(has_text="film job-1").wait_for()
    page.get_by_label("Sort by").select_option("cheapest")
    first.filter(has_text="film job-0").wait_for()
    page.get_by_label("Model", exact=True).select_option(MODELS[1])
    page.locator(".status", has_text="2 videos of 5").wait_for()
    page.get_by_label("Model", exact=True).select_option("")
    page.get_by_label("State").select_option("waiting")
    page.locator(".status", has_text="1 video of 5").wait_for()
    assert page.locator(".card .prompt").all_inner_texts() == ["still going"]
    page.get_by_label("State").select_option("running")
    page.get_by_role("button", name="Clear filters").click()
    page.locator(".status", has_text="5 videos").wait_for()


def test_dates_and_dag_are_asked_of_the_api(gallery: Callable[..., Visitor], library: Library) -> None:
    library.land("run", "job-1", 0.5)
    visitor = gallery()
    visitor.page.get_by_label("From").fill("2026-11-01")
    visitor.page.get_by_label("To", exact=True).fill("2026-11-02")
    visitor.page.get_by_label("DAG").select_option("films")
    visitor.page.wait_for_load_state("networkidle")
    last = parse_qs(urlsplit(visitor.asked("taskInstances?")[-1]).query)
    assert last["run_after_gte"] == ["2026-11-01T00:00:00Z"]
    assert last["run_after_lt"] == ["2026-11-03T00:00:00.000Z"]
    assert visitor.asked("api/v2/dags/films/")


def test_text_of_the_api_is_never_markup(gallery: Callable[..., Visitor], library: Library) -> None:
    library.land("run", "job-1", 0.5, request={"prompt": "<img src=x onerror=alert(1)><b>bold</b>"}, model="<i>m</i>")
    visitor = gallery()
    wait_until_counted(visitor.page)
    assert visitor.page.locator(".card .prompt").inner_text().startswith("<img src=x")
    assert visitor.page.locator(".card b:not(.cost), .card i").count() == 0
    assert not visitor.errors


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [1, 2],
        {"job_id": 7},
        {"job_id": "job-1", "files": "none", "cost_usd": "free", "request": 3, "submitted_at": {}},
        {"job_id": "job-1", "files": [None, 3, {"uri": ["x"], "index": "a", "unexpected": 5, "poster_uri": {}}]},
    ],
)
def test_a_value_that_is_no_manifest_is_a_card_without_a_cost(
    gallery: Callable[..., Visitor], library: Library, value: object
) -> None:
    library.add("run", "download", "OrVideoDownloadOperator", "success")
    library.values["run", "download"] = value
    visitor = gallery()
    wait_until_counted(visitor.page)
    assert visitor.page.locator(".cost").inner_text() == "cost unknown"
    assert not [error for error in visitor.errors if "404" not in error]


def test_nothing_there_and_no_right_are_told_apart(gallery: Callable[..., Visitor], library: Library) -> None:
    page = gallery(wait=".notice").page
    assert page.locator(".notice.empty h2").inner_text() == "No videos yet"
    library.denied = 403
    page.get_by_role("button", name="Refresh").click()
    assert page.get_by_role("alert").locator("h2").inner_text() == "No access"


def test_a_preview_that_is_off_says_how_to_switch_it_on(gallery: Callable[..., Visitor], library: Library) -> None:
    library.settings = {"preview": False, "version": "0", "how_to_enable": "Set [orvideo] preview_allowed_prefixes."}
    library.land("run", "job-1", 0.5)
    visitor = gallery(wait=".notice.off")
    wait_until_counted(visitor.page)
    assert "[orvideo] preview_allowed_prefixes" in visitor.page.locator(".notice.off").inner_text()
    assert not visitor.asked("api/poster")
    assert not visitor.asked("api/preview")


def test_the_gallery_is_walked_with_the_keyboard(gallery: Callable[..., Visitor], library: Library) -> None:
    for number in range(40):
        library.land(f"run-{number:02}", f"job-{number}", 0.5, at=START - timedelta(hours=number))
    page = gallery().page
    page.locator(".status", has_text="40 videos").wait_for()
    page.locator(".card a").first.focus()
    for _ in range(30):
        page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.closest('.card').getAttribute('aria-posinset')")
    assert focused == "31"


@pytest.mark.parametrize("width", [320, 600, 1280])
def test_nothing_is_wider_than_the_window(gallery: Callable[..., Visitor], library: Library, width: int) -> None:
    for number in range(6):
        prompt = "unbreakable" * 30
        library.land(
            f"run-{number}", f"job-{number}", 0.5, at=START - timedelta(days=number), request={"prompt": prompt}
        )
    page = gallery().page
    page.set_viewport_size({"width": width, "height": 700})
    wait_until_counted(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width

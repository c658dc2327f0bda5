"""``make screenshots``: every page of the plugin, shown by real Airflow processes, as pictures in ``docs/images``.

Needs Playwright for Python and a Chromium (``ORVIDEO_CHROMIUM``, by default ``/usr/bin/chromium``). The videos come
from the simulator. Their times are moved into the past through the public API, so that the chart has several days.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import httpx
from local_airflow import HOST, REPOSITORY, LocalAirflow, LocalSimulator, connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext, Page, ViewportSize

IMAGES: Final = REPOSITORY / "docs" / "images"
CHROMIUM: Final = os.environ.get("ORVIDEO_CHROMIUM", "/usr/bin/chromium")
#: Nothing that a browser does by itself, and no GPU.
CHROMIUM_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
BUCKET: Final = "films"
FOLDER: Final = f"s3://aws_default@{BUCKET}/videos/"
WIDE: Final[ViewportSize] = {"width": 1280, "height": 860}
NARROW: Final[ViewportSize] = {"width": 390, "height": 844}

DAGS: Final = """
from airflow.sdk import DAG, Asset

from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

WAIT = {"deferrable": True, "poll_interval": 1}
FOLDER = "{{ var.value.orvideo_destination }}{dag_id}/"
FILMS = [
    {"model": "google/veo-3.1-lite", "prompt": "A paper boat sails down a rainy street at dusk, seen from the kerb"},
    {"model": "x-ai/grok-imagine-video", "prompt": "A red bicycle leans on a sunlit wall, slow dolly in"},
    {"model": "google/veo-3.1-fast", "prompt": "Steam rises from a cup of coffee in morning light"},
]

with DAG("product_films", schedule=None):
    videos = OrVideoSubmitOperator.partial(
        task_id="submit", duration=4, resolution="720p", aspect_ratio="16:9", **WAIT
    ).expand_kwargs(FILMS)
    OrVideoDownloadOperator.partial(
        task_id="download", destination=FOLDER, poster=True, outlets=[Asset("product_films")]
    ).expand(job=videos.output)

with DAG("weekly_teaser", schedule=None):
    teaser = OrVideoSubmitOperator(
        task_id="submit",
        model="google/veo-3.1",
        prompt="{{ dag_run.conf['prompt'] }}",
        duration=4,
        resolution="720p",
        aspect_ratio="16:9",
        generate_audio=True,
        **WAIT,
    )
    OrVideoDownloadOperator(task_id="download", job=teaser.output, destination=FOLDER, poster=True)
"""
FAULTS: Final[list[dict[str, Any]]] = [
    {"match": {"operation": "createVideos", "prompt_contains": "lighthouse"}, "job": {"seconds": "manual"}},
    {"match": {"operation": "createVideos", "prompt_contains": "harbour"}, "job": {"outputs": 2}},
    {
        "match": {"operation": "createVideos", "prompt_contains": "celebrity"},
        "job": {"outcome": "failed", "error": "The prompt was refused by the provider's moderation"},
    },
]
#: Prompt of each run of the teaser, by name.
TEASERS: Final = {
    "done": "A drone rises over a harbour at sunrise, two takes",
    "refused": "A celebrity endorses our product",
    "waiting": "A lighthouse in a storm, waves crash against the rocks",
}
#: How many days ago each run of the films seems to have been.
FILM_DAYS: Final = (4, 2, 0)


class Scene:
    """Airflow with videos in it.

    Attributes:
        airflow: the processes.
        runs: run ids by name: one of `TEASERS`, or ``films-<days ago>``.
    """

    def __init__(self, airflow: LocalAirflow) -> None:
        self.airflow = airflow
        self.runs: dict[str, str] = {}

    def play(self) -> None:
        """Run the DAGs until everything is where it should be."""
        airflow = self.airflow
        for dag_id in ("product_films", "weekly_teaser"):
            airflow.wait_for_dag(dag_id)
        for days in FILM_DAYS:
            self.runs[f"films-{days}"] = self._trigger("product_films", days)
        for name, prompt in TEASERS.items():
            self.runs[name] = self._trigger("weekly_teaser", 0, prompt=prompt)
        for days in FILM_DAYS:
            run_id = self.runs[f"films-{days}"]
            expect(airflow.wait_for_run("product_films", run_id, timeout=600), "success")
            for task_id in ("submit", "download"):
                for index in range(3):
                    self._move("product_films", run_id, task_id, index, days)
        expect(airflow.wait_for_run("weekly_teaser", self.runs["done"], timeout=600), "success")
        expect(airflow.wait_for_run("weekly_teaser", self.runs["refused"], timeout=600), "failed")
        airflow.wait_for_task("weekly_teaser", self.runs["waiting"], "submit", "deferred", timeout=300)

    def _trigger(self, dag_id: str, days: int, **conf: str) -> str:
        after = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        body = {"logical_date": None, "run_after": after, "conf": conf}
        run_id: str = self.airflow.api("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        return run_id

    def _move(self, dag_id: str, run_id: str, task_id: str, index: int, days: int) -> None:
        """Let a manifest say that it all happened some days ago."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/xcomEntries/return_value"
        value = self.airflow.api("GET", f"{path}?map_index={index}&deserialize=true")["value"]
        for name in ("submitted_at", "completed_at", "landed_at"):
            if value.get(name):
                value[name] = (datetime.fromisoformat(value[name]) - timedelta(days=days)).isoformat()
        self.airflow.api("PATCH", path, json={"value": value, "map_index": index})

    def page(self, name: str, **query: str) -> str:
        """Return the address of one of the plugin's own pages."""
        return f"{self.airflow.url}/orvideo/pages/{name}?{urlencode(query)}"

    def video(self, dag_id: str, run: str, task_id: str, index: int = -1) -> str:
        """Return the address of a task instance's video page."""
        return self.page("video", dag_id=dag_id, run_id=self.runs[run], task_id=task_id, map_index=str(index))


def expect(state: str, wanted: str) -> None:
    """Stop where a run did not end as it should."""
    if state != wanted:
        raise RuntimeError(f"a run ended as {state}, not as {wanted}")


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """Start an S3 on this machine with one bucket, and yield the variable that makes ``aws_default`` point to it."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - heavy

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(HOST, 0, verbose=False)
    server.start()
    try:
        endpoint = f"http://{HOST}:{server.get_host_and_port()[1]}"
        httpx.put(f"{endpoint}/{BUCKET}").raise_for_status()
        value = {
            "conn_type": "aws",
            "login": "testing",
            "password": "testing-secret-key",
            "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"},
        }
        yield {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(value)}
    finally:
        server.stop()


@contextmanager
def scene(home: Path) -> Iterator[Scene]:
    """Start everything in an empty folder, and stop it at the end of the block."""
    dags = home / "dags"
    dags.mkdir(parents=True)
    (dags / "films.py").write_text(DAGS)
    with LocalSimulator(home / "simulator").running() as simulator, bucket() as store:
        simulator.post("/faults", FAULTS)
        environment = {
            **connection(simulator.base_url),
            **store,
            "AIRFLOW_VAR_ORVIDEO_DESTINATION": FOLDER,
            "AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES": FOLDER,
        }
        airflow = LocalAirflow(home / "airflow", dags, environment)
        with airflow.running():
            shown = Scene(airflow)
            shown.play()
            yield shown


@contextmanager
def browser(mode: str, viewport: ViewportSize) -> Iterator[BrowserContext]:
    """Start a Chromium with a profile of its own, in Airflow's light or dark mode."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not part of the pinned environment

    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, args=list(CHROMIUM_FLAGS), viewport=viewport
        )
        context.add_init_script(f"localStorage.setItem('theme', '{mode}')")
        yield context
        context.close()


def shoot(page: Page, url: str, name: str, *, ready: str, frame: bool = False, full: bool = False) -> None:
    """Open a page, wait until something is there, and take its picture.

    Args:
        page: of the browser.
        url: to open.
        name: of the picture.
        ready: selector of what must be there, in the plugin's page.
        frame: whether the plugin's page is in a frame of Airflow's.
        full: whether the picture is as long as the page.
    """
    page.goto(url)
    (page.frame_locator("iframe") if frame else page).locator(ready).first.wait_for(timeout=60_000)
    # Pictures in the pages come after their text.
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)
    IMAGES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=IMAGES / f"{name}.png", full_page=full)
    print(f"docs/images/{name}.png")


def shoot_all(shown: Scene) -> None:
    """Take the pictures that the documentation shows."""
    url = shown.airflow.url
    run_id = quote(shown.runs["films-0"], safe="")
    counted = ".tiles[data-complete=true]"
    for mode in ("light", "dark"):
        with browser(mode, WIDE) as context:
            page = context.new_page()
            shoot(page, f"{url}/plugin/orvideo-videos", f"gallery-{mode}", ready=counted, frame=True)
            shoot(
                page,
                f"{url}/dags/product_films/runs/{run_id}/plugin/orvideo-run-videos",
                f"run-{mode}",
                ready=counted,
                frame=True,
            )
            shoot(
                page, shown.video("product_films", "films-0", "download", 0), f"video-{mode}", ready="video", full=True
            )
            shoot(page, shown.video("weekly_teaser", "waiting", "submit"), f"waiting-{mode}", ready=".told", full=True)
    with browser("light", WIDE) as context:
        page = context.new_page()
        shoot(page, shown.video("weekly_teaser", "done", "submit"), "outputs", ready=".output", full=True)
        shoot(page, shown.video("weekly_teaser", "refused", "submit"), "failed", ready=".told", full=True)
    with browser("light", NARROW) as context:
        page = context.new_page()
        shoot(page, shown.page("gallery"), "gallery-narrow", ready=counted)
        shoot(page, shown.video("product_films", "films-0", "download", 1), "video-narrow", ready="video")


def switch_preview_off(shown: Scene) -> None:
    """Start the API server anew without any prefix that the preview may read."""
    airflow = shown.airflow
    airflow.stop("api-server")
    left_out = "AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES"
    airflow.environment = {name: value for name, value in airflow.environment.items() if name != left_out}
    airflow.start("api-server")
    airflow.wait_healthy()


def main() -> int:
    """Take all pictures; the exit code is 1 where no browser is there."""
    if not Path(CHROMIUM).exists():
        print(f"No Chromium at {CHROMIUM}; name one in ORVIDEO_CHROMIUM.", file=sys.stderr)
        return 1
    home = Path(tempfile.mkdtemp(prefix="orvideo-screenshots-"))
    try:
        with scene(home) as shown:
            shoot_all(shown)
            switch_preview_off(shown)
            with browser("light", WIDE) as context:
                page = context.new_page()
                shoot(page, shown.page("gallery"), "gallery-preview-off", ready=".notice.off")
                off = shown.video("product_films", "films-0", "download", 0)
                shoot(page, off, "video-preview-off", ready=".notice.off")
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

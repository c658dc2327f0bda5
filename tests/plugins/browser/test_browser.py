"""The pages in a real browser against real Airflow processes: play, seek, filter, dark mode, and who sees what."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import FrameLocator, Locator, Page

    from tests.plugins.browser.conftest import Visit
    from tests.plugins.deployment import UiDeployment

pytestmark = pytest.mark.e2e

#: A video that plays moves on by at least so many seconds.
MOVED = 0.3


def run_page(deployment: UiDeployment, name: str = "landed") -> str:
    """Return the address of Airflow's own page of a run."""
    dag_id, run_id = deployment.runs[name]
    return f"{deployment.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def video_page(deployment: UiDeployment, name: str, task_id: str, map_index: int = -1) -> str:
    """Return the address of a task instance's video page."""
    dag_id, run_id = deployment.runs[name]
    query = urlencode({"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index})
    return f"{deployment.url}/orvideo/pages/video?{query}"


def gallery_page(deployment: UiDeployment, name: str | None = None) -> str:
    """Return the address of the gallery, of one run or of everything."""
    query = "?" + urlencode(dict(zip(("dag_id", "run_id"), deployment.runs[name], strict=True))) if name else ""
    return f"{deployment.url}/orvideo/pages/gallery{query}"


def plays(video: Locator) -> bool:
    """Wait until a video has moved on, and say whether frames were shown."""
    for _ in range(300):
        # Looked up each time: a page that hears more of its job may have made another player.
        if video.evaluate(f"video => video.currentTime >= {MOVED} && video.videoWidth > 0"):
            return True
        video.page.wait_for_timeout(100)
    return False


def test_two_clicks_lead_from_the_run_to_the_playing_video(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(run_page(ui_deployment))
        page.get_by_role("link", name="Videos", exact=True).last.click()
        frame: FrameLocator = page.frame_locator("iframe")
        frame.locator(".card a").first.click()
        video = frame.locator(".stage video")
        video.wait_for()
        assert plays(video)
        assert not visitor.errors


@pytest.mark.parametrize("map_index", [0, 1, 2])
def test_each_mapped_index_has_its_video(visit: Visit, ui_deployment: UiDeployment, map_index: int) -> None:
    manifest = ui_deployment.manifest(map_index)
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(video_page(ui_deployment, "landed", "download", map_index))
        video = page.locator(".stage video")
        video.evaluate("(video) => { video.muted = true; return video.play(); }")
        assert plays(video)
        text = page.locator("main").inner_text()
        file = manifest["files"][0]
        for shown in (
            file["uri"],
            file["sha256"],
            manifest["request"]["prompt"],
            manifest["job_id"],
            manifest["model"],
        ):
            assert shown in text
        assert not visitor.errors


def test_seeking_works_by_range(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        answers: list[int] = []
        page.on("response", lambda answer: answers.append(answer.status) if "/api/preview/" in answer.url else None)
        page.goto(video_page(ui_deployment, "landed", "download", 0))
        video = page.locator(".stage video")
        at = video.evaluate(
            """async (video) => {
                const event = (name) => new Promise((resolve) => video.addEventListener(name, resolve));
                if (video.readyState < 1) await event("loadedmetadata");
                const seeked = event("seeked");
                video.currentTime = video.duration - 1;
                await seeked;
                return [video.currentTime, video.duration, video.seekable.length && video.seekable.end(0)];
            }"""
        )
        assert at[0] == pytest.approx(at[1] - 1, abs=0.2)
        assert at[2] == pytest.approx(at[1], abs=0.1)
        assert answers
        assert set(answers) == {206}


def test_a_submit_task_shows_the_video_that_was_landed_for_it(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(video_page(ui_deployment, "landed", "submit", 1))
        page.locator(".stage video").wait_for()
        assert ui_deployment.manifest(1)["files"][0]["sha256"] in page.locator("main").inner_text()


def test_the_mapped_index_is_switched_on_the_page(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(video_page(ui_deployment, "landed", "download", 0))
        page.get_by_role("link", name="Next index").click()
        page.locator("h1", has_text="download [1]").wait_for()
        page.get_by_role("combobox", name="Mapped index").select_option("2")
        page.locator("h1", has_text="download [2]").wait_for()


def test_the_runs_gallery_shows_the_sum_of_the_manifests(visit: Visit, ui_deployment: UiDeployment) -> None:
    costs = sum(ui_deployment.manifest(index)["cost_usd"] for index in range(3))
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(gallery_page(ui_deployment, "landed"))
        page.locator(".tiles[data-complete=true]").wait_for()
        assert float(page.locator(".tiles").get_attribute("data-usd") or "") == pytest.approx(costs, abs=1e-9)
        assert page.locator(".card").count() == 3
        assert not visitor.errors


def test_a_thumbnail_plays_while_the_pointer_is_on_it(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(gallery_page(ui_deployment, "landed"))
        page.locator("img.still").first.wait_for()
        page.locator(".card").first.hover()
        film = page.locator("video.film")
        film.wait_for()
        assert plays(film)
        page.locator("h1").hover()
        film.wait_for(state="detached")


def test_the_gallery_of_all_dags_is_filtered(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(gallery_page(ui_deployment))
        page.locator(".status", has_text="4 videos").wait_for()
        page.get_by_label("State").select_option("waiting")
        page.locator(".status", has_text="1 video of 4").wait_for()
        assert page.locator(".card .prompt").inner_text() == "a held boat"
        page.get_by_label("State").select_option("")
        page.get_by_label("DAG").select_option("films")
        page.locator(".status", has_text="3 videos").wait_for()
        page.get_by_label("To", exact=True).fill("2020-01-01")
        page.locator(".notice.empty").wait_for()


def test_a_waiting_task_is_shown_and_followed(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(video_page(ui_deployment, "waiting", "submit"))
        page.locator(".told", has_text="holds no worker").wait_for()
        text = page.locator("main").inner_text()
        assert "a held boat" in text
        assert "Deferred" in text
        assert "Elapsed" in text
        before = len(visitor.asked("/taskInstances/submit"))
        page.wait_for_event("request", lambda request: request.url.endswith("/taskInstances/submit"), timeout=15_000)
        assert len(visitor.asked("/taskInstances/submit")) > before
        assert not visitor.errors


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_follow_airflows_colour_mode(visit: Visit, ui_deployment: UiDeployment, theme: str) -> None:
    other = "light" if theme == "dark" else "dark"
    with visit(user="viewer", deployment=ui_deployment, theme=theme) as visitor:
        page: Page = visitor.page
        page.goto(f"{run_page(ui_deployment)}/plugin/orvideo-run-videos")
        inside = page.frame_locator("iframe").locator(f"html.{theme}")
        inside.wait_for(state="attached")
        outside = page.locator("html").evaluate("(html) => getComputedStyle(html).backgroundColor")
        assert inside.evaluate("(html) => getComputedStyle(html).backgroundColor") == outside
        # As Airflow does when the person changes it: the page around gets another class.
        page.evaluate(f"document.documentElement.classList.replace('{theme}', '{other}')")
        page.frame_locator("iframe").locator(f"html.{other}").wait_for(state="attached")


def test_links_lead_out_of_airflows_frame(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(user="viewer", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(f"{run_page(ui_deployment)}/plugin/orvideo-run-videos")
        frame = page.frame_locator("iframe")
        frame.locator(".card a").first.click()
        frame.get_by_role("link", name="Log").click()
        page.wait_for_url("**/tasks/download/mapped/*")


def test_a_person_without_access_sees_nothing(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(user="outsider", deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        for address in (
            gallery_page(ui_deployment),
            gallery_page(ui_deployment, "landed"),
            video_page(ui_deployment, "landed", "download", 0),
        ):
            page.goto(address)
            page.locator(".notice").first.wait_for()
            assert page.locator(".card, video, .tile b").count() == 0
            text = page.locator("body").inner_text()
            assert "a boat" not in text
            assert ui_deployment.manifest(0)["job_id"] not in text


def test_who_is_not_logged_in_is_sent_to_the_login(visit: Visit, ui_deployment: UiDeployment) -> None:
    with visit(deployment=ui_deployment) as visitor:
        page: Page = visitor.page
        page.goto(gallery_page(ui_deployment))
        page.wait_for_url("**/auth/login**")

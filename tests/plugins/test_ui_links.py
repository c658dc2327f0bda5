"""From a task instance to its video's page, on a real Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

if TYPE_CHECKING:
    from tests.plugins.deployment import UiDeployment

pytestmark = pytest.mark.e2e


def links(deployment: UiDeployment, name: str, task_id: str, map_index: int) -> dict[str, Any]:
    """Read the links of a task instance as the UI does."""
    dag_id, run_id = deployment.runs[name]
    place = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/links?map_index={map_index}"
    found: dict[str, Any] = deployment.airflow.api("GET", place)["extra_links"]
    return found


@pytest.mark.parametrize("task_id", ["submit", "download"])
@pytest.mark.parametrize("map_index", [0, 1, 2])
def test_each_mapped_task_instance_leads_to_its_own_video(
    ui_deployment: UiDeployment, task_id: str, map_index: int
) -> None:
    found = links(ui_deployment, "landed", task_id, map_index)
    assert found["OpenRouter"] == "https://openrouter.ai/activity"
    dag_id, run_id = ui_deployment.runs["landed"]
    parts = urlsplit(found["Video"])
    assert parse_qs(parts.query) == {
        "dag_id": [dag_id],
        "run_id": [run_id],
        "task_id": [task_id],
        "map_index": [str(map_index)],
    }
    with ui_deployment.client("viewer") as client:
        page = client.get(found["Video"])
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_the_links_are_there_while_the_task_still_waits(ui_deployment: UiDeployment) -> None:
    dag_id, run_id = ui_deployment.runs["waiting"]
    assert ui_deployment.airflow.task(dag_id, run_id, "submit")["state"] == "deferred"
    found = links(ui_deployment, "waiting", "submit", -1)
    assert set(found) == {"Video", "OpenRouter"}
    assert found["Video"].startswith(f"/orvideo/pages/video?dag_id={dag_id}&run_id=")


def test_airflow_shows_the_gallery_in_its_navigation_and_on_runs(ui_deployment: UiDeployment) -> None:
    plugins = ui_deployment.airflow.api("GET", "/plugins")["plugins"]
    (plugin,) = (plugin for plugin in plugins if plugin["name"] == "orvideo")
    shown = {view["destination"]: view["href"].partition("?")[0] for view in plugin["external_views"]}
    assert shown["nav"] == shown["dag_run"] == "/orvideo/pages/gallery"
    assert ui_deployment.airflow.api("GET", "/plugins/importErrors")["import_errors"] == []

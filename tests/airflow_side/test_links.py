"""The links on a task instance's page."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_orvideo.links import OpenRouterLink, VideoLink
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
from airflow_provider_orvideo.sensors.job import OrVideoJobSensor

TASK = OrVideoDownloadOperator(task_id="download", job="gen-vid-1", destination="/videos/")


def video_link(run_id: str = "manual__1", map_index: int = -1) -> str:
    key = SimpleNamespace(dag_id="films", task_id="group.download", run_id=run_id, map_index=map_index, try_number=1)
    return VideoLink().get_link(TASK, ti_key=key)  # type: ignore[arg-type]  # only its fields count


def test_each_operator_has_its_links() -> None:
    submit = OrVideoSubmitOperator(task_id="submit", model="m")
    sensor = OrVideoJobSensor(task_id="wait", job="gen-vid-1")
    for task in (submit, TASK, sensor):
        assert [link.name for link in task.operator_extra_links] == ["Video", "OpenRouter"]


def test_the_openrouter_link_opens_the_activity_page() -> None:
    assert OpenRouterLink().get_link(TASK, ti_key=SimpleNamespace()) == "https://openrouter.ai/activity"  # type: ignore[arg-type]


@pytest.mark.parametrize("map_index", [-1, 0, 12])
@pytest.mark.parametrize("run_id", ["manual__1", "scheduled__2026-11-22T00:00:00+00:00", "a&b=c d/e?f#g%h"])
def test_the_video_link_names_the_task_instance_and_nothing_else(run_id: str, map_index: int) -> None:
    parts = urlsplit(video_link(run_id, map_index))
    assert (parts.scheme, parts.netloc, parts.path) == ("", "", "/orvideo/pages/video")
    assert parse_qs(parts.query, strict_parsing=True) == {
        "dag_id": ["films"],
        "run_id": [run_id],
        "task_id": ["group.download"],
        "map_index": [str(map_index)],
    }
    assert "+" not in parts.query, "not everybody reads it as a space"


@pytest.mark.parametrize(
    ("base_url", "start"),
    [
        ("", "/orvideo/"),
        ("http://localhost:8080", "/orvideo/"),
        ("https://airflow.example/", "/orvideo/"),
        ("https://airflow.example/team/films", "/team/films/orvideo/"),
        ("https://airflow.example/team/films/", "/team/films/orvideo/"),
    ],
)
def test_the_video_link_keeps_the_path_of_the_base_url(
    monkeypatch: pytest.MonkeyPatch, base_url: str, start: str
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    assert video_link().startswith(start)

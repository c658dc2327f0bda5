"""The links on a task instance's page."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from airflow.providers.common.compat.sdk import XCom

from airflow_provider_orvideo.links import OpenRouterLink, VideoLink
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

if TYPE_CHECKING:
    from collections.abc import Callable

TASK = OrVideoDownloadOperator(task_id="download", job="gen-vid-1", destination="/videos/")
KEY = SimpleNamespace(dag_id="films", task_id="download", run_id="manual__1", map_index=-1, try_number=1)


@pytest.fixture
def video_link(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], str]:
    """Compute the video's link for a task that returned this."""

    def call(returned: object) -> str:
        def get_value(*, ti_key: object, key: str) -> object:
            assert (ti_key, key) == (KEY, "return_value")
            return returned

        monkeypatch.setattr(XCom, "get_value", staticmethod(get_value))
        return VideoLink().get_link(TASK, ti_key=KEY)  # type: ignore[arg-type]  # only its fields count

    return call


def test_each_operator_has_its_links() -> None:
    submit = OrVideoSubmitOperator(task_id="submit", model="m")
    assert [link.name for link in submit.operator_extra_links] == ["OpenRouter"]
    assert [link.name for link in TASK.operator_extra_links] == ["Video", "OpenRouter"]


def test_the_openrouter_link_opens_the_activity_page() -> None:
    assert OpenRouterLink().get_link(TASK, ti_key=KEY) == "https://openrouter.ai/activity"  # type: ignore[arg-type]


@pytest.mark.parametrize("uri", ["https://films.example/a.mp4", "http://films.example/a.mp4"])
def test_a_video_at_a_web_address_is_linked(video_link: Callable[[object], str], uri: str) -> None:
    assert video_link({"files": [{"uri": uri}, {"uri": "https://films.example/b.mp4"}]}) == uri


@pytest.mark.parametrize(
    "returned",
    [
        None,
        "text",
        {},
        {"files": []},
        {"files": None},
        {"files": [{}]},
        {"files": [{"uri": "file:///videos/a.mp4"}]},
        {"files": [{"uri": "s3://aws_default@bucket/a.mp4"}]},
        {"files": [{"uri": "javascript:alert(1)"}]},
        {"files": [{"uri": "data:text/html,https://films.example"}]},
    ],
)
def test_whatever_a_browser_should_not_open_is_not_linked(
    video_link: Callable[[object], str], returned: object
) -> None:
    assert video_link(returned) == ""

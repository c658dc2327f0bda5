"""A sidecar vouches for the bytes beside it and for nothing else, and no paid output is passed over."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import httpx
import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.exceptions import (
    DestinationError,
    DownloadIncompleteError,
    LandingError,
    OutputUnavailableError,
)
from airflow_provider_orvideo.landing.land import land
from airflow_provider_orvideo.landing.naming import destination
from airflow_provider_orvideo.manifests import JobManifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.simulator import Simulator
    from tests.landing.conftest import Order, Spoil

    Where = Callable[[str, JobManifest], Destination]

LAND = "airflow_provider_orvideo.landing.land"


def mapped(text: str, job: JobManifest, index: int, *, run_id: str = "manual__1") -> Destination:
    """The destination of one mapped task instance."""
    identity = {"dag_id": "d", "run_id": run_id, "task_id": "t", "map_index": str(index)}
    return destination(text, {"job_id": job.job_id, **identity})


def test_an_answer_without_urls_does_not_lose_an_output(films: dict[str, bytes], tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/content"):
            asked.append(request.url.params["index"])
            return httpx.Response(200, content=films["index first"], headers={"Content-Type": "video/mp4"})
        return httpx.Response(200, json={"id": "j", "status": "completed"})

    config = ClientConfig(api_key="sk-or-test-1", base_url="http://127.0.0.1:1/api/v1")
    job = JobManifest(job_id="j", status="completed", outputs=2)
    with VideoClient(config, transport=httpx.MockTransport(answer)) as client:
        landed = land(client, job, destination(f"{tmp_path}/", {"job_id": "j"}))
    assert asked == ["0", "1"]
    assert (landed.outputs, len(landed.files)) == (2, 2)


def test_a_sidecar_of_other_bytes_is_gone_before_the_bytes_change(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = order(), order()
    video, sidecar = tmp_path / "latest.mp4", tmp_path / "latest.mp4.json"
    land(client, first, where(str(video), first))

    def refuse(_: bytes, uri: str) -> None:
        raise DestinationError(f"{uri} cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_orvideo.landing.sidecar.publish_bytes", refuse)
        with pytest.raises(DestinationError):
            land(client, second, where(str(video), second))
    assert not sidecar.exists()
    landed = land(client, first, where(str(video), first))
    assert json.loads(sidecar.read_text())["job_id"] == first.job_id
    assert landed.files[0].bytes == video.stat().st_size


def test_two_mapped_tasks_do_not_overwrite_each_other(client: VideoClient, order: Order, tmp_path: Path) -> None:
    first, second = order(), order()
    text = f"{tmp_path}/trailer.mp4"
    land(client, first, mapped(text, first, 0))
    before = (tmp_path / "trailer.mp4").read_bytes()
    with pytest.raises(DestinationError, match=r"map index 0 of this task.*\{map_index\}"):
        land(client, second, mapped(text, second, 1))
    assert (tmp_path / "trailer.mp4").read_bytes() == before
    assert json.loads((tmp_path / "trailer.mp4.json").read_text())["map_index"] == "0"


def test_a_later_run_replaces_the_file_of_an_earlier_one_and_says_so(
    client: VideoClient, order: Order, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = order(), order()
    text = f"{tmp_path}/trailer.mp4"
    land(client, first, mapped(text, first, 0))
    with caplog.at_level(logging.WARNING):
        land(client, second, mapped(text, second, 1, run_id="manual__2"))
    assert f"holds the video of another job, {first.job_id}; it is replaced" in caplog.text


@pytest.mark.parametrize("status", [401, 402, 403, 418, 429, 499, 500, 503])
@pytest.mark.parametrize("operation", ["getVideos", "listVideosContent"])
def test_whatever_the_api_answers_the_error_is_a_landings_and_names_the_job(
    sim: Simulator, order: Order, where: Where, tmp_path: Path, status: int, operation: str
) -> None:
    job = order()
    sim.add_fault({"match": {"operation": operation}, "respond": {"status": status}})
    config = ClientConfig(api_key="sk-or-test-1", base_url=sim.base_url, read_retry=NO_RETRY)
    with VideoClient(config) as client, pytest.raises(LandingError) as caught:
        land(client, job, where(f"{tmp_path}/", job))
    assert job.job_id in str(caught.value)
    assert "paid for" in str(caught.value)
    assert sim.posts == 1


def test_a_broken_download_is_tried_as_often_as_the_message_says(
    sim: Simulator, client: VideoClient, order: Order, where: Where, spoil: Spoil, tmp_path: Path
) -> None:
    job = order()
    spoil(drop={"when": "before"})
    with pytest.raises(DownloadIncompleteError, match="in 3 tries"):
        land(client, job, where(f"{tmp_path}/", job))
    assert sim.stats()["content_reads"] == 3


def test_a_store_that_hides_what_is_missing_can_be_landed_in(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(uri: str) -> bytes | None:
        raise DestinationError(f"{uri}: forbidden") from PermissionError("Forbidden")

    monkeypatch.setattr("airflow_provider_orvideo.landing.sidecar.read_bytes", forbidden)
    job = order()
    assert len(land(client, job, where(f"{tmp_path}/", job)).files) == 1


def test_a_job_that_is_gone_says_so(sim: Simulator, client: VideoClient, where: Where, tmp_path: Path) -> None:
    job = JobManifest(job_id="gen-vid-1-gone", status="completed", outputs=1)
    with pytest.raises(OutputUnavailableError, match="Check the job id"):
        land(client, job, where(f"{tmp_path}/", job))
    assert sim.posts == 0

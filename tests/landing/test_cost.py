"""What a landed video cost, where the job itself does not tell: asked for once, and never waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.manifests import JobManifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.manifests import LandedManifest

RECORD: dict[str, Any] = {"data": {"id": "g", "total_cost": 0.25}}


@pytest.fixture
def asked() -> list[str]:
    """How the accounting records were asked for."""
    return []


@pytest.fixture
def landed(
    films: dict[str, bytes],
    where: Callable[[str, JobManifest], Destination],
    tmp_path: Path,
    asked: list[str],
) -> Callable[..., LandedManifest]:
    """Land a job whose status tells ``usage``, with an accounting record that is answered so."""

    def run(
        record: httpx.Response, *, usage: dict[str, Any] | None = None, look_up_cost: bool = True
    ) -> LandedManifest:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/content"):
                return httpx.Response(200, content=films["index first"], headers={"Content-Type": "video/mp4"})
            if request.url.path.endswith("/generation"):
                asked.append(request.url.params["id"])
                return record
            job = {"id": "j", "status": "completed", "generation_id": "g", "unsigned_urls": ["u"], "usage": usage}
            return httpx.Response(200, json=job)

        config = ClientConfig(api_key="sk-or-test-1", base_url="http://127.0.0.1:9/api/v1")
        job = JobManifest(job_id="j", status="completed", outputs=1)
        with VideoClient(config, transport=httpx.MockTransport(answer)) as client:
            options = LandingOptions(look_up_cost=look_up_cost)
            return land(client, job, where(f"{tmp_path}/", job), options)

    return run


def test_a_cost_that_the_job_does_not_tell_comes_from_its_record(
    landed: Callable[..., LandedManifest], asked: list[str]
) -> None:
    assert landed(httpx.Response(200, json=RECORD)).cost_usd == 0.25
    assert asked == ["g"]


@pytest.mark.parametrize(
    "record",
    [
        httpx.Response(404, json={"error": {"code": 404, "message": "Generation g not found"}}),
        httpx.Response(503, headers={"Retry-After": "60"}),
        httpx.Response(200, json={"data": {"id": "g", "total_cost": None}}),
        httpx.Response(200, text="<html>"),
    ],
    ids=["not there yet", "busy", "no cost", "no JSON"],
)
def test_a_record_that_is_not_there_is_asked_for_once_and_the_cost_stays_unknown(
    landed: Callable[..., LandedManifest], asked: list[str], record: httpx.Response
) -> None:
    manifest = landed(record)
    assert manifest.cost_usd is None
    assert len(manifest.files) == 1
    assert asked == ["g"]


def test_a_cost_that_is_known_is_not_looked_up(landed: Callable[..., LandedManifest], asked: list[str]) -> None:
    assert landed(httpx.Response(200, json=RECORD), usage={"cost": 0.0}).cost_usd == 0.0
    assert asked == []


def test_nothing_is_looked_up_unless_asked_for(landed: Callable[..., LandedManifest], asked: list[str]) -> None:
    assert landed(httpx.Response(200, json=RECORD), look_up_cost=False).cost_usd is None
    assert asked == []

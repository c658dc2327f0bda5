"""The download operator over real HTTP into a folder: which job, which file names, which connection, which link."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.exceptions import DestinationError, OrVideoError, OutputUnavailableError
from airflow_provider_orvideo.manifests import JobManifest, LandedManifest
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator, job_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Context, Execute, MakeSubmit, Simulate

    Download = Callable[..., dict[str, Any]]


@pytest.fixture
def manifest(sim: Simulator, make_submit: MakeSubmit, execute: Execute) -> dict[str, Any]:
    """What the submit task of a completed video returned."""
    result: dict[str, Any] = execute(make_submit())
    assert sim.posts == 1
    return result


@pytest.fixture
def download(context: Context, execute: Execute, tmp_path: Path) -> Download:
    """Run a download task, its templates rendered, into a folder that is empty unless told otherwise."""

    def call(job: object, destination: str | None = None, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        where = f"{tmp_path}/" if destination is None else destination
        operator = OrVideoDownloadOperator(task_id="download", job=job, destination=where, **arguments)  # type: ignore[arg-type]
        operator.render_template_fields(context)  # type: ignore[arg-type]  # a plain dict will do
        result: dict[str, Any] = execute(operator)
        return result

    return call


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ── Which job ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_manifest_of_the_submit_task_lands_its_video(
    sim: Simulator, manifest: dict[str, Any], download: Download, tmp_path: Path
) -> None:
    landed = download(manifest)
    assert LandedManifest.model_validate(landed).to_json() == landed
    assert {name: landed[name] for name in manifest} == manifest
    (file,) = landed["files"]
    path = tmp_path / f"{manifest['job_id']}-0.mp4"
    assert file["uri"] == f"file://{path}"
    data = path.read_bytes()
    assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert (file["content_type"], file["duration_s"]) == ("video/mp4", 1.0)
    assert names(tmp_path) == [f"{manifest['job_id']}-0.mp4", f"{manifest['job_id']}-0.mp4.json"]
    assert sim.posts == 1


@pytest.mark.parametrize(
    "written",
    {
        "JSON": json.dumps,
        "JSON with white space around": lambda job: f"\n {json.dumps(job)} \n",
        "as Python prints it": repr,
        "only the id": lambda job: job["job_id"],
        "the id with white space around": lambda job: f" {job['job_id']}\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_job_that_a_template_rendered_to_text_is_understood(
    manifest: dict[str, Any], download: Download, written: tuple[str, Callable[[dict[str, Any]], str]], context: Context
) -> None:
    context["job"] = written[1](manifest)
    landed = download("{{ job }}")
    assert landed["job_id"] == manifest["job_id"]
    assert landed["cost_usd"] == manifest["cost_usd"]
    assert len(landed["files"]) == 1


def test_the_rendered_text_of_a_manifest_keeps_all_that_it_says(manifest: dict[str, Any]) -> None:
    whole = JobManifest.model_validate(manifest)
    assert job_manifest(json.dumps(manifest)) == job_manifest(repr(manifest)) == job_manifest(manifest) == whole


@pytest.mark.parametrize(
    "nonsense", ["", "  ", "None", "{}", "{not a dict", "{'a': 1}", {}, {"job_id": None}, None, 5, []]
)
def test_what_is_no_job_fails_for_good_and_says_what_to_give(
    sim: Simulator, download: Download, tmp_path: Path, nonsense: object
) -> None:
    with pytest.raises(AirflowFailException, match=r"'job'.*output of an OrVideoSubmitOperator or a job id"):
        download(nonsense)
    assert sim.requests() == []
    assert names(tmp_path) == []


def test_a_job_that_is_unknown_says_so(sim: Simulator, download: Download, tmp_path: Path) -> None:
    with pytest.raises(OutputUnavailableError, match=r"gen-vid-1 not found.*key belongs to the account"):
        download("gen-vid-1")
    assert sim.posts == 0
    assert names(tmp_path) == []


def test_a_job_that_still_runs_may_be_landed_by_a_retry(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, execute: Execute, download: Download
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    job = execute(make_submit(wait_for_completion=False))
    with pytest.raises(OutputUnavailableError, match="'pending'") as caught:
        download(job)
    assert not isinstance(caught.value, AirflowFailException)
    sim.finish(job["job_id"])
    assert download(job)["status"] == "completed"
    assert sim.posts == 1


# ── Which file names ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{{ ti.dag_id }}/", "films/{job_id}-0.mp4"),
        ("{{ ti.dag_id }}/{run_id}/{task_id}_{map_index}.{ext}", "films/manual__1/submit_-1.mp4"),
        ("{model}/{logical_date}-{index}.{ext}", "x-ai_grok-imagine-video/2026-11-22T000000Z-0.mp4"),
        ("final.mp4", "final.mp4"),
    ],
)
def test_a_destination_is_a_folder_or_a_pattern(
    manifest: dict[str, Any], download: Download, tmp_path: Path, pattern: str, name: str
) -> None:
    landed = download(manifest, f"{tmp_path}/{pattern}")
    expected = name.format(job_id=manifest["job_id"]) if "{" in name else name
    assert landed["files"][0]["uri"] == f"file://{tmp_path}/{expected}"
    assert names(tmp_path) == [expected, f"{expected}.json"]


def test_a_run_without_a_logical_date_has_a_name_all_the_same(
    manifest: dict[str, Any], download: Download, tmp_path: Path, context: Context
) -> None:
    context["logical_date"] = None
    assert download(manifest, f"{tmp_path}/{{logical_date}}.mp4")["files"][0]["uri"].endswith("/none.mp4")


@pytest.mark.parametrize("pattern", ["videos/", "{tmp}/{prompt}.mp4", "{tmp}/{job_id"])
def test_a_destination_that_cannot_work_names_what_can(
    manifest: dict[str, Any], download: Download, tmp_path: Path, pattern: str
) -> None:
    with pytest.raises(DestinationError, match="'destination'"):
        download(manifest, pattern.replace("{tmp}", str(tmp_path)))
    assert names(tmp_path) == []


# ── Whole, and once ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_landing_again_downloads_nothing(sim: Simulator, manifest: dict[str, Any], download: Download) -> None:
    first = download(manifest)
    requests = len(sim.requests())
    second = download(manifest)
    assert second["files"] == first["files"]
    assert len(sim.requests()) == requests


def test_a_broken_download_leaves_the_destination_untouched_and_a_retry_lands(
    sim: Simulator, manifest: dict[str, Any], download: Download, tmp_path: Path
) -> None:
    sim.add_fault({"match": {"operation": "listVideosContent"}, "content": {"truncate": 0.5, "clean": True}})
    with pytest.raises(OrVideoError) as caught:
        download(manifest)
    assert not isinstance(caught.value, AirflowFailException)
    assert names(tmp_path) == []
    sim.clear_faults()
    assert len(download(manifest)["files"]) == 1
    assert sim.posts == 1


def test_the_spool_folder_is_the_configured_one_and_left_empty(
    manifest: dict[str, Any], download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    monkeypatch.setenv("AIRFLOW__ORVIDEO__SPOOL_DIR", str(spool))
    assert len(download(manifest, f"{tmp_path}/videos/")["files"]) == 1
    assert spool.is_dir()
    assert list(spool.iterdir()) == []


# ── Which connection ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_connection_is_the_one_of_the_job(
    simulate: Simulate,
    connect: Connect,
    make_submit: MakeSubmit,
    execute: Execute,
    download: Download,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = simulate()
    connect(other, conn_id="other")
    job = execute(make_submit(orvideo_conn_id="other"))
    landed = download(job)
    assert landed["conn_id"] == "other"
    connect(other, conn_id="third")
    monkeypatch.delenv("AIRFLOW_CONN_OTHER")
    assert landed["files"] == download(job, orvideo_conn_id="{{ 'third' }}")["files"]


def test_an_id_alone_is_looked_up_with_the_default_connection(manifest: dict[str, Any], download: Download) -> None:
    assert job_manifest(manifest["job_id"]).conn_id is None
    assert download(manifest["job_id"])["files"]


def test_nothing_secret_reaches_the_log(
    simulate: Simulate,
    connect: Connect,
    make_submit: MakeSubmit,
    execute: Execute,
    download: Download,
    task_log: pytest.LogCaptureFixture,
    key: str,
) -> None:
    sim = simulate(signed_urls=True)
    connect(sim)
    landed = download(execute(make_submit()))
    assert landed["files"][0]["uri"] in task_log.text
    assert key not in task_log.text + str(landed)
    assert "signature" not in task_log.text.lower() + str(landed).lower()

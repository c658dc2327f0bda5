"""What the rest of Airflow learns of a landing: asset events and hook lineage, by Airflow's own collectors."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.definitions.asset import AssetUniqueKey
from airflow.sdk.execution_time.context import OutletEventAccessors

try:
    from airflow.sdk import lineage as sdk_lineage

    READERS = "airflow.sdk.plugins_manager.get_hook_lineage_readers_plugins"
except ImportError:  # Airflow 3.1
    from airflow.lineage import hook as sdk_lineage  # type: ignore[attr-defined,no-redef]

    READERS = ""

from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.landing.naming import destination
from airflow_provider_orvideo.manifests import LandedFile, LandedManifest
from airflow_provider_orvideo.operators.announcing import announce, without_connection
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow.sdk.lineage import AssetLineageInfo

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Context, Execute, MakeSubmit

    Download = Callable[..., dict[str, Any]]
    Made = Callable[[], list[AssetLineageInfo]]


@pytest.fixture
def manifest(sim: Simulator, make_submit: MakeSubmit, execute: Execute) -> dict[str, Any]:
    """What the submit task of a completed job of two videos returned."""
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "job": {"outputs": 2}})
    result: dict[str, Any] = execute(make_submit())
    return result


@pytest.fixture
def events(context: Context) -> OutletEventAccessors:
    """Airflow's own accessors of a task's outlet events, in the task's context."""
    accessors = OutletEventAccessors()
    context["outlet_events"] = accessors
    return accessors


@pytest.fixture
def download(context: Context, execute: Execute) -> Download:
    def call(job: object, where: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        operator = OrVideoDownloadOperator(task_id="download", job=job, destination=where, **arguments)  # type: ignore[arg-type]
        operator.render_template_fields(context)  # type: ignore[arg-type]  # a plain dict will do
        result: dict[str, Any] = execute(operator)
        return result

    return call


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """What Airflow's real collector of hook lineage was told is made; it only listens where a plugin reads it."""
    if READERS:
        monkeypatch.setattr(READERS, lambda: [sdk_lineage.HookLineageReader])
        forget = sdk_lineage.get_hook_lineage_collector.cache_clear
    else:
        monkeypatch.setattr("airflow.plugins_manager.hook_lineage_reader_classes", [sdk_lineage.HookLineageReader])

        def forget() -> None:
            monkeypatch.setattr(sdk_lineage, "_hook_lineage_collector", None)

    forget()
    yield lambda: sdk_lineage.HookLineageReader().retrieve_hook_lineage().outputs
    forget()


def landed(*uris: str) -> LandedManifest:
    files = tuple(
        LandedFile(uri=uri, index=index, bytes=1, sha256="0" * 64, content_type="video/mp4")
        for index, uri in enumerate(uris)
    )
    return LandedManifest(job_id="gen-vid-1", status="completed", files=files)


# ── Asset events ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_outlets_event_carries_the_manifest(
    manifest: dict[str, Any], events: OutletEventAccessors, download: Download, tmp_path: Path
) -> None:
    trailers, archive = Asset("trailers"), Asset(name="archive", uri="s3://archive/trailers")
    result = download(manifest, f"{tmp_path}/", outlets=[trailers, archive])
    for asset in (trailers, archive):
        extra = events[asset].extra
        assert extra == result
        assert json.loads(json.dumps(extra)) == extra
    # One logical asset each: two videos make no second one.
    assert len(result["files"]) == len(events) == 2
    assert all(not accessor.asset_alias_events for accessor in events.values())


def test_an_asset_that_is_only_referred_to_gets_the_manifest_too(
    manifest: dict[str, Any],
    events: OutletEventAccessors,
    download: Download,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trailers = Asset(name="trailers", uri="s3://archive/trailers")
    # What Airflow's API server would answer.
    monkeypatch.setattr(OutletEventAccessors, "_get_asset_from_db", staticmethod(lambda **_: trailers))
    result = download(manifest, f"{tmp_path}/", outlets=[Asset.ref(name="trailers")])
    assert events[trailers].extra == result


def test_what_a_task_put_into_an_event_itself_stays(
    manifest: dict[str, Any], events: OutletEventAccessors, download: Download, tmp_path: Path
) -> None:
    trailers = Asset("trailers")
    events[trailers].extra["campaign"] = "spring"
    result = download(manifest, f"{tmp_path}/", outlets=[trailers])
    assert events[trailers].extra == {**result, "campaign": "spring"}


def test_a_landing_that_found_all_there_tells_the_same_again(
    manifest: dict[str, Any], events: OutletEventAccessors, download: Download, tmp_path: Path
) -> None:
    trailers = Asset("trailers")
    first = download(manifest, f"{tmp_path}/")
    assert len(events) == 0
    download(manifest, f"{tmp_path}/", outlets=[trailers])
    assert events[trailers].extra["files"] == first["files"]


def test_a_landing_that_failed_tells_nothing(
    sim: Simulator,
    manifest: dict[str, Any],
    events: OutletEventAccessors,
    download: Download,
    tmp_path: Path,
    reported: Made,
) -> None:
    sim.add_fault({"match": {"operation": "listVideosContent", "index": 1}, "respond": {"status": 410}})
    with pytest.raises(Exception, match="no longer keeps"):
        download(manifest, f"{tmp_path}/", outlets=[Asset("trailers"), AssetAlias("folder")])
    assert len(events) == 0
    assert reported() == []


@pytest.mark.parametrize(
    ("where", "folder"),
    [
        ("s3://aws_default@media/trailers/{dag_id}/{job_id}-{index}.{ext}", "s3://media/trailers"),
        ("s3://aws_default@media/trailers/", "s3://media/trailers"),
        ("s3://media/trailers/film.mp4", "s3://media/trailers"),
        ("s3://aws_default@media/trailers/spring-{job_id}/film.mp4", "s3://media/trailers"),
        ("s3://aws_default@media/{job_id}.mp4", "s3://media/"),
        ("s3://aws_default@media-{dag_id}/{job_id}.mp4", "s3://media-d_1/"),
        ("s3://aws_default@{dag_id}/film.mp4", "s3://d_1/"),
        ("gs://google@media/trailers/{index}.mp4", "gs://media/trailers"),
        ("abfs://azure@media/trailers/{index}.mp4", "abfs://media/trailers"),
        ("file:///videos/trailers-{index}.mp4", "file:///videos"),
        ("/videos/", "file:///videos"),
        ("/{dag_id}/film.mp4", "file:///"),
        ("/videos/a@b/{index}.mp4", "file:///videos/a@b"),
        ("/videos/{{x}}/{index}.mp4", "file:///videos/{x}"),
    ],
)
def test_an_alias_gets_the_folder_before_the_first_placeholder_as_its_asset(
    context: Context, events: OutletEventAccessors, where: str, folder: str
) -> None:
    place = destination(where, {"job_id": "j", "dag_id": "d/1", "model": "m"})
    files = landed(place.uri(0, "mp4", outputs=2), place.uri(1, "mp4", outputs=2))
    alias = AssetAlias("trailers")
    announce(files, place, [alias], context, OrVideoHook())  # type: ignore[arg-type]  # a plain dict will do
    (event,) = events[alias].asset_alias_events
    assert event.source_alias_name == "trailers"
    assert event.dest_asset_key.uri == folder
    assert event.extra == files.to_json()
    # Whoever writes the asset into a schedule by that address means the same one.
    assert event.dest_asset_key == AssetUniqueKey.from_asset(Asset(event.dest_asset_key.name))


def test_an_alias_of_a_real_landing_gets_the_folder(
    manifest: dict[str, Any], events: OutletEventAccessors, download: Download, bucket: str
) -> None:
    alias, trailers = AssetAlias("folder"), Asset("trailers")
    result = download(manifest, f"{bucket}/cut/{{job_id}}-{{index}}.{{ext}}", outlets=[alias, trailers])
    (event,) = events[alias].asset_alias_events
    assert event.dest_asset_key.uri == bucket.replace("aws_test@", "") + "/cut"
    assert event.extra == events[trailers].extra == result
    assert "aws_test" not in str(event.dest_asset_key)


def test_an_outlet_of_another_kind_is_left_alone(
    manifest: dict[str, Any], events: OutletEventAccessors, download: Download, tmp_path: Path
) -> None:
    download(manifest, f"{tmp_path}/", outlets=["a plain text"])
    assert len(events) == 0


# ── Hook lineage ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_file_is_reported_once_and_as_what_the_hook_made(
    manifest: dict[str, Any], download: Download, tmp_path: Path, reported: Made
) -> None:
    result = download(manifest, f"{tmp_path}/", poster=True)
    outputs = reported()
    assert sorted(each.asset.uri for each in outputs) == sorted(file["uri"] for file in result["files"])
    assert [each.count for each in outputs] == [1, 1]
    assert all(isinstance(each.context, OrVideoHook) for each in outputs)
    assert sdk_lineage.HookLineageReader().retrieve_hook_lineage().inputs == []


def test_on_s3_too_each_file_is_reported_once_and_without_the_connection(
    manifest: dict[str, Any], download: Download, bucket: str, reported: Made
) -> None:
    result = download(manifest, f"{bucket}/", poster=True)
    outputs = reported()
    assert sorted(each.asset.uri for each in outputs) == sorted(
        file["uri"].replace("aws_test@", "") for file in result["files"]
    )
    assert [each.count for each in outputs] == [1, 1]


def test_what_cannot_be_an_asset_keeps_no_video_from_being_landed(
    context: Context, reported: Made, caplog: pytest.LogCaptureFixture
) -> None:
    long = f"file:///{'x' * 1500}/film.mp4"
    place = destination("/videos/", {"job_id": "j"})
    with caplog.at_level(logging.WARNING):
        announce(landed(long, "file:///film.mp4"), place, [], context, OrVideoHook())  # type: ignore[arg-type]
    assert [each.asset.uri for each in reported()] == ["file:///film.mp4"]
    assert "is not reported to hook lineage" in caplog.text


@pytest.mark.parametrize(
    ("uri", "bare"),
    [
        ("s3://aws_default@media/a/film.mp4", "s3://media/a/film.mp4"),
        ("s3://media/a/film.mp4", "s3://media/a/film.mp4"),
        ("s3://aws@media/a@b/film#1?x=@y.mp4", "s3://media/a@b/film#1?x=@y.mp4"),
        ("file:///a@b/film.mp4", "file:///a@b/film.mp4"),
        ("file:///with?question/film.mp4", "file:///with?question/film.mp4"),
        ("abfs://wasb_default@container/film.mp4", "abfs://container/film.mp4"),
        ("s3://aws@media", "s3://media"),
    ],
)
def test_a_files_address_is_told_without_the_connection_and_else_as_it_is(uri: str, bare: str) -> None:
    assert without_connection(uri) == bare

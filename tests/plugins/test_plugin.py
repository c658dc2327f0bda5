"""The plugin as Airflow finds it, and its application in a stand-in for Airflow's."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from airflow.sdk import ObjectStoragePath
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from airflow_provider_orvideo import __version__
from airflow_provider_orvideo.get_provider_info import get_provider_info
from airflow_provider_orvideo.manifests import LandedFile, LandedManifest
from airflow_provider_orvideo.plugins import source
from airflow_provider_orvideo.plugins.config import preview_config
from airflow_provider_orvideo.plugins.orvideo import LazyApp, OrVideoPlugin, _external_views

if TYPE_CHECKING:
    from pathlib import Path

PREVIEW = "/orvideo/api/preview/films/manual__1/download/-1/0"
OPTIONS = get_provider_info()["config"]["orvideo"]["options"]


# ── As Airflow finds it ──────────────────────────────────────────────────────────────────────────────────────────────


def test_airflow_finds_the_plugin() -> None:
    (point,) = (point for point in entry_points(group="airflow.plugins") if point.name == "orvideo")
    assert point.load() is OrVideoPlugin
    assert OrVideoPlugin.name == "orvideo"


def test_processes_that_serve_no_pages_load_next_to_nothing() -> None:
    code = (
        "import sys, airflow.plugins_manager; before = set(sys.modules)\n"
        "from airflow_provider_orvideo.plugins.orvideo import OrVideoPlugin\n"
        "OrVideoPlugin.fastapi_apps, OrVideoPlugin.name\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    loaded = done.stdout.split()
    assert "airflow_provider_orvideo.plugins.orvideo" in loaded
    assert not [name for name in loaded if name.startswith(("fastapi", "starlette", "httpx", "pydantic", "fsspec"))]
    assert len(loaded) < 30


def views() -> dict[str, dict[str, Any]]:
    """The external views by where they are shown."""
    return {view["destination"]: view for view in _external_views()}


def test_the_gallery_is_in_the_navigation_and_on_each_run() -> None:
    assert views()["nav"]["href"] == "/orvideo/pages/gallery"
    assert views()["dag_run"]["href"] == "/orvideo/pages/gallery?dag_id={DAG_ID}&run_id={RUN_ID}"
    routes = [view["url_route"] for view in OrVideoPlugin.external_views]
    assert len(set(routes)) == len(routes)


def test_the_list_of_views_is_one_and_the_same() -> None:
    # Airflow takes views that it cannot show out of the list that it got.
    assert OrVideoPlugin.external_views is OrVideoPlugin.external_views


#: What says whether a tab can be kept off some tasks.
DATAMODEL = "airflow.api_fastapi.core_api.datamodels.plugins.ExternalViewResponse"


def test_tasks_of_others_have_no_tab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DATAMODEL, type("Older", (), {"model_fields": {"href": ...}}))
    assert "task_instance" not in views()
    monkeypatch.setattr(DATAMODEL, type("Newer", (), {"model_fields": {"applies_to": ...}}))
    tab = views()["task_instance"]
    assert tab["href"].endswith("?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}")
    assert set(tab["applies_to"]) == {"operator_name"}
    assert {"OrVideoSubmitOperator", "OrVideoDownloadOperator"} <= set(tab["applies_to"]["operator_name"])


def test_the_operators_with_a_tab_are_those_of_the_provider() -> None:
    from airflow_provider_orvideo.decorators.orvideo import OrVideoDecoratedOperator  # noqa: PLC0415
    from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator  # noqa: PLC0415
    from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator  # noqa: PLC0415
    from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator  # noqa: PLC0415
    from airflow_provider_orvideo.plugins.orvideo import _OPERATORS  # noqa: PLC0415
    from airflow_provider_orvideo.sensors.job import OrVideoJobSensor  # noqa: PLC0415

    operators = (OrVideoSubmitOperator, OrVideoDownloadOperator, OrVideoGenerateOperator, OrVideoJobSensor)
    names = {operator.__name__ for operator in operators} | {OrVideoDecoratedOperator.custom_operator_name}
    assert names == set(_OPERATORS)


# ── Its options ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_preview_is_off_by_default() -> None:
    config = preview_config()
    assert not config.is_on
    assert not config.redirect


def test_the_defaults_are_those_that_the_provider_describes() -> None:
    config = preview_config()
    described = {name: option["default"] for name, option in OPTIONS.items() if name.startswith("preview_")}
    assert described == {
        "preview_allowed_prefixes": "",
        "preview_redirect": str(config.redirect),
        "preview_max_streams": str(config.max_streams),
        "preview_stall_timeout": f"{config.stall_timeout:g}",
    }


def test_a_wrong_prefix_is_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES", "s3://bucket/x, https://films.example/once")
    for _ in range(3):
        assert [place.uri for place in preview_config().prefixes.places] == ["s3://bucket/x"]
    assert caplog.text.count("https://films.example/once") == 1


def test_a_number_or_a_switch_that_cannot_be_read_is_the_default_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = [name for name in OPTIONS if name.startswith("preview_") and name != "preview_allowed_prefixes"]
    usual = preview_config()
    for name in names:
        monkeypatch.setenv(f"AIRFLOW__ORVIDEO__{name.upper()}", "a few")
    for _ in range(3):
        assert preview_config() == usual
    assert [caplog.text.count(f"[orvideo] {name} is 'a few'; it must be") for name in names] == [1, 1, 1]


# ── Its application ──────────────────────────────────────────────────────────────────────────────────────────────────


class StandIn:
    """Airflow's application as the plugin sees it: one XCom, behind a bearer token."""

    def __init__(self, folder: str) -> None:
        self.status = 200
        self.asked: list[httpx.URL] = []
        self.file = LandedFile(
            uri=f"{folder}/film.mp4", index=0, bytes=1000, sha256="ab" * 32, content_type="video/mp4"
        )
        manifest = LandedManifest(job_id="x", status="completed", outputs=1, dag_id="films", files=(self.file,))
        self.value: Any = manifest.to_json()
        ObjectStoragePath(self.file.uri).write_bytes(b"\1" * 1000)
        ObjectStoragePath(f"{self.file.uri}.json").write_bytes(manifest.model_dump_json().encode())
        app = FastAPI(root_path="/team")
        app.mount("/orvideo", LazyApp())

        @app.get("/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value")
        async def xcom(request: Request, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:  # noqa: ANN401 - JSON
            assert (dag_id, run_id, task_id) == ("films", "manual__1", "download")
            assert request.headers["authorization"] == "Bearer a-session"
            assert map_index == -1
            self.asked.append(httpx.URL(str(request.url)))
            if self.status != 200:
                return JSONResponse({"detail": "secret detail"}, self.status)
            return {"key": "return_value", "value": self.value}

        self.app = app

    async def get(self, path: str = PREVIEW, method: str = "GET", **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow.example/team") as client:
            return await client.request(method, path, headers={"Authorization": "Bearer a-session", **headers})


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is logged in who may read everything."""
    with warnings.catch_warnings(action="ignore"):  # Airflow's web framework warns of what Airflow itself imports
        from airflow.api_fastapi.core_api import security  # noqa: PLC0415
    from airflow.models.dag import DagModel  # noqa: PLC0415 - not before AIRFLOW_HOME is set

    monkeypatch.setattr(DagModel, "get_team_name", lambda *_args, **_kwargs: None, raising=False)
    monkeypatch.setattr(security, "get_auth_manager", Anybody)


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, somebody: None) -> StandIn:  # noqa: ARG001
    """A stand-in whose videos lie in a folder of this machine."""
    monkeypatch.setenv("AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES", f"file://{tmp_path}")
    return StandIn(f"file://{tmp_path}")


@pytest.fixture
def airflow_on_s3(bucket: str, monkeypatch: pytest.MonkeyPatch, somebody: None) -> StandIn:  # noqa: ARG001
    """A stand-in whose videos lie in an S3 of our own."""
    monkeypatch.setenv("AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES", f"{bucket}/videos")
    return StandIn(f"{bucket}/videos")


class Anybody:
    """An auth manager that knows one token and allows whatever it is asked for."""

    async def get_user_from_token(self, token: str) -> object:
        assert token == "a-session"
        return object()

    def is_authorized_dag(self, **_question: object) -> bool:
        return True


async def test_the_application_is_built_by_its_first_request(airflow: StandIn) -> None:
    answer = await airflow.get("/orvideo/api/settings")
    assert answer.json()["version"] == __version__
    assert answer.json()["preview"] is True


async def test_the_video_comes_from_the_tasks_own_xcom(airflow: StandIn) -> None:
    answer = await airflow.get(Range="bytes=0-9")
    assert (answer.status_code, answer.content) == (206, b"\1" * 10)
    (asked,) = airflow.asked
    assert asked.path == "/team/api/v2/dags/films/dagRuns/manual__1/taskInstances/download/xcomEntries/return_value"


async def test_a_video_in_an_object_store_is_streamed(airflow_on_s3: StandIn) -> None:
    # In a running event loop, where such a file system could not even be made.
    answer = await airflow_on_s3.get(Range="bytes=990-")
    assert (answer.status_code, answer.content) == (206, b"\1" * 10)
    assert answer.headers["content-range"] == "bytes 990-999/1000"


async def test_a_manifest_that_airflow_stored_as_text_counts(airflow: StandIn) -> None:
    airflow.value = json.dumps(airflow.value)
    assert (await airflow.get()).status_code == 200


@pytest.mark.parametrize(
    ("theirs", "ours"), [(401, 401), (403, 403), (404, 404), (400, 404), (422, 404), (500, 502), (503, 502), (429, 502)]
)
async def test_what_airflow_refuses_is_refused(airflow: StandIn, theirs: int, ours: int) -> None:
    airflow.status = theirs
    answer = await airflow.get()
    assert answer.status_code == ours
    assert "secret detail" not in answer.text


@pytest.mark.parametrize("value", ["[" * 100_000, "{}", None, 1e308, [[]], {"files": None}])
async def test_an_xcom_of_any_shape_is_answered_with_not_found(airflow: StandIn, value: object) -> None:
    airflow.value = value
    assert (await airflow.get()).status_code == 404


@pytest.mark.parametrize(
    ("kind", "told"),
    [("video/webm", "video/webm"), ("VIDEO/MP4 ", "video/mp4"), ("video/quicktime", "video/quicktime")],
)
async def test_only_known_media_types_are_passed_on(airflow: StandIn, kind: str, told: str) -> None:
    airflow.value["files"][0]["content_type"] = kind
    assert (await airflow.get()).headers["content-type"] == told


async def test_a_video_without_a_still_image_says_so(airflow: StandIn) -> None:
    answer = await airflow.get(PREVIEW.replace("preview", "poster"))
    assert answer.status_code == 404


async def test_a_store_that_fails_is_told_without_its_details(
    airflow: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_allowed: object) -> object:
        raise PermissionError("account 1234 may not read s3.internal.example")

    monkeypatch.setattr(source, "_open", fail)
    answer = await airflow.get()
    assert answer.status_code == 502
    assert "1234" not in answer.text
    assert "account 1234" in caplog.text


async def test_a_store_that_signs_gets_the_viewer_only_if_that_is_wanted(
    airflow: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "airflow_provider_orvideo.plugins.preview.signed_url", lambda _allowed: "https://s3.example/x?s=1"
    )
    assert (await airflow.get()).status_code == 200
    monkeypatch.setenv("AIRFLOW__ORVIDEO__PREVIEW_REDIRECT", "True")
    answer = await airflow.get()
    assert (answer.status_code, answer.headers["location"]) == (307, "https://s3.example/x?s=1")
    assert answer.headers["cache-control"] == "no-store"
    page = await airflow.get("/orvideo/pages/gallery")
    assert "media-src 'self' https:;" in page.headers["content-security-policy"]


async def test_nothing_is_signed_that_nothing_vouches_for(airflow: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "airflow_provider_orvideo.plugins.preview.signed_url", lambda _allowed: "https://s3.example/x?s=1"
    )
    monkeypatch.setenv("AIRFLOW__ORVIDEO__PREVIEW_REDIRECT", "True")
    airflow.value["files"][0]["sha256"] = "cd" * 32
    assert (await airflow.get()).status_code == 403


async def test_a_store_that_does_not_sign_is_streamed(airflow: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__PREVIEW_REDIRECT", "True")
    assert (await airflow.get()).content == b"\1" * 1000


async def test_a_question_about_a_video_takes_no_place(airflow: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__PREVIEW_MAX_STREAMS", "1")
    for _ in range(3):
        assert (await airflow.get(method="HEAD")).headers["content-length"] == "1000"
        assert (await airflow.get(**{"If-None-Match": f'"{"ab" * 32}"'})).status_code == 304
        assert (await airflow.get(Range="bytes=5000-")).status_code == 416
    assert (await airflow.get()).status_code == 200

"""A landing run by Airflow itself, ``dag.test()``: the asset events that its database keeps."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import select

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.simulator import Simulator

DAG = """
from airflow.sdk import DAG, Asset, AssetAlias
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

with DAG("landing_events", schedule=None):
    video = OrVideoSubmitOperator(
        task_id="submit", model="x-ai/grok-imagine-video", prompt="a red boat", duration=1, resolution="480p",
        deferrable=False, poll_interval=0.02,
    )
    OrVideoDownloadOperator(
        task_id="land", job=video.output, destination="{folder}/films/{{dag_id}}-{{job_id}}.{{ext}}",
        outlets=[Asset("trailers"), Asset("archive"), AssetAlias("folder")],
    )
"""


@pytest.fixture
def _database() -> None:
    """Make the database of this session's Airflow home, where no other test did."""
    if version("apache-airflow") == "3.1.0":
        pytest.skip("dag.test() of Airflow 3.1.0 knows no DAG that a DAG processor has not read")
    airflow = Path(sys.executable).parent / "airflow"
    done = subprocess.run(  # noqa: S603 - our own program
        [airflow, "db", "migrate"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


# Airflow's in-process API server drags in Starlette's test client, which would rather have another httpx.
@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated")
@pytest.mark.usefixtures("_database")
def test_airflow_keeps_the_manifest_with_each_assets_event(
    sim: Simulator, dag_bag: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "landing_events.py").write_text(
        DAG.replace("{folder}", str(tmp_path)).replace("{{", "{").replace("}}", "}")
    )
    bundle = {"name": "films", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}
    bundles = json.dumps([bundle | {"kwargs": {"path": str(dags)}}])
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles)
    named = {"bundle_name": "films"} if "bundle_name" in inspect.signature(dag_bag).parameters else {}
    bag = dag_bag(dags, **named)
    assert bag.import_errors == {}
    run = bag.dags["landing_events"].test()
    assert run.state == "success"
    (job,) = sim.jobs()
    with create_session() as session:
        found = session.execute(
            select(AssetModel.name, AssetModel.uri, AssetEvent.extra)
            .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
            .where(AssetEvent.source_run_id == run.run_id)
        ).all()
    extras = {name: extra for name, _, extra in found}
    assert len(found) == 3
    assert {uri for _, uri, _ in found} == {"trailers", "archive", f"file://{tmp_path}/films"}
    for extra in extras.values():
        assert extra["job_id"] == job.id
        assert extra["request"]["prompt"] == "a red boat"
        assert [file["uri"] for file in extra["files"]] == [f"file://{tmp_path}/films/landing_events-{job.id}.mp4"]

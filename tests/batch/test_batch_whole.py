"""A batch run by Airflow itself, ``dag.test()``: a table and an XCom in, videos and manifest in S3 and on disk out."""

from __future__ import annotations

import hashlib
import inspect
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from airflow.models.asset import AssetEvent, AssetModel
from airflow.sdk import ObjectStoragePath
from airflow.utils.session import create_session
from sqlalchemy import select

from tests.airflow_side.conftest import dag_bag  # noqa: F401 - a fixture

try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # Airflow 3.1 and 3.2 have no task state store
    TaskStateStoreModel = None  # type: ignore[assignment,misc]

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.simulator import Simulator

DAG = """
from airflow.sdk import DAG, Asset, task
from airflow_provider_orvideo.operators.batch import OrVideoBatchOperator

COMMON = dict(
    model="x-ai/grok-imagine-video", defaults={{"duration": 1, "resolution": "480p"}}, deferrable=True,
    poll_interval=0.02,
)

with DAG("batches", schedule=None):

    @task
    def shots():
        return [{{"id": "one", "prompt": "a boat"}}, "a bridge"]

    OrVideoBatchOperator(
        task_id="table", requests="{bucket}/lists/shots.csv", destination="{bucket}/films/{{item}}.{{ext}}",
        max_in_flight=2, outlets=[Asset("films")], **COMMON
    )
    OrVideoBatchOperator(task_id="listed", requests=shots(), destination="{folder}/films/", **COMMON)
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


def records(run_id: str, state_path: Path) -> dict[tuple[str, str], str]:
    """Return the phase of each pay-once record of a run, by task and key, from where this Airflow keeps them."""
    if TaskStateStoreModel is None:
        (run,) = (state_path / "batches").iterdir()
        return {
            (file.parent.name, unquote(file.name.removesuffix(".-1.json"))): json.loads(file.read_text())["phase"]
            for file in run.glob("*/*.json")
        }
    with create_session() as session:
        found = list(session.scalars(select(TaskStateStoreModel).where(TaskStateStoreModel.run_id == run_id)))
        assert {row.expires_at for row in found} == {None}
        return {(row.task_id, row.key): json.loads(row.value)["phase"] for row in found}


# Airflow's in-process API server drags in Starlette's test client, which would rather have another httpx.
@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated")
@pytest.mark.usefixtures("_database")
def test_a_table_and_an_xcom_become_videos_and_manifests(
    sim: Simulator,
    bucket: str,
    dag_bag: Callable[..., Any],  # noqa: F811 - the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = "".join(f"shot-{number},take {number}\n" for number in range(5))
    ObjectStoragePath(f"{bucket}/lists/shots.csv").write_text(f"id,prompt\n{rows}")
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "batches.py").write_text(DAG.format(bucket=bucket, folder=tmp_path))
    bundle = {"name": "films", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}
    bundles = json.dumps([bundle | {"kwargs": {"path": str(dags)}}])
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles)
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", f"file://{tmp_path}/records")
    named = {"bundle_name": "films"} if "bundle_name" in inspect.signature(dag_bag).parameters else {}
    bag = dag_bag(dags, **named)
    assert bag.import_errors == {}
    run = bag.dags["batches"].test()
    assert run.state == "success"
    assert sim.posts == len(sim.jobs()) == 7
    returned: dict[str, Any] = {
        instance.task_id: instance.xcom_pull(task_ids=instance.task_id) for instance in run.get_task_instances()
    }
    assert (returned["table"]["landed"], returned["listed"]["landed"]) == (5, 2)
    for task_id in ("table", "listed"):
        manifest = ObjectStoragePath(returned[task_id]["manifest"])
        for line in map(json.loads, manifest.read_text().splitlines()):
            (file,) = line["files"]
            data = ObjectStoragePath(file["uri"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
            assert (line["status"], line["dag_id"], line["task_id"]) == ("landed", "batches", task_id)
    names = sorted(path.name for path in ObjectStoragePath(f"{bucket}/films").iterdir() if path.name.endswith(".mp4"))
    assert names == [f"shot-{number}.mp4" for number in range(5)]
    with create_session() as session:
        (extra,) = session.scalars(
            select(AssetEvent.extra)
            .join(AssetModel, AssetEvent.asset_id == AssetModel.id)
            .where(AssetModel.name == "films", AssetEvent.source_run_id == run.run_id)
        )
    kept = records(run.run_id, tmp_path / "records")
    assert len(kept) == 7
    assert set(kept.values()) == {"terminal"}
    assert {("table", f"orvideo_job.shot-{number}") for number in range(5)} | {("listed", "orvideo_job.one")} <= set(
        kept
    )
    assert extra["manifest"] == returned["table"]["manifest"]

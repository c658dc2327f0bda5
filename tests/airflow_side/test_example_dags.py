"""The example DAGs: read without complaint, and the first one run whole in one process by ``dag.test()``."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.task_state_store import TaskStateStoreModel
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_orvideo.manifests import LandedManifest

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"


@pytest.fixture(scope="session")
def _database() -> None:
    """Make the database of this session's Airflow home."""
    airflow = Path(sys.executable).parent / "airflow"
    done = subprocess.run(  # noqa: S603 - our own program
        [airflow, "db", "migrate"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def read(folder: Path) -> DagBag:
    return DagBag(folder)


def test_the_examples_are_read_without_errors_and_without_warnings() -> None:
    bag = read(EXAMPLES)
    assert bag.import_errors == {}
    assert bag.captured_warnings == {}
    assert "orvideo_first_video" in bag.dags
    assert all("example" in dag.tags for dag in bag.dags.values())


# Airflow's in-process API server drags in Starlette's test client, which would rather have another httpx.
@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated")
@pytest.mark.usefixtures("_database")
def test_the_first_video_runs_from_submit_to_landed(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ORVIDEO_DESTINATION", f"file://{tmp_path}/")
    dag = read(EXAMPLES).dags["orvideo_first_video"]
    for task in dag.tasks:
        if task.task_id == "submit":
            task.poll_interval = 0.05  # type: ignore[union-attr]  # it is the submit operator
    run = dag.test()
    assert run.state == "success"
    returned: dict[str, Any] = {
        instance.task_id: instance.xcom_pull(task_ids=instance.task_id) for instance in run.get_task_instances()
    }
    landed = LandedManifest.model_validate(returned["download"])
    (file,) = landed.files
    data = Path(urlsplit(file.uri).path).read_bytes()
    assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (tmp_path / f"{landed.job_id}-0.mp4.json").is_file()
    assert {name: returned["download"][name] for name in returned["submit"]} == returned["submit"]
    assert (landed.model, landed.status, file.duration_s) == ("google/veo-3.1-lite", "completed", 4.0)
    assert [job.id for job in sim.jobs()] == [landed.job_id]
    assert sim.posts == 1
    (record,) = recorded(run.run_id)
    assert (record["job_id"], record["phase"], record["status"]) == (landed.job_id, "terminal", "completed")


def recorded(run_id: str) -> list[dict[str, Any]]:
    """What Airflow's real task state store keeps of a run; the rows must never expire."""
    with create_session() as session:
        rows = list(session.scalars(select(TaskStateStoreModel).where(TaskStateStoreModel.run_id == run_id)))
        assert [(row.task_id, row.key, row.expires_at) for row in rows] == [("submit", "orvideo_job", None)]
        return [json.loads(row.value) for row in rows]

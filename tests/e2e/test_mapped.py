"""A mapped set on real Airflow processes: as many orders as videos, a pool that bounds them, a budget they share.

In short with 12 videos; ``make mapped`` runs it with 200.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
from local_airflow import LocalAirflow, LocalSimulator, connection, wait_until

from airflow_provider_orvideo.manifests import LandedManifest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

VIDEOS: Final = int(os.environ.get("ORVIDEO_MAPPED", "12"))
#: Slots of the pool: fewer than what four workers keep under way without one.
SLOTS: Final = 8 if VIDEOS > 100 else 4
#: Seconds that a job takes.
JOB_SECONDS: Final = 8
#: One more video than the budget pays for.
PROMPTS: Final = VIDEOS + 1
#: US dollars for one second in 480p of the model.
PRICE: Final = 0.05

DAGS: Final = f"""
from airflow.sdk import DAG, task

from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

with DAG("films_mapped", schedule=None):
    videos = OrVideoGenerateOperator.partial(
        task_id="film",
        model="x-ai/grok-imagine-video",
        duration=1,
        resolution="480p",
        destination="{{{{ var.value.orvideo_destination }}}}{{map_index}}-{{job_id}}.mp4",
        pool="videos",
        run_budget_usd="{VIDEOS * PRICE:.2f}",
        deferrable=True,
        poll_interval=2,
    ).expand(prompt=[f"film {{number}}" for number in range({PROMPTS})])

    @task(trigger_rule="all_done")
    def collect(landed):
        return {{"videos": [manifest["files"][0]["uri"] for manifest in landed]}}

    collect(videos.output)
"""


@dataclass(frozen=True)
class Mapped:
    """A run that ended.

    Attributes:
        airflow: the deployment.
        simulator: the other side.
        run_id: of the run.
        instances: the mapped task's, in the order of their map indexes.
        state: folder of the budget's log.
    """

    airflow: LocalAirflow
    simulator: LocalSimulator
    run_id: str
    instances: list[dict[str, Any]]
    state: Path

    def result(self, task_id: str, map_index: int = -1) -> Any:  # noqa: ANN401 - JSON
        """Return what a task handed on."""
        path = f"/dags/films_mapped/dagRuns/{self.run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.airflow.api("GET", f"{path}?map_index={map_index}&deserialize=true")["value"]


@pytest.fixture(scope="module")
def mapped(home: Path) -> Iterator[Mapped]:
    """Start everything, press play, and wait for the end of the run."""
    (home / "dags").mkdir()
    (home / "dags" / "films.py").write_text(DAGS)
    arguments = [f"job_seconds={JOB_SECONDS}", "max_pixels=14400", "fps=8"]
    options = tuple(itertools.chain.from_iterable(("--set", argument) for argument in arguments))
    with LocalSimulator(home / "simulator", options).running() as simulator:
        environment = {
            **connection(simulator.base_url),
            "AIRFLOW_VAR_ORVIDEO_DESTINATION": f"file://{home}/videos/",
            "AIRFLOW__ORVIDEO__STATE_PATH": f"file://{home}/state",
        }
        airflow = LocalAirflow(home / "airflow", home / "dags", environment)
        with airflow.running():
            pool = {"name": "videos", "slots": SLOTS, "include_deferred": True}
            airflow.api("POST", "/pools", json=pool)
            airflow.wait_for_dag("films_mapped")
            started = time.monotonic()
            run_id = airflow.trigger("films_mapped")
            wait_until(
                "the run",
                lambda: airflow.run_state("films_mapped", run_id) in {"success", "failed"},
                timeout=120 + 3 * VIDEOS,
                pause=1,
            )
            # For `make mapped`.
            print(f"{VIDEOS} mapped videos, {SLOTS} slots, {JOB_SECONDS} s each: {time.monotonic() - started:.0f} s")  # noqa: T201
            yield Mapped(airflow, simulator, run_id, tasks(airflow, run_id), home / "state")


def tasks(airflow: LocalAirflow, run_id: str) -> list[dict[str, Any]]:
    """Read all instances of the mapped task, page by page."""
    found: list[dict[str, Any]] = []
    path = f"/dags/films_mapped/dagRuns/{run_id}/taskInstances?task_id=film&limit=100&offset="
    while page := airflow.api("GET", f"{path}{len(found)}")["task_instances"]:
        found += page
    return sorted(found, key=lambda instance: int(instance["map_index"]))


def test_each_video_is_ordered_once_and_lands_whole(mapped: Mapped) -> None:
    landed = [instance["map_index"] for instance in mapped.instances if instance["state"] == "success"]
    assert len(landed) == VIDEOS
    assert mapped.simulator.posts == VIDEOS
    jobs = set()
    for index in landed:
        manifest = LandedManifest.model_validate(mapped.result("film", index))
        (file,) = manifest.files
        data = Path(urlsplit(file.uri).path).read_bytes()
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert Path(f"{urlsplit(file.uri).path}.json").is_file()
        jobs.add(manifest.job_id)
    assert jobs == {job["id"] for job in mapped.simulator.get("/jobs")}
    assert {instance["try_number"] for instance in mapped.instances} == {1}


def test_there_are_never_more_jobs_under_way_than_the_pool_has_slots(mapped: Mapped) -> None:
    jobs = mapped.simulator.get("/jobs")
    changes = sorted([(job["created_at"], 1) for job in jobs] + [(job["finished_at"], -1) for job in jobs])
    under_way = list(itertools.accumulate(step for _, step in changes))
    assert under_way[-1] == 0
    print(f"at most {max(under_way)} jobs under way")  # noqa: T201
    assert max(under_way) <= SLOTS


def test_the_mapped_set_keeps_its_budget(mapped: Mapped) -> None:
    (refused,) = [instance for instance in mapped.instances if instance["state"] != "success"]
    path = f"/dags/films_mapped/dagRuns/{mapped.run_id}/taskInstances/film/logs/1"
    log = json.dumps(mapped.airflow.api("GET", f"{path}?map_index={refused['map_index']}&full_content=true"))
    assert "BudgetExceededError" in log
    entries = sorted(mapped.state.rglob("orvideo.budgets/*/*.json"))
    newest = json.loads(entries[-1].read_text())
    assert float(newest["spent_usd"]) == pytest.approx(VIDEOS * PRICE)
    assert float(newest["reserved_usd"]) == 0


def test_one_task_collects_the_videos_that_there_are(mapped: Mapped) -> None:
    assert len(set(mapped.result("collect")["videos"])) == VIDEOS

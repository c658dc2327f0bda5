"""One Airflow deployment of real processes and one simulator, for all end-to-end tests."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from local_airflow import REPOSITORY, LocalAirflow, LocalSimulator, connection, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is read of each component's log when a test fails, in characters.
TAIL: Final = 4000
_HOME = pytest.StashKey[Path]()

#: The test's own DAGs. Prompts say what becomes of the job, see `FAULTS`.
DAGS: Final = """
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

VIDEO = {"model": "x-ai/grok-imagine-video", "duration": 1, "resolution": "480p"}
ORDER = {**VIDEO, "deferrable": True, "poll_interval": 1}
FOLDER = "{{ var.value.orvideo_destination }}"

with DAG("films_mapped", schedule=None):
    videos = OrVideoSubmitOperator.partial(task_id="submit", **ORDER).expand(
        prompt=["a mapped boat", "a mapped bridge", "a mapped bird"]
    )
    OrVideoDownloadOperator.partial(
        task_id="download", destination=FOLDER + "mapped/film-{map_index}.{ext}"
    ).expand(job=videos.output)

with DAG("films_patient", schedule=None):
    video = OrVideoSubmitOperator(
        task_id="submit", prompt="an unreadable boat", retries=50, retry_delay=timedelta(seconds=10), **ORDER
    )
    OrVideoDownloadOperator(task_id="download", job=video.output, destination=FOLDER + "any/")

with DAG("films_any", schedule=None):
    video = OrVideoSubmitOperator(
        task_id="submit",
        prompt="{{ dag_run.conf['prompt'] }}",
        retries=2,
        retry_delay=timedelta(seconds=1),
        **ORDER,
    )
    OrVideoDownloadOperator(task_id="download", job=video.output, destination=FOLDER + "any/")
"""

#: Jobs whose prompt holds the first word behave like this.
FAULTS: Final[list[dict[str, Any]]] = [
    {
        "match": {"operation": "createVideos", "prompt_contains": "held"},
        "job": {"seconds": "manual"},
    },
    {
        "match": {"operation": "createVideos", "prompt_contains": "doomed"},
        "job": {"outcome": "failed", "error": "Content policy violation"},
    },
    {
        # The key is refused in the triggerer, also after a second look at the connection, until the test ends it.
        "match": {"operation": "getVideos", "prompt_contains": "unreadable"},
        "respond": {"status": 401},
    },
    {
        "match": {"operation": "createVideos", "prompt_contains": "unclear"},
        "respond": {"status": 502, "when": "after"},
    },
]


@dataclass(frozen=True)
class Deployment:
    """What the end-to-end tests talk to.

    Attributes:
        airflow: the processes and the public API.
        simulator: the other side.
        videos: folder in which videos land.
    """

    airflow: LocalAirflow
    simulator: LocalSimulator
    videos: Path

    def jobs(self, *, prompt: str) -> list[dict[str, Any]]:
        """Return the jobs whose prompt holds this, oldest first."""
        return [job for job in self.simulator.get("/jobs") if prompt in job["prompt"]]

    def posts(self, *, prompt: str) -> int:
        """Count the paid requests whose prompt holds this, refused ones included."""
        submits = self.simulator.get("/requests?operation=createVideos")
        return sum(prompt in submit["body"]["prompt"] for submit in submits)

    def polls(self, job_id: str) -> int:
        """Count how often a job's status was read."""
        return len(self.simulator.get(f"/requests?operation=getVideos&job_id={job_id}"))

    def wait_for_poll(self, job_id: str, *, after: int) -> None:
        """Wait until the job was read more often than ``after`` times."""
        wait_until(f"a poll of {job_id}", lambda: self.polls(job_id) > after, timeout=60)

    def tasks(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """Return the instances of a task, one for each map index."""
        found = self.airflow.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return sorted((task for task in found if task["task_id"] == task_id), key=lambda task: int(task["map_index"]))


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a module's deployment; a failure shows the logs of its components."""
    folder = tmp_path_factory.mktemp("e2e")
    request.config.stash[_HOME] = folder
    return folder


@pytest.fixture(scope="module")
def deployment(home: Path) -> Iterator[Deployment]:
    """Start everything, with the example DAGs and `DAGS` in a folder of their own."""
    dags = home / "dags"
    shutil.copytree(REPOSITORY / "example_dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    (dags / "films.py").write_text(DAGS)
    videos = home / "videos"
    with LocalSimulator(home / "simulator").running() as simulator:
        simulator.post("/faults", FAULTS)
        environment = {
            **connection(simulator.base_url),
            "AIRFLOW_VAR_ORVIDEO_DESTINATION": f"file://{videos}/",
            # A killed triggerer's triggers move to the next one after so many seconds without a heartbeat.
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        }
        airflow = LocalAirflow(home / "airflow", dags, environment)
        with airflow.running():
            for dag_id in ("orvideo_first_video", "orvideo_approval", "films_mapped", "films_patient", "films_any"):
                airflow.wait_for_dag(dag_id)
            yield Deployment(airflow, simulator, videos)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:  # noqa: ANN401, ARG001 - pytest's
    """Show the ends of all components' logs with a failure."""
    report = yield
    home = item.config.stash.get(_HOME, None)
    if report.failed and home is not None:
        for log in sorted(home.glob("*/*.log")):
            report.sections.append((str(log.relative_to(home)), log.read_text(errors="replace")[-TAIL:]))
    return report

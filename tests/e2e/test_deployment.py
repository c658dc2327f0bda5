"""Real Airflow processes against the simulator: from the play button to the landed file, through restarts.

All runs are started at the beginning and looked at one by one, so that they wait at the same time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from local_airflow import API_KEY, wait_until

from airflow_provider_orvideo.manifests import LandedManifest

if TYPE_CHECKING:
    from local_airflow import LocalAirflow

    from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e

FIRST = "orvideo_first_video"
APPROVAL = "orvideo_approval"
MAPPED = "films_mapped"
PATIENT = "films_patient"
ANY = "films_any"


@dataclass(frozen=True)
class Runs:
    """Ids of the runs, each named by what happens to it."""

    first: str
    asked: str
    mapped: str
    restarted: str
    killed: str
    doomed: str
    unreadable: str
    unclear: str


@pytest.fixture(scope="module")
def runs(deployment: Deployment) -> Runs:
    """Start every run."""
    airflow = deployment.airflow
    return Runs(
        first=airflow.trigger(FIRST),
        asked=airflow.trigger(APPROVAL, prompt="A paper ship", seconds=8),
        restarted=airflow.trigger(ANY, prompt="a held boat, restarted"),
        killed=airflow.trigger(ANY, prompt="a held boat, killed"),
        doomed=airflow.trigger(ANY, prompt="a doomed boat"),
        unreadable=airflow.trigger(PATIENT),
        unclear=airflow.trigger(ANY, prompt="an unclear boat"),
        mapped=airflow.trigger(MAPPED),
    )


def check_landed(manifest: dict[str, Any]) -> Path:
    """Compare the landed file with what the manifest says of it."""
    landed = LandedManifest.model_validate(manifest)
    (file,) = landed.files
    path = Path(urlsplit(file.uri).path)
    data = path.read_bytes()
    assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert data[4:8] == b"ftyp"
    sidecar = LandedManifest.model_validate_json(path.with_name(f"{path.name}.json").read_bytes())
    assert (sidecar.job_id, sidecar.files) == (landed.job_id, landed.files)
    return path


def test_the_first_video_goes_from_the_play_button_to_a_verified_file(deployment: Deployment, runs: Runs) -> None:
    airflow = deployment.airflow
    assert airflow.wait_for_run(FIRST, runs.first) == "success"
    submitted, landed = (airflow.xcom(FIRST, runs.first, task_id) for task_id in ("submit", "download"))
    (job,) = deployment.jobs(prompt="A paper boat")
    assert submitted["job_id"] == landed["job_id"] == job["id"]
    assert submitted["cost_usd"] == landed["cost_usd"] == job["cost"] > 0
    assert check_landed(landed).parent == deployment.videos
    assert deployment.posts(prompt="A paper boat") == 1


def test_the_task_logs_tell_the_story_without_the_key(deployment: Deployment, runs: Runs) -> None:
    airflow = deployment.airflow
    airflow.wait_for_run(FIRST, runs.first)
    (job,) = deployment.jobs(prompt="A paper boat")
    submit, download = (airflow.task_log(FIRST, runs.first, task_id) for task_id in ("submit", "download"))
    assert "google/veo-3.1-lite" in submit
    assert f"Waiting for job {job['id']} in the triggerer" in submit
    assert f"Job {job['id']} completed" in submit
    assert f"Landing job {job['id']}" in download
    for text in (submit, download):
        assert API_KEY not in text
        assert "Task failed" not in text
        assert "Failed to push" not in text, "a link could not be computed"


def test_the_task_pages_have_their_links(deployment: Deployment, runs: Runs) -> None:
    def links(task_id: str) -> dict[str, Any]:
        path = f"/dags/{FIRST}/dagRuns/{runs.first}/taskInstances/{task_id}/links"
        found: dict[str, Any] = deployment.airflow.api("GET", path)["extra_links"]
        return found

    deployment.airflow.wait_for_run(FIRST, runs.first)
    for task_id in ("submit", "download"):
        page = f"/orvideo/pages/video?dag_id={FIRST}&run_id={quote(runs.first)}&task_id={task_id}&map_index=-1"
        assert links(task_id) == {"OpenRouter": "https://openrouter.ai/activity", "Video": page}


def test_an_expensive_video_waits_for_a_person(deployment: Deployment, runs: Runs) -> None:
    airflow = deployment.airflow
    # The latter state came with Airflow 3.3; until then the question waits in the triggerer.
    wait_until(
        "the question",
        lambda: airflow.task(APPROVAL, runs.asked, "approve")["state"] in {"deferred", "awaiting_input"},
        timeout=90,
    )
    question = f"/dags/{APPROVAL}/dagRuns/{runs.asked}/taskInstances/approve/-1/hitlDetails"
    assert airflow.api("GET", question)["subject"] == "A video for $0.64?"
    assert deployment.posts(prompt="A paper ship") == 0
    airflow.api("PATCH", question, json={"chosen_options": ["Approve"]})
    assert airflow.wait_for_run(APPROVAL, runs.asked) == "success"
    manifest = airflow.xcom(APPROVAL, runs.asked, "generate")
    assert check_landed(manifest).parent == deployment.videos / "approved"
    assert manifest["cost_usd"] == airflow.xcom(APPROVAL, runs.asked, "price") == 0.64
    assert deployment.posts(prompt="A paper ship") == 1


def test_three_prompts_are_three_orders_and_three_videos(deployment: Deployment, runs: Runs) -> None:
    airflow = deployment.airflow
    assert airflow.wait_for_run(MAPPED, runs.mapped) == "success"
    paths, jobs = set(), set()
    for index in range(3):
        path = f"/dags/{MAPPED}/dagRuns/{runs.mapped}/taskInstances/download/xcomEntries/return_value"
        manifest = airflow.api("GET", f"{path}?map_index={index}&deserialize=true")["value"]
        paths.add(check_landed(manifest).name)
        jobs.add(manifest["job_id"])
    assert paths == {f"film-{index}.mp4" for index in range(3)}
    ordered = deployment.jobs(prompt="a mapped")
    assert jobs == {job["id"] for job in ordered}
    assert sorted(job["prompt"] for job in ordered) == ["a mapped bird", "a mapped boat", "a mapped bridge"]
    assert deployment.posts(prompt="a mapped") == 3


def test_a_failed_job_fails_the_task_at_once_whatever_retries_say(deployment: Deployment, runs: Runs) -> None:
    airflow = deployment.airflow
    assert airflow.wait_for_run(ANY, runs.doomed) == "failed"
    (task,) = deployment.tasks(ANY, runs.doomed, "submit")
    assert (task["state"], task["try_number"], task["max_tries"]) == ("failed", 1, 2)
    (job,) = deployment.jobs(prompt="a doomed")
    log = airflow.task_log(ANY, runs.doomed, "submit")
    assert f"Job {job['id']} (x-ai/grok-imagine-video) ended as 'failed' without a video" in log
    assert "Content policy violation" in log
    assert deployment.posts(prompt="a doomed") == 1


def test_an_order_with_an_unknown_outcome_is_not_repeated_whatever_retries_say(
    deployment: Deployment, runs: Runs
) -> None:
    assert deployment.airflow.wait_for_run(ANY, runs.unclear) == "failed"
    (task,) = deployment.tasks(ANY, runs.unclear, "submit")
    assert (task["state"], task["try_number"]) == ("failed", 1)
    assert "may have been billed" in deployment.airflow.task_log(ANY, runs.unclear, "submit")
    assert (deployment.posts(prompt="an unclear"), len(deployment.jobs(prompt="an unclear"))) == (1, 1)


def test_a_retry_after_a_failed_wait_finds_the_job_and_orders_nothing(deployment: Deployment, runs: Runs) -> None:
    airflow, simulator = deployment.airflow, deployment.simulator
    wait_until(
        "the first attempt's end",
        lambda: (
            (task := airflow.task(PATIENT, runs.unreadable, "submit"))["state"] == "up_for_retry"
            or task["try_number"] > 1
        ),
        timeout=120,
    )
    (fault,) = [fault for fault in simulator.get("/faults") if "unreadable" in str(fault)]
    simulator.delete(f"/faults/{fault['id']}")
    assert airflow.wait_for_run(PATIENT, runs.unreadable) == "success"
    (task,) = deployment.tasks(PATIENT, runs.unreadable, "submit")
    assert task["try_number"] > 1
    (job,) = deployment.jobs(prompt="an unreadable")
    assert f"The status of job {job['id']} cannot be read" in airflow.task_log(PATIENT, runs.unreadable, "submit", 1)
    log = airflow.task_log(PATIENT, runs.unreadable, "submit", task["try_number"])
    assert "nothing is ordered now" in log
    check_landed(airflow.xcom(PATIENT, runs.unreadable, "download"))
    assert deployment.posts(prompt="an unreadable") == 1


def can_discard(airflow: LocalAirflow) -> bool:
    """Tell whether a clear of tasks discards their state unless it is asked to keep it: Airflow's API says so."""
    body = httpx.get(f"{airflow.url}/openapi.json", timeout=30).json()["components"]["schemas"][
        "ClearTaskInstancesBody"
    ]
    return "keep_task_state" in body["properties"]


def clear_tasks(airflow: LocalAirflow, dag_id: str, run_id: str, **choices: bool) -> None:
    """Clear submit and download, as a person does who picks them."""
    body = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["submit", "download"], "only_failed": False, **choices}
    wait_for_the_next_attempt(airflow, dag_id, run_id, f"/dags/{dag_id}/clearTaskInstances", body)


def clear_run(airflow: LocalAirflow, dag_id: str, run_id: str) -> None:
    """Clear a whole run."""
    body = {"dry_run": False, "only_failed": False}
    wait_for_the_next_attempt(airflow, dag_id, run_id, f"/dags/{dag_id}/dagRuns/{run_id}/clear", body)


def wait_for_the_next_attempt(airflow: LocalAirflow, dag_id: str, run_id: str, path: str, body: dict[str, Any]) -> None:
    """Send a clear, and wait until the run has ended again."""
    attempt = airflow.task(dag_id, run_id, "download")["try_number"] + 1
    airflow.api("POST", path, json=body)
    wait_until(
        "the cleared run",
        lambda: (
            airflow.run_state(dag_id, run_id) == "success"
            and airflow.task(dag_id, run_id, "download")["try_number"] == attempt
        ),
        timeout=90,
    )


@pytest.mark.parametrize("whole", [False, True], ids=["its tasks", "the whole run"])
def test_a_cleared_run_returns_the_same_video_and_orders_nothing(
    deployment: Deployment, runs: Runs, *, whole: bool
) -> None:
    airflow = deployment.airflow
    airflow.wait_for_run(FIRST, runs.first)
    before = airflow.xcom(FIRST, runs.first, "download")
    reads = deployment.simulator.get("/stats")["content_reads"]
    if whole:
        clear_run(airflow, FIRST, runs.first)
    else:
        clear_tasks(airflow, FIRST, runs.first, **({"keep_task_state": True} if can_discard(airflow) else {}))
    after = airflow.xcom(FIRST, runs.first, "download")
    assert (after["job_id"], after["files"]) == (before["job_id"], before["files"])
    assert deployment.posts(prompt="A paper boat") == 1
    assert deployment.simulator.get("/stats")["content_reads"] == reads


def test_a_clear_that_discards_the_tasks_state_orders_a_new_video(deployment: Deployment) -> None:
    airflow = deployment.airflow
    if not can_discard(airflow):
        pytest.skip("before Airflow 3.4, no clear discards a task's state")
    run_id = airflow.trigger(ANY, prompt="a forgotten boat")
    assert airflow.wait_for_run(ANY, run_id) == "success"
    before = airflow.xcom(ANY, run_id, "download")
    clear_tasks(airflow, ANY, run_id)
    after = airflow.xcom(ANY, run_id, "download")
    assert [before["job_id"], after["job_id"]] == [job["id"] for job in deployment.jobs(prompt="a forgotten")]
    assert deployment.posts(prompt="a forgotten") == 2


def check_survives(deployment: Deployment, run_id: str, *, prompt: str, stop: str) -> None:
    """Take the triggerer away in the middle of a job, start another one, and let the job complete."""
    airflow = deployment.airflow
    airflow.wait_for_task(ANY, run_id, "submit", "deferred")
    (job,) = deployment.jobs(prompt=prompt)
    deployment.wait_for_poll(job["id"], after=0)
    (airflow.kill if stop == "kill" else airflow.stop)("triggerer")
    seen = deployment.polls(job["id"])
    assert airflow.task(ANY, run_id, "submit")["state"] == "deferred"
    airflow.start("triggerer")
    deployment.wait_for_poll(job["id"], after=seen)
    deployment.simulator.post(f"/jobs/{job['id']}/finish")
    assert airflow.wait_for_run(ANY, run_id) == "success"
    manifest = airflow.xcom(ANY, run_id, "download")
    check_landed(manifest)
    assert manifest["job_id"] == job["id"]
    (task,) = deployment.tasks(ANY, run_id, "submit")
    assert task["try_number"] == 1
    assert deployment.posts(prompt=prompt) == 1
    assert [other["id"] for other in deployment.jobs(prompt=prompt)] == [job["id"]]


def test_a_job_survives_a_restart_of_the_triggerer(deployment: Deployment, runs: Runs) -> None:
    check_survives(deployment, runs.restarted, prompt="restarted", stop="stop")


def test_a_job_survives_a_killed_triggerer(deployment: Deployment, runs: Runs) -> None:
    check_survives(deployment, runs.killed, prompt="killed", stop="kill")


def test_the_key_is_written_nowhere(deployment: Deployment, runs: Runs) -> None:
    assert deployment.airflow.wait_for_run(FIRST, runs.first) == "success"
    home = deployment.airflow.home.parent
    files = [path for path in home.rglob("*") if path.is_file() and path.suffix != ".mp4"]
    assert any(path.name == "airflow.db" for path in files)
    assert any(path.name == "attempt=1.log" for path in files)
    assert [str(path) for path in files if API_KEY.encode() in path.read_bytes()] == []

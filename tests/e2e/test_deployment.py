"""Real Airflow processes against the simulator: from the play button to the landed file, through restarts.

All runs are started at the beginning and looked at one by one, so that they wait at the same time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest
from local_airflow import API_KEY, wait_until

from airflow_provider_orvideo.manifests import LandedManifest

if TYPE_CHECKING:
    from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e

FIRST = "orvideo_first_video"
MAPPED = "films_mapped"
ANY = "films_any"


@dataclass(frozen=True)
class Runs:
    """Ids of the runs, each named by what happens to it."""

    first: str
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
        restarted=airflow.trigger(ANY, prompt="a held boat, restarted"),
        killed=airflow.trigger(ANY, prompt="a held boat, killed"),
        doomed=airflow.trigger(ANY, prompt="a doomed boat"),
        unreadable=airflow.trigger(ANY, prompt="an unreadable boat"),
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
    airflow = deployment.airflow
    assert airflow.wait_for_run(ANY, runs.unreadable) == "success"
    (task,) = deployment.tasks(ANY, runs.unreadable, "submit")
    assert task["try_number"] == 2
    (job,) = deployment.jobs(prompt="an unreadable")
    assert f"The status of job {job['id']} cannot be read" in airflow.task_log(ANY, runs.unreadable, "submit", 1)
    assert "nothing is ordered now" in airflow.task_log(ANY, runs.unreadable, "submit", 2)
    check_landed(airflow.xcom(ANY, runs.unreadable, "download"))
    assert deployment.posts(prompt="an unreadable") == 1


def test_a_cleared_run_returns_the_same_video_and_orders_nothing(deployment: Deployment, runs: Runs) -> None:
    airflow = deployment.airflow
    airflow.wait_for_run(FIRST, runs.first)
    before = airflow.xcom(FIRST, runs.first, "download")
    reads = deployment.simulator.get("/stats")["content_reads"]
    airflow.api(
        "POST",
        f"/dags/{FIRST}/clearTaskInstances",
        json={"dry_run": False, "dag_run_id": runs.first, "task_ids": ["submit", "download"], "only_failed": False},
    )
    wait_until(
        "the cleared run",
        lambda: (
            airflow.run_state(FIRST, runs.first) == "success"
            and airflow.task(FIRST, runs.first, "download")["try_number"] == 2
        ),
        timeout=60,
    )
    after = airflow.xcom(FIRST, runs.first, "download")
    assert (after["job_id"], after["files"]) == (before["job_id"], before["files"])
    assert deployment.posts(prompt="A paper boat") == 1
    assert deployment.simulator.get("/stats")["content_reads"] == reads


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

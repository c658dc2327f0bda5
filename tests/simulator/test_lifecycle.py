"""A job's way from submit to its end, as a client sees it."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from airflow_provider_orvideo.simulator import Simulator

JOB_ID = re.compile(r"gen-vid-\d{10}-[0-9A-Za-z]{20}")


def test_submit_answers_202_with_an_id_an_absolute_polling_url_and_pending(
    sim: Simulator, client: httpx.Client, order: Callable[..., dict[str, Any]]
) -> None:
    answer = client.post("/videos", json=order())
    job = answer.json()
    assert answer.status_code == 202
    assert list(job) == ["id", "polling_url", "status"]
    assert JOB_ID.fullmatch(job["id"])
    assert job["polling_url"] == f"{sim.base_url}/videos/{job['id']}"
    assert job["status"] == "pending"


def test_a_waiting_job_is_pending_and_already_has_its_generation_id(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    sim = simulate(job_seconds="manual")
    client = connect(sim)
    job_id = client.post("/videos", json=order()).json()["id"]
    poll = client.get(f"/videos/{job_id}")
    assert poll.status_code == 200
    assert poll.json() == {
        "id": job_id,
        "generation_id": job_id,
        "polling_url": f"{sim.base_url}/videos/{job_id}",
        "status": "pending",
    }


def test_a_completed_job_has_urls_and_usage(sim: Simulator, client: httpx.Client, submit: Callable[..., str]) -> None:
    job_id = submit()
    done = client.get(f"/videos/{job_id}").json()
    assert done["status"] == "completed"
    assert done["unsigned_urls"] == [f"{sim.base_url}/videos/{job_id}/content?index=0"]
    assert done["usage"] == {"cost": 0.05, "is_byok": False}
    assert not {"urls", "expires_at", "error"} & set(done)


def test_time_and_the_settings_decide_when_a_job_is_done(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    sim = simulate(job_seconds=60, in_progress_after=20)
    client = connect(sim)
    job_id = client.post("/videos", json=order()).json()["id"]
    statuses = []
    for seconds in (0, 30, 40):
        sim.advance(seconds)
        statuses.append(client.get(f"/videos/{job_id}").json()["status"])
    assert statuses == ["pending", "in_progress", "completed"]


def test_polls_can_be_what_a_job_waits_for(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    client = connect(simulate(job_polls=2))
    job_id = client.post("/videos", json=order()).json()["id"]
    statuses = [client.get(f"/videos/{job_id}").json()["status"] for _ in range(4)]
    assert statuses == ["pending", "pending", "completed", "completed"]


@pytest.mark.parametrize(
    ("outcome", "error", "text"),
    [
        ("failed", "Content policy violation", "Content policy violation"),
        ("expired", None, "Job exceeded maximum time to live"),
        ("cancelled", None, "Job was cancelled"),
    ],
)
def test_a_job_can_end_without_a_video(
    simulate: Callable[..., Simulator],
    connect: Callable[..., httpx.Client],
    order: Callable[..., dict[str, Any]],
    outcome: str,
    error: str | None,
    text: str,
) -> None:
    sim = simulate(job_seconds="manual")
    client = connect(sim)
    job_id = client.post("/videos", json=order()).json()["id"]
    sim.finish(job_id, outcome, error)
    answer = client.get(f"/videos/{job_id}")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["error"]) == (outcome, text)
    assert not {"usage", "unsigned_urls"} & set(answer.json())
    assert client.get(f"/videos/{job_id}/content").status_code == 409


def test_a_job_ends_only_once(simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client]) -> None:
    sim = simulate(job_seconds="manual")
    job_id = connect(sim).post("/videos", json={"model": "alibaba/wan-2.7", "prompt": "x"}).json()["id"]
    sim.finish(job_id)
    with pytest.raises(ValueError, match="already completed"):
        sim.finish(job_id, "failed")
    with pytest.raises(KeyError):
        sim.finish("gen-vid-1-none")


def test_a_polling_url_can_be_relative(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    job = connect(simulate(absolute_urls=False)).post("/videos", json=order()).json()
    assert job["polling_url"] == f"/api/v1/videos/{job['id']}"


def test_urls_name_the_host_that_the_client_used(client: httpx.Client, order: Callable[..., dict[str, Any]]) -> None:
    job = client.post("/videos", json=order(), headers={"Host": "simulator:8791"}).json()
    assert job["polling_url"] == f"http://simulator:8791/api/v1/videos/{job['id']}"


def test_a_job_can_have_several_outputs(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    client = connect(simulate(outputs=3))
    job_id = client.post("/videos", json=order()).json()["id"]
    urls = client.get(f"/videos/{job_id}").json()["unsigned_urls"]
    videos = {client.get(url).content for url in urls}
    assert [url[-1] for url in urls] == ["0", "1", "2"]
    assert len(videos) == 3


def test_an_own_provider_key_hides_the_cost(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    client = connect(simulate(is_byok=True))
    job_id = client.post("/videos", json=order()).json()["id"]
    assert client.get(f"/videos/{job_id}").json()["usage"] == {"cost": None, "is_byok": True}


@pytest.mark.parametrize("path", ["/videos/gen-vid-1-none", "/videos/gen-vid-1-none/content"])
def test_an_unknown_job_is_404_with_the_message_before_the_code(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.text == '{"error":{"message":"Job gen-vid-1-none not found","code":404}}'


def test_jobs_can_be_neither_listed_nor_cancelled(client: httpx.Client, submit: Callable[..., str]) -> None:
    job_id = submit()
    assert client.get("/videos").status_code == 405
    assert client.delete(f"/videos/{job_id}").status_code == 405
    unknown = client.post(f"/videos/{job_id}/cancel")
    assert (unknown.status_code, unknown.json()) == (404, {"error": {"message": "Not Found", "code": 404}})


def test_the_same_request_twice_is_two_jobs_and_two_bills(
    sim: Simulator, client: httpx.Client, submit: Callable[..., str]
) -> None:
    first, second = submit(), submit()
    assert first != second
    assert sim.posts == 2
    assert client.get("/credits").json()["data"]["total_usage"] == 0.1


def test_a_completed_job_can_be_continued(submit: Callable[..., str]) -> None:
    first = submit()
    assert submit(previous_job_id=first) != first

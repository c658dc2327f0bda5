"""The request log and the control endpoints."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_orvideo.simulator import Simulator

Order = Callable[..., dict[str, Any]]
KEY = "sk-or-test-0001"


@pytest.fixture
def control(sim: Simulator) -> Callable[..., httpx.Response]:
    """Call a control endpoint of `sim`."""

    def call(method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        return httpx.request(method, sim.control_url + path, **options)

    return call


def test_the_counts(sim: Simulator, client: httpx.Client, submit: Callable[..., str], order: Order) -> None:
    job_id = submit()
    client.post("/videos", json=order(duration=99))
    for path in ("", "", "/content"):
        client.get(f"/videos/{job_id}{path}")
    client.get("/key")
    client.get("/videos/models")
    stats = sim.stats()
    assert stats == httpx.get(f"{sim.control_url}/stats").json()
    assert sim.posts == stats["posts"] == 2
    assert (stats["jobs_created"], stats["polls"], stats["content_reads"], stats["videos_rendered"]) == (1, 2, 1, 1)
    assert (stats["key_reads"], stats["model_lists"], stats["dropped"]) == (1, 1, 0)


def test_an_entry_tells_all_but_the_key(sim: Simulator, client: httpx.Client, order: Order) -> None:
    picture = "data:image/png;base64," + "A" * 500
    frame = {"type": "image_url", "image_url": {"url": picture}, "frame_type": "first_frame"}
    headers = {
        "User-Agent": "test/1",
        "HTTP-Referer": "https://example.com",
        "X-OpenRouter-Title": "Title",
        "X-OpenRouter-Categories": "video-gen",
        "X-Secret": "not logged",
    }
    job = client.post("/videos?a=1", json=order(frame_images=[frame]), headers=headers).json()
    (entry,) = sim.requests()
    assert (entry.seq, entry.method, entry.path, entry.operation) == (1, "POST", "/api/v1/videos?a=1", "createVideos")
    assert (entry.job_id, entry.status, entry.authorization) == (job["id"], 202, True)
    assert entry.user_agent == "test/1"
    assert entry.headers == {
        "accept": "*/*",
        "content-type": "application/json",
        "http-referer": "https://example.com",
        "x-openrouter-title": "Title",
        "x-openrouter-categories": "video-gen",
    }
    assert entry.body["prompt"] == "a red boat"
    assert entry.body["frame_images"][0]["image_url"]["url"] == f"{picture[:80]}… ({len(picture)} characters)"
    assert KEY not in json.dumps(entry.as_json())
    assert entry.key_sha256 is not None
    assert len(entry.key_sha256) == 12


def test_no_submit_is_forgotten_however_many_polls_there_are(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Order
) -> None:
    sim = simulate(log_size=2)
    client = connect(sim)
    for _ in range(3):
        job_id = client.post("/videos", json=order()).json()["id"]
        client.get(f"/videos/{job_id}")
    assert [entry.seq for entry in sim.requests()] == [1, 3, 4, 5, 6]
    assert sim.stats()["polls"] == 3


def test_two_keys_can_be_told_apart(sim: Simulator, connect: Callable[..., httpx.Client]) -> None:
    for key in ("sk-or-test-1", "sk-or-test-2", "sk-or-test-1", None):
        connect(sim, key=key).get("/key")
    first, second, third, none = sim.requests()
    assert first.key_sha256 == third.key_sha256 != second.key_sha256
    assert (none.key_sha256, none.authorization, none.status) == (None, False, 401)


def test_the_log_can_be_filtered_and_forgotten(
    sim: Simulator, client: httpx.Client, submit: Callable[..., str], control: Callable[..., httpx.Response]
) -> None:
    job_id = submit()
    client.get(f"/videos/{job_id}")
    client.get("/videos/unknown")
    assert len(control("GET", "/requests").json()) == len(sim.requests()) == 3
    assert [entry["status"] for entry in control("GET", "/requests?operation=getVideos").json()] == [200, 404]
    assert [entry["operation"] for entry in control("GET", f"/requests?job_id={job_id}").json()] == [
        "createVideos",
        "getVideos",
    ]
    assert len(control("GET", "/requests?status=404&authorization=true").json()) == 1
    assert len(control("GET", "/requests?seq=2").json()) == 1
    assert "colour" in control("GET", "/requests?colour=red").json()["error"]
    assert control("DELETE", "/requests").status_code == 204
    assert (sim.requests(), sim.posts) == ([], 0)
    assert len(sim.jobs()) == 1


def test_a_test_can_wait_for_a_request(
    sim: Simulator, client: httpx.Client, control: Callable[..., httpx.Response]
) -> None:
    client.get("/key")
    assert len(control("GET", "/requests?operation=getKey&count=1&wait=5").json()) == 1
    late = control("GET", "/requests?operation=getKey&count=2&wait=0.05")
    assert (late.status_code, "1 of 2" in late.json()["error"]) == (408, True)
    with pytest.raises(TimeoutError, match="1 of 2"):
        sim.wait_for_requests(2, timeout=0.05, operation="getKey")


def test_the_log_file_keeps_every_request(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Order, tmp_path: Path
) -> None:
    path = tmp_path / "requests.jsonl"

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    sim = simulate(log_file=path)
    client = connect(sim)
    job_id = client.post("/videos", json=order()).json()["id"]
    client.get(f"/videos/{job_id}/content")
    sim.add_fault({"match": {"operation": "createVideos"}, "drop": {}})
    with pytest.raises(httpx.TransportError):
        client.post("/videos", json=order())
    sim.add_fault({"match": {"operation": "getKey"}, "delay": 60})
    with ThreadPoolExecutor(1) as pool:
        unanswered = pool.submit(client.get, "/key", timeout=60)
        sim.wait_for_requests(1, operation="getKey")
        seen = [(line["operation"], line["status"], line["job_id"]) for line in lines()]
        sim.stop()
        assert isinstance(unanswered.exception(), httpx.TransportError)
    assert seen == [
        ("createVideos", 202, job_id),
        ("listVideosContent", 200, job_id),
        ("createVideos", "dropped", None),
    ]
    assert KEY not in path.read_text(encoding="utf-8")
    # The one that was never answered is written at the end.
    assert [(line["operation"], line["status"]) for line in lines()][3:] == [("getKey", None)]


def test_jobs_are_listed_with_their_request(
    submit: Callable[..., str], control: Callable[..., httpx.Response], order: Order
) -> None:
    job_id = submit()
    (job,) = control("GET", "/jobs").json()
    assert job["request"] == order()
    facts = {name: job[name] for name in ("id", "status", "model", "width", "height", "seconds", "cost", "outputs")}
    assert facts == {
        "id": job_id,
        "status": "completed",
        "model": "x-ai/grok-imagine-video",
        "width": 854,
        "height": 480,
        "seconds": 1,
        "cost": 0.05,
        "outputs": 1,
    }


def test_a_job_can_be_finished_from_outside(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Order
) -> None:
    sim = simulate(job_seconds="manual")
    client = connect(sim)
    first, second = (client.post("/videos", json=order()).json()["id"] for _ in range(2))

    def finish(job_id: str, **body: str) -> httpx.Response:
        return httpx.post(f"{sim.control_url}/jobs/{job_id}/finish", **({"json": body} if body else {}))  # type: ignore[arg-type]

    assert finish(first).json()["status"] == "completed"
    assert finish(second, outcome="failed", error="No luck").json()["error"] == "No luck"
    assert finish(first).status_code == 409
    assert finish("unknown").status_code == 404
    assert finish(first, result="x").status_code == 400
    assert client.get(f"/videos/{second}").json()["status"] == "failed"


def test_faults_can_be_listed_replaced_and_removed(control: Callable[..., httpx.Response]) -> None:
    one = {"id": "one", "match": {"operation": "getKey"}, "respond": {"status": 500}}
    added = control("POST", "/faults", json=[one, {"delay": 0.1}])
    assert added.status_code == 201
    assert [rule["id"] for rule in added.json()] == ["one", "fault-1"]
    control("POST", "/faults", json={"faults": [one | {"respond": {"status": 418}}]})
    assert control("GET", "/faults").json() == [
        {"id": "fault-1", "delay": {"seconds": 0.1}, "hits": 0},
        one | {"respond": {"status": 418}, "hits": 0},
    ]
    assert control("DELETE", "/faults/one").status_code == 204
    assert control("DELETE", "/faults/one").status_code == 404
    assert control("DELETE", "/faults").status_code == 204
    assert control("GET", "/faults").json() == []


def test_one_wrong_rule_of_several_adds_none(sim: Simulator, control: Callable[..., httpx.Response]) -> None:
    assert control("POST", "/faults", json=[{"drop": {}}, {"dorp": {}}]).status_code == 400
    assert control("POST", "/faults", content=b"{").json() == {"error": "the body is not JSON"}
    assert sim.faults() == []


def test_the_clock_goes_forward_only(sim: Simulator, control: Callable[..., httpx.Response]) -> None:
    before = sim.state.clock.epoch()
    assert control("POST", "/clock", json={"seconds": 100}).json()["epoch"] >= before + 100
    assert control("POST", "/clock", json={"seconds": -1}).status_code == 400
    with pytest.raises(ValueError, match="turned back"):
        sim.advance(-1)


def test_reset_forgets_everything(
    sim: Simulator, submit: Callable[..., str], control: Callable[..., httpx.Response]
) -> None:
    submit()
    sim.add_fault({"drop": {}})
    assert control("POST", "/reset").status_code == 204
    assert (sim.jobs(), sim.faults(), sim.requests(), sim.posts, sim.stats()["jobs_created"]) == ([], [], [], 0, 0)


def test_health(control: Callable[..., httpx.Response]) -> None:
    health = control("GET", "/health").json()
    assert health["status"] == "ok"
    assert health["settings"]["fps"] == 8


def test_control_requests_are_not_logged(sim: Simulator, control: Callable[..., httpx.Response]) -> None:
    control("GET", "/jobs")
    assert sim.requests() == []

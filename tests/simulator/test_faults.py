"""Every fault, as the client feels it and as the job store and the log see it."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from airflow_provider_orvideo.simulator import Simulator

Order = Callable[..., dict[str, Any]]
Submit = Callable[..., str]
POST = {"operation": "createVideos"}
POLL = {"operation": "getVideos"}
CONTENT = {"operation": "listVideosContent"}


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_error_instead_of_the_answer_takes_no_effect(sim: Simulator, client: httpx.Client, order: Order) -> None:
    sim.add_fault({"match": POST, "times": 1, "respond": {"status": 503, "retry_after": 2}})
    refused = client.post("/videos", json=order())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert refused.json()["error"]["code"] == 503
    assert sim.jobs() == []
    assert client.post("/videos", json=order()).status_code == 202
    assert (sim.posts, len(sim.jobs())) == (2, 1)


def test_an_error_after_the_job_was_accepted(sim: Simulator, client: httpx.Client, order: Order) -> None:
    sim.add_fault({"match": POST, "respond": {"status": 502, "when": "after"}})
    assert client.post("/videos", json=order()).status_code == 502
    (job,) = sim.jobs()
    (entry,) = sim.requests(operation="createVideos")
    assert (entry.job_id, entry.status) == (job.id, 502)


def test_a_refused_request_has_no_after(sim: Simulator, client: httpx.Client, order: Order) -> None:
    sim.add_fault({"match": POST, "drop": {"when": "after"}})
    assert client.post("/videos", json=order(duration=99)).status_code == 400


def test_retry_after_can_be_a_date(sim: Simulator, client: httpx.Client) -> None:
    sim.add_fault({"respond": {"status": 429, "retry_after_date": 30}})
    date = parsedate_to_datetime(client.get("/key").headers["retry-after"])
    assert date.timestamp() == pytest.approx(time.time() + 30, abs=3)


@pytest.mark.parametrize(
    ("respond", "content_type", "body"),
    [
        ({"status": 500}, "application/json", '{"error":{"message":"Internal Server Error","code":500}}'),
        ({"status": 400, "message": "No."}, "application/json", '{"error":{"message":"No.","code":400}}'),
        (
            {"status": 402, "message": "No.", "metadata": {"limit_source": "openrouter_key_limit"}},
            "application/json",
            '{"error":{"message":"No.","code":402,"metadata":{"limit_source":"openrouter_key_limit"}}}',
        ),
        ({"status": 502, "body": {"error": "upstream"}}, "application/json", '{"error":"upstream"}'),
        ({"status": 200, "body": {"error": {"message": "x"}}}, "application/json", '{"error":{"message":"x"}}'),
        ({"status": 504, "text": "gateway timeout"}, "text/plain; charset=utf-8", "gateway timeout"),
        ({"status": 200, "text": ""}, "text/plain; charset=utf-8", ""),
    ],
)
def test_bodies(sim: Simulator, client: httpx.Client, respond: dict[str, Any], content_type: str, body: str) -> None:
    sim.add_fault({"respond": respond})
    answer = client.get("/key")
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (respond["status"], content_type, body)


def test_an_html_page(sim: Simulator, client: httpx.Client) -> None:
    sim.add_fault({"respond": {"status": 524, "html": True}})
    answer = client.get("/key")
    assert (answer.status_code, answer.headers["content-type"]) == (524, "text/html; charset=UTF-8")
    assert "Error 524" in answer.text


def test_headers(sim: Simulator, client: httpx.Client) -> None:
    sim.add_fault({"respond": {"status": 429, "headers": {"X-RateLimit-Reset": "1790000000000"}}})
    assert client.get("/key").headers["x-ratelimit-reset"] == "1790000000000"


def test_a_few_404_before_a_job_is_known(sim: Simulator, client: httpx.Client, submit: Submit) -> None:
    sim.add_fault({"match": POLL, "times": 2, "respond": {"status": 404, "message": "Job not found"}})
    job_id = submit()
    assert [client.get(f"/videos/{job_id}").status_code for _ in range(3)] == [404, 404, 200]


# ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("how", "error"), [("close", httpx.RemoteProtocolError), ("reset", httpx.ReadError)])
@pytest.mark.parametrize(("when", "jobs"), [("before", 0), ("after", 1)])
def test_a_dropped_submit(
    sim: Simulator, client: httpx.Client, order: Order, how: str, error: type[Exception], when: str, jobs: int
) -> None:
    sim.add_fault({"match": POST, "times": 1, "drop": {"when": when, "how": how}})
    with pytest.raises(error):
        client.post("/videos", json=order())
    assert len(sim.jobs()) == jobs
    (entry,) = sim.requests(operation="createVideos")
    assert entry.status == "dropped"
    assert (entry.job_id is not None) == bool(jobs)
    assert client.post("/videos", json=order()).status_code == 202


def test_a_drop_on_a_kept_connection_hits_only_its_own_request(
    sim: Simulator, connect: Callable[..., httpx.Client]
) -> None:
    first, second = connect(sim), connect(sim)
    assert first.get("/key").status_code == second.get("/key").status_code == 200
    sim.add_fault({"times": 1, "drop": {}})
    with pytest.raises(httpx.TransportError):
        first.get("/key")
    assert second.get("/key").status_code == 200


def test_delays_add_up_and_may_come_after_the_effect(sim: Simulator, client: httpx.Client, order: Order) -> None:
    sim.add_fault({"match": POST, "delay": 0.05})
    sim.add_fault({"delay": {"seconds": 0.1, "when": "after"}})
    started = time.monotonic()
    assert client.post("/videos", json=order()).status_code == 202
    assert time.monotonic() - started >= 0.15


@pytest.mark.parametrize(("when", "jobs"), [("before", 0), ("after", 1)])
def test_a_client_that_does_not_wait_for_a_slow_submit(
    sim: Simulator, client: httpx.Client, order: Order, when: str, jobs: int
) -> None:
    sim.add_fault({"match": POST, "times": 1, "delay": {"seconds": 30, "when": when}})
    with pytest.raises(httpx.ReadTimeout):
        client.post("/videos", json=order(), timeout=0.2)
    assert (sim.posts, len(sim.jobs())) == (1, jobs)


def test_a_delay_combines_with_an_action(sim: Simulator, client: httpx.Client) -> None:
    sim.add_fault({"delay": 0.1, "respond": {"status": 500}})
    started = time.monotonic()
    assert client.get("/key").status_code == 500
    assert time.monotonic() - started >= 0.1


# ── content ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("truncate", [{"truncate": 0.5}, {"truncate_bytes": 1000}, {"truncate_bytes": 0}])
def test_cut_content_lacks_its_end(
    sim: Simulator, client: httpx.Client, submit: Submit, truncate: dict[str, float]
) -> None:
    path = f"/videos/{submit()}/content"
    whole = client.get(path).content
    sim.add_fault({"match": CONTENT, "times": 1, "content": truncate})
    received: list[bytes] = []
    with client.stream("GET", path) as answer, pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        received.extend(answer.iter_raw())
    expected = len(whole) // 2 if "truncate" in truncate else truncate["truncate_bytes"]
    assert b"".join(received) == whole[: int(expected)]
    assert client.get(path).content == whole


def test_short_content_that_ends_properly(sim: Simulator, client: httpx.Client, submit: Submit) -> None:
    path = f"/videos/{submit()}/content"
    whole = client.get(path).content
    sim.add_fault({"match": CONTENT, "content": {"truncate_bytes": len(whole) - 1, "clean": True}})
    assert client.get(path).content == whole[:-1]


def test_garbage_and_a_foreign_content_type(sim: Simulator, client: httpx.Client, submit: Submit) -> None:
    path = f"/videos/{submit()}/content"
    whole = client.get(path).content
    sim.add_fault({"match": CONTENT, "content": {"garbage": True, "content_type": "video/webm"}})
    answer = client.get(path)
    assert answer.headers["content-type"] == "video/webm"
    assert len(answer.content) == len(whole)
    assert b"ftyp" not in answer.content


def test_slow_content(sim: Simulator, client: httpx.Client, submit: Submit) -> None:
    path = f"/videos/{submit()}/content"
    size = len(client.get(path).content)
    sim.add_fault({"match": CONTENT, "content": {"bytes_per_second": size * 4}})
    started = time.monotonic()
    assert len(client.get(path).content) == size
    assert 0.2 <= time.monotonic() - started < 5


def test_one_output_of_several_can_fail(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Order
) -> None:
    sim = simulate(outputs=2)
    client = connect(sim)
    sim.add_fault({"match": CONTENT | {"index": 1}, "respond": {"status": 502}})
    job_id = client.post("/videos", json=order()).json()["id"]
    assert [client.get(f"/videos/{job_id}/content?index={index}").status_code for index in (0, 1)] == [200, 502]


# ── jobs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_status_for_a_few_polls_of_each_job(sim: Simulator, client: httpx.Client, submit: Submit) -> None:
    sim.add_fault({"match": POLL, "per_job": True, "times": 2, "status": "queued_upstream"})
    for job_id in (submit(), submit()):
        polls = [client.get(f"/videos/{job_id}").json() for _ in range(3)]
        assert [poll["status"] for poll in polls] == ["queued_upstream", "queued_upstream", "completed"]
        assert set(polls[0]) == {"id", "generation_id", "polling_url", "status"}


@pytest.mark.parametrize("outcome", ["failed", "expired", "cancelled", "dead"])
def test_a_job_that_ends_badly(sim: Simulator, client: httpx.Client, submit: Submit, outcome: str) -> None:
    sim.add_fault({"match": {"prompt_contains": "doomed"}, "job": {"outcome": outcome, "error": "No luck"}})
    fine, doomed = submit(), submit(prompt="a doomed boat")
    assert client.get(f"/videos/{fine}").json()["status"] == "completed"
    answer = client.get(f"/videos/{doomed}").json()
    assert (answer["status"], answer["error"]) == (outcome, "No luck")


def test_a_job_can_differ_from_the_settings(sim: Simulator, client: httpx.Client, submit: Submit) -> None:
    sim.add_fault({"times": 1, "job": {"seconds": "manual", "outputs": 2, "cost": "0.2125"}})
    special, ordinary = submit(), submit()
    assert client.get(f"/videos/{ordinary}").json()["usage"]["cost"] == 0.05
    assert client.get(f"/videos/{special}").json()["status"] == "pending"
    sim.finish(special)
    done = client.get(f"/videos/{special}").json()
    assert done["usage"]["cost"] == 0.2125
    assert len(done["unsigned_urls"]) == 2


def test_a_job_can_be_made_without_outputs_without_a_cost_or_with_its_output_gone(
    sim: Simulator, client: httpx.Client, submit: Submit
) -> None:
    for change in ({"outputs": 0}, {"cost": None}, {"gone": True}, {"polls": 1}):
        sim.add_fault({"times": 1, "job": change})
    empty, free, gone, polled = submit(), submit(), submit(), submit()
    assert client.get(f"/videos/{empty}").json()["unsigned_urls"] == []
    assert client.get(f"/videos/{free}").json()["usage"]["cost"] is None
    assert client.get(f"/videos/{gone}/content").status_code == 410
    assert [client.get(f"/videos/{polled}").json()["status"] for _ in range(2)] == ["pending", "completed"]


# ── which requests ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("counting", "hit"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"times": 2}, [1, 2]),
        ({"after": 2}, [3, 4, 5, 6]),
        ({"after": 1, "times": 2}, [2, 3]),
        ({"every": 3}, [1, 4]),
        ({"after": 1, "every": 2, "times": 2}, [2, 4]),
    ],
)
def test_counting(sim: Simulator, client: httpx.Client, counting: dict[str, int], hit: list[int]) -> None:
    sim.add_fault({"respond": {"status": 500}, **counting})
    statuses = [client.get("/key").status_code for _ in range(6)]
    assert [number for number, status in enumerate(statuses, 1) if status == 500] == hit
    assert sim.faults()[0]["hits"] == len(hit)


def test_rules_of_a_kind_take_turns(sim: Simulator, client: httpx.Client, order: Order) -> None:
    sim.add_fault({"match": POST, "times": 2, "respond": {"status": 503}})
    sim.add_fault({"match": POST, "times": 1, "drop": {}})
    sim.add_fault({"match": POST, "times": 1, "after": 1, "respond": {"status": 500}})
    seen: list[int | str] = []
    for _ in range(6):
        try:
            seen.append(client.post("/videos", json=order()).status_code)
        except httpx.TransportError:
            seen.append("dropped")
    # The last rule lets one of the requests pass that are left to it.
    assert seen == [503, 503, "dropped", 202, 500, 202]


def test_matching(sim: Simulator, client: httpx.Client, submit: Submit) -> None:
    first, second = submit(), submit(model="runway/gen-4.5", duration=2, resolution="720p", prompt="a blue boat")

    def hits(**match: object) -> list[bool]:
        sim.clear_faults()
        sim.add_fault({"match": match, "respond": {"status": 418}})
        answers = [client.get("/key"), client.get(f"/videos/{first}"), client.get(f"/videos/{second}/content")]
        return [answer.status_code == 418 for answer in answers]

    assert hits() == [True, True, True]
    assert hits(operation="getKey") == [True, False, False]
    assert hits(operation="any", model="runway/gen-4.5") == [False, False, True]
    assert hits(job_id=first) == [False, True, False]
    assert hits(prompt_contains="boat") == [False, True, True]
    assert hits(index=0) == [False, False, True]
    assert hits(index=1) == [False, False, False]


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("listVideosModels", "/videos/models"),
        ("getKey", "/key"),
        ("getCredits", "/credits"),
        ("getGeneration", "/generation?id=x"),
    ],
)
def test_every_operation_can_fail(sim: Simulator, client: httpx.Client, operation: str, path: str) -> None:
    sim.add_fault({"match": {"operation": operation}, "respond": {"status": 418}})
    assert client.get(path).status_code == 418


def test_the_oldest_rule_answers_and_kinds_combine(sim: Simulator, client: httpx.Client, order: Order) -> None:
    first = sim.add_fault({"match": POST, "times": 1, "respond": {"status": 503, "when": "after"}})
    sim.add_fault({"match": POST, "times": 1, "drop": {}})
    third = sim.add_fault({"match": POST, "times": 1, "job": {"outcome": "failed"}})
    assert client.post("/videos", json=order()).status_code == 503
    (entry,) = sim.requests(operation="createVideos")
    assert entry.rules == [first, third]
    assert sim.jobs()[0].status == "failed"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "needs an action"),
    ({"respnd": {"status": 500}}, "respnd: Extra inputs are not permitted"),
    ({"match": {"op": "getKey"}, "drop": {}}, "match.op: Extra inputs are not permitted"),
    ({"match": {"operation": "getVideo"}, "drop": {}}, "match.operation: Input should be"),
    ({"drop": {}, "respond": {"status": 500}}, "a rule has one action, this one has respond and drop"),
    ({"respond": {"status": 99}}, "respond.status"),
    ({"respond": {"status": 500, "text": "x", "html": True}}, "give one of: body, text, html, message"),
    ({"respond": {"status": 429, "retry_after": 1, "retry_after_date": 1}}, "not both"),
    ({"content": {}}, "say what is wrong with the content"),
    ({"content": {"clean": True}}, "clean says how a truncated body ends"),
    ({"content": {"truncate": 0.5, "truncate_bytes": 1}}, "not both"),
    ({"content": {"truncate": 1.5}}, "content.truncate"),
    ({"match": {"operation": "getKey"}, "content": {"garbage": True}}, "content acts on listVideosContent"),
    ({"match": {"operation": "createVideos"}, "status": "odd"}, "status acts on getVideos"),
    ({"match": {"operation": "createVideos"}, "per_job": True, "drop": {}}, "per_job needs requests that name a job"),
    ({"times": 0, "drop": {}}, "times"),
]


@pytest.mark.parametrize(("rule", "text"), WRONG)
def test_a_wrong_rule_is_explained(sim: Simulator, rule: dict[str, Any], text: str) -> None:
    answer = httpx.post(f"{sim.control_url}/faults", json=rule)
    assert answer.status_code == 400
    assert text in answer.json()["error"]
    assert sim.faults() == []
    with pytest.raises(ValueError, match="validation error"):
        sim.add_fault(rule)

"""``job_id``: following an existing, paid job. While it is set, nothing is ordered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import JobFailedError, JobTimedOutError, RequestInvalidError
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Attempt, Connect, FakeStateStore, MakeContext, MakeSubmit, Simulate

POST = {"operation": "createVideos"}
TEMPLATE = "{{ dag_run.conf.get('job_id', '') }}"


def order(sim: Simulator) -> str:
    """Order a video elsewhere, and return its job id."""
    posts = sim.posts
    with OrVideoHook() as hook:
        job = hook.generate(VideoRequest.build(model="x-ai/grok-imagine-video", prompt="elsewhere", duration=1))
    assert sim.posts == posts + 1
    return job.id


def conf(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - a run's configuration
    return {"dag_run": SimpleNamespace(conf=values)}


def test_a_completed_job_is_handed_on_at_once(sim: Simulator, attempt: Attempt, store: FakeStateStore) -> None:
    job_id = order(sim)
    manifest = attempt(job_id=job_id)
    assert (manifest["job_id"], manifest["status"], manifest["outputs"]) == (job_id, "completed", 1)
    assert manifest["cost_usd"] == float(sim.job(job_id).cost or 0) > 0
    assert (store.record["phase"], store.record["adopted"]) == ("terminal", True)
    # With and without the id, by retries and clears, it stays the video of this task.
    for number, max_tries, again in ((2, 2, job_id), (3, 5, job_id), (4, 5, None), (5, 9, None)):
        assert attempt(try_number=number, max_tries=max_tries, job_id=again) == manifest
    assert sim.posts == 1


def test_a_pending_job_is_waited_for(
    simulate: Simulate, connect: Connect, attempt: Attempt, store: FakeStateStore
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    job_id = order(sim)
    with pytest.raises(JobTimedOutError):
        attempt(job_id=job_id, timeout=0.05)
    assert (store.record["phase"], store.record["job_id"]) == ("submitted", job_id)
    sim.finish(job_id)
    assert attempt(try_number=2, job_id=job_id)["status"] == "completed"
    assert sim.posts == 1


def test_a_failed_job_fails_the_task_and_nothing_is_ordered(sim: Simulator, attempt: Attempt) -> None:
    sim.add_fault({"match": POST, "times": 1, "job": {"outcome": "failed", "error": "The provider gave up"}})
    job_id = order(sim)
    for number in (1, 2):
        with pytest.raises(AirflowFailException, match=f"{job_id}.*ended as 'failed'"):
            attempt(try_number=number, job_id=job_id)
    assert sim.posts == 1


def test_a_failed_job_is_bought_anew_only_once_its_id_is_no_longer_set(sim: Simulator, attempt: Attempt) -> None:
    sim.add_fault({"match": POST, "times": 1, "job": {"outcome": "failed", "error": "The provider gave up"}})
    job_id = order(sim)
    for number in (1, 2):
        with pytest.raises(JobFailedError, match="once job_id is no longer set"):
            attempt(try_number=number, job_id=job_id, on_job_failure="resubmit")
    assert sim.posts == 1
    assert attempt(try_number=3, on_job_failure="resubmit")["status"] == "completed"
    assert sim.posts == 2


def test_an_unknown_job_is_a_clear_error_and_nothing_is_ordered(
    sim: Simulator, attempt: Attempt, store: FakeStateStore
) -> None:
    with pytest.raises(AirflowFailException, match="'gen-vid-typo'") as caught:
        attempt(job_id="gen-vid-typo", on_ambiguous_submit="resubmit", on_clear="submit")
    assert isinstance(caught.value.__cause__, RequestInvalidError)
    assert "connection 'orvideo_default'" in str(caught.value)
    assert (sim.posts, store.values) == (0, {})


@pytest.mark.parametrize("odd", ["../key", "a/b?c", "gen vid", "…", "%2e%2e"])
def test_an_odd_id_is_looked_up_as_it_is_and_is_no_job(sim: Simulator, attempt: Attempt, odd: str) -> None:
    with pytest.raises(AirflowFailException):
        attempt(job_id=odd)
    assert sim.posts == 0


@pytest.mark.parametrize(
    ("template", "values"),
    [
        (TEMPLATE, {}),
        (TEMPLATE, {"job_id": ""}),
        (TEMPLATE, {"job_id": None}),
        (TEMPLATE, {"job_id": "  "}),
        ("{{ dag_run.conf.get('job_id') }}", {}),
        (None, {}),
        ("", {}),
    ],
)
def test_a_template_that_finds_no_job_orders_as_usual(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, template: str | None, values: dict[str, Any]
) -> None:
    manifest = attempt(job_id=template, in_context=conf(**values))
    assert manifest["job_id"] == sim.jobs()[0].id
    assert store.record["adopted"] is False
    assert sim.posts == 1


def test_a_template_that_finds_a_job_adopts_it(sim: Simulator, attempt: Attempt) -> None:
    job_id = order(sim)
    assert attempt(job_id=TEMPLATE, in_context=conf(job_id=f" {job_id}\n"))["job_id"] == job_id
    assert sim.posts == 1


def test_an_order_with_an_unknown_outcome_is_settled_by_adopting_its_job(
    sim: Simulator, attempt: Attempt, store: FakeStateStore
) -> None:
    sim.add_fault({"match": POST, "times": 1, "respond": {"status": 503, "when": "after"}})
    with pytest.raises(AirflowFailException):
        attempt(job_id=TEMPLATE, in_context=conf())
    left = store.record["intent_at"]
    with pytest.raises(AirflowFailException, match="adopt it: run this task with job_id"):
        attempt(try_number=2, max_tries=4, job_id=TEMPLATE, in_context=conf())
    (job,) = sim.jobs()
    manifest = attempt(try_number=3, max_tries=6, job_id=TEMPLATE, in_context=conf(job_id=job.id))
    assert (manifest["job_id"], manifest["status"]) == (job.id, "completed")
    assert store.record["lost"] == [left]
    assert attempt(try_number=4, max_tries=8) == manifest
    assert sim.posts == 1


def test_earlier_jobs_of_the_task_stay_on_record(sim: Simulator, attempt: Attempt, store: FakeStateStore) -> None:
    first = attempt()
    job_id = order(sim)
    assert attempt(try_number=2, job_id=job_id)["job_id"] == job_id
    (past,) = store.record["past"]
    assert (past["job_id"], past["status"], past["cost_usd"]) == (first["job_id"], "completed", first["cost_usd"])
    assert attempt(try_number=3, job_id=first["job_id"])["job_id"] == first["job_id"]
    assert [job["job_id"] for job in store.record["past"]] == [first["job_id"], job_id]
    assert sim.posts == 2


def test_a_job_that_already_ended_is_adopted_without_deferring(
    sim: Simulator, make_submit: MakeSubmit, make_context: MakeContext, store: FakeStateStore
) -> None:
    job_id = order(sim)
    context: Any = make_context()
    assert make_submit(deferrable=True, job_id=job_id).execute(context)["status"] == "completed"
    assert store.record["adopted"]

"""Airflow gives up on a trigger: the job does not care, so it is looked at before the task fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

try:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
except ImportError:  # Airflow 3.1
    from airflow.exceptions import TaskDeferralError, TaskDeferralTimeout  # type: ignore[no-redef]

from airflow_provider_orvideo.exceptions import JobFailedError, JobUnreachableError, LedgerUnavailableError
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Defer, FakeStateStore, MakeContext, MakeSubmit, Simulate

    Resume = Callable[..., dict[str, Any]]

#: What Airflow hands to the task, and what its own operator makes of that.
LOST: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "timed out": ({"error": TriggerFailureReason.TRIGGER_TIMEOUT.value}, TaskDeferralTimeout),
    "failed": (
        {"error": TriggerFailureReason.TRIGGER_FAILURE.value, "traceback": ["Traceback", "ValueError: a bug"]},
        TaskDeferralError,
    ),
}


@pytest.fixture(params=LOST)
def lost(request: pytest.FixtureRequest) -> tuple[dict[str, Any], type[Exception]]:
    return LOST[request.param]


@pytest.fixture
def resume(lost: tuple[dict[str, Any], type[Exception]], make_submit: MakeSubmit, make_context: MakeContext) -> Resume:
    """Resume a task whose trigger was lost, on a new worker, as Airflow's task runner does."""

    def run(*, in_context: dict[str, Any] | None = None, max_tries: int = 2, **arguments: object) -> dict[str, Any]:
        context: Any = make_context(max_tries=max_tries, **(in_context or {}))
        operator = make_submit(deferrable=True, **arguments)
        result: dict[str, Any] = operator.resume_execution(TRIGGER_FAIL_REPR, dict(lost[0]), context)
        return result

    return run


@pytest.fixture
def manual(simulate: Simulate, connect: Connect) -> Simulator:
    """A simulator whose jobs end when told to, and ``orvideo_default`` pointing to it."""
    simulator = simulate(job_seconds="manual")
    connect(simulator)
    return simulator


def test_a_job_that_completed_is_handed_on(
    manual: Simulator,
    make_submit: MakeSubmit,
    defer: Defer,
    resume: Resume,
    store: FakeStateStore,
    task_log: pytest.LogCaptureFixture,
) -> None:
    defer(make_submit(deferrable=True))
    (job,) = manual.jobs()
    manual.finish(job.id)
    manifest = resume(max_tries=7)
    assert (manifest["job_id"], manifest["status"], manifest["model"]) == (
        job.id,
        "completed",
        "x-ai/grok-imagine-video",
    )
    assert (store.record["phase"], store.record["status"], store.record["max_tries"]) == ("terminal", "completed", 7)
    assert "The trigger was lost" in task_log.text
    assert manual.posts == 1


def test_a_job_that_ended_without_a_video_fails_as_it_would_have(
    manual: Simulator, make_submit: MakeSubmit, defer: Defer, resume: Resume, store: FakeStateStore
) -> None:
    defer(make_submit(deferrable=True))
    manual.finish(manual.jobs()[0].id, "failed", "The provider gave up")
    record = store.record
    with pytest.raises(AirflowFailException, match="The provider gave up"):
        resume()
    store.set("orvideo_job", record)
    with pytest.raises(JobFailedError, match="a retry of this task orders another"):
        resume(on_job_failure="resubmit")
    assert store.record["phase"] == "terminal"
    assert manual.posts == 1


def test_a_job_that_goes_on_may_be_waited_for_again_by_a_retry(
    manual: Simulator,
    make_submit: MakeSubmit,
    defer: Defer,
    resume: Resume,
    store: FakeStateStore,
    lost: tuple[dict[str, Any], type[Exception]],
) -> None:
    defer(make_submit(deferrable=True))
    (job,) = manual.jobs()
    before = store.record
    with pytest.raises(JobUnreachableError, match="a retry of this task re-attaches to it") as caught:
        resume()
    assert not isinstance(caught.value, AirflowFailException), "Airflow must retry it"
    assert type(caught.value.__cause__) is lost[1]
    assert lost[0]["error"] in str(caught.value)
    assert job.id in str(caught.value)
    assert "still billing" in str(caught.value)
    assert store.record == before
    trigger = defer(make_submit(deferrable=True)).trigger
    assert isinstance(trigger, OrVideoJobTrigger)
    assert trigger.job_id == job.id
    assert manual.posts == 1


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_job_that_cannot_be_read_may_be_looked_at_again_by_a_retry(
    manual: Simulator, make_submit: MakeSubmit, defer: Defer, resume: Resume, store: FakeStateStore, status: int
) -> None:
    defer(make_submit(deferrable=True))
    before = store.record
    manual.finish(manual.jobs()[0].id)
    manual.add_fault({"match": {"operation": "getVideos"}, "times": 1, "respond": {"status": status}})
    with pytest.raises(JobUnreachableError):
        resume()
    assert store.record == before
    assert resume()["status"] == "completed"
    assert manual.posts == 1


@pytest.mark.parametrize("kept", ["no store", "nothing", "intent", "terminal"])
def test_without_a_job_in_flight_airflow_says_what_it_has_to_say(
    manual: Simulator,
    make_submit: MakeSubmit,
    defer: Defer,
    resume: Resume,
    store: FakeStateStore,
    lost: tuple[dict[str, Any], type[Exception]],
    kept: str,
) -> None:
    if kept in {"intent", "terminal"}:
        defer(make_submit(deferrable=True))
        store.set("orvideo_job", store.record | {"phase": kept, "status": "completed"})
    requests = len(manual.requests())
    with pytest.raises(lost[1], match=lost[0]["error"]):
        resume(in_context={"task_state_store": None} if kept == "no store" else None)
    assert len(manual.requests()) == requests


def test_a_record_that_cannot_be_read_may_be_readable_at_the_next_attempt(
    manual: Simulator, make_submit: MakeSubmit, defer: Defer, resume: Resume, store: FakeStateStore
) -> None:
    defer(make_submit(deferrable=True))
    store.broken = {"get"}
    with pytest.raises(LedgerUnavailableError):
        resume()
    assert manual.posts == 1


def test_any_other_resumption_is_airflows_own(
    sim: Simulator, make_submit: MakeSubmit, make_context: MakeContext, store: FakeStateStore
) -> None:
    event: dict[str, Any] = {"outcome": "ended", "job_id": "gen-vid-1", "conn_id": "c", "model": "m"}
    event |= {"status": "completed", "submitted_at": 1.0, "observed_at": 2.0}
    context: Any = make_context()
    operator = make_submit(deferrable=True)
    manifest = operator.resume_execution("execute_complete", {"event": event}, context)
    assert manifest["job_id"] == "gen-vid-1"
    assert store.record["status"] == "completed"
    with pytest.raises(AttributeError):
        operator.resume_execution("execute_something", None, context)
    assert sim.requests() == []

"""The same task instance executed again: after a retry, a clear or a crash, one video is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.ledger.purchase import obtain
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow.triggers.base import BaseTrigger

    from airflow_provider_orvideo.api.schema import VideoJob
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import (
        Connect,
        Context,
        Defer,
        Execute,
        FakeStateStore,
        MakeContext,
        MakeSubmit,
        Simulate,
    )

    Fire = Callable[[BaseTrigger], Awaitable[dict[str, Any]]]


def job_id_of(trigger: BaseTrigger) -> str:
    assert isinstance(trigger, OrVideoJobTrigger)
    return trigger.job_id


def test_a_second_attempt_waits_for_the_job_of_the_first(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, defer: Defer
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    attempts = [defer(make_submit(deferrable=True)).trigger for _ in range(3)]
    assert {job_id_of(trigger) for trigger in attempts} == {sim.jobs()[0].id}
    assert sim.posts == 1


def test_after_success_a_cleared_task_returns_the_same_video_without_a_request(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute
) -> None:
    first = execute(make_submit())
    requests = len(sim.requests())
    assert execute(make_submit()) == first
    assert execute(make_submit(deferrable=True)) == first
    assert len(sim.requests()) == requests


def test_a_job_that_ended_meanwhile_is_concluded_at_once(
    sim: Simulator, make_submit: MakeSubmit, defer: Defer, execute: Execute, store: FakeStateStore
) -> None:
    defer(make_submit(deferrable=True))
    record = store.record
    record["submitted_at"] -= 60
    store.set("orvideo_job", record)
    manifest = execute(make_submit(deferrable=True))
    assert (manifest["status"], manifest["job_id"]) == ("completed", record["job_id"])
    assert (sim.posts, sim.stats()["polls"]) == (1, 1)


async def test_after_its_deadline_a_job_is_looked_at_once_more_and_not_ordered_again(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, defer: Defer, fire: Fire, store: FakeStateStore
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    defer(make_submit(deferrable=True, timeout=50))
    record = store.record
    record["submitted_at"] -= 60
    store.set("orvideo_job", record)
    trigger = defer(make_submit(deferrable=True, timeout=50)).trigger
    sim.finish(record["job_id"])
    event = await fire(trigger)
    assert (event["outcome"], event["status"]) == ("ended", "completed")
    assert sim.posts == 1


@pytest.mark.parametrize("changes", [{"prompt": "a blue boat"}, {"duration": 2}, {"orvideo_conn_id": "other"}])
def test_a_changed_request_is_a_new_order_and_the_old_job_stays_on_record(
    sim: Simulator,
    connect: Connect,
    make_submit: MakeSubmit,
    execute: Execute,
    store: FakeStateStore,
    changes: dict[str, Any],
) -> None:
    connect(sim, conn_id="other")
    first = execute(make_submit())
    second = execute(make_submit(**changes))
    assert first["job_id"] != second["job_id"]
    assert store.record["job_id"] == second["job_id"]
    assert [past["job_id"] for past in store.record["past"]] == [first["job_id"]]
    assert sim.posts == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"trace": {"trace_id": "attempt-2"}},
        {"session_id": "attempt-2"},
        {"user": "u-2"},
        {"callback_url": "https://films.example/2"},
        {"duration": "1"},
        {"poll_interval": 1},
        {"timeout": 60},
    ],
)
def test_what_does_not_shape_the_video_does_not_order_another(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, changes: dict[str, Any]
) -> None:
    first = execute(make_submit())
    assert execute(make_submit(**changes)) == first
    assert sim.posts == 1


def test_a_refused_change_leaves_the_first_job_on_record(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore
) -> None:
    first = execute(make_submit())
    with pytest.raises(AirflowFailException, match="'duration' is 99"):
        execute(make_submit(duration=99))
    assert store.record["job_id"] == first["job_id"]
    assert execute(make_submit()) == first
    assert len(sim.jobs()) == 1


def test_each_mapped_instance_has_a_record_of_its_own(
    sim: Simulator, make_submit: MakeSubmit, make_context: MakeContext, execute: Execute, store: FakeStateStore
) -> None:
    mapped = [make_context(task_state_store=type(store)()) for _ in range(2)]
    jobs = [execute(make_submit(), context)["job_id"] for context in mapped for _ in range(2)]
    assert jobs[0] == jobs[1] != jobs[2] == jobs[3]
    assert sim.posts == 2


# ── The process dies ─────────────────────────────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """The process ends here: nothing catches this, nothing is tidied up."""


@pytest.fixture
def die(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the process die right before or right after the paid request, or by Airflow's execution timeout."""
    real = VideoClient.generate

    def before(*_: object) -> VideoJob:
        raise Killed

    def after(*arguments: Any) -> VideoJob:  # noqa: ANN401 - the method's own
        real(*arguments)
        raise Killed

    def timed_out(*arguments: Any) -> VideoJob:  # noqa: ANN401 - the method's own
        real(*arguments)
        raise AirflowTaskTimeout

    def arrange(moment: str) -> None:
        monkeypatch.setattr(
            VideoClient, "generate", {"before": before, "after": after, "timed out": timed_out, "never": real}[moment]
        )

    return arrange


@pytest.mark.parametrize(("moment", "jobs"), [("before", 0), ("after", 1), ("timed out", 1)])
def test_dying_around_the_paid_request_stops_all_later_attempts(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, die: Callable[[str], None], moment: str, jobs: int
) -> None:
    die(moment)
    with pytest.raises((Killed, AirflowTaskTimeout)):
        execute(make_submit())
    die("never")
    with pytest.raises(AirflowFailException, match="never learned the outcome"):
        execute(make_submit())
    assert (sim.posts, len(sim.jobs())) == (jobs, jobs)


def test_a_job_id_that_cannot_be_recorded_is_followed_all_the_same_and_never_ordered_again(
    sim: Simulator,
    make_submit: MakeSubmit,
    defer: Defer,
    execute: Execute,
    store: FakeStateStore,
    monkeypatch: pytest.MonkeyPatch,
    task_log: pytest.LogCaptureFixture,
) -> None:
    real = store.set

    def refuse_the_job(key: str, value: dict[str, Any], **options: object) -> None:
        if value["phase"] != "intent":
            raise RuntimeError("API_SERVER_ERROR: 503")
        real(key, value, **options)

    monkeypatch.setattr(store, "set", refuse_the_job)
    monkeypatch.setitem(obtain.__kwdefaults__ or {}, "sleep", lambda _: None)
    trigger = defer(make_submit(deferrable=True)).trigger
    assert job_id_of(trigger) == sim.jobs()[0].id
    errors = [record.getMessage() for record in task_log.records if record.levelname == "ERROR"]
    assert any(sim.jobs()[0].id in error and "could not be recorded" in error for error in errors)
    with pytest.raises(AirflowFailException, match="never learned the outcome"):
        execute(make_submit())
    assert sim.posts == 1


# ── Airflow below 3.3 ────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_state_store_the_task_works_and_warns_that_a_retry_may_pay_again(
    sim: Simulator, make_submit: MakeSubmit, context: Context, execute: Execute, task_log: pytest.LogCaptureFixture
) -> None:
    del context["task_state_store"]
    assert execute(make_submit(), context)["status"] == "completed"
    assert "may pay again" in task_log.text
    assert sim.posts == 1

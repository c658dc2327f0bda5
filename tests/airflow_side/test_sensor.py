"""The job sensor: the same rules whether it pokes, reschedules or defers, and never an order."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk import DAG
from airflow.sdk.bases import sensor as airflows

try:
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferralError
except ImportError:  # Airflow 3.1
    from airflow.exceptions import AirflowRescheduleException, TaskDeferralError  # type: ignore[no-redef]

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import (
    ConfigurationError,
    JobCancelledError,
    JobExpiredError,
    JobFailedError,
    JobRefusedError,
    JobTimedOutError,
    JobUnreachableError,
)
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.manifests import JobManifest, iso
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
from airflow_provider_orvideo.polling.event import WaitEvent
from airflow_provider_orvideo.sensors.job import OrVideoJobSensor
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow.triggers.base import BaseTrigger

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Context, Defer, Execute, MakeContext, MakeSubmit, Simulate

    Fire = Callable[[BaseTrigger], Awaitable[dict[str, Any]]]
    MakeSensor = Callable[..., OrVideoJobSensor]
    Run = Callable[..., Awaitable[Any]]

POLL = {"operation": "getVideos"}
MODES = ("poke", "reschedule", "deferrable")
ON_WORKERS = ("poke", "reschedule")


@dataclass
class Clock:
    """The sensor's time, which passes while it pauses and at no other moment.

    Attributes:
        now: epoch seconds.
        pauses: how long the sensor paused, whether it slept or was rescheduled.
        meanwhile: what happens during the pauses, one each; then nothing does.
    """

    now: float = field(default_factory=time.time)
    pauses: list[float] = field(default_factory=list)
    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        assert len(self.pauses) < 100, "the sensor does not come to an end"
        self.pauses.append(seconds)
        self.now += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()

    def utcnow(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the time of the sensor and of its base class, and of nothing else."""
    clock = Clock()
    fake = SimpleNamespace(time=lambda: clock.now, monotonic=lambda: clock.now, sleep=clock.sleep)
    for module in ("sensors.job", "sensors.watching", "triggers.deferral"):
        monkeypatch.setattr(f"airflow_provider_orvideo.{module}.time", fake)
    monkeypatch.setattr(airflows, "time", fake)
    monkeypatch.setattr(airflows, "timezone", SimpleNamespace(utcnow=clock.utcnow))
    return clock


@pytest.fixture
def manual(simulate: Simulate, connect: Connect) -> Simulator:
    """A simulator whose jobs run until they are told to end, and ``orvideo_default`` pointing to it."""
    simulator = simulate(job_seconds="manual")
    connect(simulator)
    return simulator


@pytest.fixture
def order(make_submit: MakeSubmit, execute: Execute) -> Callable[..., dict[str, Any]]:
    """Run a submit task that does not wait, and return its output."""

    def call(**arguments: object) -> dict[str, Any]:
        manifest: dict[str, Any] = execute(make_submit(wait_for_completion=False, **arguments))
        return manifest

    return call


def foreign(sim: Simulator) -> str:
    """Order a job elsewhere; all that is known of it is its id."""
    request = VideoRequest.build(model="x-ai/grok-imagine-video", prompt="a very private prompt", duration=1)
    with OrVideoHook() as hook:
        job = hook.generate(request)
    assert sim.posts == 1
    return job.id


@pytest.fixture
def make_sensor() -> MakeSensor:
    """Build sensors; ``how`` is one of `MODES`."""

    def make(job: object, how: str = "poke", **arguments: Any) -> OrVideoJobSensor:  # noqa: ANN401 - the sensor's own
        deferrable = how == "deferrable"
        # Only a trigger waits in real time.
        values: dict[str, Any] = {"poke_interval": 0.02 if deferrable else 30, "deferrable": deferrable}
        if not deferrable:
            values["mode"] = how
        return OrVideoJobSensor(**{"task_id": "wait", "job": job, **values, **arguments})

    return make


@pytest.fixture
def attempt(make_context: MakeContext) -> Callable[[datetime | None], Context]:
    """Build the context of a run of the task; it has no state store, since the sensor must not need one."""

    def build(first: datetime | None = None) -> Context:
        instance = SimpleNamespace(
            dag_id="films",
            run_id="manual__1",
            task_id="wait",
            map_index=-1,
            try_number=1,
            get_first_reschedule_date=lambda _: first,
        )
        context = make_context(ti=instance)
        del context["task_state_store"]
        return context

    return build


@pytest.fixture
def run(make_sensor: MakeSensor, attempt: Callable[..., Context], fire: Fire, clock: Clock) -> Run:
    """Run a sensor to its end as Airflow would; each time that it comes back, it is a new object."""

    async def call(job: object, how: str, **arguments: Any) -> Any:  # noqa: ANN401 - the task's result
        first: datetime | None = None
        while True:
            context = attempt(first)
            sensor = make_sensor(job, how, **arguments)
            sensor.render_template_fields(context)  # type: ignore[arg-type]  # a plain dict will do
            try:
                return sensor.execute(context)  # type: ignore[arg-type]
            except AirflowRescheduleException as again:
                first = first or clock.utcnow()
                clock.sleep((again.reschedule_date - clock.utcnow()).total_seconds())
            except TaskDeferred as deferred:
                event = await fire(deferred.trigger)
                resumed = make_sensor(job, how, **arguments)
                resumed.render_template_fields(context)  # type: ignore[arg-type]
                return resumed.resume_execution(deferred.method_name, {"event": event}, context)  # type: ignore[arg-type]

    return call


def ended(**changes: object) -> dict[str, Any]:
    """An event of a trigger."""
    values: dict[str, Any] = {
        "outcome": "ended",
        "job_id": "gen-vid-1",
        "conn_id": "orvideo_default",
        "model": "m",
        "submitted_at": 1e9,
        "observed_at": 1e9 + 60,
        "status": "completed",
        "outputs": 1,
        **changes,
    }
    return WaitEvent.model_validate(values).to_json()


# ── A job that completes ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", MODES)
async def test_the_manifest_of_a_submit_task_that_did_not_wait_is_completed(
    sim: Simulator, order: Callable[..., dict[str, Any]], run: Run, how: str
) -> None:
    submitted = order()
    sim.add_fault({"match": POLL, "times": 2, "status": "in_progress"})
    manifest = await run(submitted, how)
    assert JobManifest.model_validate(manifest).to_json() == manifest
    (job,) = sim.jobs()
    assert manifest == {
        **submitted,
        "status": "completed",
        "generation_id": manifest["generation_id"],
        "cost_usd": float(job.cost or 0),
        "outputs": 1,
        "completed_at": manifest["completed_at"],
    }
    assert manifest["cost_usd"] > 0
    assert manifest["completed_at"] >= submitted["submitted_at"]
    assert (sim.posts, sim.stats()["polls"]) == (1, 3)


@pytest.mark.parametrize("how", MODES)
async def test_an_id_alone_is_enough(sim: Simulator, run: Run, how: str) -> None:
    job_id = foreign(sim)
    manifest = await run(job_id, how)
    assert (manifest["job_id"], manifest["status"], manifest["outputs"]) == (job_id, "completed", 1)
    assert (manifest["conn_id"], manifest["model"], manifest["submitted_at"]) == ("orvideo_default", None, None)
    assert sim.posts == 1


@pytest.mark.parametrize("how", ON_WORKERS)
async def test_it_looks_at_once_and_then_at_its_interval_until_the_job_ends(
    manual: Simulator, order: Callable[..., dict[str, Any]], run: Run, clock: Clock, how: str
) -> None:
    job_id = order()["job_id"]
    clock.meanwhile = [bool, bool, lambda: manual.finish(job_id)]
    assert (await run(job_id, how, poke_interval=timedelta(seconds=45)))["status"] == "completed"
    assert clock.pauses == pytest.approx([45, 45, 45], abs=0.01)
    assert (manual.posts, manual.job(job_id).polls) == (1, 4)


@pytest.mark.parametrize("how", MODES)
async def test_what_a_submit_task_waited_for_is_passed_on(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, run: Run, how: str
) -> None:
    waited = execute(make_submit())
    assert await run(waited, how) == waited
    assert sim.posts == 1


def test_a_poke_says_whether_it_is_done_and_with_what(
    manual: Simulator, order: Callable[..., dict[str, Any]], make_sensor: MakeSensor, attempt: Callable[..., Context]
) -> None:
    submitted = order()
    sensor, context = make_sensor(submitted), attempt()
    first = sensor.poke(context)  # type: ignore[arg-type]
    assert (first.is_done, first.xcom_value) == (False, None)
    manual.finish(submitted["job_id"])
    second = sensor.poke(context)  # type: ignore[arg-type]
    assert second.is_done
    assert second.xcom_value is not None
    assert second.xcom_value["status"] == "completed"
    sensor._let_go()  # what `execute` does at its end


# ── In the triggerer ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_grace_that_cannot_be_read_is_the_default(
    manual: Simulator,
    order: Callable[..., dict[str, Any]],
    make_sensor: MakeSensor,
    attempt: Callable[..., Context],
    defer: Defer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__RESUME_GRACE", "soon")
    trigger = defer(make_sensor(order(), "deferrable"), attempt()).trigger
    assert isinstance(trigger, OrVideoJobTrigger)
    assert trigger.not_before == clock.now + 10
    assert manual.posts == 1


def test_deferring_hands_over_all_that_the_trigger_needs(
    manual: Simulator,
    order: Callable[..., dict[str, Any]],
    make_sensor: MakeSensor,
    attempt: Callable[..., Context],
    defer: Defer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__RESUME_GRACE", "7.5")
    submitted = order()
    clock.now += 100
    sensor = make_sensor(submitted, "deferrable", poke_interval=12, timeout=timedelta(hours=1), mode="reschedule")
    deferral = defer(sensor, attempt())
    assert isinstance(deferral.trigger, OrVideoJobTrigger)
    _, kwargs = deferral.trigger.serialize()
    expected = {
        "conn_id": "orvideo_default",
        "job_id": submitted["job_id"],
        "submitted_at": datetime.fromisoformat(submitted["submitted_at"]).timestamp(),
        "deadline": clock.now + 3600,
        "poll_interval": 12.0,
        "model": "x-ai/grok-imagine-video",
        "not_before": clock.now + 7.5,
    }
    assert {name: kwargs[name] for name in expected} == expected
    assert deferral.method_name == "execute_complete"
    assert not deferral.kwargs, "dag.test() would drop them"
    # Airflow's own timeout only catches a trigger that is lost: it must not be first.
    assert deferral.timeout == timedelta(seconds=3600 + 900)
    assert (manual.posts, manual.stats()["polls"]) == (1, 1)


def test_a_job_known_by_its_id_counts_as_submitted_when_the_waiting_began(
    manual: Simulator, make_sensor: MakeSensor, attempt: Callable[..., Context], defer: Defer, clock: Clock
) -> None:
    trigger = defer(make_sensor(foreign(manual), "deferrable"), attempt()).trigger
    assert isinstance(trigger, OrVideoJobTrigger)
    assert (trigger.submitted_at, trigger.model) == (clock.now, None)


@pytest.mark.parametrize("written", ["2126-01-01T00:00:00+00:00", "yesterday", "", None])
def test_a_time_of_submission_that_cannot_be_is_not_believed(
    manual: Simulator,
    order: Callable[..., dict[str, Any]],
    make_sensor: MakeSensor,
    attempt: Callable[..., Context],
    defer: Defer,
    clock: Clock,
    written: str | None,
) -> None:
    trigger = defer(make_sensor({**order(), "submitted_at": written}, "deferrable"), attempt()).trigger
    assert isinstance(trigger, OrVideoJobTrigger)
    assert trigger.submitted_at == clock.now
    assert manual.posts == 1


def test_a_job_that_has_ended_needs_no_trigger(
    sim: Simulator,
    order: Callable[..., dict[str, Any]],
    make_sensor: MakeSensor,
    attempt: Callable[..., Context],
    execute: Execute,
) -> None:
    assert execute(make_sensor(order(), "deferrable"), attempt())["status"] == "completed"
    assert (sim.posts, sim.stats()["polls"]) == (1, 1)


async def test_a_job_that_ends_while_deferred_is_noticed(
    manual: Simulator,
    order: Callable[..., dict[str, Any]],
    make_sensor: MakeSensor,
    attempt: Callable[..., Context],
    defer: Defer,
    fire: Fire,
) -> None:
    submitted = order()
    deferral = defer(make_sensor(submitted, "deferrable"), attempt())
    manual.finish(submitted["job_id"])
    event = await fire(deferral.trigger)
    manifest = make_sensor(submitted, "deferrable").execute_complete(attempt(), event)  # type: ignore[arg-type]
    assert (manifest["job_id"], manifest["status"]) == (submitted["job_id"], "completed")
    assert manifest["submitted_at"] == submitted["submitted_at"]
    assert manual.posts == 1


@pytest.mark.parametrize("job", [None, "None", {"job_id": "gen-vid-2", "status": "pending", "cost_usd": 9}])
def test_the_event_is_believed_where_the_template_came_to_mean_something_else(
    make_sensor: MakeSensor, attempt: Callable[..., Context], job: object
) -> None:
    sensor = make_sensor(job, "deferrable")
    manifest = sensor.execute_complete(attempt(), ended(cost_usd=0.5, generation_id="gen-1"))  # type: ignore[arg-type]
    assert manifest == {
        "schema_version": 1,
        "job_id": "gen-vid-1",
        "status": "completed",
        "model": "m",
        "generation_id": "gen-1",
        "cost_usd": 0.5,
        "estimated_cost_usd": None,
        "total_cost_usd": None,
        "outputs": 1,
        "submitted_at": None,
        "completed_at": iso(1e9 + 60),
        "conn_id": "orvideo_default",
        "request": None,
    }


def test_what_the_event_does_not_tell_is_taken_from_the_manifest(
    make_sensor: MakeSensor, attempt: Callable[..., Context]
) -> None:
    job = {"job_id": "gen-vid-1", "status": "pending", "generation_id": "g", "cost_usd": 2, "estimated_cost_usd": 3}
    manifest = make_sensor(job, "deferrable").execute_complete(attempt(), ended())  # type: ignore[arg-type]
    told = {name: manifest[name] for name in ("generation_id", "cost_usd", "estimated_cost_usd")}
    assert told == {"generation_id": "g", "cost_usd": 2, "estimated_cost_usd": 3}


def test_a_lost_trigger_may_be_retried(make_sensor: MakeSensor, attempt: Callable[..., Context]) -> None:
    sensor = make_sensor("gen-vid-1", "deferrable")
    with pytest.raises(TaskDeferralError):
        sensor.resume_execution("__fail__", {"error": "Trigger failure"}, attempt())  # type: ignore[arg-type]


# ── A look that fails is not a failed job ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    "fault",
    [
        {"status": "queued_upstream"},
        {"respond": {"status": 404}},
        {"respond": {"status": 500}},
        {"respond": {"status": 502, "html": True}},
        {"respond": {"status": 200, "body": {"odd": True}}},
        {"drop": {}},
        {"drop": {"how": "reset"}},
    ],
    ids=str,
)
async def test_what_passes_is_waited_out(
    sim: Simulator, order: Callable[..., dict[str, Any]], run: Run, how: str, fault: dict[str, Any]
) -> None:
    sim.add_fault({"match": POLL, "times": 2, **fault})
    assert (await run(order(), how))["status"] == "completed"
    assert (sim.posts, sim.stats()["polls"]) == (1, 3)


@pytest.mark.parametrize("how", ON_WORKERS)
async def test_a_rate_limit_is_obeyed(
    sim: Simulator, order: Callable[..., dict[str, Any]], run: Run, clock: Clock, how: str
) -> None:
    sim.add_fault({"match": POLL, "times": 1, "respond": {"status": 429, "retry_after": 42}})
    assert (await run(order(), how))["status"] == "completed"
    assert clock.pauses == pytest.approx([42], abs=0.01)
    assert sim.posts == 1


async def test_an_api_that_fails_on_and_on_is_asked_less_and_less_often(
    sim: Simulator, order: Callable[..., dict[str, Any]], run: Run, clock: Clock
) -> None:
    sim.add_fault({"match": POLL, "times": 5, "respond": {"status": 503}})
    sim.add_fault({"match": POLL, "times": 1, "after": 5, "status": "pending"})
    assert (await run(order(), "poke"))["status"] == "completed"
    assert clock.pauses == [30, 60, 120, 240, 300, 30]
    assert sim.posts == 1


async def test_exponential_backoff_is_airflows_own(
    manual: Simulator, order: Callable[..., dict[str, Any]], run: Run, clock: Clock
) -> None:
    with pytest.raises(AirflowSensorTimeout):
        await run(order(), "poke", exponential_backoff=True, max_wait=200, timeout=1000)
    # Its lengths are drawn from a hash; they grow up to `max_wait`, and the last one is what is left.
    # The first two may be drawn alike.
    assert 30 <= clock.pauses[0] <= clock.pauses[1] < clock.pauses[3]
    assert max(clock.pauses) == 200
    assert sum(clock.pauses) == pytest.approx(1000, abs=0.01)
    assert manual.posts == 1


# ── It cannot be read ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", MODES)
async def test_a_refused_key_ends_the_waiting_at_once_and_may_be_mended(
    sim: Simulator, order: Callable[..., dict[str, Any]], connect: Connect, run: Run, how: str
) -> None:
    submitted = order()
    connect(sim, key="sk-or-live-5ec2e7")
    with pytest.raises(JobUnreachableError, match=r"HTTP 401.*password field.*orders nothing") as caught:
        await run(submitted, how)
    assert submitted["job_id"] in str(caught.value)
    assert "'orvideo_default'" in str(caught.value)
    assert "5ec2e7" not in str(caught.value)
    assert sim.stats()["polls"] == 1
    connect(sim)
    assert (await run(submitted, how))["status"] == "completed"
    assert sim.posts == 1


@pytest.mark.parametrize("how", MODES)
async def test_an_unknown_job_that_is_old_says_so_at_once(sim: Simulator, run: Run, clock: Clock, how: str) -> None:
    job = {"job_id": "gen-vid-1", "status": "pending", "submitted_at": iso(clock.now - 601)}
    with pytest.raises(JobUnreachableError, match=r"gen-vid-1.*HTTP 404.*Check the job id"):
        await run(job, how)
    assert (sim.posts, sim.stats()["polls"]) == (0, 1)


@pytest.mark.parametrize("how", ON_WORKERS)
async def test_an_unknown_id_is_believed_to_be_a_young_job_for_ten_minutes(
    sim: Simulator, run: Run, clock: Clock, how: str
) -> None:
    with pytest.raises(JobUnreachableError, match=r"gen-vid-1.*HTTP 404.*Check the job id"):
        await run("gen-vid-1", how, poke_interval=120)
    assert 600 <= sum(clock.pauses) < 600 + 300
    assert sim.posts == 0


@pytest.mark.parametrize("how", MODES)
async def test_a_connection_that_cannot_work_is_told_before_any_waiting(
    sim: Simulator, connect: Connect, run: Run, clock: Clock, how: str
) -> None:
    connect(sim, key=None)
    with pytest.raises(ConfigurationError, match="password"):
        await run("gen-vid-1", how)
    assert (sim.requests(), clock.pauses) == ([], [])


@pytest.mark.parametrize("how", MODES)
async def test_a_connection_that_does_not_exist_is_told_before_any_waiting(
    run: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def missing(*_: object) -> None:
        raise AirflowNotFoundException("The conn_id `nowhere` isn't defined")

    monkeypatch.setattr(OrVideoHook, "get_connection", missing)
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        await run("gen-vid-1", how, orvideo_conn_id="nowhere")
    assert clock.pauses == []


# ── It ends without a video ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        ("failed", "Out of memory", JobFailedError),
        ("failed", "Content policy violation", JobRefusedError),
        ("cancelled", None, JobCancelledError),
        ("expired", None, JobExpiredError),
    ],
)
async def test_a_job_without_a_video_fails_the_task_for_good(
    manual: Simulator,
    order: Callable[..., dict[str, Any]],
    run: Run,
    how: str,
    status: str,
    error: str | None,
    kind: type[Exception],
) -> None:
    submitted = order()
    manual.finish(submitted["job_id"], status, error)
    with pytest.raises(AirflowFailException) as caught:
        await run(submitted, how)
    text = str(caught.value)
    assert f"Job {submitted['job_id']} (x-ai/grok-imagine-video) ended as '{status}' without a video" in text
    assert (error or "") in text
    assert "Whether it was billed is not documented" in text
    assert "Nothing is ordered by this sensor or by its retries" in text
    assert type(caught.value.__cause__) is kind
    assert manual.posts == 1


async def test_it_is_the_trigger_that_may_see_a_job_fail(
    manual: Simulator,
    order: Callable[..., dict[str, Any]],
    make_sensor: MakeSensor,
    attempt: Callable[..., Context],
    defer: Defer,
    fire: Fire,
) -> None:
    submitted = order()
    deferral = defer(make_sensor(submitted, "deferrable"), attempt())
    manual.finish(submitted["job_id"], "failed", "Out of memory")
    event = await fire(deferral.trigger)
    with pytest.raises(AirflowFailException, match=rf"{submitted['job_id']}.*Out of memory.*Nothing is ordered"):
        make_sensor(submitted, "deferrable").execute_complete(attempt(), event)  # type: ignore[arg-type]
    assert manual.posts == 1


def test_a_cost_that_is_known_is_named(make_sensor: MakeSensor, attempt: Callable[..., Context]) -> None:
    event = ended(status="failed", cost_usd=0.25, outputs=0, model=None)
    with pytest.raises(AirflowFailException, match=r"^Job gen-vid-1 ended as 'failed' .*cost of \$0\.2500\."):
        make_sensor("gen-vid-1", "deferrable").execute_complete(attempt(), event)  # type: ignore[arg-type]


# ── The time passes ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ON_WORKERS)
async def test_the_timeout_is_the_whole_time_and_ends_with_a_last_look(
    manual: Simulator, order: Callable[..., dict[str, Any]], run: Run, clock: Clock, how: str
) -> None:
    submitted = order()
    with pytest.raises(AirflowSensorTimeout, match=r"still 'pending' when this sensor's timeout.*orders nothing") as no:
        await run(submitted, how, timeout=70)
    assert submitted["job_id"] in str(no.value)
    assert isinstance(no.value.__cause__, JobTimedOutError)
    assert clock.pauses == pytest.approx([30, 30, 10], abs=0.01)
    clock.meanwhile = [bool, bool, lambda: manual.finish(submitted["job_id"])]
    assert (await run(submitted, how, timeout=70))["status"] == "completed"
    assert manual.posts == 1


async def test_the_timeout_ends_a_deferred_wait(
    manual: Simulator, order: Callable[..., dict[str, Any]], run: Run
) -> None:
    submitted = order()
    with pytest.raises(AirflowSensorTimeout, match=submitted["job_id"]):
        await run(submitted, "deferrable", timeout=0.2)
    assert manual.posts == 1


@pytest.mark.parametrize("how", MODES)
async def test_no_time_at_all_is_one_look(
    manual: Simulator, order: Callable[..., dict[str, Any]], run: Run, clock: Clock, how: str
) -> None:
    submitted = order()
    with pytest.raises(AirflowSensorTimeout):
        await run(submitted, how, timeout=0)
    manual.finish(submitted["job_id"])
    assert (await run(submitted, how, timeout=0))["status"] == "completed"
    assert clock.pauses == []
    assert (manual.posts, manual.stats()["polls"]) == (1, 2)


def test_a_timeout_of_a_trigger_that_is_lost_is_a_timeout_of_the_sensor(
    make_sensor: MakeSensor, attempt: Callable[..., Context]
) -> None:
    sensor = make_sensor("gen-vid-1", "deferrable")
    with pytest.raises(AirflowSensorTimeout):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, attempt())  # type: ignore[arg-type]


# ── Skipping ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flag", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("how", MODES)
async def test_a_job_without_a_video_or_in_time_is_skipped_where_wanted(
    manual: Simulator, order: Callable[..., dict[str, Any]], run: Run, how: str, flag: str
) -> None:
    submitted = order()
    with pytest.raises(AirflowSkipException):
        await run(submitted, how, timeout=0.1, **{flag: True})
    manual.finish(submitted["job_id"], "failed")
    with pytest.raises(AirflowSkipException):
        await run(submitted, how, **{flag: True})
    assert manual.posts == 1


@pytest.mark.parametrize("how", MODES)
async def test_a_refused_key_is_skipped_only_by_a_task_that_never_fails(
    sim: Simulator, order: Callable[..., dict[str, Any]], connect: Connect, run: Run, how: str
) -> None:
    submitted = order()
    connect(sim, key="sk-or-live-5ec2e7")
    with pytest.raises(JobUnreachableError):
        await run(submitted, how, soft_fail=True)
    with pytest.raises(AirflowSkipException):
        await run(submitted, how, never_fail=True)
    assert sim.posts == 1


def test_a_wait_given_up_in_the_triggerer_is_skipped_only_by_a_task_that_never_fails(
    make_sensor: MakeSensor, attempt: Callable[..., Context]
) -> None:
    event = ended(outcome="gave_up", status=None, outputs=0, error="HTTP 401: User not found.")
    for flag, kind in (("soft_fail", JobUnreachableError), ("never_fail", AirflowSkipException)):
        sensor = make_sensor("gen-vid-1", "deferrable", **{flag: True})
        with pytest.raises(kind, match=r"gen-vid-1|never_fail"):
            sensor.resume_execution("execute_complete", {"event": event}, attempt())  # type: ignore[arg-type]


async def test_silent_fail_waits_for_the_key_to_be_mended(
    sim: Simulator, order: Callable[..., dict[str, Any]], run: Run, clock: Clock
) -> None:
    submitted = order()
    sim.add_fault({"match": POLL, "times": 2, "respond": {"status": 401}})
    assert (await run(submitted, "poke", silent_fail=True))["status"] == "completed"
    assert clock.pauses == [30, 30]
    sim.add_fault({"match": POLL, "respond": {"status": 401}})
    with pytest.raises(AirflowSensorTimeout):
        await run(submitted, "poke", silent_fail=True, timeout=60)
    assert sim.posts == 1


# ── Which job, which connection ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "written",
    [json.dumps, repr, lambda job: f" {job['job_id']}\n"],
    ids=["JSON", "as Python prints it", "only the id"],
)
def test_a_job_that_a_template_rendered_to_text_is_understood(
    sim: Simulator,
    order: Callable[..., dict[str, Any]],
    make_sensor: MakeSensor,
    attempt: Callable[..., Context],
    execute: Execute,
    written: Callable[[dict[str, Any]], str],
) -> None:
    submitted = order()
    context = {**attempt(), "job": written(submitted)}
    sensor = make_sensor("{{ job }}")
    sensor.render_template_fields(context)  # type: ignore[arg-type]
    assert execute(sensor, context)["job_id"] == submitted["job_id"]
    assert sim.posts == 1


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize("nonsense", ["", "None", "{}", {}, None, 5, []])
async def test_what_is_no_job_fails_for_good_and_says_what_to_give(
    sim: Simulator, run: Run, how: str, nonsense: object
) -> None:
    with pytest.raises(AirflowFailException, match=r"'job'.*output of an OrVideoSubmitOperator or a job id"):
        await run(nonsense, how)
    assert sim.requests() == []


@pytest.mark.parametrize("how", MODES)
async def test_the_connection_is_the_one_of_the_job_unless_another_is_given(
    simulate: Simulate,
    connect: Connect,
    order: Callable[..., dict[str, Any]],
    run: Run,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = simulate()
    connect(other, conn_id="other")
    submitted = order(orvideo_conn_id="other")
    assert (await run(submitted, how))["conn_id"] == "other"
    connect(other, conn_id="third")
    monkeypatch.delenv("AIRFLOW_CONN_OTHER")
    assert (await run(submitted, how, orvideo_conn_id="{{ 'third' }}"))["conn_id"] == "third"
    assert other.posts == 1


# ── One client for each attempt ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hold what became of each blocking client: opened, closed."""
    story: list[str] = []
    real_init, real_close = VideoClient.__init__, VideoClient.close

    def init(self: VideoClient, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the client's own
        story.append("opened")
        real_init(self, *arguments, **options)

    def close(self: VideoClient) -> None:
        real_close(self)
        story.append("closed")

    monkeypatch.setattr(VideoClient, "__init__", init)
    monkeypatch.setattr(VideoClient, "close", close)
    return story


@pytest.mark.parametrize(("how", "attempts"), [("poke", 1), ("reschedule", 3), ("deferrable", 1)])
async def test_a_client_serves_an_attempt_and_is_closed_at_its_end(
    sim: Simulator, order: Callable[..., dict[str, Any]], run: Run, clients: list[str], how: str, attempts: int
) -> None:
    submitted = order()
    clients.clear()
    sim.add_fault({"match": POLL, "times": 2, "status": "pending"})
    await run(submitted, how)
    assert clients == ["opened", "closed"] * attempts
    assert sim.posts == 1


def test_the_same_object_may_run_again(
    manual: Simulator,
    order: Callable[..., dict[str, Any]],
    make_sensor: MakeSensor,
    attempt: Callable[..., Context],
    execute: Execute,
    clock: Clock,
) -> None:
    submitted = order()
    sensor = make_sensor(submitted, timeout=60)
    with pytest.raises(AirflowSensorTimeout):
        execute(sensor, attempt())
    clock.meanwhile = [lambda: manual.finish(submitted["job_id"])]
    assert execute(sensor, attempt())["status"] == "completed"
    assert manual.posts == 1


# ── What is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", MODES)
async def test_nothing_secret_reaches_the_log_or_the_manifest(
    simulate: Simulate,
    connect: Connect,
    run: Run,
    key: str,
    task_log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr(OrVideoJobSensor, "log", logging.getLogger("orvideo.sensor"))
    sim = simulate(signed_urls=True)
    connect(sim)
    job_id = foreign(sim)
    sim.add_fault({"match": POLL, "times": 1, "status": f"at https://files.example/x?sig=5ec2e7 {key}"})
    manifest = await run(job_id, how)
    assert f"Job {job_id} completed with 1 video(s) for $" in task_log.text
    told = task_log.text + str(manifest)
    assert "private" not in told
    assert "5ec2e7" not in told
    assert "signature" not in told.lower()
    assert "http" not in str(manifest)


# ── At parsing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_a_sensor_of_airflow_with_templates_and_links() -> None:
    sensor = OrVideoJobSensor(task_id="wait", job="gen-vid-1", mode="reschedule")
    assert (sensor.poke_interval, sensor.timeout, sensor.deferrable) == (30, 7 * 86_400, False)
    assert sensor.reschedule
    assert tuple(sensor.template_fields) == ("job", "orvideo_conn_id")
    assert [link.name for link in sensor.operator_extra_links] == ["Video", "OpenRouter"]


def test_airflows_setting_makes_it_deferrable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    assert OrVideoJobSensor(task_id="wait", job="gen-vid-1").deferrable
    assert not OrVideoJobSensor(task_id="wait", job="gen-vid-1", deferrable=False).deferrable


@pytest.mark.parametrize(
    "arguments",
    [
        {"poke_interval": 0},
        {"poke_interval": -1},
        {"poke_interval": timedelta(0)},
        {"poke_interval": timedelta(days=400)},
        {"timeout": -1},
        {"timeout": timedelta(seconds=-1)},
        {"timeout": timedelta(days=400)},
        {"mode": "sleep"},
    ],
    ids=str,
)
def test_a_time_that_cannot_be_is_refused_when_the_dag_is_parsed(arguments: dict[str, Any]) -> None:
    # Some of them Airflow itself refuses, 3.1 with an error of its own.
    with pytest.raises((ValueError, AirflowException), match=r"poke_interval|timeout|mode"):
        OrVideoJobSensor(task_id="wait", job="gen-vid-1", **arguments)


def test_it_can_be_mapped_over_what_submit_tasks_return() -> None:
    with DAG("films", schedule=None) as dag:
        videos = OrVideoSubmitOperator.partial(task_id="submit", model="m", wait_for_completion=False).expand(
            prompt=["a boat", "a bridge"]
        )
        OrVideoJobSensor.partial(task_id="wait", poke_interval=60, mode="reschedule").expand(job=videos.output)
    assert dag.get_task("wait").upstream_task_ids == {"submit"}


def test_importing_it_loads_no_client_and_no_trigger() -> None:
    program = (
        "import sys\n"
        "from airflow.sdk import DAG, BaseOperator\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_orvideo.sensors.job import OrVideoJobSensor\n"
        "OrVideoJobSensor(task_id='wait', job='gen-vid-1', deferrable=True)\n"
        "new = set(sys.modules) - before\n"
        "print(*sorted(name for name in new if name.startswith(('airflow_provider_orvideo.', 'httpx'))))\n"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [
        "airflow_provider_orvideo.jobs",
        "airflow_provider_orvideo.links",
        "airflow_provider_orvideo.sensors",
        "airflow_provider_orvideo.sensors.job",
    ]

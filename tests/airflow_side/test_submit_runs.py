"""The submit operator when all goes well: waiting on the worker, in the triggerer, or not at all."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.execution_time import context as airflows_context

from airflow_provider_orvideo.exceptions import JobTimedOutError, JobUnreachableError, OrVideoError
from airflow_provider_orvideo.manifests import JobManifest
from airflow_provider_orvideo.polling.event import WaitEvent
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow.triggers.base import BaseTrigger

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import (
        Attempt,
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

KEY_PART = "5ec2e7"
#: What `make_submit` orders, as the API takes it.
REQUEST = {"model": "x-ai/grok-imagine-video", "prompt": "a red boat", "duration": 1, "resolution": "480p"}


# ── On the worker ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_on_the_worker_returns_the_manifest(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore
) -> None:
    before = time.time()
    manifest = execute(make_submit())
    (job,) = sim.jobs()
    assert JobManifest.model_validate(manifest).to_json() == manifest
    assert (manifest["job_id"], manifest["status"], manifest["outputs"]) == (job.id, "completed", 1)
    assert manifest["model"] == "x-ai/grok-imagine-video"
    assert manifest["cost_usd"] == float(job.cost or 0) > 0
    assert manifest["conn_id"] == "orvideo_default"
    assert manifest["submitted_at"] >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before))
    assert manifest["completed_at"] >= manifest["submitted_at"]
    assert store.record["phase"] == "terminal"
    assert sim.posts == 1


def test_manifest_and_record_hold_no_secret_and_no_url_and_the_record_no_prompt(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore
) -> None:
    sim = simulate(signed_urls=True)
    connect(sim)
    text = str(execute(make_submit(prompt="a very private prompt")))
    for place in (text, str(store.values)):
        assert "http" not in place
        assert KEY_PART not in place
    assert "private" not in str(store.values)


def test_waiting_polls_until_the_job_ends(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, execute: Execute
) -> None:
    sim = simulate(job_polls=3)
    connect(sim)
    assert execute(make_submit())["status"] == "completed"
    assert (sim.posts, sim.jobs()[0].polls) == (1, 4)


def test_waiting_survives_failing_polls(sim: Simulator, make_submit: MakeSubmit, execute: Execute) -> None:
    faults: list[dict[str, Any]] = [
        {"respond": {"status": 500}},
        {"drop": {}},
        {"respond": {"status": 429}},
        # A rule of another kind than the three above, so it counts their requests too.
        {"status": "queued_upstream", "after": 3},
    ]
    for fault in faults:
        sim.add_fault({"match": {"operation": "getVideos"}, "times": 1, **fault})
    assert execute(make_submit())["status"] == "completed"
    assert (sim.posts, sim.stats()["polls"]) == (1, 5)


def test_the_log_names_the_price_shaping_fields_and_neither_prompt_nor_key(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, task_log: pytest.LogCaptureFixture
) -> None:
    execute(make_submit(prompt="a very private prompt"))
    assert "duration=1" in task_log.text
    assert "resolution=480p" in task_log.text
    assert sim.jobs()[0].id in task_log.text
    assert "private" not in task_log.text
    assert KEY_PART not in task_log.text


def test_without_waiting_the_manifest_is_that_of_a_pending_job(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    manifest = execute(make_submit(wait_for_completion=False, deferrable=True))
    assert (manifest["status"], manifest["outputs"], manifest["cost_usd"]) == ("pending", 0, None)
    assert manifest["job_id"] == sim.jobs()[0].id == store.record["job_id"]
    assert sim.stats()["polls"] == 0


# ── In the triggerer ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_deferring_hands_over_all_that_the_trigger_needs(
    sim: Simulator, make_submit: MakeSubmit, defer: Defer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__RESUME_GRACE", "7.5")
    before = time.time()
    deferral = defer(make_submit(deferrable=True, poll_interval=12, timeout=timedelta(hours=1)))
    after = time.time()
    assert isinstance(deferral.trigger, OrVideoJobTrigger)
    path, kwargs = deferral.trigger.serialize()
    assert path == "airflow_provider_orvideo.triggers.job.OrVideoJobTrigger"
    submitted_at = kwargs["submitted_at"]
    assert before <= submitted_at <= after
    assert before + 7.5 <= kwargs["not_before"] <= after + 7.5
    assert kwargs == {
        "conn_id": "orvideo_default",
        "job_id": sim.jobs()[0].id,
        "submitted_at": submitted_at,
        "deadline": submitted_at + 3600,
        "poll_interval": 12.0,
        "model": "x-ai/grok-imagine-video",
        "not_before": kwargs["not_before"],
    }
    assert deferral.method_name == "execute_complete"
    assert not deferral.kwargs, "dag.test() would drop them"
    # Airflow's own timeout only catches a trigger that is lost: it must not be first.
    assert isinstance(deferral.timeout, timedelta)
    assert deferral.timeout.total_seconds() == pytest.approx(3600 + 900, abs=5)
    assert sim.posts == 1


@pytest.mark.parametrize(("grace", "first"), [("7", "7 s"), ("0", "5 s")], ids=["the grace", "the usual first look"])
def test_the_log_tells_when_the_job_is_looked_at(
    sim: Simulator,
    make_submit: MakeSubmit,
    defer: Defer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    grace: str,
    first: str,
) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__RESUME_GRACE", grace)
    caplog.set_level(logging.INFO)
    defer(make_submit(deferrable=True, poll_interval=12))
    (said,) = [record.getMessage() for record in caplog.records if "Waiting for job" in record.getMessage()]
    assert said.startswith(f"Waiting for job {sim.jobs()[0].id} in the triggerer, without a worker slot, until 2")
    assert said.endswith(f"The first look is in {first}; once the job may be done, looks are at most 12 s apart.")


def test_the_default_grace_is_the_one_that_airflows_scheduler_needs(
    sim: Simulator, make_submit: MakeSubmit, defer: Defer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__ORVIDEO__RESUME_GRACE")
    before = time.time()
    trigger = defer(make_submit(deferrable=True)).trigger
    assert isinstance(trigger, OrVideoJobTrigger)
    assert 10 <= trigger.not_before - before < 15
    assert sim.posts == 1


async def test_deferring_and_resuming_returns_the_same_manifest_as_waiting(
    sim: Simulator, make_submit: MakeSubmit, defer: Defer, fire: Fire, context: Context, store: FakeStateStore
) -> None:
    event = await fire(defer(make_submit(deferrable=True)).trigger)
    # The resumed task is a new object, on another worker.
    manifest = make_submit(deferrable=True).execute_complete(context, event)  # type: ignore[arg-type]
    assert (manifest["status"], manifest["job_id"]) == ("completed", sim.jobs()[0].id)
    assert JobManifest.model_validate(manifest).to_json() == manifest
    assert store.record["phase"] == "terminal"
    assert store.record["status"] == "completed"
    assert sim.posts == 1


def test_every_write_of_the_record_is_kept_for_ever(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore
) -> None:
    execute(make_submit())
    assert len(store.retentions) == 3, "intent, submitted, terminal"
    assert all(retention is airflows_context.NEVER_EXPIRE for retention in store.retentions)
    assert sim.posts == 1


def test_the_record_says_intent_before_the_post_arrives(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    real = store.set

    def watch(key: str, value: dict[str, Any], **options: object) -> None:
        seen.append((value["phase"], sim.posts))
        real(key, value, **options)

    monkeypatch.setattr(store, "set", watch)
    execute(make_submit())
    assert seen == [("intent", 0), ("submitted", 1), ("terminal", 1)]


# ── How a wait ends ──────────────────────────────────────────────────────────────────────────────────────────────────


def event(**changes: object) -> dict[str, Any]:
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


def test_completed_returns_cost_and_outputs_from_the_event_alone(make_submit: MakeSubmit, context: Context) -> None:
    ended = event(cost_usd=0.5, outputs=2, generation_id="gen-1")
    manifest = make_submit().execute_complete(context, ended)  # type: ignore[arg-type]
    assert manifest == {
        "schema_version": 1,
        "job_id": "gen-vid-1",
        "status": "completed",
        "model": "m",
        "generation_id": "gen-1",
        "cost_usd": 0.5,
        "estimated_cost_usd": None,
        "total_cost_usd": 0.5,
        "outputs": 2,
        "submitted_at": "2001-09-09T01:46:40+00:00",
        "completed_at": "2001-09-09T01:47:40+00:00",
        "conn_id": "orvideo_default",
        "request": manifest["request"],
    }
    assert manifest["request"]["prompt"]


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired", "dead", "vanished"])
def test_a_job_without_a_video_fails_the_task_for_good_and_says_what_to_do(
    make_submit: MakeSubmit, context: Context, store: FakeStateStore, status: str
) -> None:
    with pytest.raises(AirflowFailException) as caught:
        make_submit().execute_complete(context, event(status=status, outputs=0, error="Too dark."))  # type: ignore[arg-type]
    text = str(caught.value)
    assert "gen-vid-1" in text
    assert f"'{status}'" in text
    assert "Too dark" in text
    assert "Whether it was billed is not documented" in text
    assert "retries do not order another" in text
    assert "delete the record 'orvideo_job'" in text
    assert (store.record["phase"], store.record["status"]) == ("terminal", status)


def test_a_job_without_a_video_that_has_a_cost_names_it(make_submit: MakeSubmit, context: Context) -> None:
    with pytest.raises(AirflowFailException, match=r"cost of \$0\.2500"):
        make_submit().execute_complete(context, event(status="failed", cost_usd=0.25))  # type: ignore[arg-type]


def test_a_timeout_may_be_retried_and_leaves_the_record_to_the_next_attempt(
    sim: Simulator, make_submit: MakeSubmit, defer: Defer, context: Context, store: FakeStateStore
) -> None:
    defer(make_submit(deferrable=True))
    before = store.record
    ended = event(outcome="timed_out", job_id=before["job_id"], status="in_progress", outputs=0)
    with pytest.raises(JobTimedOutError, match="orders nothing") as caught:
        make_submit().execute_complete(context, ended)  # type: ignore[arg-type]
    assert not isinstance(caught.value, AirflowFailException)
    assert before["job_id"] in str(caught.value)
    assert "'in_progress'" in str(caught.value)
    assert store.record == before
    assert sim.posts == 1


def test_a_wait_that_was_given_up_may_be_retried(
    make_submit: MakeSubmit, context: Context, store: FakeStateStore
) -> None:
    ended = event(outcome="gave_up", status=None, outputs=0, error="HTTP 401: User not found.")
    with pytest.raises(JobUnreachableError, match=r"gen-vid-1.*401.*orders nothing"):
        make_submit().execute_complete(context, ended)  # type: ignore[arg-type]
    assert store.record == {}


@pytest.mark.parametrize("broken", ["get", "set"])
def test_a_finished_video_is_not_lost_to_a_broken_store(
    make_submit: MakeSubmit, context: Context, store: FakeStateStore, broken: str
) -> None:
    store.broken = {broken}
    manifest = make_submit().execute_complete(context, event())  # type: ignore[arg-type]
    assert manifest["status"] == "completed"


def test_an_event_of_a_newer_version_with_more_fields_is_understood(make_submit: MakeSubmit, context: Context) -> None:
    newer = event() | {"progress": 1.0}
    assert make_submit().execute_complete(context, newer)["status"] == "completed"  # type: ignore[arg-type]


# ── Time ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_timeout_counts_from_the_submission_and_not_from_the_attempt(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, defer: Defer, store: FakeStateStore
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    first = defer(make_submit(deferrable=True, timeout=100)).trigger
    record = store.record
    record["submitted_at"] -= 90
    store.set("orvideo_job", record)
    second = defer(make_submit(deferrable=True, timeout=100))
    assert isinstance(first, OrVideoJobTrigger)
    assert isinstance(second.trigger, OrVideoJobTrigger)
    assert second.trigger.deadline == pytest.approx(first.deadline - 90)
    assert isinstance(second.timeout, timedelta)
    assert second.timeout.total_seconds() == pytest.approx(10 + 900, abs=5)
    assert sim.posts == 1


def test_a_wait_on_the_worker_ends_at_the_timeout_and_can_be_retried(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, execute: Execute
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    for _ in range(2):
        with pytest.raises(JobTimedOutError) as caught:
            execute(make_submit(timeout=0.1))
        assert isinstance(caught.value, OrVideoError)
    sim.finish(sim.jobs()[0].id)
    assert execute(make_submit(timeout=0.1))["status"] == "completed"
    assert sim.posts == 1


# ── What was ordered ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_manifest_says_what_was_ordered_however_the_task_finished(attempt: Attempt, sim: Simulator) -> None:
    first = attempt()
    assert first["request"] == REQUEST
    # Again, from the record alone.
    assert attempt(try_number=2)["request"] == REQUEST
    assert sim.posts == 1


def test_without_waiting_the_manifest_says_what_was_ordered_too(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, execute: Execute
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    manifest = execute(make_submit(wait_for_completion=False))
    assert (manifest["status"], manifest["request"]) == ("pending", REQUEST)


def test_a_task_that_re_attaches_to_its_job_says_what_it_ordered(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, execute: Execute, make_context: MakeContext
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    execute(make_submit(wait_for_completion=False))
    sim.finish(sim.jobs()[0].id)
    manifest = execute(make_submit(), make_context(try_number=2))
    assert (manifest["status"], manifest["request"], sim.posts) == ("completed", REQUEST, 1)


def test_a_job_that_this_task_did_not_order_has_no_request(
    sim: Simulator, attempt: Attempt, make_submit: MakeSubmit, execute: Execute, make_context: MakeContext
) -> None:
    job = execute(make_submit(), make_context(task_state_store=type(make_context()["task_state_store"])()))
    assert attempt(job_id=job["job_id"])["request"] is None
    assert sim.posts == 1


@pytest.mark.parametrize("broken", ["get", "set", ""])
def test_an_adopted_job_has_no_request_where_the_record_is_gone_either(
    make_submit: MakeSubmit, context: Context, store: FakeStateStore, broken: str
) -> None:
    store.broken = {broken}
    manifest = make_submit(job_id="gen-vid-1").execute_complete(context, event())  # type: ignore[arg-type]
    assert (manifest["status"], manifest["request"]) == ("completed", None)


def test_a_paid_video_is_not_lost_to_a_template_that_finds_nothing_any_more(
    make_submit: MakeSubmit, context: Context
) -> None:
    for spoiled in ({"prompt": "None"}, {"duration": "soon"}, {"model": ""}):
        manifest = make_submit(**spoiled).execute_complete(context, event())  # type: ignore[arg-type]
        assert (manifest["status"], manifest["request"]) == ("completed", None)


def test_no_media_and_no_signature_reach_xcom(attempt: Attempt, sim: Simulator, store: FakeStateStore) -> None:
    picture = "iVBORw0KGgo" + "A" * 5_000
    signed = "https://me:passw0rd@films.example/a.png?X-Amz-Signature=s1gnature"
    manifest = attempt(
        model="google/veo-3.1-lite",
        duration=4,
        resolution="720p",
        frame_images=[
            {
                "type": "image_url",
                "image_url": {"url": f"data:image/png;base64,{picture}"},
                "frame_type": "first_frame",
            },
            {"type": "image_url", "image_url": {"url": signed}, "frame_type": "last_frame"},
        ],
        callback_url="https://hooks.example/done?token=s1gnature",
        provider={"options": {"google-vertex": {"mask": picture, "note": f"sk-or-test-{KEY_PART}"}}},
        preflight=False,  # which knows no such options
    )
    assert sim.posts == 1
    shown = manifest["request"]
    assert shown["frame_images"][0]["image_url"]["url"].startswith("sha256:")
    assert shown["frame_images"][1]["image_url"]["url"] == "https://films.example/a.png"
    assert shown["provider"]["options"]["google-vertex"]["mask"].startswith("sha256:")
    for place in (str(manifest), str(store.values)):
        for secret in ("iVBOR", "AAAAAAAA", "passw0rd", "s1gnature", KEY_PART):
            assert secret not in place

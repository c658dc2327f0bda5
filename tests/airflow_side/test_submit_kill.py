"""A worker that is told to stop: it cancels nothing, says what goes on, and notes it without ever hanging."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.ledger.record import Record
from airflow_provider_orvideo.ledger.stores import NoStore, TaskStateStore
from airflow_provider_orvideo.operators import following
from airflow_provider_orvideo.operators.following import detach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_orvideo.api.schema import VideoJob
    from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Context, Defer, Execute, FakeStateStore, MakeContext, MakeSubmit

    Warnings = Callable[[], list[str]]


@pytest.fixture
def warnings(task_log: pytest.LogCaptureFixture) -> Warnings:
    """Return the warnings that the task has logged."""
    return lambda: [record.getMessage() for record in task_log.records if record.levelname == "WARNING"]


def detaching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("orvideo-detach-")]


# ── With a job ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kill_says_that_the_job_goes_on(
    sim: Simulator, make_submit: MakeSubmit, defer: Defer, warnings: Warnings
) -> None:
    operator = make_submit(deferrable=True)
    defer(operator)
    requests = len(sim.requests())
    operator.on_kill()
    (warning,) = warnings()
    assert sim.jobs()[0].id in warning
    assert "cannot cancel it" in warning
    assert "still billing" in warning
    assert "re-attaches" in warning
    assert len(sim.requests()) == requests, "there is nothing to ask the API for"


def test_a_kill_is_noted_and_the_next_attempt_attaches_and_says_when_it_was(
    sim: Simulator,
    make_submit: MakeSubmit,
    defer: Defer,
    store: FakeStateStore,
    task_log: pytest.LogCaptureFixture,
) -> None:
    operator = make_submit(deferrable=True)
    defer(operator)
    before, now = store.record, time.time()
    operator.on_kill()
    assert detaching() == []
    noted = store.record
    assert now <= noted.pop("detached_at") <= time.time()
    assert noted == before
    defer(make_submit(deferrable=True))
    assert f"Re-attached to job {before['job_id']}" in task_log.text
    assert ", detached at 20" in task_log.text
    assert sim.posts == 1


def test_a_kill_in_the_midst_of_waiting_on_the_worker_is_noted(
    sim: Simulator,
    make_submit: MakeSubmit,
    execute: Execute,
    store: FakeStateStore,
    monkeypatch: pytest.MonkeyPatch,
    warnings: Warnings,
) -> None:
    operator = make_submit()

    class Stopped(BaseException):
        pass

    def stop(*_: object) -> None:  # as Airflow's signal handler does, in the midst of whatever runs
        operator.on_kill()
        raise Stopped

    monkeypatch.setattr(following, "wait_for_job", stop)
    with pytest.raises(Stopped):
        execute(operator)
    assert "detached_at" in store.record
    assert len(warnings()) == 1
    monkeypatch.undo()
    assert sim.posts == 1


def test_without_a_store_a_kill_says_how_to_find_the_job_again(
    sim: Simulator, make_submit: MakeSubmit, make_context: MakeContext, defer: Defer, warnings: Warnings
) -> None:
    operator = make_submit(deferrable=True)
    defer(operator, make_context(task_state_store=None))
    operator.on_kill()
    assert "PAY-ONCE IS OFF" in warnings()[0]
    job_id = sim.jobs()[0].id
    (warning,) = warnings()[1:]
    assert warning == (
        f"Detached from job {job_id}: the API cannot cancel it, so it is still billing. No record is kept, so adopt "
        f"it: run this task with job_id='{job_id}'."
    )


# ── Without one ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kill_before_there_is_a_job_says_nothing_of_one(
    make_submit: MakeSubmit, task_log: pytest.LogCaptureFixture
) -> None:
    make_submit().on_kill()
    assert task_log.text == ""


class Stopped(BaseException):
    """The worker stops here."""


@pytest.fixture
def kill_during_the_post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[OrVideoSubmitOperator], None]]:
    """Let the operator be killed once its paid request was accepted and before it hears of that."""
    real = VideoClient.generate

    def arrange(operator: OrVideoSubmitOperator) -> None:
        def killed(*arguments: Any) -> VideoJob:  # noqa: ANN401 - the method's own
            real(*arguments)
            operator.on_kill()
            raise Stopped

        monkeypatch.setattr(VideoClient, "generate", killed)

    yield arrange
    monkeypatch.undo()


def test_a_kill_during_the_paid_request_says_that_a_person_will_be_asked_and_one_is(
    sim: Simulator,
    make_submit: MakeSubmit,
    execute: Execute,
    store: FakeStateStore,
    kill_during_the_post: Callable[[OrVideoSubmitOperator], None],
    warnings: Warnings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operator = make_submit()
    kill_during_the_post(operator)
    with pytest.raises(Stopped):
        execute(operator)
    (warning,) = warnings()
    assert "the paid request may be under way" in warning
    assert "the next attempt asks for a person" in warning
    assert store.record["phase"] == "intent"
    monkeypatch.setattr(VideoClient, "generate", lambda *_: pytest.fail("sent again"))
    with pytest.raises(AirflowFailException, match="the worker died before an answer came"):
        execute(make_submit())
    assert sim.posts == 1


def test_without_a_store_a_kill_during_the_paid_request_promises_no_record(
    sim: Simulator,
    make_submit: MakeSubmit,
    make_context: MakeContext,
    execute: Execute,
    kill_during_the_post: Callable[[OrVideoSubmitOperator], None],
    warnings: Warnings,
) -> None:
    operator = make_submit()
    kill_during_the_post(operator)
    with pytest.raises(Stopped):
        execute(operator, make_context(task_state_store=None))
    warning = warnings()[-1]
    assert "the paid request may be under way" in warning
    assert "No record is kept" in warning
    assert "may pay twice" in warning
    assert "on record as" not in warning
    assert sim.posts == 1


def test_a_resumed_task_has_nothing_to_detach_from(
    make_submit: MakeSubmit, context: Context, warnings: Warnings
) -> None:
    operator = make_submit(deferrable=True)
    ended = {
        "outcome": "ended",
        "job_id": "gen-vid-1",
        "conn_id": "c",
        "model": "m",
        "submitted_at": 1.0,
        "observed_at": 2.0,
        "status": "completed",
        "outputs": 1,
    }
    operator.execute_complete(context, ended)  # type: ignore[arg-type]  # a plain dict will do
    operator.on_kill()
    assert warnings() == []


# ── A store that does not answer ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["get", "set"])
def test_a_store_that_hangs_does_not_hold_the_worker(
    sim: Simulator,
    make_submit: MakeSubmit,
    defer: Defer,
    store: FakeStateStore,
    monkeypatch: pytest.MonkeyPatch,
    warnings: Warnings,
    method: str,
) -> None:
    operator = make_submit(deferrable=True)
    defer(operator)
    answer, asked = threading.Event(), threading.Event()
    real = getattr(store, method)

    def hang(*arguments: object, **options: object) -> object:
        asked.set()
        answer.wait(30)
        return real(*arguments, **options)

    monkeypatch.setattr(store, method, hang)
    assert following._DETACH_SECONDS < 5, "Airflow kills a worker five seconds after it told it to stop"
    monkeypatch.setattr(following, "_DETACH_SECONDS", 0.1)
    started = time.monotonic()
    operator.on_kill()
    assert time.monotonic() - started < 5
    assert asked.is_set()
    assert len(warnings()) == 1, "what there is to say is said first"
    (thread,) = detaching()
    assert thread.daemon, "it must not hold the process either"
    assert "detached_at" not in store.record
    answer.set()
    thread.join(30)
    assert "detached_at" in store.record
    assert sim.posts == 1


@pytest.mark.parametrize("method", ["get", "set"])
def test_a_store_that_fails_is_no_reason_to_fail_a_kill(
    sim: Simulator, make_submit: MakeSubmit, defer: Defer, store: FakeStateStore, warnings: Warnings, method: str
) -> None:
    operator = make_submit(deferrable=True)
    defer(operator)
    store.broken = {method}
    operator.on_kill()
    assert "detached_at" not in store.record
    assert len(warnings()) == 1
    assert sim.posts == 1


RECORD: dict[str, Any] = {
    "phase": "submitted",
    "fingerprint": "f",
    "model": "m",
    "conn_id": "c",
    "intent_at": 1.0,
    "job_id": "job-1",
}


@pytest.mark.parametrize(
    "kept",
    [
        None,
        {**RECORD, "job_id": "job-2"},
        {**RECORD, "phase": "terminal", "status": "completed"},
        {"phase": "intent", **{name: RECORD[name] for name in ("fingerprint", "model", "conn_id", "intent_at")}},
    ],
    ids=["nothing", "another job", "an ended job", "an intent"],
)
def test_only_the_record_of_the_job_in_flight_is_written(store: FakeStateStore, kept: dict[str, Any] | None) -> None:
    if kept:
        store.set("orvideo_job", Record.model_validate(kept).to_json())
    before = dict(store.values)
    detach("job-1", TaskStateStore(store))
    detach("job-1", NoStore())
    assert store.values == before

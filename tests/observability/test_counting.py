"""Each order, end and landing is counted once, by whatever way and however often a task goes there."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

from airflow_provider_orvideo.exceptions import (
    JobTimedOutError,
    JobUnreachableError,
    LandingError,
    LedgerUnavailableError,
    NotSentError,
)
from airflow_provider_orvideo.operators.conclusion import settle
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.polling.event import Outcome, WaitEvent
from airflow_provider_orvideo.polling.report import Report
from airflow_provider_orvideo.triggers.metrics import send

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import (
        Attempt,
        Connect,
        Defer,
        Execute,
        FakeStateStore,
        MakeContext,
        MakeSubmit,
        Simulate,
    )
    from tests.observability.conftest import Backend

POST = {"operation": "createVideos"}
POLL = {"operation": "getVideos"}
TAGS = {"conn_id": "orvideo_default", "model": "x-ai/grok-imagine-video"}


def micros(sim: Simulator) -> int:
    (job,) = sim.jobs()
    assert job.cost
    return round(float(job.cost) * 1_000_000)


# ── The order and the end ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_video_is_ordered_completed_and_paid_for_once(sim: Simulator, attempt: Attempt, backend: Backend) -> None:
    attempt()
    assert backend.counted() == {
        "orvideo.job.submitted": 1,
        "orvideo.job.completed": 1,
        "orvideo.job.cost_usd_micros": micros(sim),
        "orvideo.job.generation": 1,
    }
    assert all(tags == TAGS for name in backend.values for tags in backend.tags(name))


def test_the_time_of_a_generation_is_that_from_the_submission_to_the_seen_end(
    store: FakeStateStore, sim: Simulator, attempt: Attempt, backend: Backend
) -> None:
    attempt()
    ((seconds, _),) = backend.values["orvideo.job.generation"]
    assert seconds == pytest.approx(store.record["finished_at"] - store.record["submitted_at"], abs=1e-3)
    assert sim.posts == 1


def test_a_retry_that_finds_its_video_counts_nothing(sim: Simulator, attempt: Attempt, backend: Backend) -> None:
    attempt()
    before = backend.counted()
    attempt(try_number=2)
    attempt(try_number=3, max_tries=5)
    assert backend.counted() == before
    assert sim.posts == 1


def test_a_retry_that_reattaches_counts_no_second_order(manual: Simulator, attempt: Attempt, backend: Backend) -> None:
    with pytest.raises(JobTimedOutError):
        attempt(timeout=0.05)
    assert backend.counted() == {"orvideo.job.submitted": 1, "orvideo.job.failed": 1}
    assert backend.tags("orvideo.job.failed") == [{**TAGS, "reason": "timed_out"}]
    (job,) = manual.jobs()
    manual.finish(job.id)
    attempt(try_number=2)
    assert backend.counted() == {
        "orvideo.job.submitted": 1,
        "orvideo.job.failed": 1,
        "orvideo.job.completed": 1,
        "orvideo.job.cost_usd_micros": micros(manual),
        "orvideo.job.generation": 1,
    }


@pytest.mark.parametrize(
    ("outcome", "error", "reason"),
    [
        ("failed", "The provider gave up", "failed"),
        ("failed", "Blocked by moderation", "refused"),
        ("cancelled", "Job was cancelled", "cancelled"),
        ("expired", "Job exceeded maximum time to live", "expired"),
        ("dead", None, "failed"),
    ],
)
def test_a_job_without_a_video_counts_once_with_its_reason(
    sim: Simulator, attempt: Attempt, backend: Backend, outcome: str, error: str | None, reason: str
) -> None:
    sim.add_fault({"match": POST, "job": {"outcome": outcome, "error": error}})
    for number in (1, 2):
        with pytest.raises(AirflowFailException):
            attempt(try_number=number)
    assert backend.counted() == {"orvideo.job.submitted": 1, "orvideo.job.failed": 1}
    assert backend.tags("orvideo.job.failed") == [{**TAGS, "reason": reason}]


def test_a_job_whose_status_cannot_be_read_is_unreachable(sim: Simulator, attempt: Attempt, backend: Backend) -> None:
    sim.add_fault({"match": POLL, "respond": {"status": 410}})
    with pytest.raises(JobUnreachableError):
        attempt()
    assert backend.tags("orvideo.job.failed") == [{**TAGS, "reason": "unreachable"}]


def test_a_lost_trigger_counts_as_unreachable_while_its_job_goes_on(
    manual: Simulator, make_submit: MakeSubmit, make_context: MakeContext, defer: Defer, backend: Backend
) -> None:
    defer(make_submit(deferrable=True))
    event = {"error": TriggerFailureReason.TRIGGER_TIMEOUT.value}
    context: Any = make_context()
    with pytest.raises(JobUnreachableError):
        make_submit(deferrable=True).resume_execution(TRIGGER_FAIL_REPR, event, context)
    assert backend.tags("orvideo.job.failed") == [{**TAGS, "reason": "unreachable"}]
    assert manual.posts == 1


def test_an_adopted_job_is_no_order_and_nobody_knows_how_long_it_took(
    sim: Simulator, attempt: Attempt, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore, backend: Backend
) -> None:
    job_id = execute(make_submit(wait_for_completion=False))["job_id"]
    assert backend.counted() == {"orvideo.job.submitted": 1}
    store.values.clear()
    attempt(job_id=job_id)
    assert backend.counted() == {
        "orvideo.job.submitted": 1,
        "orvideo.job.completed": 1,
        "orvideo.job.cost_usd_micros": micros(sim),
    }


def test_the_same_event_twice_is_one_end(
    manual: Simulator, make_submit: MakeSubmit, make_context: MakeContext, defer: Defer, backend: Backend
) -> None:
    trigger = defer(make_submit(deferrable=True)).trigger
    event = WaitEvent(
        outcome=Outcome.ENDED,
        job_id=trigger.job_id,
        conn_id="orvideo_default",
        model="m",
        submitted_at=1.0,
        observed_at=2.0,
        status="completed",
        outputs=1,
    )
    context: Any = make_context()
    for _ in range(2):
        make_submit(deferrable=True).execute_complete(context, event.to_json())
    assert backend.counted()["orvideo.job.completed"] == 1
    assert manual.posts == 1


def test_an_end_whose_record_cannot_be_read_counts_all_the_same(backend: Backend) -> None:
    class Away:
        where = "nowhere"

        def load(self) -> None:
            raise LedgerUnavailableError("away")

    event = WaitEvent(
        outcome=Outcome.ENDED,
        job_id="j",
        conn_id="c",
        model=None,
        submitted_at=1.0,
        observed_at=2.5,
        status="completed",
        cost_usd=0.0000004,
        outputs=1,
    )
    settle(event, Away())  # type: ignore[arg-type]  # what is not called is left out
    assert backend.values["orvideo.job.completed"] == [(1, {"conn_id": "c", "model": "unknown"})]
    assert backend.values["orvideo.job.generation"] == [(1.5, {"conn_id": "c", "model": "unknown"})]


# ── The order that comes to nothing ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"respond": {"status": 402}}, "rejected"),
        ({"respond": {"status": 400}}, "rejected"),
        ({"respond": {"status": 500}}, "unknown_outcome"),
        ({"drop": {"when": "after"}}, "unknown_outcome"),
    ],
)
def test_an_order_that_is_not_accepted_counts_with_its_reason(
    sim: Simulator, attempt: Attempt, backend: Backend, fault: dict[str, Any], reason: str
) -> None:
    sim.add_fault({"match": POST, **fault})
    with pytest.raises(Exception, match=r"."):
        attempt()
    assert backend.values == {"orvideo.submit.failed": [(1, {**TAGS, "reason": reason})]}


def test_an_order_that_cannot_leave_is_not_sent(
    connect: Connect, make_submit: MakeSubmit, execute: Execute, backend: Backend, pauses: list[float]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        connect(f"http://127.0.0.1:{probe.getsockname()[1]}/api/v1")
        with pytest.raises(NotSentError):
            execute(make_submit(preflight=False))
    assert backend.values == {"orvideo.submit.failed": [(1, {**TAGS, "reason": "not_sent"})]}
    assert all(pause >= 0 for pause in pauses)


def test_what_is_refused_before_it_leaves_counts_nothing(sim: Simulator, attempt: Attempt, backend: Backend) -> None:
    for refused in ({"duration": "soon"}, {"max_cost_usd": 0.000001}):
        with pytest.raises(AirflowFailException):
            attempt(**refused)
    assert backend.values == {}
    assert sim.posts == 0


# ── The landing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def download(job: dict[str, Any], folder: Path, **arguments: Any) -> OrVideoDownloadOperator:  # noqa: ANN401
    return OrVideoDownloadOperator(task_id="download", job=job, destination=f"{folder}/", **arguments)


def test_each_file_that_lands_counts_once_and_landing_again_counts_nothing(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, execute: Execute, tmp_path: Path, backend: Backend
) -> None:
    sim = simulate(outputs=2)
    connect(sim)
    job = execute(make_submit())
    backend.values.clear()
    landed = execute(download(job, tmp_path))
    assert backend.counted() == {
        "orvideo.landed.files": 2,
        "orvideo.landed.bytes": sum(file["bytes"] for file in landed["files"]),
        "orvideo.landed.duration": 2,
    }
    assert all(tags == TAGS for name in backend.values for tags in backend.tags(name))
    before = backend.counted()
    assert execute(download(job, tmp_path))["files"] == landed["files"]
    assert backend.counted() == before


def test_a_file_that_landed_counts_even_if_its_sibling_did_not(
    simulate: Simulate, connect: Connect, make_submit: MakeSubmit, execute: Execute, tmp_path: Path, backend: Backend
) -> None:
    sim = simulate(outputs=2)
    connect(sim)
    job = execute(make_submit())
    backend.values.clear()
    rule = sim.add_fault({"match": {"operation": "listVideosContent", "index": 1}, "respond": {"status": 410}})
    with pytest.raises(LandingError):
        execute(download(job, tmp_path))
    assert backend.counted()["orvideo.landed.files"] == 1
    assert rule
    sim.clear_faults()
    landed = execute(download(job, tmp_path))
    assert backend.counted()["orvideo.landed.files"] == 2
    assert backend.counted()["orvideo.landed.bytes"] == sum(file["bytes"] for file in landed["files"])


# ── Polling, and a backend in trouble ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rate", [None, 5.0])
def test_a_hub_reports_its_polling(backend: Backend, rate: float | None) -> None:
    send("studio", Report(jobs=3, polls=7, throttled=1, latency=0.25, lateness=0.5, rate=rate))
    sent = {name: values[0][0] for name, values in backend.values.items()}
    assert sent == {
        "orvideo.poll.jobs": 3,
        "orvideo.poll.requests": 7,
        "orvideo.poll.throttled": 1,
        "orvideo.poll.latency": 250,
        "orvideo.poll.lateness": 500,
        **({} if rate is None else {"orvideo.poll.rate": rate}),
    }
    assert backend.tags("orvideo.poll.jobs") == [{"conn_id": "studio"}]


def test_a_tag_cannot_end_its_line(backend: Backend) -> None:
    send("eu:studio,a=b|c#1", Report(jobs=1))
    assert backend.tags("orvideo.poll.jobs") == [{"conn_id": "eu_studio_a_b_c_1"}]


def test_a_backend_that_fails_stops_neither_order_nor_landing(
    sim: Simulator,
    attempt: Attempt,
    execute: Execute,
    tmp_path: Path,
    backend: Backend,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend.broken = True
    job = attempt()
    assert execute(download(job, tmp_path))["files"]
    assert set(backend.values) > {"orvideo.job.submitted", "orvideo.job.completed", "orvideo.landed.files"}
    assert "A metric or span was not sent: OSError: the metrics host is gone" in caplog.text
    assert sim.posts == 1

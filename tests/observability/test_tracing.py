"""Spans below the task's own, joined with the API's side, without a word of the order; and none without tracing."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from airflow_provider_orvideo.exceptions import JobTimedOutError, OrVideoError
from airflow_provider_orvideo.observability.names import SPANS
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from tests.observability.conftest import only_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Attempt, Execute, FakeStateStore, MakeContext, MakeSubmit
    from tests.observability.conftest import Spans

POST = {"operation": "createVideos"}
SECRET = "a red boat named Ondine"


@dataclass(frozen=True)
class Task:
    """A task instance with a span of its own, which it knows by its carrier, as Airflow's scheduler makes it."""

    ids: SpanContext
    context: dict[str, Any]


@pytest.fixture
def task(spans: Spans, make_context: MakeContext) -> Iterator[Task]:
    span = spans.provider.get_tracer("airflow").start_span("task_run.submit")
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span))
    instance = SimpleNamespace(**vars(make_context()["ti"]), context_carrier=carrier)
    yield Task(span.get_span_context(), {"ti": instance})
    span.end()


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def land(job: dict[str, Any], folder: Path) -> OrVideoDownloadOperator:
    return OrVideoDownloadOperator(task_id="download", job=job, destination=f"{folder}/")


def test_submit_wait_and_land_lie_below_the_task(
    sim: Simulator,
    attempt: Attempt,
    execute: Execute,
    make_context: MakeContext,
    tmp_path: Path,
    task: Task,
    spans: Spans,
) -> None:
    job = attempt(in_context=task.context)
    landed = execute(land(job, tmp_path), make_context(**task.context))
    found = {name: spans.only(name) for name in SPANS}
    assert {parent(span) for span in found.values()} == {task.ids.span_id}
    assert {span.context.trace_id for span in found.values()} == {task.ids.trace_id}
    shown: dict[str, Any] = {name: dict(span.attributes or {}) for name, span in found.items()}
    common = {
        "orvideo.job_id": job["job_id"],
        "orvideo.model": "x-ai/grok-imagine-video",
        "orvideo.conn_id": "orvideo_default",
    }
    joined = {
        "orvideo.trace.trace_id": f"{task.ids.trace_id:032x}",
        "orvideo.trace.parent_span_id": f"{found['orvideo.submit'].context.span_id:016x}",
    }
    ended = {
        "orvideo.status": "completed",
        "orvideo.cost_usd": job["cost_usd"],
        "orvideo.outputs": 1,
        "orvideo.generation_id": job["generation_id"],
    }
    assert shown == {
        "orvideo.submit": {**common, **joined, "orvideo.estimated_cost_usd": job["estimated_cost_usd"]},
        "orvideo.wait": {**common, **ended, "orvideo.outcome": "ended"},
        "orvideo.land": {
            **common,
            **ended,
            **joined,
            "orvideo.files": 1,
            "orvideo.bytes": landed["files"][0]["bytes"],
        },
    }
    assert all(set(shown[name]) <= set(known) for name, known in SPANS.items())
    assert {span.status.status_code for span in found.values()} == {StatusCode.UNSET}
    assert sim.posts == 1


def test_a_span_that_is_current_comes_before_the_task_instance(
    sim: Simulator, attempt: Attempt, task: Task, spans: Spans
) -> None:
    with trace.get_tracer("airflow").start_as_current_span("worker.submit") as worker:
        attempt(in_context=task.context)
        assert trace.get_current_span() is worker, "what was made current is current no longer"
    assert parent(spans.only("orvideo.submit")) == worker.get_span_context().span_id
    # The wait may have begun before this worker did.
    assert parent(spans.only("orvideo.wait")) == task.ids.span_id
    assert sim.posts == 1


def test_the_order_tells_the_api_which_span_it_comes_from(
    sim: Simulator, attempt: Attempt, task: Task, spans: Spans
) -> None:
    manifest = attempt(in_context=task.context)
    span = spans.only("orvideo.submit")
    expected = {"trace_id": f"{task.ids.trace_id:032x}", "parent_span_id": f"{span.context.span_id:016x}"}
    assert only_body(sim)["trace"] == expected
    assert manifest["request"]["trace"] == expected


@pytest.mark.parametrize("written", [{}, {"trace_id": "mine", "team": "films"}])
def test_what_the_author_wrote_into_trace_is_sent_as_it_is(
    sim: Simulator, attempt: Attempt, spans: Spans, written: dict[str, Any]
) -> None:
    attempt(trace=written)
    assert only_body(sim)["trace"] == written
    attributes = dict(spans.only("orvideo.submit").attributes or {})
    joined = {name: value for name, value in attributes.items() if name.startswith("orvideo.trace.")}
    assert joined == ({"orvideo.trace.trace_id": "mine"} if written else {})


def test_without_tracing_the_order_is_what_the_author_wrote(sim: Simulator, attempt: Attempt) -> None:
    manifest = attempt()
    assert "trace" not in only_body(sim)
    assert "trace" not in manifest["request"]


def test_a_trace_that_is_not_sampled_is_not_told_to_the_api(
    sim: Simulator, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "get_tracer", TracerProvider(sampler=ALWAYS_OFF).get_tracer)
    attempt()
    assert "trace" not in only_body(sim)


def test_a_retry_in_another_trace_finds_the_same_job(
    manual: Simulator, attempt: Attempt, store: FakeStateStore, spans: Spans
) -> None:
    with pytest.raises(JobTimedOutError):
        attempt(timeout=0.05)
    (job,) = manual.jobs()
    manual.finish(job.id)
    manifest = attempt(try_number=2)
    assert manual.posts == 1
    assert manifest["request"]["trace"] == only_body(manual)["trace"], "the manifest tells the trace that was sent"
    assert len(spans.ended("orvideo.submit")) == 1
    first, second = spans.ended("orvideo.wait")
    assert (first.attributes or {})["orvideo.outcome"] == "timed_out"
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "timed_out")
    assert second.status.status_code == StatusCode.UNSET
    assert first.start_time == second.start_time == int(store.record["submitted_at"] * 1e9)
    assert second.end_time == int(store.record["finished_at"] * 1e9)
    attempt(try_number=3)
    assert len(spans.ended("orvideo.wait")) == 2, "nothing was waited for"


def test_a_failure_is_named_and_nothing_of_it_quoted(sim: Simulator, attempt: Attempt, spans: Spans) -> None:
    sim.add_fault({"match": POST, "respond": {"status": 400, "message": f"{SECRET} at https://x.example/?sig=1"}})
    with pytest.raises(AirflowFailException):
        attempt(prompt=SECRET)
    span = spans.only("orvideo.submit")
    assert (span.attributes or {})["error.type"] == span.status.description == "BadRequestError"
    assert span.status.status_code == StatusCode.ERROR
    assert SECRET not in span.to_json()
    assert "https" not in span.to_json()
    assert not span.events


@pytest.mark.parametrize(("error", "reason"), [("Blocked by moderation", "refused"), ("It broke", "failed")])
def test_a_job_without_a_video_is_a_wait_that_failed(
    sim: Simulator, attempt: Attempt, spans: Spans, error: str, reason: str
) -> None:
    sim.add_fault({"match": POST, "job": {"outcome": "failed", "error": error}})
    with pytest.raises(AirflowFailException):
        attempt()
    span = spans.only("orvideo.wait")
    assert (span.attributes or {})["error.type"] == reason
    assert error not in span.to_json()


def test_a_landing_that_failed_is_named(
    sim: Simulator, attempt: Attempt, execute: Execute, spans: Spans, tmp_path: Path
) -> None:
    job = attempt(prompt=SECRET)
    sim.add_fault({"match": {"operation": "listVideosContent"}, "respond": {"status": 410}})
    with pytest.raises(OrVideoError):
        execute(land(job, tmp_path))
    span = spans.only("orvideo.land")
    assert (span.attributes or {})["error.type"] == "OutputUnavailableError"
    assert not span.events
    assert not any(text in span.to_json() for text in (SECRET, "http", str(tmp_path), "sk-or"))


def test_tracing_that_fails_stops_neither_order_nor_landing(
    sim: Simulator, attempt: Attempt, execute: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no tracer today")

    monkeypatch.setattr(trace, "get_tracer", broken)
    job = attempt()
    assert execute(land(job, tmp_path))["files"]
    assert "trace" not in only_body(sim)


def test_a_span_that_fails_stops_neither_order_nor_landing(
    sim: Simulator,
    attempt: Attempt,
    execute: Execute,
    spans: Spans,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no span today")

    for name in ("set_attributes", "set_attribute", "set_status", "end", "get_span_context"):
        monkeypatch.setattr("opentelemetry.sdk.trace.Span." + name, broken)
    job = attempt()
    assert execute(land(job, tmp_path))["files"]
    assert spans.exporter.get_finished_spans() == ()
    assert "trace" not in only_body(sim)


@pytest.mark.parametrize("carrier", [None, {}, {"traceparent": "nonsense"}, "text"])
def test_a_task_instance_without_a_span_makes_a_root(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, make_context: MakeContext, spans: Spans, carrier: object
) -> None:
    instance = SimpleNamespace(**vars(make_context()["ti"]), context_carrier=carrier)
    execute(make_submit(), make_context(ti=instance))
    assert parent(spans.only("orvideo.submit")) is None
    assert parent(spans.only("orvideo.wait")) is None
    assert sim.posts == 1

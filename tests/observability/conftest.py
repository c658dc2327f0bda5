"""What the tests of metrics and traces share: a backend that remembers, an exporter that keeps, and a task's rooms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat import sdk
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airflow_provider_orvideo.observability.names import METRICS

# The rooms of a task, as the tests of the operators know them.
from tests.airflow_side.conftest import (  # noqa: F401 - fixtures
    _fire,
    _no_connections,
    attempt,
    connect,
    context,
    defer,
    execute,
    make_context,
    make_submit,
    pauses,
    sim,
    simulate,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from opentelemetry.sdk.trace import ReadableSpan

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Simulate


@dataclass
class Backend:
    """Stands where Airflow's stats stand; refuses what the table of names does not know.

    Attributes:
        values: what was sent, by name, each value with its tags.
        broken: whether it fails, as a backend does whose host is gone.
    """

    values: dict[str, list[tuple[float, dict[str, str]]]] = field(default_factory=dict)
    broken: bool = False

    def incr(self, stat: str, count: int = 1, *, tags: dict[str, str]) -> None:
        assert isinstance(count, int), "some servers cut the decimals of a counter off"
        self._take("counter", stat, count, tags)

    def timing(self, stat: str, dt: timedelta, *, tags: dict[str, str]) -> None:
        self._take("timer", stat, dt.total_seconds(), tags)

    def gauge(self, stat: str, value: float, *, tags: dict[str, str]) -> None:
        self._take("gauge", stat, value, tags)

    def _take(self, kind: str, name: str, value: float, tags: dict[str, str]) -> None:
        self.values.setdefault(name, []).append((value, dict(tags)))
        if self.broken:
            raise OSError("the metrics host is gone")
        (metric,) = [each for each in METRICS if each.name == name]
        # The sender would swallow an assertion raised here, so what is wrong is kept as a value that no test expects.
        if (kind, set(tags)) != (metric.kind, set(metric.tags)):
            self.values[f"{name} is not a {kind} with {sorted(tags)}"] = []

    def counted(self) -> dict[str, float]:
        """Return the sum of each name's values, but for timers, of which it returns how many there are."""
        kinds = {metric.name: metric.kind for metric in METRICS}
        return {
            name: len(sent) if kinds.get(name) == "timer" else sum(value for value, _ in sent)
            for name, sent in self.values.items()
        }

    def tags(self, name: str) -> list[dict[str, str]]:
        """Return the tags of each value of a name."""
        return [tags for _, tags in self.values.get(name, [])]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """Where the metrics go."""
    instead = Backend()
    monkeypatch.setattr(sdk, "Stats", instead, raising=False)
    return instead


@dataclass
class Spans:
    """What was traced.

    Attributes:
        provider: stands where the one stands that Airflow sets up.
    """

    provider: TracerProvider = field(default_factory=TracerProvider)
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def ended(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name that have ended."""
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def only(self, name: str) -> ReadableSpan:
        """Return the one span of a name."""
        (span,) = self.ended(name)
        return span


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Turn tracing on for one test. OpenTelemetry's own provider can be set but once in a process."""
    traced = Spans()
    traced.provider.add_span_processor(SimpleSpanProcessor(traced.exporter))
    monkeypatch.setattr(trace, "get_tracer", traced.provider.get_tracer)
    yield traced
    traced.provider.shutdown()


@pytest.fixture
def manual(simulate: Simulate, connect: Connect) -> Simulator:  # noqa: F811 - the fixtures from above
    """A simulator whose jobs end when told to, and ``orvideo_default`` pointing to it."""
    simulator = simulate(job_seconds="manual")
    connect(simulator)
    return simulator


def only_body(simulator: Simulator) -> dict[str, Any]:
    """Return the body of the one order that arrived."""
    (request,) = simulator.requests(operation="createVideos")
    body: dict[str, Any] = request.body
    return body

"""OpenTelemetry spans below the task's own. Where tracing is off they cost nothing; where it fails, it stops nothing.

Airflow 3.2 and later set up OpenTelemetry's global tracer provider and run a task inside a span, so plain OpenTelemetry
is all that is needed. Airflow 3.1 does neither: there, spans are sent only if the deployment sets a provider itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_orvideo import __version__
from airflow_provider_orvideo.observability.names import ERROR_TYPE
from airflow_provider_orvideo.observability.stats import harmless

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OtelSpan

    Value = str | bool | int | float | None


class Span:
    """A span, or nothing at all: no method fails, whatever tracing does.

    Args:
        span: OpenTelemetry's, recording; None for none.
        token: of the context in which the span is the current one, None where it is not.
    """

    def __init__(self, span: OtelSpan | None = None, token: Token[Context] | None = None) -> None:
        self._span = span
        self._token = token

    def ids(self) -> tuple[str, str] | None:
        """Return trace id and span id in hex, as W3C writes them; None where nothing is recorded."""
        if self._span is None:
            return None
        with harmless():
            found = self._span.get_span_context()
            return f"{found.trace_id:032x}", f"{found.span_id:016x}"
        return None

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Set attributes; one that is None is left out."""
        if self._span is None:
            return
        with harmless():
            self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def end(self, *, error: str | None = None, at: float | None = None) -> None:
        """End the span, once; later calls do nothing.

        Args:
            error: kind of the failure, one word; never a message, which may quote a URL or a prompt.
            at: epoch seconds of the end, default now.
        """
        span, token, self._span, self._token = self._span, self._token, None, None
        if span is None:
            return
        with harmless():
            if token is not None:
                from opentelemetry import context  # noqa: PLC0415

                context.detach(token)
        with harmless():
            if error is not None:
                from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

                span.set_attribute(ERROR_TYPE, error)
                span.set_status(Status(StatusCode.ERROR, error))
            span.end() if at is None else span.end(_nanoseconds(at))


def start(name: str, task_instance: object, attributes: Mapping[str, Value]) -> Span:
    """Start a span below the current one, or else below the task instance's, and make it the current one.

    Args:
        name: of the span.
        task_instance: Airflow's, which may have a ``context_carrier``.
        attributes: one that is None is left out.
    """
    with harmless():
        try:
            from opentelemetry import context, trace  # noqa: PLC0415
        except ImportError:
            return Span()
        inside = trace.get_current_span().get_span_context().is_valid
        parent = None if inside else _of_task(task_instance)
        span = _tracer().start_span(name, context=parent)
        if span.is_recording():
            started = Span(span, context.attach(trace.set_span_in_context(span, parent)))
            started.set(attributes)
            return started
    return Span()


def record(
    name: str,
    task_instance: object,
    attributes: Mapping[str, Value],
    *,
    start_at: float,
    end_at: float,
    error: str | None = None,
) -> None:
    """Send a span of what has passed already, perhaps in another process: below the task instance's whole run.

    Args:
        name: of the span.
        task_instance: Airflow's, which may have a ``context_carrier``.
        attributes: one that is None is left out.
        start_at: epoch seconds.
        end_at: epoch seconds.
        error: kind of the failure, one word; None for none.
    """
    with harmless():
        try:
            import opentelemetry.trace  # noqa: F401, PLC0415
        except ImportError:
            return
        span = _tracer().start_span(name, context=_of_task(task_instance), start_time=_nanoseconds(start_at))
        if span.is_recording():
            passed = Span(span)
            passed.set(attributes)
            passed.end(error=error, at=max(start_at, end_at))


def _tracer() -> Any:  # noqa: ANN401 - OpenTelemetry's, looked up anew: Airflow sets the provider when it likes
    from opentelemetry import trace  # noqa: PLC0415

    return trace.get_tracer("airflow_provider_orvideo", __version__)


def _of_task(task_instance: object) -> Context | None:
    """Return the context of the task instance's own span, None where Airflow tells none."""
    carrier = getattr(task_instance, "context_carrier", None)
    if not isinstance(carrier, dict) or not carrier:
        return None
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    found = TraceContextTextMapPropagator().extract(carrier)
    return found if trace.get_current_span(found).get_span_context().is_valid else None


def _nanoseconds(epoch: float) -> int:
    return int(epoch * 1e9)

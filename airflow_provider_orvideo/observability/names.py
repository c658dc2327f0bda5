"""Every metric, span and attribute that the provider sends; ``docs/metrics.md`` lists the same, and a test compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: The id of the connection, and the model: few values each. Nothing that grows with the number of jobs is a tag.
JOB_TAGS: Final = ("conn_id", "model")


@dataclass(frozen=True)
class Metric:
    """One name of Airflow's stats.

    Attributes:
        name: as it is sent; Airflow puts its own prefix before it.
        kind: how the values of several processes go together. A timer is sent in milliseconds.
        unit: of the value, empty for a number of things.
        tags: names of its tags, always all of them.
    """

    name: str
    kind: Literal["counter", "gauge", "timer"]
    unit: str = ""
    tags: tuple[str, ...] = JOB_TAGS


# ── Orders and jobs, from the submit operator ────────────────────────────────────────────────────────────────────────

SUBMITTED: Final = Metric("orvideo.job.submitted", "counter")
SUBMIT_FAILED: Final = Metric("orvideo.submit.failed", "counter", tags=(*JOB_TAGS, "reason"))
COMPLETED: Final = Metric("orvideo.job.completed", "counter")
FAILED: Final = Metric("orvideo.job.failed", "counter", tags=(*JOB_TAGS, "reason"))
#: Whole numbers: counters are the only kind that sums over processes, and some StatsD servers cut their decimals off.
COST: Final = Metric("orvideo.job.cost_usd_micros", "counter", "millionths of a US dollar")
GENERATION: Final = Metric("orvideo.job.generation", "timer", "ms")

# ── Landing, from the download operator ──────────────────────────────────────────────────────────────────────────────

LANDED_FILES: Final = Metric("orvideo.landed.files", "counter")
LANDED_BYTES: Final = Metric("orvideo.landed.bytes", "counter", "bytes")
LANDED_TIME: Final = Metric("orvideo.landed.duration", "timer", "ms")

# ── Polling, from the triggerer ──────────────────────────────────────────────────────────────────────────────────────

POLL_JOBS: Final = Metric("orvideo.poll.jobs", "gauge", tags=("conn_id",))
POLL_REQUESTS: Final = Metric("orvideo.poll.requests", "counter", tags=("conn_id",))
POLL_THROTTLED: Final = Metric("orvideo.poll.throttled", "counter", tags=("conn_id",))
POLL_LATENCY: Final = Metric("orvideo.poll.latency", "gauge", "ms", tags=("conn_id",))
POLL_LATENESS: Final = Metric("orvideo.poll.lateness", "gauge", "ms", tags=("conn_id",))
POLL_RATE: Final = Metric("orvideo.poll.rate", "gauge", "requests/s", tags=("conn_id",))

METRICS: Final = (
    SUBMITTED,
    SUBMIT_FAILED,
    COMPLETED,
    FAILED,
    COST,
    GENERATION,
    LANDED_FILES,
    LANDED_BYTES,
    LANDED_TIME,
    POLL_JOBS,
    POLL_REQUESTS,
    POLL_THROTTLED,
    POLL_LATENCY,
    POLL_LATENESS,
    POLL_RATE,
)

#: Values of the tag ``reason`` of `SUBMIT_FAILED`.
SubmitFailure = Literal["rejected", "not_sent", "unknown_outcome"]
#: Values of the tag ``reason`` of `FAILED`: how the job ended, and the last two, how a wait for it ended.
Failure = Literal["failed", "cancelled", "expired", "refused", "timed_out", "unreachable"]

# ── Spans ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SUBMIT_SPAN: Final = "orvideo.submit"
WAIT_SPAN: Final = "orvideo.wait"
LAND_SPAN: Final = "orvideo.land"

JOB_ID: Final = "orvideo.job_id"
GENERATION_ID: Final = "orvideo.generation_id"
MODEL: Final = "orvideo.model"
CONN_ID: Final = "orvideo.conn_id"
STATUS: Final = "orvideo.status"
OUTCOME: Final = "orvideo.outcome"
COST_USD: Final = "orvideo.cost_usd"
ESTIMATED_COST_USD: Final = "orvideo.estimated_cost_usd"
OUTPUTS: Final = "orvideo.outputs"
FILES: Final = "orvideo.files"
BYTES: Final = "orvideo.bytes"
TRACE_ID: Final = "orvideo.trace.trace_id"
PARENT_SPAN_ID: Final = "orvideo.trace.parent_span_id"
#: As OpenTelemetry's semantic conventions name it.
ERROR_TYPE: Final = "error.type"

#: The attributes that each span may carry; one whose value is unknown is left out.
SPANS: Final = {
    SUBMIT_SPAN: (CONN_ID, MODEL, ESTIMATED_COST_USD, JOB_ID, TRACE_ID, PARENT_SPAN_ID, ERROR_TYPE),
    WAIT_SPAN: (CONN_ID, MODEL, JOB_ID, GENERATION_ID, OUTCOME, STATUS, COST_USD, OUTPUTS, ERROR_TYPE),
    LAND_SPAN: (
        CONN_ID,
        MODEL,
        JOB_ID,
        GENERATION_ID,
        STATUS,
        COST_USD,
        OUTPUTS,
        FILES,
        BYTES,
        TRACE_ID,
        PARENT_SPAN_ID,
        ERROR_TYPE,
    ),
}

# ── OpenLineage ──────────────────────────────────────────────────────────────────────────────────────────────────────

JOB_FACET: Final = "orvideo_job"
VIDEO_FACET: Final = "orvideo_video"
#: The facets that are our own, and their fields; the standard ``outputStatistics`` comes on top.
FACETS: Final = {
    JOB_FACET: ("job_id", "generation_id", "model", "status", "cost_usd", "estimated_cost_usd", "total_cost_usd"),
    VIDEO_FACET: (
        "job_id",
        "index",
        "sha256",
        "content_type",
        "duration_s",
        "width",
        "height",
        "fps",
        "has_audio",
        "has_c2pa",
    ),
}

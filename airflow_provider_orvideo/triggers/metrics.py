"""The hub's reports as Airflow metrics: few names, one tag, no job ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Stats

if TYPE_CHECKING:
    from airflow_provider_orvideo.polling.report import Report


def send(conn_id: str, report: Report) -> None:
    """Send what a hub did in the last ten seconds.

    Names: ``orvideo.poll.jobs`` (gauge), ``orvideo.poll.requests`` and ``orvideo.poll.throttled`` (counters),
    ``orvideo.poll.latency`` and ``orvideo.poll.lateness`` (gauges, milliseconds), ``orvideo.poll.rate`` (gauge,
    requests per second, only where there is a limit). Each carries the tag ``conn_id``.
    """
    tags = {"conn_id": conn_id}
    Stats.gauge("orvideo.poll.jobs", report.jobs, tags=tags)
    Stats.incr("orvideo.poll.requests", report.polls, tags=tags)
    Stats.incr("orvideo.poll.throttled", report.throttled, tags=tags)
    Stats.gauge("orvideo.poll.latency", report.latency * 1000, tags=tags)
    Stats.gauge("orvideo.poll.lateness", report.lateness * 1000, tags=tags)
    if report.rate is not None:
        Stats.gauge("orvideo.poll.rate", report.rate, tags=tags)

"""The hub's reports as Airflow metrics: few names, one tag, no job ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_orvideo.observability import names, stats

if TYPE_CHECKING:
    from airflow_provider_orvideo.polling.report import Report


def send(conn_id: str, report: Report) -> None:
    """Send what a hub did in the last ten seconds."""
    stats.send(names.POLL_JOBS, report.jobs, conn_id=conn_id)
    stats.send(names.POLL_REQUESTS, report.polls, conn_id=conn_id)
    stats.send(names.POLL_THROTTLED, report.throttled, conn_id=conn_id)
    stats.send(names.POLL_LATENCY, report.latency * 1000, conn_id=conn_id)
    stats.send(names.POLL_LATENESS, report.lateness * 1000, conn_id=conn_id)
    if report.rate is not None:
        stats.send(names.POLL_RATE, report.rate, conn_id=conn_id)

"""Sends metrics through Airflow's own; what goes wrong there is logged and never reaches a task."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.api.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.observability.names import Metric

log = logging.getLogger(__name__)

#: What separates the parts of a StatsD line; Airflow lets some of it through, and conn ids and model ids may have it.
_SEPARATORS: Final = re.compile(r"[^A-Za-z0-9_./-]")
_LONGEST_TAG: Final = 200


@contextmanager
def harmless() -> Iterator[None]:
    """Let no failure of watching reach what is watched."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a backend raises, a video matters more
        log.warning("A metric or span was not sent: %s", redact(f"{type(error).__name__}: {error}", limit=200))


def send(metric: Metric, value: float, **tags: str) -> None:
    """Send one value.

    Args:
        metric: which.
        value: for a counter, how many more, in whole numbers; for a timer, seconds; for a gauge, the value itself.
        tags: a value for each of the metric's tags; what could end it on a StatsD line becomes ``_``.
    """
    with harmless():
        tags = {name: _SEPARATORS.sub("_", text[:_LONGEST_TAG]) for name, text in tags.items()}
        # Imported here: not before Airflow has set its metrics up.
        from airflow.providers.common.compat.sdk import Stats  # noqa: PLC0415

        if metric.kind == "counter":
            Stats.incr(metric.name, int(value), tags=tags)
        elif metric.kind == "timer":
            # As a timedelta, every backend of every Airflow makes milliseconds of it.
            Stats.timing(metric.name, timedelta(seconds=value), tags=tags)
        else:
            Stats.gauge(metric.name, value, tags=tags)

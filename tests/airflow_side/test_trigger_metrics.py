"""The hub's metrics: the names of the documentation, one tag, and nothing that grows with the jobs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_orvideo.polling.report import Report
from airflow_provider_orvideo.triggers import metrics

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, float, dict[str, str]]]:
    """What Airflow's statistics were told: by name, how, how much, and with which tags."""
    told: dict[str, tuple[str, float, dict[str, str]]] = {}

    class Stats:
        @staticmethod
        def gauge(name: str, value: float, *, tags: dict[str, str]) -> None:
            told[name] = ("gauge", value, tags)

        @staticmethod
        def incr(name: str, count: int, *, tags: dict[str, str]) -> None:
            told[name] = ("counter", count, tags)

    monkeypatch.setattr(metrics, "Stats", Stats)
    return told


def test_a_report_is_sent_under_the_documented_names(sent: dict[str, Any]) -> None:
    metrics.send("c", Report(jobs=7, polls=20, throttled=2, latency=0.25, lateness=1.5, rate=3.5))
    tags = {"conn_id": "c"}
    assert sent == {
        "orvideo.poll.jobs": ("gauge", 7, tags),
        "orvideo.poll.requests": ("counter", 20, tags),
        "orvideo.poll.throttled": ("counter", 2, tags),
        "orvideo.poll.latency": ("gauge", 250, tags),
        "orvideo.poll.lateness": ("gauge", 1500, tags),
        "orvideo.poll.rate": ("gauge", 3.5, tags),
    }
    documented = dict(re.findall(r"^\| `(orvideo\.poll\.\w+)` \| (gauge|counter)", PAGE.read_text(), re.MULTILINE))
    assert documented == {name: kind for name, (kind, _, _) in sent.items()}


def test_without_a_limit_no_rate_is_sent(sent: dict[str, Any]) -> None:
    metrics.send("c", Report())
    assert "orvideo.poll.rate" not in sent

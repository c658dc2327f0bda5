"""Webhooks that are meant to be on and cannot work: what is paid is followed, and nothing new is ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Attempt, FakeStateStore

#: What cannot work, by the option that is wrong, and what the message quotes.
WRONG = {
    "no public address": ({"WEBHOOK_URL": "http://localhost:8080/orvideo/webhook"}, "localhost:8080"),
    "no folder": ({"STATE_PATH": ""}, "state_path is not"),
    "no such store": ({"STATE_PATH": "memory://x/state"}, "memory://x/state"),
}


@pytest.fixture(autouse=True)
def _calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Webhooks are on."""
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_URL", "https://airflow.example.com/orvideo/webhook")
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", (tmp_path / "state").as_uri())


@pytest.fixture(params=WRONG)
def wrong(request: pytest.FixtureRequest) -> tuple[dict[str, str], str]:
    return WRONG[request.param]


def misset(monkeypatch: pytest.MonkeyPatch, wrong: tuple[dict[str, str], str]) -> None:
    for name, value in wrong[0].items():
        monkeypatch.setenv(f"AIRFLOW__ORVIDEO__{name}", value)


def test_nothing_is_ordered(
    sim: Simulator,
    attempt: Attempt,
    store: FakeStateStore,
    monkeypatch: pytest.MonkeyPatch,
    wrong: tuple[dict[str, str], str],
) -> None:
    misset(monkeypatch, wrong)
    with pytest.raises(ConfigurationError, match="Nothing was sent") as caught:
        attempt()
    assert wrong[1] in str(caught.value)
    assert (sim.posts, store.values) == (0, {})


def test_a_job_that_is_paid_for_is_followed_and_one_line_says_what_is_wrong(
    sim: Simulator,
    attempt: Attempt,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wrong: tuple[dict[str, str], str],
) -> None:
    first = attempt()
    misset(monkeypatch, wrong)
    assert attempt(try_number=2)["job_id"] == first["job_id"]
    assert sim.posts == 1
    (said,) = [record.message for record in caplog.records if "No new order leaves" in record.message]
    assert "what was ordered is followed and landed" in said
    assert wrong[1] in said

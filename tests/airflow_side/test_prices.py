"""What a video would cost, asked for by a DAG, and how a bill is held against it."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.exceptions import RequestInvalidError
from airflow_provider_orvideo.ledger.policies import DEFAULT_POLICIES
from airflow_provider_orvideo.ledger.record import Phase, Record
from airflow_provider_orvideo.operators.conclusion import conclude
from airflow_provider_orvideo.prices import estimate

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator

VEO: dict[str, Any] = {"model": "google/veo-3.1-lite", "prompt": "a boat", "duration": 4, "generate_audio": False}


def test_a_price_is_asked_for_and_nothing_is_ordered(sim: Simulator) -> None:
    assert estimate(**VEO, resolution="720p").usd == Decimal("0.12")
    assert sim.posts == 0


def test_what_is_left_open_is_a_range_and_its_high_end_the_price(sim: Simulator) -> None:
    found = estimate(**VEO)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.high == found.usd
    assert sim.posts == 0


def test_a_request_that_could_not_be_ordered_has_no_price(sim: Simulator) -> None:
    with pytest.raises(RequestInvalidError, match="'duration'"):
        estimate(**{**VEO, "duration": 5})
    with pytest.raises(RequestInvalidError, match="'model'"):
        estimate(prompt="a boat")
    assert sim.posts == 0


@pytest.mark.parametrize(
    ("low", "billed", "says", "level"),
    [
        (None, 0.20, "at up to $0.2000 and billed $0.2000.", logging.INFO),
        (None, 0.12, "at up to $0.2000 and billed $0.1200, -40%.", logging.WARNING),
        (0.12, 0.12, "at $0.1200 to $0.2000 and billed $0.1200.", logging.INFO),
        (0.12, 0.15, "at $0.1200 to $0.2000 and billed $0.1500.", logging.INFO),
        (0.12, 0.11, "at $0.1200 to $0.2000 and billed $0.1100, -8%.", logging.INFO),
        (0.12, 0.06, "at $0.1200 to $0.2000 and billed $0.0600, -50%.", logging.WARNING),
        (0.12, 0.30, "at $0.1200 to $0.2000 and billed $0.3000, +50%.", logging.WARNING),
    ],
)
def test_a_bill_surprises_only_outside_of_what_was_estimated(
    low: float | None, billed: float, says: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    record = Record(
        phase=Phase.TERMINAL,
        fingerprint="f",
        model="m",
        conn_id="c",
        intent_at=1.0,
        job_id="j",
        status="completed",
        cost_usd=billed,
        estimated_cost_usd=0.2,
        estimated_low_usd=low,
        outputs=1,
    )
    with caplog.at_level(logging.INFO):
        conclude(record, None, DEFAULT_POLICIES)  # type: ignore[arg-type]  # a job with its video needs no store
    (entry,) = [entry for entry in caplog.records if "estimated" in entry.getMessage()]
    assert entry.getMessage().endswith(says)
    assert entry.levelno == level

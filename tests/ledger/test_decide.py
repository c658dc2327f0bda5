"""`decide` over everything that a store can hold: which records let an attempt pay."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.api.schema import JobStatus
from airflow_provider_orvideo.ledger.decision import Ambiguous, Attach, EndedWithoutVideo, Reuse, Submit, decide
from airflow_provider_orvideo.ledger.record import PastJob, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.ledger.record import Record

    RecordOf = Callable[..., Record]

EARLIER = PastJob(job_id="job-0", status="completed", cost_usd=0.4, submitted_at=500.0)
PAID = PastJob(job_id="job-1", submitted_at=1003.0, model="google/veo-3.1")


def test_nothing_recorded_means_submit_without_a_past() -> None:
    assert decide(None, order="same") == Submit(past=(), reason=None)


@pytest.mark.parametrize(
    ("phase", "status", "expected"),
    [
        (Phase.SUBMITTED, None, Attach),
        (Phase.TERMINAL, "completed", Reuse),
        (Phase.TERMINAL, "failed", EndedWithoutVideo),
        (Phase.TERMINAL, "cancelled", EndedWithoutVideo),
        (Phase.TERMINAL, "expired", EndedWithoutVideo),
        (Phase.TERMINAL, "dead", EndedWithoutVideo),
        (Phase.TERMINAL, "a status of tomorrow", EndedWithoutVideo),
        (Phase.TERMINAL, None, EndedWithoutVideo),
    ],
)
def test_a_job_of_the_same_order_is_never_bought_again(
    record_of: RecordOf, phase: Phase, status: str | None, expected: type
) -> None:
    record = record_of(phase, status=status)
    assert decide(record, order="same") == expected(record)


@pytest.mark.parametrize("order", ["same", "other"])
@pytest.mark.parametrize("past", [(), (EARLIER,)])
def test_an_intent_needs_a_person_whatever_is_ordered_now(
    record_of: RecordOf, order: str, past: tuple[PastJob, ...]
) -> None:
    record = record_of(Phase.INTENT, past=past)
    assert decide(record, order=order) == Ambiguous(record)


@pytest.mark.parametrize("status", [None, "completed", "failed", "cancelled", "expired"])
def test_a_changed_order_submits_and_remembers_every_job_paid_for(record_of: RecordOf, status: str | None) -> None:
    phase = Phase.TERMINAL if status else Phase.SUBMITTED
    record = record_of(phase, status=status, cost_usd=1.2, past=(EARLIER,))
    decision = decide(record, order="other")
    assert isinstance(decision, Submit)
    assert decision.past == (EARLIER, PAID.model_copy(update={"status": status, "cost_usd": 1.2}))
    assert decision.reason is not None
    assert "job-1" in decision.reason


def test_only_no_record_or_a_changed_order_after_a_known_job_may_pay(record_of: RecordOf) -> None:
    statuses = [None, "odd", *JobStatus]
    for phase, status, order, past in itertools.product(Phase, statuses, ["same", "other"], [(), (EARLIER,)]):
        record = record_of(phase, status=status, past=past)
        pays = isinstance(decide(record, order=order), Submit)
        assert pays == (phase != Phase.INTENT and order == "other"), (phase, status, order)


def test_a_record_follows_its_job_from_intent_to_end(record_of: RecordOf) -> None:
    intent = record_of(Phase.INTENT, past=(EARLIER,))
    submitted = intent.submitted("job-9", now=1003.5)
    assert (submitted.phase, submitted.job_id, submitted.submitted_at) == (Phase.SUBMITTED, "job-9", 1003.5)
    ended = submitted.terminal(
        status="completed", now=1100.0, error=None, generation_id="gen-9", cost_usd=0.0, outputs=2
    )
    assert (ended.phase, ended.status, ended.cost_usd, ended.outputs) == (Phase.TERMINAL, "completed", 0.0, 2)
    assert (ended.generation_id, ended.finished_at) == ("gen-9", 1100.0)
    kept = {"fingerprint", "model", "conn_id", "intent_at", "past"}
    assert {name: getattr(ended, name) for name in kept} == {name: getattr(intent, name) for name in kept}


def test_an_intent_that_is_replaced_adds_no_job_to_the_past(record_of: RecordOf) -> None:
    assert record_of(Phase.INTENT, past=(EARLIER,)).history() == (EARLIER,)

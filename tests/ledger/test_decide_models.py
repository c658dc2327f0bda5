"""`decide` where the author named several models: which one is ordered next, and what is then remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.ledger.decision import EndedWithoutVideo, Submit, decide
from airflow_provider_orvideo.ledger.policies import Policies
from airflow_provider_orvideo.ledger.record import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.ledger.record import Record

    RecordOf = Callable[..., Record]

MODELS = ("google/veo-3.1", "google/veo-3.1-fast", "google/veo-3.1-lite")
AFTER_FAILURE = Policies(fallback_on="failure")
AFTER_CAPACITY = Policies(fallback_on="capacity")
AFTER_REFUSAL = Policies(fallback_on="refusal")


@pytest.mark.parametrize(("ordered", "following"), [(MODELS[0], MODELS[1]), (MODELS[1], MODELS[2]), (MODELS[2], None)])
def test_an_unknown_outcome_that_may_be_bought_again_is_ordered_from_the_next_model(
    record_of: RecordOf, ordered: str, following: str | None
) -> None:
    record = record_of(Phase.INTENT, model=ordered)
    decision = decide(record, order="same", policies=Policies(on_ambiguous_submit="resubmit"), models=MODELS)
    assert isinstance(decision, Submit)
    assert decision.model == following
    assert decision.reason == "the outcome of the last submit is unknown and on_ambiguous_submit is 'resubmit'"
    assert decision.lost == record.all_lost() != ()


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_job_without_a_video_is_followed_by_the_next_model(record_of: RecordOf, status: str) -> None:
    record = record_of(Phase.TERMINAL, status=status)
    decision = decide(record, order="same", policies=AFTER_FAILURE, models=MODELS)
    assert isinstance(decision, Submit)
    assert decision.model == MODELS[1]
    assert decision.past == record.history() != ()
    assert decision.reason == f"job job-1 of google/veo-3.1 ended as '{status}' without a video"


def test_after_the_last_model_nothing_more_is_ordered(record_of: RecordOf) -> None:
    record = record_of(Phase.TERMINAL, status="failed", model=MODELS[-1])
    assert decide(record, order="same", policies=AFTER_FAILURE, models=MODELS) == EndedWithoutVideo(record)


def test_a_job_whose_model_is_none_of_those_named_is_followed_by_none(record_of: RecordOf) -> None:
    record = record_of(Phase.TERMINAL, status="failed", model="someone/else")
    assert decide(record, order="same", policies=AFTER_FAILURE, models=MODELS) == EndedWithoutVideo(record)


def test_an_adopted_job_is_followed_by_none(record_of: RecordOf) -> None:
    record = record_of(Phase.TERMINAL, status="failed", job_id="job-9")
    decision = decide(record, order="same", policies=AFTER_FAILURE, models=MODELS, adopt="job-9")
    assert decision == EndedWithoutVideo(record)


@pytest.mark.parametrize(
    ("policies", "status", "error", "follows"),
    [
        (AFTER_CAPACITY, "failed", "the model crashed", False),
        (AFTER_CAPACITY, "failed", "No capacity available", True),
        (AFTER_CAPACITY, "expired", None, True),
        (AFTER_FAILURE, "failed", "blocked by content moderation", False),
        (AFTER_REFUSAL, "failed", "blocked by content moderation", True),
    ],
)
def test_what_the_job_ended_with_decides_whether_another_model_is_asked(
    record_of: RecordOf, policies: Policies, status: str, error: str | None, *, follows: bool
) -> None:
    record = record_of(Phase.TERMINAL, status=status, error=error)
    decision = decide(record, order="same", policies=policies, models=MODELS)
    assert isinstance(decision, Submit if follows else EndedWithoutVideo)


def test_a_completed_job_is_never_followed(record_of: RecordOf) -> None:
    record = record_of(Phase.TERMINAL, status="completed")
    assert not isinstance(decide(record, order="same", policies=AFTER_REFUSAL, models=MODELS), Submit)

"""From the record to the task's end: a manifest, or an error that says what was spent and what to do."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_orvideo.exceptions import (
    JobCancelledError,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobRefusedError,
)
from airflow_provider_orvideo.ledger.decision import EndedWithoutVideo, Submit, decide
from airflow_provider_orvideo.ledger.policies import DEFAULT_POLICIES, Policies
from airflow_provider_orvideo.ledger.record import Phase, Record
from airflow_provider_orvideo.manifests import JobManifest
from airflow_provider_orvideo.operators.conclusion import conclude as conclude_in
from airflow_provider_orvideo.operators.conclusion import manifest_of


class Shelf:
    """A store of which only the place is asked for: the end of a task reads and writes no record."""

    where = "'orvideo_job' on a shelf"

    def load(self) -> Record | None:
        raise AssertionError

    def save(self, record: Record) -> None:
        raise AssertionError(record)

    def delete(self) -> None:
        raise AssertionError


def conclude(record: Record, policies: Policies = DEFAULT_POLICIES) -> JobManifest:
    return conclude_in(record, Shelf(), policies)


def ended(status: str | None, **changes: Any) -> Record:  # noqa: ANN401 - fields of Record
    values: dict[str, Any] = {
        "phase": Phase.TERMINAL,
        "fingerprint": "f",
        "model": "google/veo-3.1",
        "conn_id": "c",
        "intent_at": 1000.0,
        "submitted_at": 1003.0,
        "finished_at": 1100.0,
        "job_id": "job-1",
        "status": status,
        "outputs": 1,
    }
    return Record(**(values | changes))


def test_a_completed_job_becomes_a_manifest() -> None:
    manifest = conclude(ended("completed", cost_usd=0.052, generation_id="gen-1", outputs=3))
    assert manifest == JobManifest(
        job_id="job-1",
        status="completed",
        model="google/veo-3.1",
        generation_id="gen-1",
        cost_usd=0.052,
        total_cost_usd=0.052,
        outputs=3,
        submitted_at="1970-01-01T00:16:43+00:00",
        completed_at="1970-01-01T00:18:20+00:00",
        conn_id="c",
    )


@pytest.mark.parametrize(
    ("cost", "told"), [(0.052, "$0.0520"), (0.0, "$0.0000"), (12.5, "$12.5000"), (None, "an unknown amount")]
)
def test_the_log_tells_the_job_and_what_it_cost(
    caplog: pytest.LogCaptureFixture, cost: float | None, told: str
) -> None:
    with caplog.at_level(logging.INFO):
        conclude(ended("completed", cost_usd=cost))
    (entry,) = caplog.records
    assert "job-1" in entry.getMessage()
    assert told in entry.getMessage()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("failed", JobFailedError),
        ("cancelled", JobCancelledError),
        ("expired", JobExpiredError),
        ("dead", JobFailedError),
        ("a status of tomorrow", JobFailedError),
        ("pending", JobFailedError),
        (None, JobFailedError),
    ],
)
def test_an_end_without_a_video_is_an_error_that_says_what_to_do(status: str | None, kind: type[JobError]) -> None:
    with pytest.raises(JobError) as caught:
        conclude(ended(status, error="The provider gave up."))
    assert type(caught.value) is kind
    assert caught.value.job_id == "job-1"
    text = str(caught.value)
    for part in (
        "job-1",
        "google/veo-3.1",
        f"'{status}'",
        ": The provider gave up. ",
        "retries do not order",
        "Change the request and clear this task",
        "orvideo_job",
    ):
        assert part in text


STATUSES = ["failed", "cancelled", "expired", "dead", None]


@pytest.mark.parametrize("on_job_failure", ["fail", "resubmit"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_refusal_is_named_as_such_and_never_promises_another_order(status: str | None, on_job_failure: Any) -> None:  # noqa: ANN401
    record = ended(status, error="Content policy violation.", fingerprint="same")
    policies = Policies(on_job_failure=on_job_failure)
    with pytest.raises(JobRefusedError) as caught:
        conclude(record, policies)
    assert isinstance(caught.value, JobFailedError)
    assert ": Content policy violation. " in str(caught.value)
    assert "retries do not order" in str(caught.value)
    assert "Change the request and clear this task" in str(caught.value)
    assert isinstance(decide(record, order="same", policies=policies), EndedWithoutVideo)


@pytest.mark.parametrize("status", STATUSES)
def test_where_retries_may_order_again_the_error_says_so_and_they_do(status: str | None) -> None:
    record = ended(status, error="The provider gave up.", fingerprint="same")
    policies = Policies(on_job_failure="resubmit")
    with pytest.raises(JobError) as caught:
        conclude(record, policies)
    assert str(caught.value).endswith("on_job_failure is 'resubmit': a retry of this task orders another.")
    assert isinstance(decide(record, order="same", policies=policies), Submit)


def test_of_an_adopted_job_the_error_says_when_a_retry_orders_another() -> None:
    record = ended("failed", error="The provider gave up.", fingerprint="same", adopted=True)
    policies = Policies(on_job_failure="resubmit")
    with pytest.raises(JobFailedError, match="once job_id is no longer set"):
        conclude(record, policies)
    assert isinstance(decide(record, order="same", policies=policies, adopt="job-1"), EndedWithoutVideo)
    assert isinstance(decide(record, order="same", policies=policies), Submit)


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        (None, "Whether it was billed is not documented; see https://openrouter.ai/activity."),
        (0.0, "The API reports a cost of $0.0000."),
        (0.25, "The API reports a cost of $0.2500."),
    ],
)
@pytest.mark.parametrize("error", [None, "why"])
def test_it_says_whether_money_may_have_been_spent(cost: float | None, told: str, error: str | None) -> None:
    with pytest.raises(JobFailedError) as caught:
        conclude(ended("failed", cost_usd=cost, error=error))
    assert told in str(caught.value)
    assert ".." not in str(caught.value)
    assert "None" not in str(caught.value)


def test_a_job_that_is_not_waited_for_becomes_a_manifest_too() -> None:
    manifest = manifest_of(ended(None, phase=Phase.SUBMITTED, finished_at=None, outputs=0))
    assert (manifest.job_id, manifest.status, manifest.outputs) == ("job-1", "pending", 0)
    assert manifest.completed_at is None
    assert manifest.cost_usd is None

"""Following a job that exists instead of ordering one: it is read once, recorded, and nothing is sent."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.exceptions import (
    AmbiguousSubmitError,
    LedgerUnavailableError,
    OrVideoError,
    OutcomeUnknownError,
    RequestInvalidError,
)
from airflow_provider_orvideo.ledger.policies import Policies
from airflow_provider_orvideo.ledger.purchase import Attempt, obtain
from airflow_provider_orvideo.ledger.record import Phase, Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoRequest
    from tests.ledger.conftest import Notebook, Shop

    Take = Callable[..., Record]

#: Each of them would pay, if anything could while a job is to be adopted.
EAGER = Policies(on_ambiguous_submit="resubmit", on_job_failure="resubmit", on_clear="submit")


@pytest.fixture
def take(client: VideoClient, order: VideoRequest, notebook: Notebook, shop: Shop) -> Take:
    """One attempt with a job to adopt; without one, an ordinary attempt."""
    shop.known = {"job-9": "pending"}

    def attempt(adopt: str | None = "job-9", *, policies: Policies = EAGER, max_tries: int | None = 2) -> Record:
        who = Attempt(conn_id="c", policies=policies, try_number=3, max_tries=max_tries, adopt=adopt)
        return obtain(client, order, notebook, who, clock=lambda: 1000.0, sleep=lambda _: None)

    return attempt


@pytest.mark.parametrize("status", ["pending", "in_progress", "completed", "failed", "a status of tomorrow"])
def test_a_job_that_exists_is_recorded_as_if_it_had_been_ordered_here(
    take: Take, shop: Shop, notebook: Notebook, caplog: pytest.LogCaptureFixture, status: str
) -> None:
    shop.known = {"job-9": status}
    with caplog.at_level(logging.INFO):
        record = take()
    assert (record.phase, record.job_id, record.submitted_at) == (Phase.SUBMITTED, "job-9", 1000.0)
    assert record.adopted
    assert (record.try_number, record.max_tries, record.past, record.lost) == (3, 2, (), ())
    assert notebook.peek() == record
    assert notebook.calls == ["load", "GET", "save submitted"]
    assert shop.posts == 0
    assert f"Adopted job job-9, status '{status}'; nothing is ordered." in caplog.text


def test_the_next_attempts_follow_the_adopted_job_with_and_without_its_id(
    take: Take, shop: Shop, notebook: Notebook
) -> None:
    record = take()
    for adopt in ("job-9", None):
        assert take(adopt) == record
    assert notebook.calls[3:] == ["load"] * 2, "it was read once"
    assert shop.posts == 0


@pytest.mark.parametrize("before", [False, True], ids=["nothing on record", "a job on record"])
def test_a_job_that_does_not_exist_is_an_error_that_says_what_to_check_and_changes_nothing(
    take: Take,
    shop: Shop,
    notebook: Notebook,
    before: bool,  # noqa: FBT001
) -> None:
    if before:
        take(None)
    page, posts = notebook.page, shop.posts
    with pytest.raises(RequestInvalidError) as caught:
        take("job-404")
    text = str(caught.value)
    for part in ("'job-404'", "does not know", "connection 'c'", "check the id", "nothing was spent"):
        assert part in text
    assert (notebook.page, shop.posts) == (page, posts)


def test_a_job_that_cannot_be_read_is_not_adopted_and_nothing_is_sent(
    take: Take, shop: Shop, notebook: Notebook, monkeypatch: pytest.MonkeyPatch, client: VideoClient
) -> None:
    def away(_: str) -> None:
        raise OrVideoError("away")

    monkeypatch.setattr(client, "get_generation", away)
    with pytest.raises(OrVideoError, match="away"):
        take()
    assert (notebook.page, shop.posts) == (None, 0)


@pytest.mark.parametrize("late", [False, True], ids=["unwritten", "written and not confirmed"])
def test_an_adoption_that_cannot_be_recorded_fails_and_sends_nothing(
    take: Take,
    shop: Shop,
    notebook: Notebook,
    late: bool,  # noqa: FBT001
) -> None:
    away = LedgerUnavailableError("away")
    notebook.trouble["save"] = [(away, "after") if late else away]
    with pytest.raises(LedgerUnavailableError):
        take()
    assert take().job_id == "job-9"
    assert shop.posts == 0


def test_an_order_with_an_unknown_outcome_ends_by_adopting_its_job_and_stays_on_record(
    take: Take, shop: Shop, notebook: Notebook
) -> None:
    careful = Policies()
    shop.script = [503]
    with pytest.raises(OutcomeUnknownError):
        take(None, policies=careful)
    with pytest.raises(AmbiguousSubmitError):
        take(None, policies=careful)
    record = take(policies=careful)
    assert (record.job_id, record.lost, record.evidence) == ("job-9", (1000.0,), None)
    assert take(None, policies=careful) == record, "with the id no longer set, the record knows the job"
    assert notebook.peek() == record
    assert shop.posts == 1


@pytest.mark.parametrize("status", [None, "completed", "failed"])
def test_jobs_and_lost_orders_of_earlier_attempts_are_kept(
    take: Take, shop: Shop, notebook: Notebook, record_of: Callable[..., Record], status: str | None
) -> None:
    phase = Phase.TERMINAL if status else Phase.SUBMITTED
    notebook.page = json.dumps(record_of(phase, status=status, cost_usd=0.3, lost=(7.0,)).to_json())
    record = take()
    assert [(job.job_id, job.status, job.cost_usd) for job in record.past] == [("job-1", status, 0.3)]
    assert (record.job_id, record.lost) == ("job-9", (7.0,))
    assert shop.posts == 0


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired", None])
@pytest.mark.parametrize("max_tries", [2, 5], ids=["retried", "cleared"])
def test_while_the_id_is_set_no_end_and_no_policy_orders_another(
    take: Take, shop: Shop, notebook: Notebook, status: str | None, max_tries: int
) -> None:
    ended = take().terminal(status=str(status), now=9.0, error=None, generation_id=None, cost_usd=None, outputs=0)
    notebook.save(ended)
    assert take(max_tries=max_tries) == ended
    assert shop.posts == 0


def test_what_is_kept_of_an_adoption_holds_no_secret(take: Take, notebook: Notebook, secrets: tuple[str, ...]) -> None:
    take()
    assert not [secret for secret in secrets if secret in (notebook.page or "")]

"""What each policy does to a task's later attempts, waiting on the worker and in the triggerer, counted in POSTs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.exceptions import (
    ChangedRequestError,
    JobCancelledError,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobRefusedError,
    JobTimedOutError,
    OutcomeUnknownError,
    PaymentRequiredError,
)

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Attempt, Connect, FakeStateStore, Simulate

POST = {"operation": "createVideos"}
UNCLEAR: dict[str, dict[str, Any]] = {
    "503, nothing accepted": {"respond": {"status": 503}},
    "503, accepted": {"respond": {"status": 503, "when": "after"}},
    "dropped, accepted": {"drop": {"when": "after"}},
}


def fail_once(sim: Simulator, **fault: Any) -> None:  # noqa: ANN401 - a fault rule
    sim.add_fault({"match": POST, "times": 1, **fault})


# ── on_ambiguous_submit ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", UNCLEAR)
def test_an_unknown_outcome_is_left_to_a_person(sim: Simulator, attempt: Attempt, case: str) -> None:
    fail_once(sim, **UNCLEAR[case])
    for number in (1, 2, 3):
        with pytest.raises(AirflowFailException):
            attempt(try_number=number)
    with pytest.raises(AirflowFailException, match=r"Attempt 1 of this task .* may have been billed"):
        attempt(try_number=4, max_tries=6, on_clear="submit", on_job_failure="resubmit")
    assert sim.posts == 1


@pytest.mark.parametrize("case", UNCLEAR)
def test_an_unknown_outcome_is_ordered_again_where_the_author_says_so(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, case: str
) -> None:
    fail_once(sim, **UNCLEAR[case])
    with pytest.raises(OutcomeUnknownError) as caught:
        attempt(on_ambiguous_submit="resubmit")
    assert not isinstance(caught.value, AirflowFailException), "Airflow must retry it"
    manifest = attempt(try_number=2, on_ambiguous_submit="resubmit")
    assert attempt(try_number=3, on_ambiguous_submit="resubmit") == manifest
    assert (manifest["status"], sim.posts) == ("completed", 2)
    assert len(store.record["lost"]) == 1
    assert (store.record["try_number"], store.record["job_id"]) == (2, manifest["job_id"])


# ── on_changed_request ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_changed_request_is_ordered(sim: Simulator, attempt: Attempt, store: FakeStateStore) -> None:
    first = attempt()
    second = attempt(try_number=2, prompt="a blue boat")
    assert attempt(try_number=3, prompt="a blue boat") == second != first
    assert [job["job_id"] for job in store.record["past"]] == [first["job_id"]]
    assert sim.posts == 2


def test_a_changed_request_stops_where_the_author_says_so_until_the_change_is_undone(
    sim: Simulator, attempt: Attempt
) -> None:
    first = attempt(on_changed_request="fail")
    for number, max_tries in ((2, 2), (3, 5)):
        with pytest.raises(AirflowFailException, match=first["job_id"]) as caught:
            attempt(try_number=number, max_tries=max_tries, on_changed_request="fail", prompt="a blue boat")
        assert isinstance(caught.value.__cause__, ChangedRequestError)
    assert attempt(try_number=4, max_tries=5, on_changed_request="fail") == first
    assert sim.posts == 1


# ── on_job_failure ───────────────────────────────────────────────────────────────────────────────────────────────────

ENDS: dict[str, type[JobError]] = {
    "failed": JobFailedError,
    "cancelled": JobCancelledError,
    "expired": JobExpiredError,
}


@pytest.mark.parametrize("outcome", ENDS)
def test_a_job_without_a_video_is_not_bought_again(sim: Simulator, attempt: Attempt, outcome: str) -> None:
    fail_once(sim, job={"outcome": outcome, "error": "The provider gave up"})
    for number, max_tries in ((1, 2), (2, 2), (3, 5)):
        with pytest.raises(AirflowFailException, match="retries do not order another") as caught:
            attempt(try_number=number, max_tries=max_tries)
        assert type(caught.value.__cause__) is ENDS[outcome]
    assert sim.posts == 1


@pytest.mark.parametrize("outcome", ENDS)
def test_a_job_without_a_video_is_bought_again_by_a_retry_where_the_author_says_so(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, outcome: str
) -> None:
    fail_once(sim, job={"outcome": outcome, "error": "The provider gave up"})
    with pytest.raises(ENDS[outcome], match="a retry of this task orders another") as caught:
        attempt(on_job_failure="resubmit")
    assert not isinstance(caught.value, AirflowFailException), "Airflow must retry it"
    manifest = attempt(try_number=2, on_job_failure="resubmit")
    assert attempt(try_number=3, on_job_failure="resubmit") == manifest
    assert (manifest["status"], sim.posts) == ("completed", 2)
    assert [(job["job_id"], job["status"]) for job in store.record["past"]] == [(caught.value.job_id, outcome)]


@pytest.mark.parametrize("error", ["Content policy violation", "Blocked by our moderation system"])
@pytest.mark.parametrize("outcome", ENDS)
def test_what_moderation_refused_is_never_bought_again_by_itself(
    sim: Simulator, attempt: Attempt, outcome: str, error: str
) -> None:
    fail_once(sim, job={"outcome": outcome, "error": error})
    for number, max_tries in ((1, 2), (2, 2), (3, 5)):
        with pytest.raises(AirflowFailException, match="retries do not order another") as caught:
            attempt(try_number=number, max_tries=max_tries, on_job_failure="resubmit")
        assert isinstance(caught.value.__cause__, JobRefusedError)
    assert sim.posts == 1


def test_a_failed_poll_is_no_reason_to_buy_again_whatever_the_policies(
    simulate: Simulate, connect: Connect, attempt: Attempt
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    eager = {"on_ambiguous_submit": "resubmit", "on_job_failure": "resubmit", "on_clear": "submit"}
    for number in (1, 2):
        with pytest.raises(JobTimedOutError):
            attempt(try_number=number, timeout=0.05, **eager)
    sim.finish(sim.jobs()[0].id)
    assert attempt(try_number=3, timeout=0.05, **eager)["status"] == "completed"
    assert sim.posts == 1


# ── on_clear ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clear_of_a_finished_task_hands_its_video_on(sim: Simulator, attempt: Attempt) -> None:
    first = attempt()
    requests = len(sim.requests())
    assert attempt(try_number=2) == attempt(try_number=2, max_tries=3) == attempt(try_number=3, max_tries=9) == first
    assert (sim.posts, len(sim.requests())) == (1, requests)


def test_a_clear_of_a_finished_task_orders_anew_where_the_author_says_so_and_a_retry_does_not(
    sim: Simulator, attempt: Attempt, store: FakeStateStore
) -> None:
    manifests = [
        attempt(try_number=number, max_tries=max_tries, on_clear="submit")
        for number, max_tries in ((1, 2), (2, 2), (2, 4), (3, 4), (4, 6), (5, 6))
    ]
    ids = [manifest["job_id"] for manifest in manifests]
    assert ids[0] == ids[1] != ids[2] == ids[3] != ids[4] == ids[5] != ids[0]
    assert sim.posts == 3
    assert [job["job_id"] for job in store.record["past"]] == [ids[0], ids[2]]


@pytest.mark.parametrize("error", ["The provider gave up", "Content policy violation"])
def test_a_clear_of_a_failed_task_orders_anew_only_where_the_author_says_so(
    sim: Simulator, attempt: Attempt, error: str
) -> None:
    fail_once(sim, job={"outcome": "failed", "error": error})
    for max_tries in (2, 4):
        with pytest.raises(AirflowFailException):
            attempt(max_tries=max_tries)
    assert sim.posts == 1
    # A person asked, so moderation is asked again, too.
    assert attempt(try_number=2, max_tries=6, on_clear="submit")["status"] == "completed"
    assert sim.posts == 2


@pytest.mark.parametrize("on_clear", ["reuse", "submit"])
def test_a_clear_while_the_job_is_in_flight_always_attaches_to_it(
    simulate: Simulate, connect: Connect, attempt: Attempt, task_log: pytest.LogCaptureFixture, on_clear: str
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    for number, max_tries in ((1, 2), (2, 4)):
        with pytest.raises(JobTimedOutError):
            attempt(try_number=number, max_tries=max_tries, timeout=0.05, on_clear=on_clear)
    assert "although the task was cleared: the job is still in flight" in task_log.text
    sim.finish(sim.jobs()[0].id)
    # The clear was before the end, so a retry of the cleared task is nothing but a retry.
    manifest = attempt(try_number=3, max_tries=4, on_clear=on_clear)
    assert attempt(try_number=4, max_tries=4, on_clear=on_clear) == manifest
    assert sim.posts == 1


def test_a_clear_that_was_refused_is_not_forgotten(sim: Simulator, attempt: Attempt) -> None:
    attempt(on_clear="submit")
    fail_once(sim, respond={"status": 402})
    with pytest.raises(PaymentRequiredError):
        attempt(try_number=2, max_tries=4, on_clear="submit")
    second = attempt(try_number=3, max_tries=4, on_clear="submit")
    assert second["job_id"] == sim.jobs()[-1].id
    assert (sim.posts, len(sim.jobs())) == (3, 2)


def test_where_airflow_does_not_tell_max_tries_nothing_counts_as_a_clear(sim: Simulator, attempt: Attempt) -> None:
    first = attempt(max_tries=None, on_clear="submit")
    assert attempt(try_number=2, max_tries=4, on_clear="submit") == first
    assert attempt(try_number=2, max_tries=None, on_clear="submit") == first
    assert sim.posts == 1

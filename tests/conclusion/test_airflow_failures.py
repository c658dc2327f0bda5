"""Which errors Airflow may retry: never one that a retry could answer by paying again."""

from __future__ import annotations

import inspect

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo import exceptions as exc
from airflow_provider_orvideo.ledger.policies import Policies
from airflow_provider_orvideo.operators.failures import airflow_failures, lost_trigger_errors

#: Failing at once: a retry would meet the same, or must not buy.
FOR_GOOD = {
    exc.RequestInvalidError,
    exc.RequestUnsupportedError,
    exc.CostLimitError,
    exc.OutcomeUnknownError,
    exc.AmbiguousSubmitError,
    exc.ChangedRequestError,
    exc.RedirectError,
    exc.ClientStatusError,
    exc.BadRequestError,
    exc.PermissionDeniedError,
    exc.NotFoundError,
    exc.GoneError,
    exc.PayloadTooLargeError,
    exc.CallerCancelledError,
    exc.JobFailedError,
    exc.JobRefusedError,
    exc.JobCancelledError,
    exc.JobExpiredError,
    exc.MediaUnexpectedError,
    exc.DestinationExistsError,
}
TREE: dict[str, type[exc.OrVideoError]] = {
    name: kind for name, kind in inspect.getmembers(exc, inspect.isclass) if issubclass(kind, exc.OrVideoError)
}


def raised(kind: type[exc.OrVideoError]) -> exc.OrVideoError:
    if issubclass(kind, exc.StatusError):
        return kind("the server's words", status_code=418)
    if issubclass(kind, exc.RequestInvalidError):
        return kind(("the server's words",))
    if issubclass(kind, exc.JobError):
        return kind("the server's words", job_id="job-1")
    return kind("the server's words")


@pytest.mark.parametrize("kind", TREE.values(), ids=TREE)
def test_each_error_of_the_tree_fails_for_good_or_leaves_airflows_retries_a_go(kind: type[exc.OrVideoError]) -> None:
    error = raised(kind)
    expected = AirflowFailException if kind in FOR_GOOD else kind
    with pytest.raises(expected) as caught, airflow_failures():
        raise error
    assert "the server's words" in str(caught.value)
    assert str(caught.value) == str(error)
    if kind in FOR_GOOD:
        assert caught.value.__cause__ is error
    else:
        assert caught.value is error
        assert not isinstance(caught.value, AirflowFailException)


#: What each policy leaves to Airflow's retries that otherwise fails for good.
ORDERS_AGAIN: dict[Policies, set[type[exc.OrVideoError]]] = {
    Policies(): set(),
    Policies(on_changed_request="fail", on_clear="submit"): set(),
    Policies(on_ambiguous_submit="resubmit"): {exc.OutcomeUnknownError},
    Policies(on_job_failure="resubmit"): {exc.JobFailedError, exc.JobCancelledError, exc.JobExpiredError},
    Policies(on_ambiguous_submit="resubmit", on_job_failure="resubmit"): {
        exc.OutcomeUnknownError,
        exc.JobFailedError,
        exc.JobCancelledError,
        exc.JobExpiredError,
    },
}


@pytest.mark.parametrize("policies", ORDERS_AGAIN, ids=str)
def test_a_policy_leaves_to_retries_what_it_lets_them_order_again_and_nothing_else(policies: Policies) -> None:
    for kind in TREE.values():
        error = raised(kind)
        final = kind in FOR_GOOD - ORDERS_AGAIN[policies]
        with pytest.raises(AirflowFailException if final else kind) as caught, airflow_failures(policies):
            raise error
        assert (caught.value is error) != final, kind
        assert str(caught.value) == str(error)


def test_a_lost_trigger_is_told_by_airflows_own_errors() -> None:
    assert {kind.__name__ for kind in lost_trigger_errors()} == {"TaskDeferralError", "TaskDeferralTimeout"}


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_what_is_not_ours_goes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, airflow_failures():
        raise error
    assert caught.value is error


def test_no_error_is_no_failure() -> None:
    with airflow_failures():
        pass

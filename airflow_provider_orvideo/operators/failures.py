"""Turns our errors into what Airflow understands: fail for good, or fail and let ``retries`` have a go."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Final

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo import exceptions as exc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.ledger.policies import Policies

#: Errors that the same task would run into again, or that a retry must not answer by paying again.
FINAL: Final = (
    exc.RequestInvalidError,
    exc.CostLimitError,
    exc.OutcomeUnknownError,
    exc.AmbiguousSubmitError,
    exc.ChangedRequestError,
    exc.RedirectError,
    exc.ClientStatusError,
    exc.JobFailedError,
    exc.JobCancelledError,
    exc.JobExpiredError,
    exc.MediaUnexpectedError,
    exc.DestinationExistsError,
)
#: The 4xx that pass, or that a person mends meanwhile (key, credits). In each of them nothing was accepted.
PASSING: Final[tuple[type[exc.OrVideoError], ...]] = (
    exc.AuthenticationError,
    exc.PaymentRequiredError,
    exc.RateLimitedError,
    exc.RequestTimeoutError,
    exc.ConflictError,
)


@contextmanager
def airflow_failures(policies: Policies | None = None) -> Iterator[None]:
    """Raise `FINAL` errors as what Airflow does not retry; let all others through, which it does.

    Args:
        policies: where the DAG's author wants retries to order again, the errors in question are let through too.
    """
    try:
        yield
    except FINAL as error:
        if not is_final(error, policies):
            raise
        raise AirflowFailException(str(error)) from error


def is_final(error: Exception, policies: Policies | None = None) -> bool:
    """Whether the same task would run into an error again, or must not answer it by paying again.

    Args:
        error: what went wrong.
        policies: where the DAG's author wants retries to order again, the errors in question are not final.
    """
    again: tuple[type[exc.OrVideoError], ...] = ()
    if policies and policies.on_ambiguous_submit == "resubmit":
        again += (exc.OutcomeUnknownError,)
    if policies and policies.on_job_failure == "resubmit":
        again += (exc.JobFailedError, exc.JobCancelledError, exc.JobExpiredError)
    if isinstance(error, exc.JobRefusedError):
        return True
    if getattr(error, "calls_in", False):
        return False  # a retry orders nothing, and finds the job once it called
    return isinstance(error, FINAL) and not isinstance(error, PASSING + again)


def lost_trigger_errors() -> tuple[type[Exception], ...]:
    """Return what a resumed task raises instead of running: the trigger failed, or Airflow's own timeout ended it."""
    # Airflow 3.1 has the first module too, without them.
    for name in ("airflow.sdk.exceptions", "airflow.exceptions"):
        module = import_module(name)
        if hasattr(module, "TaskDeferralError"):
            return module.TaskDeferralError, module.TaskDeferralTimeout
    raise ImportError("This Airflow has no TaskDeferralError; Airflow 3.1 or later is needed.")

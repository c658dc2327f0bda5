"""Turns our errors into what Airflow understands: fail for good, or fail and let ``retries`` have a go."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo import exceptions as exc

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Errors that the same task would run into again, or that a retry must not answer by paying again.
FINAL: Final = (
    exc.RequestInvalidError,
    exc.OutcomeUnknownError,
    exc.AmbiguousSubmitError,
    exc.RedirectError,
    exc.ClientStatusError,
    exc.JobFailedError,
    exc.JobCancelledError,
    exc.JobExpiredError,
)
#: The 4xx that pass, or that a person mends meanwhile (key, credits). In each of them nothing was accepted.
PASSING: Final = (
    exc.AuthenticationError,
    exc.PaymentRequiredError,
    exc.RateLimitedError,
    exc.RequestTimeoutError,
    exc.ConflictError,
)


@contextmanager
def airflow_failures() -> Iterator[None]:
    """Raise `FINAL` errors as what Airflow does not retry; let all others through, which it does."""
    try:
        yield
    except PASSING:
        raise
    except FINAL as error:
        raise AirflowFailException(str(error)) from error

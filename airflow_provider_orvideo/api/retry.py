"""When a call may be made again, and after how long. The paid POST has its own, much shorter list."""

from __future__ import annotations

import logging
import math
import random
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from tenacity import RetryCallState, retry_if_exception, stop_after_attempt

from airflow_provider_orvideo.exceptions import (
    NotSentError,
    RateLimitedError,
    ReadInterruptedError,
    RequestTimeoutError,
    ServerStatusError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tenacity.retry import retry_base
    from tenacity.stop import stop_base

log = logging.getLogger(__name__)

#: Failures of a free read that another read may mend.
READ_AGAIN: Final = (NotSentError, ReadInterruptedError, RequestTimeoutError, RateLimitedError, ServerStatusError)
#: The only failures after which the paid POST may leave again: in both, nothing was accepted.
SUBMIT_AGAIN: Final = (NotSentError, RateLimitedError)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how fast one call is repeated.

    Args:
        attempts: calls in all, the first included; 1 switches retries off.
        base: seconds before the second call, doubled for each further one, each time scaled by 0.5 to 1 at random.
        cap: longest such pause in seconds.
        retry_after_cap: longest pause in seconds that a server's ``Retry-After`` can ask for.
    """

    attempts: int = 4
    base: float = 1.0
    cap: float = 20.0
    retry_after_cap: float = 60.0

    def pause(self, attempt: int, retry_after: float | None = None) -> float:
        """Return the seconds to wait after the given attempt (1 for the first) failed."""
        # A jitter, not a secret: tasks that failed together must not come back together.
        backoff = min(self.cap, self.base * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
        return backoff if retry_after is None else max(backoff, min(retry_after, self.retry_after_cap))

    def wait(self, state: RetryCallState) -> float:
        """Tell tenacity the pause after the attempt that just failed."""
        error = state.outcome.exception() if state.outcome else None
        return self.pause(state.attempt_number, getattr(error, "retry_after", None))

    @property
    def stop(self) -> stop_base:
        """Tell tenacity when to stop."""
        return stop_after_attempt(self.attempts)

    @staticmethod
    def only(errors: tuple[type[Exception], ...]) -> retry_base:
        """Tell tenacity which errors to retry."""
        return retry_if_exception(lambda error: isinstance(error, errors))


READ_POLICY: Final = RetryPolicy()
SUBMIT_POLICY: Final = RetryPolicy(attempts=3, base=2.0)
NO_RETRY: Final = RetryPolicy(attempts=1)


def say_pause(state: RetryCallState) -> None:
    """Log that a call is made again, and when: a pause of a minute must not look like a task that hangs."""
    error = state.outcome.exception() if state.outcome else None
    log.info("Trying again in %.1f s. %s", state.upcoming_sleep, error)


def parse_retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Read ``Retry-After`` in either form, seconds or an HTTP date.

    Args:
        headers: response headers, names in any case that the mapping accepts.
        now: epoch seconds, for an HTTP date; default the current time.

    Returns:
        Seconds to wait, at least 0, or None where the header is absent or unreadable.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.replace(".", "", 1).isascii() and value.replace(".", "", 1).isdigit():
        return float(value) if math.isfinite(float(value)) else None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # no date, or a year beyond counting
        return None
    if moment.tzinfo is None:  # "-0000", which the parser takes for "no zone known"; HTTP dates are UTC
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - (time.time() if now is None else now))

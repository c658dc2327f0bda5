"""What to do after a status or an error: the only rules for waiting. Pure: no I/O, no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.exceptions import (
    AuthenticationError,
    BeforeSendError,
    ClientStatusError,
    GoneError,
    NotFoundError,
    OrVideoError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    RequestTimeoutError,
    StatusError,
)

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.schema import VideoJob

#: Seconds after submission before the first poll; the fastest jobs seen live took 6 s.
FIRST_POLL: Final = 5.0
#: Seconds after submission during which "no such job" is believed to be a job not yet visible.
NOT_FOUND_GRACE: Final = 600.0
#: Polls in a row that may be refused with another 4xx before waiting is pointless.
REFUSALS: Final = 5
#: Longest pause in seconds between two tries while the API fails.
MAX_BACKOFF: Final = 300.0


@dataclass(frozen=True, kw_only=True)
class Wait:
    """One job and how long to wait for it.

    Attributes:
        job_id: the job.
        submitted_at: epoch seconds.
        deadline: epoch seconds after which waiting ends; the job is read once more even when that has passed.
        poll_interval: seconds between two polls.
        not_before: epoch seconds of the earliest first poll.
    """

    job_id: str
    submitted_at: float
    deadline: float
    poll_interval: float
    not_before: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What earlier polls of this wait left behind: failures in a row, and how many of them were refusals."""

    failures: int = 0
    refusals: int = 0


@dataclass(frozen=True)
class PollAgain:
    """Poll after ``delay`` seconds, with ``progress`` in hand."""

    delay: float
    progress: Progress = Progress()


@dataclass(frozen=True)
class Ended:
    """The job ended, with or without a video."""

    job: VideoJob


@dataclass(frozen=True)
class TimedOut:
    """The deadline passed; the job may still be running."""

    status: str | None


@dataclass(frozen=True)
class GaveUp:
    """The status cannot be read, and waiting will not mend it. The job may still be running."""

    error: OrVideoError


Decision = PollAgain | Ended | TimedOut | GaveUp


def first_delay(wait: Wait, *, now: float) -> float:
    """Return the seconds until the first poll: none for a job that has been running for a while."""
    due = wait.submitted_at + min(FIRST_POLL, wait.poll_interval)
    return max(0.0, min(due, wait.deadline) - now, wait.not_before - now)


def after_status(wait: Wait, job: VideoJob, *, now: float) -> Decision:
    """Decide after a poll was answered. A status that is not known keeps the wait going until the deadline."""
    if job.is_terminal:
        return Ended(job)
    return _again(wait, wait.poll_interval, Progress(), now=now, status=job.status)


def after_error(wait: Wait, progress: Progress, error: OrVideoError, *, now: float) -> Decision:
    """Decide after a poll failed. A failed poll is not a failed job: what may pass is waited out."""
    if _is_final(wait, progress, error, now=now):
        return GaveUp(error)
    progress = Progress(progress.failures + 1, progress.refusals + 1 if _is_refusal(error) else 0)
    delay = min(wait.poll_interval * 2 ** min(progress.failures - 1, 16), MAX_BACKOFF)
    wish = error.retry_after if isinstance(error, StatusError) else None
    return _again(wait, max(delay, min(wish or 0.0, MAX_BACKOFF)), progress, now=now, status=None)


def _again(wait: Wait, delay: float, progress: Progress, *, now: float, status: str | None) -> Decision:
    if now >= wait.deadline:
        return TimedOut(status)
    return PollAgain(min(delay, wait.deadline - now), progress)


def _is_refusal(error: OrVideoError) -> bool:
    """Whether the server refuses this very question, rather than being busy or broken."""
    return isinstance(error, ClientStatusError) and not isinstance(error, RateLimitedError | RequestTimeoutError)


def _is_final(wait: Wait, progress: Progress, error: OrVideoError, *, now: float) -> bool:
    if isinstance(error, NotFoundError):
        return now - wait.submitted_at >= NOT_FOUND_GRACE
    if isinstance(error, AuthenticationError | PermissionDeniedError | GoneError | RedirectError | BeforeSendError):
        return True
    return _is_refusal(error) and progress.refusals + 1 >= REFUSALS

"""The jobs, and the clock that they run on."""

import math
import secrets
import string
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_orvideo.simulator.order import Order

_ALPHABET = string.ascii_letters + string.digits
ERRORS = {
    "failed": "The provider could not generate this video",
    "cancelled": "Job was cancelled",
    "expired": "Job exceeded maximum time to live",
}
COMPLETED = "completed"


class Clock:
    """Monotonic time that a test can move forward."""

    def __init__(self, source: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since some moment in the past."""
        return self._source() + self._ahead

    def epoch(self) -> float:
        """Unix time, moved forward as far as `now`."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        if seconds < 0:
            raise ValueError("Time cannot be turned back")
        self._ahead += seconds


@dataclass(slots=True)
class Job:
    """One job, as the simulator knows it.

    Args:
        id: Its id.
        order: What was ordered.
        request: The request's body, with data URLs shortened.
        created_at: Unix time of acceptance, in seconds.
        started: The clock's time of acceptance, in seconds.
        seconds: How long it runs, in seconds.
        polls_needed: Polls that are answered before it can finish.
        outputs: Videos it makes.
        outcome: The status it ends with.
        error: The text it ends with, unless it completes.
        cost: The bill in US dollars.
        key: Fingerprint of the key that pays.
        gone: Whether its outputs cannot be read any more.
        is_byok: Whether it runs on the caller's own provider key.
        origin: Scheme, host and port that the client used, for the URLs in its webhook.
        status: Its status now.
        finished: The clock's time of its end, in seconds; None while it runs.
        finished_at: Unix time of its end, in seconds; None while it runs.
        polls: Polls that were answered.
        content_reads: Downloads that were asked for.
        generation_misses: Times that its accounting record was not there yet.
    """

    id: str
    order: Order
    request: dict[str, Any]
    created_at: float
    started: float
    seconds: float
    polls_needed: int
    outputs: int
    outcome: str = COMPLETED
    error: str | None = None
    cost: Decimal | None = None
    key: str | None = None
    gone: bool = False
    is_byok: bool = False
    origin: str = ""
    status: str = "pending"
    finished: float | None = None
    finished_at: float | None = None
    polls: int = 0
    content_reads: int = 0
    generation_misses: int = 0

    @property
    def is_over(self) -> bool:
        """Whether its status is final."""
        return self.finished is not None

    def as_json(self) -> dict[str, Any]:
        """What the control endpoint tells about it."""
        return {
            "id": self.id,
            "status": self.status,
            "model": self.order.model.id,
            "prompt": self.order.prompt,
            "width": self.order.width,
            "height": self.order.height,
            "seconds": self.order.seconds,
            "audio": self.order.audio,
            "outputs": self.outputs,
            "cost": None if self.cost is None else float(self.cost),
            "error": self.error if self.is_over else None,
            "created_at": self.created_at,
            "finished_at": self.finished_at,
            "polls": self.polls,
            "content_reads": self.content_reads,
            "request": self.request,
        }


class UnknownJobError(KeyError):
    """No job has that id."""


class JobStore:
    """All jobs. Every method may be called from every thread.

    Args:
        clock: The time that decides when a job is done.
        in_progress_after: Seconds after which a waiting job says ``in_progress``; None for never.
        on_change: Called with each job that was made or has ended, in the thread that did so.
    """

    def __init__(
        self,
        clock: Clock,
        in_progress_after: float | None = None,
        on_change: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._in_progress_after = math.inf if in_progress_after is None else in_progress_after
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()
        self.created = 0

    def create(self, order: Order, request: dict[str, Any], **details: Any) -> Job:  # noqa: ANN401 - fields of Job
        """Accept an order: from here on it bills."""
        now = self._clock.epoch()
        job_id = f"gen-vid-{int(now)}-{''.join(secrets.choice(_ALPHABET) for _ in range(20))}"
        job = Job(job_id, order, request, created_at=now, started=self._clock.now(), **details)
        with self._lock:
            self._jobs[job_id] = job
            self.created += 1
        self._on_change(job)
        return job

    def find(self, job_id: str | None) -> Job | None:
        """The job of that id, brought up to the present moment; None where there is none."""
        with self._lock:
            job = self._jobs.get(job_id or "")
            if job is not None:
                self._refresh(job)
            return job

    def get(self, job_id: str) -> Job:
        """As `find`, for a job that must exist."""
        job = self.find(job_id)
        if job is None:
            raise UnknownJobError(job_id)
        return job

    def poll(self, job_id: str) -> Job | None:
        """As `find`, counted as one poll."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None:
                job.polls += 1
                self._refresh(job)
            return job

    def finish(self, job_id: str, outcome: str = COMPLETED, error: str | None = None) -> Job:
        """End a job now; one that is over cannot end again."""
        with self._lock:
            job = self.get(job_id)
            if job.is_over:
                raise ValueError(f"Job {job_id} is already {job.status}")
            job.outcome, job.error = outcome, error
            self._end(job, self._clock.now())
            return job

    def all(self) -> list[Job]:
        """Every job, oldest first."""
        with self._lock:
            for job in self._jobs.values():
                self._refresh(job)
            return list(self._jobs.values())

    def until_next_end(self) -> float | None:
        """Bring all jobs up to the present moment; seconds until time alone ends the next, None where it ends none."""
        with self._lock:
            ends = [
                job.started + job.seconds
                for job in self.all()
                if not job.is_over and job.polls_needed == 0 and math.isfinite(job.seconds)
            ]
            return max(0.0, min(ends) - self._clock.now()) if ends else None

    def spent(self, key: str | None = None) -> Decimal:
        """What the completed jobs cost, of one key or of all."""
        return sum(
            (
                job.cost
                for job in self.all()
                if job.status == COMPLETED and job.cost is not None and key in {None, job.key}
            ),
            Decimal(0),
        )

    def clear(self) -> None:
        """Forget every job."""
        with self._lock:
            self._jobs.clear()
            self.created = 0

    def _refresh(self, job: Job) -> None:
        if job.is_over:
            return
        age = self._clock.now() - job.started
        if age >= job.seconds and (job.polls_needed == 0 or job.polls > job.polls_needed):
            self._end(job, job.started + job.seconds if job.polls_needed == 0 else self._clock.now())
        elif age >= self._in_progress_after:
            job.status = "in_progress"

    def _end(self, job: Job, moment: float) -> None:
        job.finished = moment
        job.finished_at = self._clock.epoch() - (self._clock.now() - moment)
        job.status = job.outcome
        if job.outcome != COMPLETED and job.error is None:
            job.error = ERRORS.get(job.outcome, ERRORS["failed"])
        self._on_change(job)

"""Who waits for which job, and which job is looked at next. No clock, no network."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_orvideo.polling.decision import Ended, GaveUp, PollAgain, Progress, TimedOut, Wait

if TYPE_CHECKING:
    import asyncio

    from airflow_provider_orvideo.polling.decision import Decision

End = Ended | TimedOut | GaveUp


@dataclass(slots=True, eq=False)
class Waiter:
    """One trigger that waits for a job."""

    wait: Wait
    #: How it ended; None asks the waiter to do something that only a trigger's own coroutine may.
    end: asyncio.Future[End | None]

    def tell(self, decision: Decision) -> None:
        """End the wait, unless it goes on or has ended."""
        if not isinstance(decision, PollAgain) and not self.end.done():
            self.end.set_result(decision)


@dataclass(slots=True, eq=False)
class Job:
    """One job, whoever waits for it."""

    job_id: str
    model: str
    submitted_at: float
    waiters: list[Waiter] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    due: float = 0.0
    #: The entry of the agenda that counts, others are left over from before a change of plan; None for no plan.
    ticket: int | None = None
    #: Whether it is being asked for now.
    is_asked: bool = False
    #: Age in seconds at the last look that found it running.
    running_at: float | None = None
    #: Whether somebody came to wait for it before a job of its model is usually done.
    came_early: bool = False

    @property
    def waiting(self) -> list[Waiter]:
        """Those whose wait has not ended."""
        return [waiter for waiter in self.waiters if not waiter.end.done()]

    def end_overdue(self, now: float) -> None:
        """End the wait of those whose deadline has passed, where the status could not be read."""
        for waiter in self.waiting:
            if now >= waiter.wait.deadline:
                waiter.tell(TimedOut(None))


class Agenda:
    """Jobs by id and by due time: a heap, since hundreds are planned again each second."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._heap: list[tuple[float, int, Job]] = []
        self._tickets = itertools.count()

    def join(self, waiter: Waiter, model: str) -> Job:
        """Return the waiter's job, which it joins; a new job has no plan yet."""
        wait = waiter.wait
        job = self.jobs.get(wait.job_id)
        if job is None:
            job = self.jobs[wait.job_id] = Job(wait.job_id, model, wait.submitted_at)
        job.waiters.append(waiter)
        return job

    def leave(self, waiter: Waiter, job: Job) -> None:
        """Forget a waiter, and its job where it was the last one."""
        job.waiters.remove(waiter)
        if not job.waiters:
            job.ticket = None
            del self.jobs[job.job_id]

    def plan(self, job: Job, due: float) -> bool:
        """Look at a job at this time and at no other; return whether it is the next one of all."""
        job.due, job.ticket = due, next(self._tickets)
        heapq.heappush(self._heap, (due, job.ticket, job))
        return self._heap[0][1] == job.ticket

    def next(self) -> Job | None:
        """Return the job that is due first."""
        while self._heap:
            _, ticket, job = self._heap[0]
            if job.ticket == ticket:
                return job
            heapq.heappop(self._heap)
        return None

    def take(self, job: Job) -> None:
        """Take the job that `next` returned off the agenda."""
        heapq.heappop(self._heap)
        job.ticket = None

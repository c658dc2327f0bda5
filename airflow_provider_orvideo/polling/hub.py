"""One poller for each event loop and connection: one client, one schedule, one rate, however many jobs wait.

A client for each job costs 0.9 MB and 20 ms of a blocked loop, and thousands of requests that queue inside one client's
pool starve each other; so jobs wait in a heap by due time, and only a few of those that are due are asked for at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import random
import time
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.exceptions import (
    AuthenticationError,
    OrVideoError,
    RateLimitedError,
    ServiceUnavailableError,
)
from airflow_provider_orvideo.polling.agenda import Agenda, Job, Waiter
from airflow_provider_orvideo.polling.decision import PollAgain, Progress, Wait, after_error, after_status, first_delay
from airflow_provider_orvideo.polling.report import Report
from airflow_provider_orvideo.polling.schedule import DurationModel
from airflow_provider_orvideo.polling.shared_client import SharedClient
from airflow_provider_orvideo.polling.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, MutableMapping

    from airflow_provider_orvideo.api.config import ClientConfig
    from airflow_provider_orvideo.api.schema import VideoJob
    from airflow_provider_orvideo.polling.agenda import End
    from airflow_provider_orvideo.polling.report import Observer
    from airflow_provider_orvideo.polling.shared_client import Lookup

log = logging.getLogger(__name__)

#: Requests under way at the same time, and connections, at most.
IN_FLIGHT: Final = 64
#: Below that, as many as it takes to ask so often per second: the slower the API answers, the more.
PACE: Final = 400.0
#: Seconds to whose multiples polls are put off: several at a time cost a third less than each alone.
TICK: Final = 0.05
#: Requests started in one turn of the loop: more would hold up whoever else lives there. Always allowed under way, too.
AT_ONCE: Final = 8
#: Seconds that a hub without jobs stays, so that one job after the other does not make one hub after the other.
LINGER: Final = 5.0
#: Seconds between two reports to the observer.
REPORT_EVERY: Final = 10.0


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, PollHub]] = WeakKeyDictionary()
#: How long the jobs of each connection and model take. It outlives the hubs, which end when nobody waits for a while.
_learned: WeakKeyDictionary[asyncio.AbstractEventLoop, MutableMapping[tuple[str, str], DurationModel]] = (
    WeakKeyDictionary()
)


def hub_for(conn_id: str, observer: Observer | None = None) -> PollHub:
    """Return the running loop's hub of a connection, made at the first call."""
    hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in hubs:
        hubs[conn_id] = PollHub(conn_id, observer=observer)
    return hubs[conn_id]


class PollHub:
    """Polls the jobs of one connection on one event loop. Get it by `hub_for`.

    Args:
        conn_id: Airflow connection.
        observer: told every ten seconds what happened.
        clock: epoch seconds; for tests.
        rng: source of the jitter; for tests.
    """

    def __init__(
        self,
        conn_id: str,
        *,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.conn_id = conn_id
        self._observer = observer
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._loop = asyncio.get_running_loop()
        #: For callbacks: one runs at a time in one loop; a task needs a context of its own.
        self._clean = contextvars.Context()
        self._agenda = Agenda()
        self._learned = _learned.setdefault(self._loop, defaultdict(DurationModel))
        self._throttle = Throttle()
        self._shared = SharedClient(conn_id, clock)
        #: The waiter that was asked to read the connection again.
        self._reloader: Waiter | None = None
        #: Jobs whose key was refused; they are asked for again as soon as somebody read the connection.
        self._refused: list[Job] = []
        self._comers = 0
        self._polls: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        #: Whether more is handed out in the next turn, and whether somebody waits for a request to end.
        self._goes_on = self._is_full = False
        self._linger: asyncio.TimerHandle | None = None
        self._main: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        #: Seconds that a request takes, on a moving average.
        self._latency = 0.0
        self._report = Report()

    # ── What a trigger calls ─────────────────────────────────────────────────────────────────────────────────────────

    async def wait(self, wait: Wait, *, model: str | None, lookup: Lookup) -> End:
        """Wait until the job ended, the deadline passed, or waiting became pointless.

        Args:
            wait: the job and how long to wait for it.
            model: model id, by which the hub learns how long such jobs take.
            lookup: reads the connection; called in this coroutine only.

        Raises:
            Exception: whatever ``lookup`` raises, where the connection was never read before.
        """
        end = None
        if not self._closing.is_set():
            self._comers += 1
            try:
                await self._shared.ensure(lookup)
                if not self._closing.is_set():
                    self._start()
                    end = await self._wait(wait, model, lookup)
            finally:
                self._comers -= 1
                if not self._comers:
                    self._set_linger()
        if end is None:  # this hub closed before or meanwhile
            return await hub_for(self.conn_id, self._observer).wait(wait, model=model, lookup=lookup)
        return end

    async def _wait(self, wait: Wait, model: str | None, lookup: Lookup) -> End | None:
        """Wait; None where the hub was closed meanwhile."""
        waiter = Waiter(wait, self._loop.create_future())
        job = self._agenda.join(waiter, model or "")
        due = self._first_look(job, wait, self._clock())
        if not job.is_asked and (job.ticket is None or due < job.due):
            self._plan(job, due)
        try:
            while (end := await waiter.end) is None and not self._closing.is_set():
                await self._reload(lookup)
            return end
        finally:
            self._agenda.leave(waiter, job)
            if self._reloader is waiter:  # it leaves before it read the connection
                self._reloaded()

    # ── The connection ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _reload(self, lookup: Lookup) -> None:
        """Read the connection again, in the coroutine of a waiter that was asked to. Polling goes on meanwhile."""
        try:
            await self._shared.reload(lookup)
            self._obey_limit()
        finally:
            self._reloaded()

    def _reloaded(self) -> None:
        """Let a later refusal ask another waiter, and ask for the refused jobs again."""
        self._reloader = None
        refused, self._refused = self._refused, []
        for job in refused:
            if job.waiters and not job.is_asked:
                self._plan(job, self._clock())

    def _obey_limit(self) -> None:
        self._throttle.limit = self._shared.config.max_requests_per_second if self._shared.config else None

    def _ask_for_reload(self, job: Job) -> None:
        """Ask one waiter of a job to read the connection; the others go on waiting."""
        if self._reloader is None and (waiting := job.waiting):
            self._reloader = waiter = waiting[0]
            # What is found out about the job while it reads goes into the new future.
            asked, waiter.end = waiter.end, self._loop.create_future()
            asked.set_result(None)

    # ── When to poll ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _model(self, job: Job) -> DurationModel:
        return self._learned[self.conn_id, job.model] if job.model else DurationModel()

    def _first_look(self, job: Job, wait: Wait, now: float) -> float:
        """Return when to look first: soon, or when a job of its model may be done, if that is known."""
        due = now + first_delay(wait, now=now)
        model, age = self._model(job), max(0.0, now - wait.submitted_at)
        if model.is_early(age):
            job.came_early = True
            due = max(due, min(now + model.next_delay(age, wait.poll_interval, self._rng), wait.deadline))
        return due

    def _plan(self, job: Job, due: float) -> None:
        if self._agenda.plan(job, due):
            self._set_timer(due)

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.0, math.ceil(due / TICK) * TICK - self._clock())
        self._timer = self._loop.call_later(delay, self._pump, context=self._clean)

    def _go_on(self) -> None:
        """Hand out more in the next turn of the loop."""
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._pump, context=self._clean)

    def _pump(self) -> None:
        """Ask for every job that is due, as far as the rate and those under way allow."""
        self._goes_on = False
        try:
            self._hand_out()
        except Exception:
            log.exception("The hub of connection '%s' stumbled; it goes on in a second.", self.conn_id)
            self._set_timer(self._clock() + 1.0)

    def _hand_out(self) -> None:
        for _ in range(AT_ONCE):
            self._is_full = len(self._polls) >= min(IN_FLIGHT, max(AT_ONCE, self._latency * PACE))
            if self._is_full or self._closing.is_set():
                return
            job = self._agenda.next()
            if job is None:
                return
            now = self._clock()
            pause = job.due - now if job.due > now else self._throttle.take(now)
            if pause > 0:
                self._set_timer(now + pause)
                return
            self._agenda.take(job)
            job.is_asked = True
            task = self._spawn(self._ask(job))
            self._polls.add(task)
            task.add_done_callback(self._asked, context=self._clean)
        self._go_on()

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._polls.discard(task)
        if self._is_full:
            self._go_on()

    # ── Polling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        self._obey_limit()
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._main is None:
            self._main = self._spawn(self._run())

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        # A clean context: otherwise every log line of the hub would land in the log of the trigger that came first.
        return self._loop.create_task(work, context=contextvars.Context())

    async def _run(self) -> None:
        """Report until the hub closes, and clean up at the end, also when it is the loop that ends."""
        try:
            while not self._closing.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), REPORT_EVERY)
                self._send_report()
        finally:
            self._close()
            for task in self._polls:
                if not task.cancelling():  # twice would interrupt the closing of its connection
                    task.cancel()
            await asyncio.gather(*self._polls, return_exceptions=True)
            await self._shared.aclose()

    async def _ask(self, job: Job) -> None:
        try:
            await self._poll(job)
        except Exception:
            # Whatever it is, it is ours and not the job's: nobody fails, and the job is looked at again.
            log.exception("Polling job %s failed inside the hub; it is looked at again.", job.job_id)
        finally:
            job.is_asked = False
            if job.ticket is None and job.waiting:
                self._look_again(job)

    def _look_again(self, job: Job) -> None:
        """Plan a job whose poll came to nothing, for those whose time is not over."""
        now = self._clock()
        job.end_overdue(now)
        self._plan_next(job, now, min(waiter.wait.poll_interval for waiter in job.waiters))

    async def _poll(self, job: Job) -> None:
        config = self._shared.config
        if not job.waiters:
            return
        begun = self._clock()
        self._report.polls += 1
        self._report.lateness = max(self._report.lateness, begun - job.due)
        if self._shared.is_stale:
            self._ask_for_reload(job)
        try:
            async with self._shared.borrow() as client:
                answer = await client.get_generation(job.job_id, retry=NO_RETRY)
        except OrVideoError as error:
            self._took(self._clock() - begun)
            self._failed(job, error, config)
        else:
            self._took(self._clock() - begun)
            self._throttle.answered(self._clock())
            self._answered(job, answer)

    def _took(self, seconds: float) -> None:
        self._report.latency += seconds
        self._latency += (seconds - self._latency) / 16

    def _answered(self, job: Job, answer: VideoJob) -> None:
        now = self._clock()
        job.progress = Progress()
        for waiter in job.waiting:
            waiter.tell(after_status(waiter.wait, answer, now=now))
        age = now - job.submitted_at
        if not answer.is_terminal:
            job.running_at = age
        elif answer.status == "completed" and (job.came_early or job.running_at is not None):
            # Only where the end was waited for: a job may have been done long before anybody came.
            self._model(job).ended(age, running_at=job.running_at)
        self._plan_next(job, now)

    def _failed(self, job: Job, error: OrVideoError, config: ClientConfig | None) -> None:
        now = self._clock()
        if isinstance(error, RateLimitedError | ServiceUnavailableError):
            self._report.throttled += 1
            self._throttle.complained(now, error.retry_after)
            # The whole hub is slower now, so this job need not be.
            job.end_overdue(now)
            self._plan_next(job, now)
            return
        self._throttle.answered(now)
        # A key may have been changed since: the connection is looked at once before anybody is told.
        renewal = isinstance(error, AuthenticationError) and self._shared.may_be_renewed(config)
        if renewal and config is self._shared.config:
            self._ask_for_reload(job)
        delays = []
        for waiter in job.waiting:
            if renewal and now < waiter.wait.deadline:
                delays.append(waiter.wait.poll_interval if self._reloader else 0.0)
                continue
            decision = after_error(waiter.wait, job.progress, error, now=now)
            waiter.tell(decision)
            if isinstance(decision, PollAgain):
                delays.append(decision.delay)
                progress = decision.progress
        if renewal and self._reloader:
            self._refused.append(job)
        elif delays and not renewal:
            if not job.progress.failures:
                log.info("Reading the status of job %s failed; the job is not affected. %s", job.job_id, error)
            job.progress = progress
        self._plan_next(job, now, min(delays, default=0.0))

    def _plan_next(self, job: Job, now: float, delay: float | None = None) -> None:
        """Plan the next look for those who still wait, the last one at a deadline."""
        if not (waiting := [waiter.wait for waiter in job.waiting]):
            return
        if delay is None:
            interval = min(wait.poll_interval for wait in waiting)
            delay = self._model(job).next_delay(max(0.0, now - job.submitted_at), interval, self._rng)
        self._plan(job, min(now + delay, *(wait.deadline for wait in waiting)))

    # ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _set_linger(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
        if self._main is None:  # the connection could not be read: there is nothing to keep
            self._close()
            return
        self._linger = self._loop.call_later(LINGER, self._close_if_idle, context=self._clean)

    def _close_if_idle(self) -> None:
        if not self._comers:
            self._close()

    def _close(self) -> None:
        """Let the next comer make another hub, and send there who waits here."""
        self._closing.set()
        hubs = _hubs.get(self._loop, {})
        if hubs.get(self.conn_id) is self:
            del hubs[self.conn_id]
        if self._timer is not None:
            self._timer.cancel()
        for job in self._agenda.jobs.values():
            for waiter in job.waiting:
                waiter.end.set_result(None)

    def _send_report(self) -> None:
        if self._observer is None:
            return
        report, self._report = self._report, Report()
        report.send(self.conn_id, self._observer, jobs=len(self._agenda.jobs), rate=self._throttle.rate)

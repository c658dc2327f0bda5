"""Looks at the jobs of a batch on the worker, and writes their ends into their records."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.exceptions import (
    AuthenticationError,
    JobError,
    JobTimedOutError,
    JobUnreachableError,
    OrVideoError,
    RateLimitedError,
)
from airflow_provider_orvideo.operators.batching.concurrently import each
from airflow_provider_orvideo.operators.batching.lines import LineStatus
from airflow_provider_orvideo.operators.batching.state import Todo, without_video
from airflow_provider_orvideo.operators.conclusion import settle
from airflow_provider_orvideo.operators.observing import waited
from airflow_provider_orvideo.polling.decision import (
    REFUSALS,
    Ended,
    GaveUp,
    PollAgain,
    Progress,
    TimedOut,
    after_error,
    after_status,
)
from airflow_provider_orvideo.polling.event import event_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.operators.batching.state import State
    from airflow_provider_orvideo.operators.batching.wishes import Wishes
    from airflow_provider_orvideo.polling.decision import Decision
    from airflow_provider_orvideo.polling.event import BatchEvent

log = logging.getLogger(__name__)

#: Jobs that are asked for at the same time.
AT_ONCE: Final = 8


class Looking:
    """Reads jobs by the rules of the polling room.

    Args:
        client: of the connection that the jobs belong to.
        wishes: what the batch's author wants.
        task_instance: Airflow's.
        clock: epoch seconds.
    """

    def __init__(self, client: VideoClient, wishes: Wishes, task_instance: object, clock: Callable[[], float]) -> None:
        self._client = client
        self._wishes = wishes
        self._task_instance = task_instance
        self._clock = clock
        #: What earlier looks left behind, by job; a task that resumes begins anew.
        self._progress: dict[str, Progress] = {}

    def look(self, states: Sequence[State], event: BatchEvent | None) -> None:
        """Look at each job once. Those that ended are settled; those that cannot be waited for are given up.

        Args:
            states: items whose jobs are under way.
            event: of the trigger that woke the task; it may have given up what a single look would not.
        """
        stop: list[OrVideoError] = []
        gave_up = event is not None and event.gave_up > 0

        def look(state: State) -> None:
            if not stop:
                self._look(state, stop, gave_up=gave_up, is_woken=event is not None)

        each(look, states, at_once=AT_ONCE)
        for error in stop:
            if isinstance(error, AuthenticationError):  # it is so for all of them
                self._give_up(states, error)
        if event is not None and gave_up and all(state.todo == Todo.FOLLOW for state in states):
            self._give_up(states, OrVideoError(event.error or "The triggerer could not read it."))

    def _look(self, state: State, stop: list[OrVideoError], *, gave_up: bool, is_woken: bool) -> None:
        wait = state.wait(self._wishes)
        decision: Decision
        try:
            job = self._client.get_generation(wait.job_id, retry=None if is_woken else NO_RETRY)
        except OrVideoError as error:
            if isinstance(error, RateLimitedError | AuthenticationError):
                stop.append(error)
            # The trigger has counted refusals in a row; one more is enough.
            known = Progress(refusals=REFUSALS) if gave_up else self._progress.get(wait.job_id, Progress())
            decision = after_error(wait, known, error, now=self._clock())
        else:
            decision = after_status(wait, job, now=self._clock())
        if isinstance(decision, PollAgain):
            self._progress[wait.job_id] = decision.progress
        else:
            self._end(state, decision)

    def _give_up(self, states: Sequence[State], error: OrVideoError) -> None:
        for state in states:
            if state.todo == Todo.FOLLOW:
                self._end(state, GaveUp(error))

    def _end(self, state: State, end: Ended | TimedOut | GaveUp) -> None:
        model = state.record.model if state.record else None
        event = event_of(end, state.wait(self._wishes), conn_id=self._wishes.conn_id, model=model, now=self._clock())
        waited(event, self._task_instance)
        try:
            state.record = settle(event, state.store, max_tries=self._wishes.max_tries)
        except JobTimedOutError as error:
            state.give_up(LineStatus.TIMED_OUT, str(error), retryable=True)
        except JobUnreachableError as error:
            state.give_up(LineStatus.IN_FLIGHT, str(error), retryable=True)
        except JobError as error:  # whatever else a later version may raise
            state.give_up(LineStatus.FAILED, str(error), retryable=False)
        else:
            state.describe_job()
            state.todo = Todo.LAND
            if state.falls_back(self._wishes):
                state.todo = Todo.ORDER
            elif state.record.status != "completed":
                status, reason, retryable = without_video(state.record, state.store, self._wishes.policies)
                state.give_up(status, reason, retryable=retryable)

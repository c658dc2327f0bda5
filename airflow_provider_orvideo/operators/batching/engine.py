"""One pass over a batch, the same in each attempt, after each deferral and after each crash: look, order, land, write.

What is to be done next with an item is read from its record and never remembered elsewhere, so a process that dies
leaves nothing behind that another one would have to know. The manifest only spares work: what this attempt has landed
and checked is not read again, and what was refused is not asked for again.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo import exceptions as exc
from airflow_provider_orvideo.inputs.resolve import connect
from airflow_provider_orvideo.inputs.settings import input_options
from airflow_provider_orvideo.ledger.decision import Adopt, Ambiguous, Changed, Submit, decide
from airflow_provider_orvideo.ledger.fingerprint import fingerprint
from airflow_provider_orvideo.ledger.purchase import called_in
from airflow_provider_orvideo.ledger.record import Phase
from airflow_provider_orvideo.operators.batching.concurrently import each
from airflow_provider_orvideo.operators.batching.lines import LineStatus, write_lines
from airflow_provider_orvideo.operators.batching.looking import Looking
from airflow_provider_orvideo.operators.batching.order import Counter, attempt_of
from airflow_provider_orvideo.operators.batching.spending import BatchBudgetError
from airflow_provider_orvideo.operators.batching.state import State, Todo, without_video
from airflow_provider_orvideo.operators.failures import is_final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.operators.batching.landings import Landings
    from airflow_provider_orvideo.operators.batching.lines import Line
    from airflow_provider_orvideo.operators.batching.spending import Spending
    from airflow_provider_orvideo.operators.batching.wishes import Wishes
    from airflow_provider_orvideo.polling.decision import Wait
    from airflow_provider_orvideo.polling.event import BatchEvent
    from airflow_provider_orvideo.preflight.inspection import Rules

log = logging.getLogger(__name__)

#: Records that are read at the same time.
_READS: Final = 8
#: Records in a row that cannot be read, after which the others are not asked for.
_UNREADABLE: Final = 3
#: Errors of one item's order that say something about this item alone; after any other, no more orders leave.
_ITS_OWN: Final = (
    exc.RequestInvalidError,
    exc.CostLimitError,
    exc.InputUnavailableError,
    exc.OutcomeUnknownError,
    exc.AmbiguousSubmitError,
    exc.ChangedRequestError,
    exc.ClientStatusError,
)
#: Of these, the ones that the next order would meet as well.
_ALL_MEET: Final = (exc.AuthenticationError, exc.PaymentRequiredError, exc.RateLimitedError, BatchBudgetError)
#: Errors by which the API, or what is known of its models, says no to an item.
_REFUSED: Final = (exc.RequestInvalidError, exc.ClientStatusError)


class Batch:
    """The items of one task instance and how far they are.

    Args:
        states: the items, in the order of the list.
        earlier: lines that an earlier pass or attempt wrote, by item.
        manifest: where the manifest lies.
        client: of the connection that pays.
        wishes: what the author wants.
        read_rules: reads the rules for new orders; called only where there is something to order.
        spending: the batch's money.
        landings: brings videos home.
        task_instance: Airflow's.
        is_resumed: whether this attempt has written its list before: then it orders nothing that was not in it.
        clock: epoch seconds; for tests.
    """

    def __init__(
        self,
        states: Sequence[State],
        *,
        earlier: dict[str, Line],
        manifest: str,
        client: VideoClient,
        wishes: Wishes,
        read_rules: Callable[[], Rules],
        spending: Spending,
        landings: Landings,
        task_instance: object,
        is_resumed: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._states = states
        self._manifest = manifest
        self._client = client
        self._wishes = wishes
        self._read_rules = read_rules
        self._spending = spending
        self._landings = landings
        self._task_instance = task_instance
        self._looking = Looking(client, wishes, task_instance, clock)
        wanted = {state.item.key for state in states}
        self._dropped = [
            line.model_copy(update={"status": LineStatus.DROPPED})
            for key, line in earlier.items()
            if key not in wanted and line.is_worth_keeping
        ]
        self._earlier = {key: line for key, line in earlier.items() if line.status != LineStatus.DROPPED}
        self._is_resumed = is_resumed
        #: Why no more orders leave, until a job has ended.
        self._halt: Exception | None = None
        #: Set by a signal handler: this worker is being stopped.
        self.is_stopped = False

    # ── What the operator asks ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def lines(self) -> list[Line]:
        """The manifest: the items in the order of the list, then those that are no longer asked for."""
        return [state.line for state in self._states] + self._dropped

    @property
    def in_flight(self) -> list[State]:
        """The items whose jobs are under way."""
        return [state for state in self._states if state.todo == Todo.FOLLOW]

    @property
    def waits(self) -> list[tuple[Wait, str | None]]:
        """What to wait for: each job under way, and its model."""
        return [(state.wait(self._wishes), state.record.model) for state in self.in_flight if state.record]

    @property
    def wake_after(self) -> int:
        """How many jobs must end before there is something to do: half of them, where more items wait for a place."""
        jobs = len(self.in_flight)
        return (jobs + 1) // 2 if self._of(Todo.ORDER) else jobs

    def begin(self) -> None:
        """Read the records, and write the manifest: it must be possible to write it before anything is ordered."""
        open_ = [state for state in self._states if not self._is_done(state)]
        self._read_records(open_)
        self._hear()
        for state in open_:
            self._next_step(state)
            if state.record:
                self._spending.count(state.item.key, state.record)
        unread = [state.line for state in self._states if not state.is_read]
        for line in self._dropped + unread:
            self._spending.count_line(line)
        self._write()

    def advance(self, event: BatchEvent | None = None) -> None:
        """Do all that can be done now: look at the jobs under way, order what has a place, land what completed.

        Args:
            event: of the trigger that woke the task, None where none did.
        """
        followed = self.in_flight
        self._looking.look(followed, event)
        ended = [state for state in followed if state.todo != Todo.FOLLOW]
        for state in ended:
            if state.record:
                self._spending.count(state.item.key, state.record)
        if ended:
            self._halt = None
        self._order()
        again = [] if self.in_flight else self._of(Todo.LAND_AGAIN)
        self._landings.land(self._of(Todo.LAND) + again)
        self._say()
        try:
            self._write()
        except exc.DestinationError as error:
            if not self.in_flight:
                raise
            # The records say all that matters; the next pass writes it again.
            log.warning("The batch's manifest could not be written this time: %s", error)

    # ── What there is to do ──────────────────────────────────────────────────────────────────────────────────────────

    def _of(self, todo: Todo) -> list[State]:
        return [state for state in self._states if state.todo == todo]

    def _write(self) -> None:
        write_lines(self._manifest, self.lines)

    def _is_done(self, state: State) -> bool:
        """Let stand what this very attempt has landed by this very request: its record need not be read again."""
        line = self._earlier.get(state.item.key)
        if not self._is_resumed or line is None or line.status != LineStatus.LANDED:
            return False
        if not self._is_of_this_attempt(line) or line.fingerprint != self._fingerprint(state):
            return False
        state.keep(line)
        return state.item.adopt in {None, line.job_id}

    def _read_records(self, states: Sequence[State]) -> None:
        failures = 0

        def read(state: State) -> None:
            nonlocal failures
            if failures >= _UNREADABLE:
                return
            try:
                state.record = state.store.load()
            except exc.LedgerUnavailableError as error:
                failures += 1
                state.unreadable = error
            else:
                failures = 0
                state.is_read = True

        # The first one in this thread: a store reads its Airflow connection then.
        for state in states[:1]:
            read(state)
        each(read, states[1:], at_once=_READS)

    def _hear(self) -> None:
        """Find out which of the orders with an unknown outcome were accepted, as far as their jobs called in."""
        for state in self._states:
            if state.record is None or state.record.phase != Phase.INTENT or not state.calls_in(self._wishes):
                continue
            try:
                state.record = called_in(self._client, state.record, state.store, attempt_of(self._wishes, state.item))
            except exc.OrVideoError as error:
                log.warning("Whether the job of item %s called in cannot be told now: %s", state.item.key, error)

    def _next_step(self, state: State) -> None:
        """Find out what is to be done with an item, by its record."""
        key, record = state.item.key, state.record
        earlier = self._earlier.get(key)
        state.line = self._blank(state, earlier)
        if not state.is_read:
            reason = state.unreadable or "the records of the items before it cannot be read."
            state.give_up(LineStatus.NOT_ORDERED, f"Whether it was ordered cannot be told: {reason}", retryable=True)
            return
        if state.falls_back(self._wishes):
            state.todo = Todo.ORDER
            return
        if earlier and (self._was_refused(state, earlier) if record is None else self._has_failed(record, earlier)):
            state.keep(earlier)
            return
        is_mine = self._is_mine(record)
        # In one attempt an item is ordered once, whatever its policies say: it is retries that order again.
        decision = None if is_mine and record else self._decision(state)
        if is_mine and record and record.phase == Phase.INTENT:
            decision = Ambiguous(record)
        if isinstance(decision, Submit | Adopt):
            if self._is_resumed and key not in self._earlier:
                reason = "It was not in the list when this attempt began; a retry or a clear of this task orders it."
                state.give_up(LineStatus.NOT_ORDERED, reason, retryable=True)
            else:
                state.todo = Todo.ORDER
        elif isinstance(decision, Ambiguous):
            state.say_ambiguous(self._wishes)
        elif isinstance(decision, Changed):
            reason = (
                f"Job {decision.record.job_id} was ordered for this item with another request, and on_changed_request "
                f"is 'fail'. Nothing was sent. Undo the change, or delete the record {state.store.where}."
            )
            state.give_up(LineStatus.NOT_ORDERED, reason, retryable=False)
        else:
            self._after_order(state, earlier)

    def _decision(self, state: State) -> object:
        return decide(
            state.record,
            order=state.line.fingerprint or "",
            policies=self._wishes.policies,
            max_tries=self._wishes.max_tries,
            adopt=state.item.adopt,
            models=state.item.models,
        )

    def _after_order(self, state: State, earlier: Line | None = None) -> None:
        """Find out what is to be done with an item whose job exists."""
        record = state.record
        if record is None:
            return
        state.describe_job()
        known = earlier if earlier and self._is_of_this_attempt(earlier) and earlier.job_id == record.job_id else None
        if record.phase == Phase.SUBMITTED:
            state.todo = Todo.FOLLOW
            if known and known.is_open and known.error:
                state.keep(known)
        elif record.status == "completed":
            state.todo = Todo.LAND
            if known and known.status == LineStatus.LANDED:
                state.keep(known)
            elif known and known.status == LineStatus.LANDING_FAILED:
                state.keep(known)
                state.todo = Todo.LAND_AGAIN if known.retryable else Todo.NOTHING
        else:
            self._without_video(state, record)

    def _without_video(self, state: State, record: Record) -> None:
        if state.falls_back(self._wishes):
            state.todo = Todo.ORDER
            return
        status, reason, retryable = without_video(record, state.store, self._wishes.policies)
        state.give_up(status, reason, retryable=retryable)

    def _blank(self, state: State, earlier: Line | None) -> Line:
        """Begin an item's line. What landed in an earlier attempt is told until this one has looked at it again."""
        return state.blank(self._fingerprint(state), self._wishes, earlier)

    def _fingerprint(self, state: State) -> str:
        return fingerprint(
            state.item.request,
            conn_id=self._wishes.conn_id,
            base_url=self._client.config.base_url,
            models=state.item.models,
        )

    def _is_mine(self, record: Record | None) -> bool:
        """Whether this attempt ordered the item."""
        return record is not None and record.try_number is not None and record.try_number == self._wishes.try_number

    def _is_of_this_attempt(self, line: Line) -> bool:
        return line.try_number is not None and line.try_number == self._wishes.try_number

    def _was_refused(self, state: State, line: Line) -> bool:
        """Whether the API said no to this very request, and no person has cleared the task since."""
        return (
            line.status == LineStatus.REFUSED
            and line.fingerprint == state.line.fingerprint
            and line.max_tries == self._wishes.max_tries
        )

    def _has_failed(self, record: Record, line: Line) -> bool:
        """Whether this attempt saw the job end without a video: it is retries that order another, not later passes."""
        ended = line.status in {LineStatus.FAILED, LineStatus.REFUSED}
        return ended and line.job_id == record.job_id and self._is_of_this_attempt(line)

    # ── Ordering ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _order(self) -> None:
        """Order as much as there is place and money for, in the order of the list."""
        waiting = self._of(Todo.ORDER)
        if waiting and self._halt is None and not self.is_stopped:
            try:
                counter = Counter(
                    self._client, self._wishes, self._read_rules(), input_options(), self._spending, self._task_instance
                )
            except exc.BeforeSendError as error:
                # A rule that cannot be read must not stop a paid job from landing.
                self._halt = error
            else:
                self._order_at(counter)
        for state in self._of(Todo.ORDER):
            if state.line.error is None and self._halt is not None:
                state.say_not_ordered(
                    f"No more orders left after another item's failed: {self._halt}",
                    retryable=self._may_mend(self._halt),
                )

    def _order_at(self, counter: Counter) -> None:
        def order(state: State) -> None:
            if self._halt is None and not self.is_stopped:
                self._order_one(counter, state)

        while self._halt is None and not self.is_stopped:
            self._spending.begin()
            places = max(0, self._wishes.max_in_flight - len(self.in_flight))
            batch = self._of(Todo.ORDER)[:places]
            if not batch:
                return
            # In the task's own thread: Airflow's connections are read there.
            connect(state.item.request for state in batch)
            each(order, batch, at_once=self._wishes.max_concurrent_submits)
            if isinstance(self._halt, BatchBudgetError) and self._spending.has_freed:
                # What did not fit may fit now. Whatever freed it is no longer waiting, so this ends.
                self._halt = None

    def _order_one(self, counter: Counter, state: State) -> None:
        state.line = state.line.model_copy(update={"error": None, "retryable": None})
        try:
            state.record = counter.order(state.item, state.store, goes_on=self._is_mine(state.record))
        except exc.OrVideoError as error:
            self._was_not_ordered(state, error)
        else:
            self._after_order(state)

    def _was_not_ordered(self, state: State, error: exc.OrVideoError) -> None:
        """Note why an item was not ordered, and whether that is so for all the others too."""
        if isinstance(error, exc.OutcomeUnknownError):
            self._may_exist(state, error)
            return
        concerns_all = not isinstance(error, _ITS_OWN) or isinstance(error, _ALL_MEET)
        if concerns_all:
            if self._halt is None or isinstance(self._halt, BatchBudgetError):
                self._halt = error
            state.say_not_ordered(str(error), retryable=self._may_mend(error))
            return
        refused = isinstance(error, _REFUSED) and not state.item.adopt
        status = LineStatus.REFUSED if refused else LineStatus.NOT_ORDERED
        state.give_up(status, str(error), retryable=not refused and self._may_mend(error))

    def _may_exist(self, state: State, error: exc.OutcomeUnknownError) -> None:
        try:
            state.record = state.store.load()
        except exc.LedgerUnavailableError:
            state.give_up(LineStatus.AMBIGUOUS, str(error), retryable=False)
            return
        if state.record:
            self._spending.count(state.item.key, state.record)
        state.say_ambiguous(self._wishes)

    def _may_mend(self, error: Exception) -> bool:
        return not is_final(error, self._wishes.policies)

    # ── Saying ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _say(self) -> None:
        log.info("The batch: %s.", in_words(self.lines))


def in_words(lines: Iterable[Line]) -> str:
    """Count the lines of each status, the most first."""
    counts: dict[LineStatus, int] = {}
    for line in lines:
        counts[line.status] = counts.get(line.status, 0) + 1
    parts = sorted(counts.items(), key=lambda part: -part[1])
    return ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in parts) or "no items"

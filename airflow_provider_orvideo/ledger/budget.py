"""A budget that the tasks of a DAG run share: money is reserved before an order leaves, and settled when it ended.

Every change is an entry of a log in object storage that only who has read the one before can write; who comes second
reads again and decides anew. So no two tasks spend the same money, however many run at once.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.exceptions import BudgetExceededError, LedgerUnavailableError
from airflow_provider_orvideo.ledger.budget_account import Account, Entry, Event
from airflow_provider_orvideo.ledger.budget_log import BudgetLog
from airflow_provider_orvideo.ledger.stores import file_name
from airflow_provider_orvideo.manifests import iso
from airflow_provider_orvideo.preflight.money import Dollars

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

log = logging.getLogger(__name__)

#: No task id is spelt with a dot there, see `ObjectStore`.
_FOLDER: Final = "orvideo.budgets"
#: Seconds to keep trying while others write. Each try that fails is another's success, so it ends.
_PATIENCE: Final = 300.0
#: Seconds of the first and the longest pause between two tries, before the dice.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


@dataclass(frozen=True)
class Reservation:
    """Money that is set aside for one order.

    Attributes:
        amount: US dollars.
        left: US dollars that others may still reserve.
    """

    amount: Decimal
    left: Decimal


@dataclass(frozen=True)
class _Change:
    event: Event
    amount: Decimal
    account: Account
    budget: Decimal | None = None


class RunBudget:
    """One task instance's access to a budget.

    Args:
        name: of the budget, for messages.
        budget_log: its log.
        holder: name of the task instance within the run.
        clock: epoch seconds; for tests.
        monotonic: seconds that only grow; for tests.
        sleep: pauses between tries; for tests.
    """

    def __init__(
        self,
        name: str,
        budget_log: BudgetLog,
        holder: str,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._log = budget_log
        self._holder = holder
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep

    @classmethod
    def of(cls, state_path: str, task_instance: Any, name: str | None = None) -> RunBudget:  # noqa: ANN401
        """Return a budget of the task instance's DAG run.

        Args:
            state_path: folder in object storage that all workers reach.
            task_instance: Airflow's.
            name: of the budget; all task instances of the run that name it share it. None: one for the task, which is
                to say for its mapped set.
        """
        ours = name or task_instance.task_id
        parts = (file_name(task_instance.dag_id), file_name(task_instance.run_id), _FOLDER, file_name(ours))
        folder = "/".join((state_path.rstrip("/"), *parts))
        return cls(ours, BudgetLog(folder), f"{task_instance.task_id}.{task_instance.map_index}")

    @property
    def where(self) -> str:
        """Folder of the budget's log."""
        return self._log.uri

    def reserve(self, order: str, amount: Decimal, budget: Decimal) -> Reservation:
        """Set money aside before an order leaves; each attempt at the same order reserves it once.

        Args:
            order: tells the orders of this task instance apart; the same for each attempt at one of them.
            amount: US dollars that the order may cost.
            budget: US dollars that all orders together may cost.

        Raises:
            BudgetExceededError: too little is left; nothing was reserved now.
            ConfigurationError: the store cannot keep a budget.
            LedgerUnavailableError: the log cannot be read or written.
        """

        def decide(account: Account) -> _Change | None:
            after = account.reserve(self._holder, order, amount)
            if after.committed > budget:
                raise self._exceeded(account.release(self._holder, order), amount, budget)
            return None if after == account else _Change(Event.RESERVED, amount, after, budget)

        account = self._write(decide)
        return Reservation(amount, budget - account.committed)

    def settle(self, actual: Decimal | None) -> bool:
        """Replace the reservation by what the order cost.

        Args:
            actual: US dollars; None for unknown, then what was reserved counts as spent.

        Returns:
            Whether there was a reservation.

        Raises:
            LedgerUnavailableError: the log cannot be read or written; what was reserved stays reserved.
        """
        settled = False

        def decide(account: Account) -> _Change | None:
            nonlocal settled
            line = account.line(self._holder)
            settled = settled or line.order is not None
            cost = line.reserved if actual is None else actual
            after = account.settle(self._holder, actual)
            return None if after == account else _Change(Event.SETTLED, cost, after)

        self._write(decide)
        return settled

    def release(self, order: str) -> None:
        """Give back what was reserved for an order of which nothing was accepted.

        Raises:
            LedgerUnavailableError: the log cannot be read or written; what was reserved stays reserved.
        """

        def decide(account: Account) -> _Change | None:
            after = account.release(self._holder, order)
            amount = account.line(self._holder).reserved
            return None if after == account else _Change(Event.RELEASED, amount, after)

        self._write(decide)

    def _write(self, decide: Callable[[Account], _Change | None]) -> Account:
        """Apply a decision to the newest entry, again for each entry that others write meanwhile."""
        until = self._monotonic() + _PATIENCE
        pause = _FIRST_PAUSE
        while True:
            last = self._log.last()
            account = Account(last.lines if last else {})
            change = decide(account)
            if change is None:
                return account
            if self._log.append(self._entry(last.number + 1 if last else 1, change)):
                return change.account
            if self._monotonic() > until:
                raise LedgerUnavailableError(
                    f"The run budget '{self.name}' is written by so many tasks at once that this one found no turn "
                    f"within {_PATIENCE:g} s. Run the task again; a pool bounds how many run at a time."
                )
            self._sleep(pause * random.random())  # noqa: S311 - to be out of step with the others
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _entry(self, number: int, change: _Change) -> Entry:
        return Entry(
            number=number,
            at=iso(self._clock()) or "",
            event=change.event,
            holder=self._holder,
            amount_usd=change.amount,
            budget_usd=change.budget,
            spent_usd=change.account.spent,
            reserved_usd=change.account.reserved,
            lines=dict(change.account.lines),
        )

    def _exceeded(self, others: Account, amount: Decimal, budget: Decimal) -> BudgetExceededError:
        left = budget - others.committed
        return BudgetExceededError(
            "The video request was not sent, nothing was spent. "
            f"The run's budget '{self.name}' is {Dollars(budget)}, of which {Dollars(others.spent)} is spent and "
            f"{Dollars(others.reserved)} reserved for orders under way; this video may cost {Dollars(amount)}, and "
            f"{Dollars(left) if left > 0 else 'nothing'} is left. Raise 'run_budget_usd', or order less. A retry asks "
            f"again: an order that ends for less than its estimate frees the rest. The log is {self.where}."
        )

"""What a batch has spent and may still spend: a bound on new orders, by their estimates until their bills are known."""

from __future__ import annotations

import threading
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.exceptions import CostLimitError
from airflow_provider_orvideo.ledger.record import Phase
from airflow_provider_orvideo.preflight.money import Dollars

if TYPE_CHECKING:
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.operators.batching.lines import Line
    from airflow_provider_orvideo.preflight.pricing import Estimate

_NOT_SENT: Final = "The video request was not sent, nothing was spent."


class BatchBudgetError(CostLimitError):
    """An order does not fit into ``budget_usd`` now. A retry does not help by itself; a higher budget does."""


class Spending:
    """The money of one batch. Its methods may be called from several threads.

    Args:
        budget: US dollars that all items may cost together, None for no bound.
        stand_in: US dollars that count for a cost that nobody knows, None for nothing.

    Attributes:
        has_freed: whether something that was reserved was given back since `begin`.
    """

    def __init__(self, budget: Decimal | None, stand_in: Decimal | None) -> None:
        self._budget = budget
        self._stand_in = stand_in
        self._spent: dict[str, Decimal] = {}
        self._reserved: dict[str, Decimal] = {}
        self._lock = threading.Lock()
        self.has_freed = False

    def begin(self) -> None:
        """Begin a round of orders."""
        with self._lock:
            self.has_freed = False

    def count(self, key: str, record: Record) -> None:
        """Count what an item's record says: every job of it, and every POST whose outcome was never learned."""
        costs = [past.cost_usd for past in record.past] + [None] * len(record.lost)
        costs.append(record.cost_usd if record.phase == Phase.TERMINAL else None)
        with self._lock:
            self._spent[key] = self._sum(costs, record.estimated_cost_usd)
            self._reserved.pop(key, None)

    def count_line(self, line: Line) -> None:
        """Count an item by its line in the manifest, where it is no longer asked for or its record cannot be read."""
        costs = [past.cost_usd for past in line.past] + [None] * len(line.lost) + [line.cost_usd]
        with self._lock:
            self._spent[line.item] = self._sum(costs, line.estimated_cost_usd)

    def reserve(self, key: str, cost: Estimate | None) -> None:
        """Set aside what an order may cost.

        Raises:
            BatchBudgetError: it does not fit.
            CostLimitError: nobody knows what it may cost.
        """
        if self._budget is None:
            return
        amount = cost.usd if cost is not None and cost.usd is not None else self._stand_in
        if amount is None:
            raise CostLimitError(
                f"{_NOT_SENT} What this video will cost is {cost or 'not estimated'}, and 'budget_usd' must reserve "
                "something. Set what the estimate names, or set 'max_cost_usd' to what it costs at most: then that is "
                "reserved."
            )
        with self._lock:
            # What was set aside for a model that did not accept the order is free for the next one.
            others = (held for of, held in self._reserved.items() if of != key)
            taken = sum(self._spent.values(), Decimal(0)) + sum(others, Decimal(0))
            if taken + amount > self._budget:
                raise BatchBudgetError(
                    f"{_NOT_SENT} Of 'budget_usd', {Dollars(self._budget)}, {Dollars(taken)} is spent or reserved, and "
                    f"this video may cost {Dollars(amount)}. Raise 'budget_usd' and clear this task to order the rest."
                )
            self._reserved[key] = amount

    def release(self, key: str) -> None:
        """Give back what was set aside for an order that was not accepted."""
        with self._lock:
            if self._reserved.pop(key, None) is not None:
                self.has_freed = True

    def _sum(self, costs: list[float | None], estimate: float | None) -> Decimal:
        """Add up bills; one that is not known counts with the estimate, or else with what stands in for it."""
        guess = _amount(estimate)
        if guess is None:
            guess = self._stand_in if self._stand_in is not None else Decimal(0)
        known = [_amount(cost) for cost in costs]
        return sum((guess if cost is None else cost for cost in known), Decimal(0))


def _amount(cost: float | None) -> Decimal | None:
    return Decimal(str(cost)) if cost is not None and isfinite(cost) and cost >= 0 else None

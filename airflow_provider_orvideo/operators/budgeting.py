"""What a run's budget means to a task: reserve before the order leaves, release if none did, settle at its end."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.common.compat.sdk import conf

from airflow_provider_orvideo.exceptions import ConfigurationError, CostLimitError, LedgerUnavailableError
from airflow_provider_orvideo.ledger.sending import NOTHING_ACCEPTED
from airflow_provider_orvideo.preflight.inspection import dollars
from airflow_provider_orvideo.preflight.money import Dollars

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_orvideo.ledger.budget import RunBudget
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.ledger.stores import Store
    from airflow_provider_orvideo.preflight.inspection import Rules
    from airflow_provider_orvideo.preflight.pricing import Estimate

log = logging.getLogger(__name__)

_NOT_SENT: Final = "The video request was not sent, nothing was spent."


class Budgeting:
    """A task instance's dealings with its run's budget; none where the author set none.

    Args:
        context: Airflow's task context.
        store: keeps the record of the running task instance.
        run_budget_usd: US dollars that all orders of the budget may cost, as the author wrote it; None for no budget.
        budget_name: of the budget; None for one that the task's mapped set shares.
    """

    def __init__(
        self, context: Mapping[str, Any], store: Store, *, run_budget_usd: object, budget_name: str | None
    ) -> None:
        self._instance = context["ti"]
        self._store = store
        self._usd = run_budget_usd
        self._name = budget_name
        #: The reservation that this attempt asked for, and the budget's log.
        self._asked: tuple[RunBudget, str] | None = None

    def reserve(self, cost: Estimate | None, rules: Rules) -> None:
        """Set aside what the order may cost. Called once all else allows it to leave.

        Args:
            cost: its estimate, None where nobody looked.
            rules: what the author allows; ``max_cost_usd`` stands in for an unknown cost.

        Raises:
            BudgetExceededError: too little is left.
            ConfigurationError: there is no place for a budget, or an argument cannot work.
            CostLimitError: the cost is not known, nor what it may be.
            LedgerUnavailableError: the budget's log cannot be read or written.
        """
        budget = dollars("run_budget_usd", self._usd)
        if budget is None:
            return
        if cost is None:
            raise ConfigurationError(
                "'preflight' is False, and so nothing is estimated that could be reserved of 'run_budget_usd'; leave "
                "preflight on, or leave the budget out."
            )
        amount = cost.usd if cost.usd is not None else rules.max_cost_usd
        if amount is None:
            raise CostLimitError(
                f"{_NOT_SENT} What this video will cost is {cost}, and a run budget must reserve something. Set what "
                "the estimate names, or set 'max_cost_usd' to what you expect it to cost at most: then that is "
                "reserved."
            )
        shared = self._open()
        order = self._order()
        self._asked = (shared, order)
        reservation = shared.reserve(order, amount, budget)
        log.info(
            "Reserved %s of the run's budget '%s' of %s; %s is left. Its log is %s",
            Dollars(amount),
            shared.name,
            Dollars(budget),
            Dollars(reservation.left),
            shared.where,
        )

    @contextmanager
    def released_if_refused(self) -> Iterator[None]:
        """Give the reservation back where the block ends with the certainty that nothing was ordered."""
        try:
            yield
        except (*NOTHING_ACCEPTED, LedgerUnavailableError):
            self._release()
            raise

    def settle(self, record: Record) -> None:
        """Replace the reservation by the cost of the job that ended. Never fails: the job is paid for.

        Args:
            record: of the job, terminal. Of a job that was adopted, it says nothing about what was reserved here.
        """
        if record.adopted:
            return
        cost = record.cost_usd
        actual = Decimal(str(cost)) if cost is not None and isfinite(cost) and cost >= 0 else None
        try:
            if dollars("run_budget_usd", self._usd) is None:
                return
            shared = self._open()
            if shared.settle(actual):
                spent = "what was reserved for it" if actual is None else Dollars(actual)
                log.info("Job %s is settled in the run's budget '%s' with %s.", record.job_id, shared.name, spent)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is a paid job to hand on
            log.warning(
                "What job %s cost could not be written to the run's budget, which goes on counting what was reserved "
                "for it: %s",
                record.job_id,
                error,
            )

    def _release(self) -> None:
        if self._asked is None:
            return
        shared, order = self._asked
        try:
            shared.release(order)
        except (ConfigurationError, LedgerUnavailableError) as error:
            log.warning(
                "Nothing was ordered, but the run's budget '%s' may go on counting what was reserved: %s The next "
                "attempt uses the same reservation.",
                shared.name,
                error,
            )

    def _open(self) -> RunBudget:
        # Imported here: object storage is heavy, and few tasks have a budget.
        from airflow_provider_orvideo.ledger.budget import RunBudget  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.budget_log import INSTEAD  # noqa: PLC0415

        if self._name is not None and not str(self._name).strip():
            raise ConfigurationError(f"'budget_name' is {self._name!r}; it must be a name, or None for the task's own.")
        state_path = conf.get("orvideo", "state_path", fallback="")
        if not state_path:
            raise ConfigurationError(
                f"{_NOT_SENT} 'run_budget_usd' is set, but tasks have no place to share a budget safely: what Airflow "
                "itself keeps, another task may write over. Set [orvideo] state_path to a folder in object storage "
                f"that all workers reach. {INSTEAD}"
            )
        return RunBudget.of(state_path, self._instance, self._name)

    def _order(self) -> str:
        """Name the order: another one after each purchase, and after each clear, which may discard the record."""
        record = self._store.load()
        before = len(record.history()) + len(record.all_lost()) if record else 0
        return f"{getattr(self._instance, 'max_tries', None)}.{before}"

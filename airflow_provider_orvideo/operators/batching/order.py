"""One item's order: the look before it leaves, its share of the budget, and the purchase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_orvideo.exceptions import LedgerUnavailableError
from airflow_provider_orvideo.inputs.resolve import resolve
from airflow_provider_orvideo.ledger.purchase import Attempt, Prepared, obtain
from airflow_provider_orvideo.ledger.sending import NOTHING_ACCEPTED
from airflow_provider_orvideo.operators.observing import ordering
from airflow_provider_orvideo.operators.orders import ready
from airflow_provider_orvideo.preflight.inspection import inspect

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.inputs.resolve import InputOptions
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.ledger.stores import Store
    from airflow_provider_orvideo.operators.batching.items import Item
    from airflow_provider_orvideo.operators.batching.spending import Spending
    from airflow_provider_orvideo.operators.batching.wishes import Wishes
    from airflow_provider_orvideo.preflight.inspection import Rules


def attempt_of(wishes: Wishes, item: Item, *, goes_on: bool = False) -> Attempt:
    """Return who asks for an item, and what its author wants."""
    return Attempt(
        conn_id=wishes.conn_id,
        policies=wishes.policies,
        try_number=wishes.try_number,
        max_tries=wishes.max_tries,
        adopt=item.adopt,
        timeout=wishes.timeout,
        poll_interval=wishes.poll_interval,
        models=item.models,
        goes_on=goes_on,
        callbacks=wishes.callbacks,
    )


@dataclass(frozen=True)
class Counter:
    """Where items are ordered.

    Args:
        client: of the connection that pays.
        wishes: what the batch's author wants.
        rules: for the look before an order leaves.
        inputs: how media get into requests.
        spending: the batch's money.
        task_instance: Airflow's.
    """

    client: VideoClient
    wishes: Wishes
    rules: Rules
    inputs: InputOptions
    spending: Spending
    task_instance: object

    def order(self, item: Item, store: Store, *, goes_on: bool = False) -> Record:
        """Order one item, unless its record says that it was ordered. May be called from several threads.

        All that is special to an item's order is said here, as the submit operator says it for its one.

        Raises:
            OrVideoError: as `obtain` raises it.
        """
        attempt = attempt_of(self.wishes, item, goes_on=goes_on)
        with ordering(attempt.conn_id, self.task_instance) as watch:

            def prepare(request: VideoRequest) -> Prepared:
                # Only now: a list's media are read one by one, and an item is known by their addresses.
                found = inspect(self.client, resolve(request, self.inputs), self.rules)
                self.spending.reserve(item.key, found.estimate)
                return watch.leaves(ready(found))

            try:
                record = obtain(self.client, item.request, store, attempt, prepare=prepare)
            except (*NOTHING_ACCEPTED, LedgerUnavailableError):
                self.spending.release(item.key)
                raise
            watch.accepted(record)
        self.spending.count(item.key, record)
        return record

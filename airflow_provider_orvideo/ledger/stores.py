"""Where the pay-once record lies: Airflow's task state store, which outlives retries, clears and XCom."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_orvideo.exceptions import LedgerUnavailableError
from airflow_provider_orvideo.ledger.record import Record, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

#: Key of the record, visible (and editable) in the Airflow UI next to the task instance.
KEY: Final = "orvideo_job"


class Store(Protocol):
    """Keeps one record for one task instance (dag_id, run_id, task_id, map_index), whatever the attempt."""

    def load(self) -> Record | None:
        """Return the record, None for none; raise LedgerUnavailableError where it cannot be told."""

    def save(self, record: Record) -> None:
        """Keep the record before returning; raise LedgerUnavailableError where that failed."""

    def delete(self) -> None:
        """Forget the record; raise LedgerUnavailableError where that failed."""


class TaskStateStore:
    """The record in ``context["task_state_store"]`` (Airflow 3.3 and later), without an expiry date.

    Args:
        accessor: Airflow's accessor, bound to the running task instance.
    """

    def __init__(self, accessor: Any) -> None:  # noqa: ANN401 - the class exists from Airflow 3.3 on only
        self._accessor = accessor

    def load(self) -> Record | None:
        """See `Store.load`."""
        try:
            value = self._accessor.get(KEY)
        except Exception as error:
            raise LedgerUnavailableError(
                f"The pay-once record cannot be read from Airflow's task state store: {error}. Nothing was sent."
            ) from error
        return read_record(value)

    def save(self, record: Record) -> None:
        """See `Store.save`."""
        # Exists only where the accessor does.
        from airflow.sdk.execution_time.context import NEVER_EXPIRE  # noqa: PLC0415

        try:
            self._accessor.set(KEY, record.to_json(), retention=NEVER_EXPIRE)
        except Exception as error:
            raise LedgerUnavailableError(
                f"The pay-once record cannot be written to Airflow's task state store: {error}."
            ) from error

    def delete(self) -> None:
        """See `Store.delete`."""
        try:
            self._accessor.delete(KEY)
        except Exception as error:
            raise LedgerUnavailableError(
                f"The pay-once record cannot be deleted from Airflow's task state store: {error}."
            ) from error


class NoStore:
    """Airflow before 3.3 keeps nothing for a task instance: each attempt knows of no earlier one."""

    def load(self) -> Record | None:
        """Find nothing."""
        return None

    def save(self, record: Record) -> None:
        """Keep nothing."""

    def delete(self) -> None:
        """Forget nothing."""


def store_for(context: Mapping[str, Any]) -> Store:
    """Return the store of the running task instance; below Airflow 3.3 warn that there is none."""
    # The accessor's truth value says nothing; only its absence does.
    accessor = context.get("task_state_store")
    if accessor is not None:
        return TaskStateStore(accessor)
    log.warning(
        "This Airflow has no task state store (it came with 3.3), so a retry of this task cannot see what an earlier "
        "attempt ordered and may pay again. Set retries=0 for this task, or upgrade Airflow."
    )
    return NoStore()

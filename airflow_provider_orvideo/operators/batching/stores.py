"""The records of a batch's items."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.ledger.stores import NoStore, ObjectStore, store_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.ledger.stores import Store


class OneAtATime:
    """A store that several threads may use, if all of them are given the same lock.

    Airflow's own store is asked through the one socket to the task's supervisor, which has no lock of its own on
    Airflow 3.1, nor in ``dag.test()``.

    Args:
        store: keeps the record.
        lock: held while it is asked.
    """

    def __init__(self, store: Store, lock: AbstractContextManager[Any]) -> None:
        self._store = store
        self._lock = lock

    @property
    def where(self) -> str:
        """See `Store.where`."""
        return self._store.where

    def load(self) -> Record | None:
        """See `Store.load`."""
        with self._lock:
            return self._store.load()

    def save(self, record: Record) -> None:
        """See `Store.save`."""
        with self._lock:
            self._store.save(record)

    def delete(self) -> None:
        """See `Store.delete`."""
        with self._lock:
            self._store.delete()


def stores_for(context: Mapping[str, Any], keys: Iterable[str], *, warn: bool) -> dict[str, Store]:
    """Return the store of each item.

    Args:
        context: Airflow's task context.
        keys: of the items.
        warn: say what this Airflow does not keep; once for each attempt is enough.

    Raises:
        ConfigurationError: nothing is kept, so that a task that resumes would order everything anew.
    """
    lock = threading.Lock()
    stores: dict[str, Store] = {}
    for key in keys:
        store = store_for(context, item=key, warn=warn and not stores)
        if isinstance(store, NoStore):
            raise ConfigurationError(
                "A batch needs a place for the records of its items, or it would order all of them again whenever it "
                "resumes. This Airflow has no task state store (it came with 3.3): set [orvideo] state_path to a "
                "folder in object storage that all workers reach. Nothing was ordered."
            )
        stores[key] = OneAtATime(store, nullcontext() if isinstance(store, ObjectStore) else lock)
    return stores

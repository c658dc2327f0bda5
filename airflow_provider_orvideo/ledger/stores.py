"""Where the pay-once record lies: Airflow's task state store, or below Airflow 3.3 a file in object storage.

Both outlive retries, clears and XCom. Identity is the DAG, run, task and map index, never the attempt.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from airflow.providers.common.compat.sdk import conf

from airflow_provider_orvideo.exceptions import DestinationError, LedgerUnavailableError
from airflow_provider_orvideo.ledger.record import Record, read_record
from airflow_provider_orvideo.options import switch_or_default

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

#: Key of the record, visible (and editable) in the Airflow UI next to the task instance.
KEY: Final = "orvideo_job"

#: Characters that a part of an identity may have in a file's name; the rest is for what is put around it.
_LONGEST_NAME: Final = 150


class Store(Protocol):
    """Keeps one record for one task instance (dag_id, run_id, task_id, map_index), whatever the attempt."""

    @property
    def where(self) -> str:
        """The record's place, as the object of "delete the record …"."""

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
        item: tells several orders of one task instance apart; each gets a record of its own.
    """

    def __init__(self, accessor: Any, item: str | None = None) -> None:  # noqa: ANN401 - from Airflow 3.3 on only
        self._accessor = accessor
        self._key = KEY if item is None else f"{KEY}.{quote(item, safe='')}"

    @property
    def where(self) -> str:
        """See `Store.where`."""
        return f"'{self._key}' in this task instance's state store (its Storage tab)"

    def load(self) -> Record | None:
        """See `Store.load`."""
        try:
            value = self._accessor.get(self._key)
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
            self._accessor.set(self._key, record.to_json(), retention=NEVER_EXPIRE)
        except Exception as error:
            raise LedgerUnavailableError(
                f"The pay-once record cannot be written to Airflow's task state store: {error}."
            ) from error

    def delete(self) -> None:
        """See `Store.delete`."""
        try:
            self._accessor.delete(self._key)
        except Exception as error:
            raise LedgerUnavailableError(
                f"The pay-once record cannot be deleted from Airflow's task state store: {error}."
            ) from error


class ObjectStore:
    """The record as a small JSON file under ``[orvideo] state_path``, replaced in one step at each write.

    Args:
        uri: of the file, as ``ObjectStoragePath`` takes it.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    @classmethod
    def of(cls, state_path: str, task_instance: Any, item: str | None = None) -> ObjectStore:  # noqa: ANN401
        """Return the store of one task instance; its file's name is derived from its identity alone."""
        identity = (
            task_instance.dag_id,
            task_instance.run_id,
            task_instance.task_id,
            KEY if item is None else f"{KEY}.{item}",
        )
        name = "/".join(map(file_name, identity))
        return cls(f"{state_path.rstrip('/')}/{name}.{task_instance.map_index}.json")

    @property
    def where(self) -> str:
        """See `Store.where`."""
        return self._uri

    def load(self) -> Record | None:
        """See `Store.load`."""
        from airflow_provider_orvideo.landing.publish import read_bytes, why  # noqa: PLC0415 - object storage is heavy

        try:
            data = read_bytes(self._uri)
            value = None if data is None else json.loads(data)
        except (DestinationError, ValueError) as error:
            raise LedgerUnavailableError(
                f"The pay-once record {self._uri} cannot be read: {why(error)}. Nothing was sent."
            ) from error
        # A file that says "null" is no absent file.
        return None if data is None else read_record(value or {})

    def save(self, record: Record) -> None:
        """See `Store.save`."""
        from airflow_provider_orvideo.landing.publish import publish_bytes, why  # noqa: PLC0415

        try:
            publish_bytes(json.dumps(record.to_json(), indent=2).encode(), self._uri)
        except DestinationError as error:
            raise LedgerUnavailableError(f"The pay-once record {self._uri} cannot be written: {why(error)}.") from error

    def delete(self) -> None:
        """See `Store.delete`."""
        from airflow_provider_orvideo.landing.publish import remove, why  # noqa: PLC0415

        try:
            remove(self._uri)
        except DestinationError as error:
            raise LedgerUnavailableError(f"The pay-once record {self._uri} cannot be deleted: {why(error)}.") from error


def file_name(part: str) -> str:
    """Spell one part of an identity so that no two are spelt alike, within the 255 bytes of a file's name."""
    name = quote(part, safe="").replace(".", "%2E")
    if len(name) <= _LONGEST_NAME:
        return name
    # A dot stands in no other name.
    return f"{name[:_LONGEST_NAME]}.{hashlib.sha256(part.encode()).hexdigest()[:32]}"


class NoStore:
    """Nothing is kept: each attempt knows of no earlier one."""

    where = "(none is kept on this Airflow version without [orvideo] state_path)"

    def load(self) -> Record | None:
        """Find nothing."""
        return None

    def save(self, record: Record) -> None:
        """Keep nothing."""

    def delete(self) -> None:
        """Forget nothing."""


def store_for(context: Mapping[str, Any], item: str | None = None, *, warn: bool = True) -> Store:
    """Return the store of the running task instance.

    Args:
        context: Airflow's task context.
        item: tells several orders of one task instance apart.
        warn: say what this Airflow does not keep; once for each attempt is enough.
    """
    # The accessor's truth value says nothing; only its absence does.
    accessor = context.get("task_state_store")
    if accessor is not None:
        if warn and switch_or_default("clear_on_success", section="state_store"):
            log.warning(
                "[state_store] clear_on_success is on: Airflow forgets what was ordered as soon as this task succeeds, "
                "and clearing it afterwards orders and pays for a new video."
            )
        return TaskStateStore(accessor, item)
    state_path = conf.get("orvideo", "state_path", fallback="")
    if state_path:
        return ObjectStore.of(state_path, context["ti"], item)
    if warn:
        log.warning(
            "PAY-ONCE IS OFF. This Airflow has no task state store (it came with 3.3), and [orvideo] state_path is not "
            "set, so a retry of this task cannot see what an earlier attempt ordered and may pay again. Set state_path "
            "to a folder in object storage that all workers reach, or set retries=0 on this task, or upgrade Airflow."
        )
    return NoStore()

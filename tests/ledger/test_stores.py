"""Where the record lies: Airflow's task state store, as it is called, and what becomes of its errors."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from airflow_provider_orvideo.exceptions import LedgerUnavailableError
from airflow_provider_orvideo.ledger.stores import KEY, NoStore, TaskStateStore, store_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.ledger.record import Record


class Accessor:
    """As Airflow's, with a truth value that misleads."""

    def __init__(self, *, broken: bool = False) -> None:
        self.values: dict[str, str] = {}
        self.retentions: list[object] = []
        self.broken = broken

    def __len__(self) -> int:
        return 0

    def get(self, key: str, default: object = None) -> object:
        self._check()
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: object = None) -> None:  # noqa: ANN401 - as Airflow's
        self._check()
        self.values[key] = json.dumps(value)
        self.retentions.append(retention)

    def delete(self, key: str) -> None:
        self._check()
        self.values.pop(key, None)

    def _check(self) -> None:
        if self.broken:
            raise RuntimeError("API server away")


def test_the_record_lies_under_one_key_and_never_expires(record_of: Callable[..., Record]) -> None:
    accessor = Accessor()
    store = TaskStateStore(accessor)
    assert store.load() is None
    store.save(record_of())
    assert KEY == "orvideo_job"
    assert list(accessor.values) == ["orvideo_job"]
    assert len(accessor.retentions) == 1
    assert accessor.retentions[0] is NEVER_EXPIRE
    assert store.load() == record_of()
    store.delete()
    assert store.load() is None


@pytest.mark.parametrize("method", ["load", "save", "delete"])
def test_a_store_that_cannot_be_reached_is_unavailable_not_empty(record_of: Callable[..., Record], method: str) -> None:
    store = TaskStateStore(Accessor(broken=True))
    arguments = [record_of()] if method == "save" else []
    with pytest.raises(LedgerUnavailableError, match="API server away") as caught:
        getattr(store, method)(*arguments)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_foreign_value_under_our_key_is_unavailable_not_empty() -> None:
    accessor = Accessor()
    accessor.set(KEY, {"external_id": "x"})
    with pytest.raises(LedgerUnavailableError):
        TaskStateStore(accessor).load()


def test_the_store_is_picked_by_presence_not_by_truth(caplog: pytest.LogCaptureFixture) -> None:
    accessor = Accessor()
    assert not accessor
    assert isinstance(store_for({"task_state_store": accessor}), TaskStateStore)
    assert not caplog.records


@pytest.mark.parametrize("context", [{}, {"task_state_store": None}])
def test_without_a_store_a_warning_says_what_is_at_risk_and_what_to_do(
    context: dict[str, Any], caplog: pytest.LogCaptureFixture, record_of: Callable[..., Record]
) -> None:
    with caplog.at_level(logging.WARNING):
        store = store_for(context)
    assert isinstance(store, NoStore)
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "may pay again" in warning.message
    assert "retries=0" in warning.message
    store.save(record_of())
    store.delete()
    assert store.load() is None

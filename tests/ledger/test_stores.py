"""Where the record lies: Airflow's task state store, as it is called, and what becomes of its errors."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time import context as airflows_context

from airflow_provider_orvideo.exceptions import LedgerUnavailableError
from airflow_provider_orvideo.ledger.stores import KEY, NoStore, ObjectStore, TaskStateStore, store_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.ledger.record import Record

TI = SimpleNamespace(dag_id="films", run_id="manual__1", task_id="submit", map_index=2)
STATE_PATH = "AIRFLOW__ORVIDEO__STATE_PATH"


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


@pytest.fixture
def _with_a_task_state_store() -> None:
    if not hasattr(airflows_context, "NEVER_EXPIRE"):
        pytest.skip("Airflow 3.1 and 3.2 have no task state store")


@pytest.mark.usefixtures("_with_a_task_state_store")
def test_the_record_lies_under_one_key_and_never_expires(record_of: Callable[..., Record]) -> None:
    accessor = Accessor()
    store = TaskStateStore(accessor)
    assert store.load() is None
    store.save(record_of())
    assert KEY == "orvideo_job"
    assert list(accessor.values) == ["orvideo_job"]
    assert len(accessor.retentions) == 1
    assert accessor.retentions[0] is airflows_context.NEVER_EXPIRE
    assert store.load() == record_of()
    store.delete()
    assert store.load() is None


@pytest.mark.usefixtures("_with_a_task_state_store")
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
    store = store_for({"task_state_store": accessor})
    assert isinstance(store, TaskStateStore)
    assert store.load() is None
    accessor.values[KEY] = '"something"'
    with pytest.raises(LedgerUnavailableError):
        store.load()
    assert not caplog.records


@pytest.mark.usefixtures("_with_a_task_state_store")
def test_each_item_has_a_record_of_its_own_under_a_key_that_can_be_in_a_url(record_of: Callable[..., Record]) -> None:
    accessor = Accessor()
    items = (None, "0", "1", "a/b", "a b", "ä", "orvideo_job")
    stores = [TaskStateStore(accessor, item) for item in items]
    for number, store in enumerate(stores):
        assert store.load() is None
        store.save(record_of(job_id=f"job-{number}"))
    assert [store.load() for store in stores] == [record_of(job_id=f"job-{number}") for number in range(len(stores))]
    assert list(accessor.values)[:3] == ["orvideo_job", "orvideo_job.0", "orvideo_job.1"]
    assert all(key.isascii() and not set("/ ?#") & set(key) for key in accessor.values)
    stores[1].delete()
    assert stores[1].load() is None
    assert stores[0].load() == record_of(job_id="job-0")


def test_the_place_of_a_record_is_named_as_a_person_finds_it() -> None:
    assert TaskStateStore(Accessor()).where == "'orvideo_job' in this task instance's state store (its Storage tab)"
    assert "'orvideo_job.3'" in TaskStateStore(Accessor(), "3").where
    assert "state_path" in NoStore().where


# ── Which store ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("item", [None, "7"])
def test_the_task_state_store_comes_before_the_file_and_the_file_before_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, item: str | None
) -> None:
    monkeypatch.setenv(STATE_PATH, "s3://aws_default@films/state/")
    store = store_for({"ti": TI, "task_state_store": Accessor()}, item)
    assert isinstance(store, TaskStateStore)
    assert ("orvideo_job.7" in store.where) == bool(item)
    store = store_for({"ti": TI}, item)
    assert isinstance(store, ObjectStore)
    name = "orvideo_job%2E7" if item else "orvideo_job"
    assert store.where == f"s3://aws_default@films/state/films/manual__1/submit/{name}.2.json"
    assert not caplog.records
    monkeypatch.setenv(STATE_PATH, "")
    assert isinstance(store_for({"ti": TI}, item), NoStore)


@pytest.mark.parametrize(("value", "warns"), [("True", True), ("False", False), (None, False)])
def test_a_state_store_that_forgets_at_success_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    value: str | None,
    warns: bool,  # noqa: FBT001
) -> None:
    if value:
        monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", value)
    context = {"ti": TI, "task_state_store": Accessor()}
    assert isinstance(store_for(context), TaskStateStore)
    assert [entry.levelno for entry in caplog.records] == [logging.WARNING] * warns
    assert ("clear_on_success" in caplog.text) == warns
    caplog.clear()
    store_for(context, warn=False)
    assert not caplog.records


def test_what_was_warned_of_already_is_not_warned_of_again(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(store_for({"ti": TI}, warn=False), NoStore)
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
    assert "state_path" in warning.message
    assert "PAY-ONCE IS OFF" in warning.message
    store.save(record_of())
    store.delete()
    assert store.load() is None

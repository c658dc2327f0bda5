"""Where the operator's record lies decides nothing about what it does: whole stories in each, and its warnings."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.exceptions import JobTimedOutError, LedgerUnavailableError
from airflow_provider_orvideo.ledger.purchase import obtain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Attempt, Connect, FakeStateStore, Simulate

    Warnings = Callable[[str], int]

#: What a context of Airflow 3.1 and 3.2 holds.
OLDER: dict[str, Any] = {"task_state_store": None}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the task instance's record will lie below ``[orvideo] state_path``."""
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", (tmp_path / "state").as_uri())
    return tmp_path / "state/films/manual__1/submit/orvideo_job.-1.json"


@pytest.fixture
def warned(task_log: pytest.LogCaptureFixture) -> Warnings:
    """Count the warnings that hold some words."""

    def count(words: str) -> int:
        return sum(words in entry.getMessage() for entry in task_log.records if entry.levelname == "WARNING")

    return count


# ── A file in object storage ─────────────────────────────────────────────────────────────────────────────────────────


def test_on_older_airflow_a_file_keeps_the_record_and_one_video_is_paid_for(
    simulate: Simulate, connect: Connect, attempt: Attempt, file: Path, warned: Warnings
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    for number in (1, 2):
        with pytest.raises(JobTimedOutError):
            attempt(try_number=number, timeout=0.05, in_context=OLDER)
        assert json.loads(file.read_text())["phase"] == "submitted"
    sim.finish(sim.jobs()[0].id)
    manifest = attempt(try_number=3, in_context=OLDER)
    assert attempt(try_number=4, max_tries=6, in_context=OLDER) == manifest
    assert json.loads(file.read_text())["status"] == "completed"
    assert sim.posts == 1
    assert warned("PAY-ONCE") == warned("clear_on_success") == 0


@pytest.mark.parametrize("content", ["", "null", "{", "[]", '{"phase": "bought"}'])
def test_a_damaged_file_orders_nothing_and_may_be_mended(
    sim: Simulator, attempt: Attempt, file: Path, content: str
) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(LedgerUnavailableError, match="Nothing was sent"):
        attempt(in_context=OLDER)
    assert sim.requests() == []
    file.unlink()
    assert attempt(in_context=OLDER)["status"] == "completed"
    assert sim.posts == 1


def test_a_folder_that_cannot_be_written_orders_nothing(
    sim: Simulator, attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", (tmp_path / "state").as_uri())
    with pytest.raises(LedgerUnavailableError):
        attempt(in_context=OLDER)
    assert sim.requests() == []


def test_an_unknown_outcome_names_the_file_to_delete(sim: Simulator, attempt: Attempt, file: Path) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "respond": {"status": 503}})
    with pytest.raises(AirflowFailException, match=re.escape(f"delete the record {file.as_uri()}")):
        attempt(in_context=OLDER)
    file.unlink()
    assert attempt(in_context=OLDER)["status"] == "completed"
    assert sim.posts == 2


def test_where_both_are_there_the_task_state_store_keeps_the_record(
    sim: Simulator, attempt: Attempt, file: Path, store: FakeStateStore
) -> None:
    attempt()
    assert store.record["status"] == "completed"
    assert not file.exists()
    assert sim.posts == 1


# ── Warnings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_any_store_each_attempt_says_so_once(sim: Simulator, attempt: Attempt, warned: Warnings) -> None:
    for number in (1, 2):
        attempt(try_number=number, in_context=OLDER)
        assert warned("PAY-ONCE IS OFF") == number, "not again when the task resumes"
    assert sim.posts == 2, "as it said"


def test_a_state_store_that_forgets_at_success_is_warned_of_once_in_each_attempt(
    sim: Simulator, attempt: Attempt, warned: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "True")
    for number in (1, 2):
        attempt(try_number=number)
        assert warned("clear_on_success is on") == number
    assert sim.posts == 1


def test_a_sound_store_is_no_reason_for_warnings(sim: Simulator, attempt: Attempt, warned: Warnings) -> None:
    attempt()
    assert warned("") == 0
    assert sim.posts == 1


# ── A job id that cannot be written ──────────────────────────────────────────────────────────────────────────────────


def test_the_record_in_the_error_put_into_the_store_lets_the_next_attempt_attach(
    simulate: Simulate,
    connect: Connect,
    attempt: Attempt,
    store: FakeStateStore,
    monkeypatch: pytest.MonkeyPatch,
    task_log: pytest.LogCaptureFixture,
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    real, tries = store.set, []

    def refuse_the_job(key: str, value: dict[str, Any], **options: object) -> None:
        if value["phase"] != "intent":
            tries.append(value)
            raise RuntimeError("API_SERVER_ERROR: 503")
        real(key, value, **options)

    monkeypatch.setattr(store, "set", refuse_the_job)
    monkeypatch.setitem(obtain.__kwdefaults__ or {}, "sleep", lambda _: None)
    with pytest.raises(JobTimedOutError):
        attempt(timeout=0.05)
    assert len(tries) == 5
    monkeypatch.setattr(store, "set", real)
    (error,) = [entry.getMessage() for entry in task_log.records if entry.levelname == "ERROR"]
    (job,) = sim.jobs()
    assert f"run this task with job_id='{job.id}'" in error
    with pytest.raises(AirflowFailException, match="never learned the outcome"):
        attempt(try_number=2)
    # What the error says, done in the UI.
    record = re.search(r"set the record 'orvideo_job' .* to (\{.*\})\. Until", error)
    assert record
    store.set("orvideo_job", json.loads(record[1]))
    sim.finish(job.id)
    assert attempt(try_number=3, max_tries=5)["job_id"] == job.id
    assert sim.posts == 1


def test_following_the_errors_other_advice_adopts_the_job(
    sim: Simulator, attempt: Attempt, store: FakeStateStore
) -> None:
    job_id = attempt()["job_id"]
    intent = {name: store.record[name] for name in ("fingerprint", "model", "conn_id", "intent_at")}
    store.set("orvideo_job", intent | {"phase": "intent"})
    with pytest.raises(AirflowFailException, match="adopt it"):
        attempt(try_number=2)
    assert attempt(try_number=3, job_id=job_id)["job_id"] == job_id
    assert sim.posts == 1

"""From the event to the record: each end is kept, no job is lost, and no record is written over by mistake."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.exceptions import JobTimedOutError, JobUnreachableError, LedgerUnavailableError
from airflow_provider_orvideo.ledger.decision import EndedWithoutVideo, Reuse, decide
from airflow_provider_orvideo.ledger.policies import DEFAULT_POLICIES
from airflow_provider_orvideo.ledger.record import PastJob, Phase, Record
from airflow_provider_orvideo.ledger.stores import NoStore
from airflow_provider_orvideo.operators.conclusion import conclude, settle
from airflow_provider_orvideo.polling.event import Outcome, WaitEvent

if TYPE_CHECKING:
    from collections.abc import Callable

SUBMITTED = Record(
    phase=Phase.SUBMITTED,
    fingerprint="same",
    model="google/veo-3.1",
    conn_id="c",
    intent_at=1000.0,
    submitted_at=1003.0,
    job_id="job-1",
    past=(PastJob(job_id="job-0"),),
)


@dataclass
class Shelf:
    """A store that keeps one record and may be away for reading or writing."""

    record: Record | None = SUBMITTED
    away: set[str] = field(default_factory=set)
    saves: int = 0
    where: str = "on a shelf"

    def load(self) -> Record | None:
        self._check("load")
        return self.record

    def save(self, record: Record) -> None:
        self._check("save")
        self.saves += 1
        self.record = record

    def delete(self) -> None:
        raise AssertionError("the end of a job deletes nothing")

    def _check(self, name: str) -> None:
        if name in self.away:
            raise LedgerUnavailableError(f"cannot {name}")


@pytest.fixture
def event_of() -> Callable[..., WaitEvent]:
    def make(outcome: Outcome = Outcome.ENDED, **changes: Any) -> WaitEvent:  # noqa: ANN401 - fields of the event
        values: dict[str, Any] = {
            "job_id": "job-1",
            "conn_id": "c",
            "model": "google/veo-3.1",
            "submitted_at": 1003.0,
            "observed_at": 1100.0,
            "status": "completed",
            "generation_id": "gen-1",
            "cost_usd": 0.4,
            "outputs": 2,
        }
        return WaitEvent(outcome=outcome, **(values | changes))

    return make


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired", "dead"])
def test_an_end_closes_the_record_and_the_next_attempt_pays_nothing(
    event_of: Callable[..., WaitEvent], status: str
) -> None:
    shelf = Shelf()
    record = settle(event_of(status=status, error="because"), shelf)
    assert shelf.record == record
    assert (record.phase, record.status, record.error, record.finished_at) == (
        Phase.TERMINAL,
        status,
        "because",
        1100.0,
    )
    assert (record.cost_usd, record.outputs, record.generation_id) == (0.4, 2, "gen-1")
    assert (record.fingerprint, record.intent_at, record.past) == ("same", 1000.0, (PastJob(job_id="job-0"),))
    assert isinstance(decide(record, order="same"), Reuse if status == "completed" else EndedWithoutVideo)


def test_settling_twice_is_settling_once(event_of: Callable[..., WaitEvent]) -> None:
    shelf = Shelf()
    assert settle(event_of(), shelf) == settle(event_of(), shelf) == shelf.record


@pytest.mark.parametrize(
    ("changes", "kind", "parts"),
    [
        (
            {"outcome": Outcome.TIMED_OUT, "status": "in_progress"},
            JobTimedOutError,
            ("'in_progress'", "cannot be cancelled", "bills when it completes", "orders nothing", "'timeout'"),
        ),
        ({"outcome": Outcome.TIMED_OUT, "status": None}, JobTimedOutError, ("'unknown'",)),
        (
            {"outcome": Outcome.GAVE_UP, "status": None, "error": "HTTP 401: User not found."},
            JobUnreachableError,
            ("HTTP 401: User not found.", "bills when it completes", "Mend the cause", "orders nothing"),
        ),
    ],
)
def test_a_wait_that_saw_no_end_leaves_the_record_and_says_what_happens_next(
    event_of: Callable[..., WaitEvent],
    changes: dict[str, Any],
    kind: type[JobTimedOutError | JobUnreachableError],
    parts: tuple[str, ...],
) -> None:
    shelf = Shelf()
    with pytest.raises(kind) as caught:
        settle(event_of(**changes), shelf)
    assert caught.value.job_id == "job-1"
    for part in ("job-1", *parts):
        assert part in str(caught.value)
    assert shelf.record == SUBMITTED
    assert shelf.saves == 0


@pytest.mark.parametrize(("given", "kept"), [(5, 5), (None, 2)])
def test_the_end_is_dated_by_max_tries_so_that_a_later_clear_shows(
    event_of: Callable[..., WaitEvent], given: int | None, kept: int
) -> None:
    shelf = Shelf(SUBMITTED.model_copy(update={"max_tries": 2}))
    assert settle(event_of(), shelf, max_tries=given).max_tries == kept
    assert shelf.record is not None
    assert shelf.record.max_tries == kept


@pytest.mark.parametrize("phase", [Phase.INTENT, Phase.SUBMITTED])
def test_an_end_keeps_all_that_the_record_knew(event_of: Callable[..., WaitEvent], phase: Phase) -> None:
    known = {"lost": (1.0, 2.0), "max_tries": 2, "try_number": 1, "evidence": "HTTP 503", "detached_at": 1004.0}
    start = SUBMITTED if phase == Phase.SUBMITTED else SUBMITTED.model_copy(update={"job_id": None})
    shelf = Shelf(start.model_copy(update={"phase": phase, "adopted": phase == Phase.SUBMITTED, **known}))
    before = shelf.record
    assert before is not None
    record = settle(event_of(), shelf)
    assert {name: getattr(record, name) for name in known} == known
    assert (record.adopted, record.model, record.conn_id) == (before.adopted, before.model, before.conn_id)


# ── The store fails, or holds something else ─────────────────────────────────────────────────────────────────────────


def test_an_end_that_cannot_be_kept_is_still_handed_on(
    event_of: Callable[..., WaitEvent], caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(away={"save"})
    manifest = conclude(settle(event_of(), shelf), shelf, DEFAULT_POLICIES)
    assert (manifest.job_id, manifest.status, manifest.cost_usd) == ("job-1", "completed", 0.4)
    assert shelf.record == SUBMITTED
    (warning,) = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert "job-1" in warning.getMessage()


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_record_that_cannot_be_read_is_not_written_over(
    event_of: Callable[..., WaitEvent], status: str, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(away={"load"})
    record = settle(event_of(status=status), shelf)
    assert (record.job_id, record.status, record.model, record.conn_id) == ("job-1", status, "google/veo-3.1", "c")
    assert (record.cost_usd, record.outputs, record.submitted_at) == (0.4, 2, 1003.0)
    assert shelf.saves == 0
    # Had it been, the next attempt would take the order for a changed one, and pay.
    assert shelf.record == SUBMITTED
    assert "job-1" in caplog.text


def test_an_intent_whose_job_id_never_got_written_is_closed_as_this_jobs(
    event_of: Callable[..., WaitEvent],
) -> None:
    intent = SUBMITTED.model_copy(update={"phase": Phase.INTENT, "job_id": None, "submitted_at": None})
    shelf = Shelf(intent)
    record = settle(event_of(), shelf)
    assert shelf.record == record
    assert (record.phase, record.job_id, record.fingerprint) == (Phase.TERMINAL, "job-1", "same")
    assert (record.intent_at, record.submitted_at) == (1000.0, 1003.0)
    assert record.past == (PastJob(job_id="job-0"),)
    assert record.all_lost() == (), "the outcome of this POST is known by now"
    assert isinstance(decide(record, order="same"), Reuse)


def test_a_record_of_another_job_is_not_written_over(
    event_of: Callable[..., WaitEvent], caplog: pytest.LogCaptureFixture
) -> None:
    newer = SUBMITTED.model_copy(update={"job_id": "job-2"})
    shelf = Shelf(newer)
    record = settle(event_of(), shelf)
    assert record.job_id == "job-1"
    assert record.status == "completed"
    assert shelf.record == newer
    assert "job-2" in caplog.text


@pytest.mark.parametrize("store", [NoStore(), Shelf(None)], ids=["no store", "nothing in it"])
def test_without_a_record_the_event_is_enough(event_of: Callable[..., WaitEvent], store: NoStore | Shelf) -> None:
    manifest = conclude(settle(event_of(), store), store, DEFAULT_POLICIES)
    assert (manifest.job_id, manifest.model, manifest.conn_id) == ("job-1", "google/veo-3.1", "c")
    assert (manifest.outputs, manifest.submitted_at) == (2, "1970-01-01T00:16:43+00:00")
    manifest = conclude(settle(event_of(model=None), store), store, DEFAULT_POLICIES)
    assert manifest.model in {"unknown", "google/veo-3.1"}

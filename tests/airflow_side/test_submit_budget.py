"""A budget that the tasks of a run share, through the operator: what is ordered, counted and given back.

The video that these tests order costs $0.05 by the catalogue, and the simulator bills that.
"""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.exceptions import (
    BudgetExceededError,
    ConfigurationError,
    JobTimedOutError,
    LedgerUnavailableError,
    OutcomeUnknownError,
    PaymentRequiredError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Attempt, Connect, FakeStateStore, Simulate

    Mapped = Callable[..., dict[str, Any]]
    Log = Callable[..., list[dict[str, Any]]]

POST = {"operation": "createVideos"}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that ``[orvideo] state_path`` names."""
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", (tmp_path / "state").as_uri())
    return tmp_path / "state"


@pytest.fixture
def log(state: Path) -> Log:
    """Read a budget's log, oldest entry first."""

    def read(name: str = "submit") -> list[dict[str, Any]]:
        folder = state / "films/manual__1/orvideo.budgets" / name
        paths = sorted(folder.glob("*.json")) if folder.exists() else []
        return [json.loads(path.read_text()) for path in paths if path.name != "000000.json"]

    return read


def told(entries: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(entry["event"], entry["holder"], entry["amount_usd"]) for entry in entries]


@pytest.fixture
def mapped(store: FakeStateStore) -> Mapped:
    """Tell what the context of one of a mapped task's instances holds, its own state store included."""
    stores = {index: type(store)() for index in range(9)}

    def of(index: int, **changes: object) -> dict[str, Any]:
        identity = {"dag_id": "films", "run_id": "manual__1", "task_id": "submit", "map_index": index}
        instance = SimpleNamespace(**{**identity, "try_number": 1, "max_tries": 2, **changes})
        return {"ti": instance, "task_state_store": stores[index]}

    return of


# ── What it buys ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mapped_set_orders_what_the_budget_buys_and_no_more(
    simulate: Simulate, connect: Connect, attempt: Attempt, mapped: Mapped, log: Log
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    for index in (0, 1):
        with pytest.raises(JobTimedOutError):
            attempt(run_budget_usd="0.10", timeout=0.05, in_context=mapped(index))
    with pytest.raises(BudgetExceededError, match=r"\$0\.10 reserved .* nothing is left") as caught:
        attempt(run_budget_usd="0.10", timeout=0.05, in_context=mapped(2))
    assert not isinstance(caught.value, AirflowFailException), "a retry may find more"
    assert sim.posts == 2
    assert mapped(2)["task_state_store"].record == {}, "the next attempt may order"
    assert told(log()) == [("reserved", "submit.0", "0.05"), ("reserved", "submit.1", "0.05")]


def test_a_retry_follows_its_job_without_a_second_reservation_and_settles_what_it_cost(
    simulate: Simulate, connect: Connect, attempt: Attempt, log: Log
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    for number in (1, 2):
        with pytest.raises(JobTimedOutError):
            attempt(try_number=number, run_budget_usd="0.07", timeout=0.05)
    assert told(log()) == [("reserved", "submit.-1", "0.05")]
    sim.finish(sim.jobs()[0].id)
    assert attempt(try_number=3, run_budget_usd="0.07")["cost_usd"] == 0.05
    assert sim.posts == 1
    assert told(log()) == [("reserved", "submit.-1", "0.05"), ("settled", "submit.-1", "0.05")]


def test_what_is_billed_counts_and_not_what_was_estimated(
    sim: Simulator, attempt: Attempt, mapped: Mapped, log: Log
) -> None:
    dearer = {"model": "alibaba/wan-3.0", "duration": 2, "run_budget_usd": "0.30"}
    attempt(**dearer, in_context=mapped(0))
    assert told(log()) == [("reserved", "submit.0", "0.10"), ("settled", "submit.0", "0.2125")]
    with pytest.raises(BudgetExceededError, match=r"\$0\.2125 is spent .* \$0\.0875 is left"):
        attempt(**dearer, in_context=mapped(1))
    assert sim.posts == 1


def test_a_job_that_failed_at_an_unknown_cost_stays_counted(
    simulate: Simulate, connect: Connect, attempt: Attempt, log: Log
) -> None:
    sim = simulate(is_byok=True)
    connect(sim)
    assert attempt(run_budget_usd="0.07")["cost_usd"] is None
    assert told(log()) == [("reserved", "submit.-1", "0.05"), ("settled", "submit.-1", "0.05")]


def test_a_clear_uses_what_was_bought_and_a_new_order_counts_beside_it(
    sim: Simulator, attempt: Attempt, log: Log
) -> None:
    attempt(run_budget_usd="0.09")
    attempt(try_number=2, max_tries=3, run_budget_usd="0.09")
    assert len(log()) == 2
    with pytest.raises(BudgetExceededError, match=r"\$0\.05 is spent"):
        attempt(try_number=2, max_tries=3, on_clear="submit", run_budget_usd="0.09")
    attempt(try_number=2, max_tries=3, on_clear="submit", run_budget_usd="0.10")
    assert sim.posts == 2
    assert told(log())[2:] == [("reserved", "submit.-1", "0.05"), ("settled", "submit.-1", "0.05")]


@pytest.mark.usefixtures("state")
def test_a_record_that_a_clear_discarded_does_not_free_the_money_of_a_job_under_way(
    simulate: Simulate, connect: Connect, attempt: Attempt, store: FakeStateStore
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    with pytest.raises(JobTimedOutError):
        attempt(timeout=0.05, run_budget_usd="0.09")
    store.values.clear()
    with pytest.raises(BudgetExceededError):
        attempt(try_number=2, max_tries=3, timeout=0.05, run_budget_usd="0.09")
    assert sim.posts == 1


def test_tasks_that_name_a_budget_share_it_below_airflow_3_3_too(
    sim: Simulator, attempt: Attempt, mapped: Mapped, log: Log
) -> None:
    older = {"run_budget_usd": "0.09", "budget_name": "films"}
    attempt(**older, in_context={**mapped(0), "task_state_store": None})
    with pytest.raises(BudgetExceededError, match="'films'"):
        attempt(**older, in_context={**mapped(0, task_id="trailer"), "task_state_store": None})
    assert sim.posts == 1
    assert told(log("films")) == [("reserved", "submit.0", "0.05"), ("settled", "submit.0", "0.05")]


def test_a_job_that_is_adopted_needs_no_budget(sim: Simulator, attempt: Attempt, mapped: Mapped, log: Log) -> None:
    job_id = attempt(in_context=mapped(0))["job_id"]
    assert attempt(in_context=mapped(1), job_id=job_id, run_budget_usd="0.01")["status"] == "completed"
    assert log() == []
    assert sim.posts == 1


def test_without_a_budget_nothing_is_written(sim: Simulator, attempt: Attempt, state: Path) -> None:
    for nothing in (None, "", "None"):
        attempt(run_budget_usd=nothing)
    assert sim.posts == 1
    assert not state.exists()


# ── What is given back ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_that_was_refused_frees_its_money(sim: Simulator, attempt: Attempt, mapped: Mapped, log: Log) -> None:
    sim.add_fault({"match": POST, "times": 1, "respond": {"status": 402}})
    with pytest.raises(PaymentRequiredError):
        attempt(run_budget_usd="0.05", in_context=mapped(0))
    assert told(log()) == [("reserved", "submit.0", "0.05"), ("released", "submit.0", "0.05")]
    attempt(run_budget_usd="0.05", in_context=mapped(1))
    assert sim.posts == 2


def test_a_record_that_cannot_be_written_frees_the_money_and_orders_nothing(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, log: Log
) -> None:
    store.broken = {"set"}
    with pytest.raises(LedgerUnavailableError):
        attempt(run_budget_usd="0.05")
    assert [entry["event"] for entry in log()] == ["reserved", "released"]
    assert sim.posts == 0


def test_an_order_of_which_nobody_knows_keeps_its_money(
    sim: Simulator, attempt: Attempt, mapped: Mapped, log: Log
) -> None:
    sim.add_fault({"match": POST, "times": 1, "respond": {"status": 503, "when": "after"}})
    with pytest.raises(AirflowFailException):
        attempt(run_budget_usd="0.09", in_context=mapped(0))
    with pytest.raises(BudgetExceededError, match=r"\$0\.05 reserved"):
        attempt(run_budget_usd="0.09", in_context=mapped(1))
    assert told(log()) == [("reserved", "submit.0", "0.05")]


def test_after_an_unknown_outcome_another_order_needs_money_of_its_own(
    sim: Simulator, attempt: Attempt, log: Log
) -> None:
    sim.add_fault({"match": POST, "times": 1, "respond": {"status": 503, "when": "after"}})
    again = {"on_ambiguous_submit": "resubmit", "run_budget_usd": "0.10"}
    with pytest.raises(OutcomeUnknownError):
        attempt(**again)
    attempt(try_number=2, **again)
    assert log()[-1]["spent_usd"] == "0.10"


def test_a_worker_that_died_before_the_order_left_leaves_its_money_to_the_next_attempt(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "set", die)
        with pytest.raises(Killed):
            attempt(run_budget_usd="0.05")
    attempt(try_number=2, run_budget_usd="0.05")
    assert sim.posts == 1
    assert [entry["event"] for entry in log()] == ["reserved", "settled"]


# ── A paid job is never lost over it ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trouble", ["unreadable", "no state_path", "no budget"])
def test_a_budget_that_cannot_be_settled_is_a_warning(
    simulate: Simulate,
    connect: Connect,
    attempt: Attempt,
    state: Path,
    task_log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    with pytest.raises(JobTimedOutError):
        attempt(timeout=0.05, run_budget_usd="0.05")
    if trouble == "unreadable":
        (state / "films/manual__1/orvideo.budgets/submit/000001.json").write_text("{")
    elif trouble == "no state_path":
        monkeypatch.delenv("AIRFLOW__ORVIDEO__STATE_PATH")
    sim.finish(sim.jobs()[0].id)
    manifest = attempt(try_number=2, run_budget_usd="lots" if trouble == "no budget" else "0.05")
    assert manifest["status"] == "completed"
    warnings = [each.getMessage() for each in task_log.records if each.levelname == "WARNING"]
    assert any(f"What job {manifest['job_id']} cost could not be written" in text for text in warnings)


@pytest.mark.usefixtures("state")
def test_a_budget_that_cannot_be_released_is_a_warning(
    sim: Simulator, attempt: Attempt, task_log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_orvideo.ledger.budget import RunBudget  # noqa: PLC0415 - heavy

    def refuse(*_: object) -> None:
        raise LedgerUnavailableError("the bucket is gone")

    monkeypatch.setattr(RunBudget, "release", refuse)
    sim.add_fault({"match": POST, "times": 1, "respond": {"status": 402}})
    with pytest.raises(PaymentRequiredError):
        attempt(run_budget_usd="0.05")
    assert "may go on counting what was reserved: the bucket is gone" in task_log.text
    attempt(try_number=2, run_budget_usd="0.05")


# ── Refused before anything is sent ──────────────────────────────────────────────────────────────────────────────────


def test_without_a_place_for_it_a_budget_orders_nothing_and_says_what_to_do(sim: Simulator, attempt: Attempt) -> None:
    with pytest.raises(ConfigurationError) as caught:
        attempt(run_budget_usd=1)
    for words in ("[orvideo] state_path", "max_cost_usd", "pool"):
        assert words in str(caught.value)
    assert sim.posts == 0


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"run_budget_usd": 0}, "'run_budget_usd' is 0"),
        ({"run_budget_usd": "a lot"}, "'run_budget_usd' is 'a lot'"),
        ({"run_budget_usd": True}, "'run_budget_usd' is True"),
        ({"run_budget_usd": 1, "budget_name": " "}, "'budget_name' is ' '"),
        ({"run_budget_usd": 1, "preflight": False}, "'preflight' is False"),
    ],
)
def test_a_budget_that_cannot_be_kept_orders_nothing(
    sim: Simulator, attempt: Attempt, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        attempt(**arguments)
    assert sim.posts == 0


@pytest.mark.usefixtures("pauses")
def test_an_unknown_cost_reserves_what_the_author_expects_at_most_or_is_refused(
    sim: Simulator, attempt: Attempt, log: Log
) -> None:
    sim.add_fault({"match": {"operation": "listVideosModels"}, "respond": {"status": 503}})
    unknown: dict[str, Any] = {"run_budget_usd": "0.50"}
    with pytest.raises(AirflowFailException, match=r"cost is unknown.*set 'max_cost_usd'"):
        attempt(**unknown)
    assert sim.posts == 0
    assert log() == []
    attempt(try_number=2, max_cost_usd="0.30", **unknown)
    assert told(log()) == [("reserved", "submit.-1", "0.30"), ("settled", "submit.-1", "0.05")]


@pytest.mark.usefixtures("state")
def test_a_budget_may_be_a_template(sim: Simulator, attempt: Attempt, mapped: Mapped) -> None:
    values = {**mapped(0), "params": {"budget": 0.05}}
    attempt(run_budget_usd="{{ params.budget }}", in_context=values)
    with pytest.raises(BudgetExceededError):
        attempt(run_budget_usd="{{ params.budget }}", in_context={**mapped(1), "params": {"budget": 0.05}})
    assert sim.posts == 1

"""What a batch may spend: estimates are reserved, bills replace them, and what does not fit is not ordered."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.exceptions import BatchIncompleteError, CostLimitError
from airflow_provider_orvideo.ledger.record import PastJob, Phase, Record
from airflow_provider_orvideo.operators.batching import order
from airflow_provider_orvideo.operators.batching.lines import Line, LineStatus
from airflow_provider_orvideo.operators.batching.spending import Spending
from airflow_provider_orvideo.preflight.inspection import Inspected
from airflow_provider_orvideo.preflight.inspection import inspect as look
from airflow_provider_orvideo.preflight.pricing import Estimate

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.simulator import Simulator
    from tests.batch.conftest import Attempt, Mode, ReadManifest

#: What one item of the tests' batches costs, in US dollars.
PRICE = 0.05


def record(**changes: Any) -> Record:  # noqa: ANN401 - fields of the record
    values: dict[str, Any] = {"phase": Phase.TERMINAL, "fingerprint": "f", "model": "m", "conn_id": "c"}
    return Record(**{**values, "intent_at": 1.0, "job_id": "j", **changes})


def priced(usd: str) -> Estimate:
    return Estimate(low=Decimal(usd), high=Decimal(usd))


def fits(spending: Spending, usd: str) -> bool:
    """Ask whether an order would fit, without keeping its reservation."""
    try:
        spending.reserve("probe", priced(usd))
    except CostLimitError:
        return False
    spending.release("probe")
    return True


# ── The sums ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_reserved_counts_until_it_is_given_back() -> None:
    spending = Spending(Decimal("1.00"), None)
    spending.reserve("a", priced("0.60"))
    assert fits(spending, "0.40")
    assert not fits(spending, "0.41")
    spending.begin()
    spending.release("a")
    assert spending.has_freed
    assert fits(spending, "1.00")


def test_a_bill_takes_the_place_of_its_reservation() -> None:
    spending = Spending(Decimal("1.00"), None)
    spending.reserve("a", priced("0.90"))
    spending.count("a", record(phase=Phase.SUBMITTED, estimated_cost_usd=0.9))
    assert not fits(spending, "0.11")
    spending.count("a", record(cost_usd=0.3, estimated_cost_usd=0.9))
    assert fits(spending, "0.70")
    assert not fits(spending, "0.71")


@pytest.mark.parametrize(
    ("kept", "spent"),
    [
        (record(cost_usd=0.3, estimated_cost_usd=0.5), "0.3"),
        (record(cost_usd=0.0, estimated_cost_usd=0.5), "0"),
        (record(cost_usd=None, estimated_cost_usd=0.5), "0.5"),
        (record(cost_usd=None), "0.4"),
        (record(phase=Phase.SUBMITTED, cost_usd=None, estimated_cost_usd=0.5), "0.5"),
        (record(phase=Phase.INTENT, job_id=None, estimated_cost_usd=0.5), "0.5"),
        (record(cost_usd=0.1, past=(PastJob(job_id="p", cost_usd=0.2),), lost=(1.0,), estimated_cost_usd=0.5), "0.8"),
        (record(cost_usd=float("nan"), estimated_cost_usd=0.5), "0.5"),
    ],
    ids=["billed", "free", "no bill", "nothing known", "under way", "ambiguous", "with a past", "no number"],
)
def test_every_job_of_an_item_counts(kept: Record, spent: str) -> None:
    spending = Spending(Decimal(10), Decimal("0.4"))
    spending.count("a", kept)
    left = Decimal(10) - Decimal(spent)
    assert fits(spending, str(left))
    assert not fits(spending, str(left + Decimal("0.01")))


def test_an_item_that_is_no_longer_asked_for_has_cost_what_it_cost() -> None:
    spending = Spending(Decimal(1), None)
    spending.count_line(Line(item="x", status=LineStatus.DROPPED, job_id="j", cost_usd=0.75))
    assert not fits(spending, "0.26")


def test_an_unknown_cost_needs_something_that_stands_in_for_it() -> None:
    unknown = Estimate(reason="unknown: the model has no price list")
    with pytest.raises(CostLimitError, match="set 'max_cost_usd' to what it costs at most"):
        Spending(Decimal(1), None).reserve("a", unknown)
    spending = Spending(Decimal(1), Decimal("0.6"))
    spending.reserve("a", unknown)
    assert not fits(spending, "0.41")


def test_without_a_budget_everything_fits() -> None:
    assert fits(Spending(None, None), "1000000")


def test_several_threads_together_do_not_exceed_the_budget() -> None:
    spending = Spending(Decimal("1.00"), None)
    taken: list[int] = []

    def take(number: int) -> None:
        for turn in range(20):
            try:
                spending.reserve(f"{number}.{turn}", priced("0.01"))
            except CostLimitError:
                continue
            taken.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 100


# ── The batch ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_does_not_fit_is_not_ordered_and_a_retry_would_not_mend_that(
    sim: Simulator, attempt: Attempt, read_manifest: ReadManifest, mode: Mode
) -> None:
    arguments: dict[str, Any] = {**mode, "max_concurrent_submits": 1}
    with pytest.raises(AirflowFailException, match="2 of 4 items landed; not so 2: 2 not ordered"):
        attempt(*"abcd", budget_usd=2.5 * PRICE, **arguments)
    assert sim.posts == 2
    assert [line["status"] for line in read_manifest()] == ["landed", "landed", "not_ordered", "not_ordered"]
    assert "Raise 'budget_usd'" in read_manifest()[2]["error"]
    assert attempt(*"abcd", budget_usd=4 * PRICE, try_number=2, **arguments)["landed"] == 4
    assert sim.posts == 4


def test_bills_below_their_estimates_make_room(sim: Simulator, attempt: Attempt) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "job": {"cost": "0.01"}})
    summary = attempt(*"abcd", budget_usd=2 * PRICE, max_concurrent_submits=1)
    assert (summary["landed"], summary["cost_usd"]) == (4, pytest.approx(0.04))
    assert sim.posts == 4


def test_an_order_that_was_refused_makes_room_in_the_same_pass(
    sim: Simulator, attempt: Attempt, read_manifest: ReadManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inspect(client: Any, request: VideoRequest, rules: Any) -> Inspected:  # noqa: ANN401 - passed on
        found = look(client, request, rules)
        if request.prompt == "b":
            sim.wait_for_requests(1, operation="createVideos")
        return found

    # The first holds all there is until the second has asked for it.
    monkeypatch.setattr(order, "inspect", inspect)
    slow = {"match": {"operation": "createVideos", "prompt_contains": "a"}, "delay": 0.5, "respond": {"status": 400}}
    sim.add_fault(slow)
    summary = attempt(*"ab", budget_usd=PRICE, max_concurrent_submits=2, fail_on_partial_error=False)
    assert (summary["landed"], summary["failed"], summary["not_ordered"]) == (1, 1, 0)
    assert [line["status"] for line in read_manifest()] == ["refused", "landed"]
    assert sim.posts == 2


def test_one_item_that_is_too_dear_stops_no_other(
    sim: Simulator, attempt: Attempt, read_manifest: ReadManifest
) -> None:
    with pytest.raises(AirflowFailException, match="1 not ordered"):
        attempt("a", {"prompt": "b", "duration": 10}, "c", max_cost_usd=2 * PRICE)
    assert [line["status"] for line in read_manifest()] == ["landed", "not_ordered", "landed"]
    assert sim.posts == 2


@pytest.mark.parametrize(
    "arguments", [{"budget_usd": "a lot"}, {"budget_usd": 1, "preflight": False}, {"max_cost_usd": -1}]
)
def test_a_bound_that_cannot_be_kept_stops_orders_and_not_the_landing_of_what_is_paid_for(
    sim: Simulator, attempt: Attempt, arguments: dict[str, Any]
) -> None:
    with pytest.raises(BatchIncompleteError, match=r"0 of 3 items landed.*(budget_usd|max_cost_usd)"):
        attempt(**arguments)
    assert sim.posts == 0
    attempt()
    assert attempt(try_number=2, **arguments)["landed"] == 3
    assert sim.posts == 3


def test_what_landed_before_the_task_woke_still_counts(
    sim: Simulator, attempt: Attempt, read_manifest: ReadManifest
) -> None:
    arguments: dict[str, Any] = {"deferrable": True, "max_in_flight": 1, "budget_usd": 2 * PRICE}
    with pytest.raises((AirflowFailException, BatchIncompleteError), match="2 of 4 items landed"):
        attempt("a boat", "a bridge", "a bird", "a beach", **arguments)
    assert [line["status"] for line in read_manifest()] == ["landed", "landed", "not_ordered", "not_ordered"]
    assert sim.posts == 2

"""What a budget's account says of any history of orders: pure, and exact to the cent and beyond."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_provider_orvideo.ledger.budget_account import Account, Entry, Event, Line

A, B = "submit.0", "submit.1"
amounts = st.decimals(min_value="0.01", max_value="99", places=7)


def usd(text: str) -> Decimal:
    return Decimal(text)


def test_what_is_reserved_and_spent_adds_up_over_task_instances() -> None:
    account = Account().reserve(A, "0", usd("0.40")).reserve(B, "0", usd("0.30")).settle(A, usd("0.45"))
    assert (account.spent, account.reserved, account.committed) == (usd("0.45"), usd("0.30"), usd("0.75"))


def test_each_attempt_at_an_order_reserves_it_once() -> None:
    once = Account().reserve(A, "0", usd("0.40"))
    assert once.reserve(A, "0", usd("0.40")) == once


def test_a_changed_amount_adjusts_the_reservation() -> None:
    account = Account().reserve(A, "0", usd("0.40")).reserve(A, "0", usd("0.25"))
    assert (account.spent, account.reserved) == (usd("0"), usd("0.25"))


def test_the_next_order_of_a_task_instance_counts_beside_what_the_last_one_cost() -> None:
    account = Account().reserve(A, "0", usd("0.40")).settle(A, usd("0.10")).reserve(A, "1", usd("0.40"))
    assert (account.spent, account.reserved) == (usd("0.10"), usd("0.40"))


def test_an_order_that_was_never_settled_stays_counted_when_the_next_one_is_reserved() -> None:
    account = Account().reserve(A, "0", usd("0.40")).reserve(A, "1", usd("0.30"))
    assert (account.spent, account.reserved) == (usd("0.40"), usd("0.30"))
    assert account.release(A, "1").committed == usd("0.40")


def test_an_unknown_cost_is_taken_for_what_was_reserved() -> None:
    account = Account().reserve(A, "0", usd("0.40")).settle(A, None)
    assert (account.spent, account.reserved) == (usd("0.40"), usd("0"))


def test_a_video_that_cost_nothing_gives_all_back() -> None:
    assert Account().reserve(A, "0", usd("0.40")).settle(A, usd("0")) == Account()


def test_only_an_open_reservation_is_settled_or_released_and_only_once() -> None:
    reserved = Account().reserve(A, "0", usd("0.40"))
    settled = reserved.settle(A, usd("0.10"))
    assert settled.settle(A, usd("9")) == settled.release(A, "0") == settled
    assert reserved.settle(B, usd("9")) == reserved.release(B, "0") == reserved.release(A, "1") == reserved
    assert reserved.release(A, "0") == Account()


def test_the_callers_own_rounding_does_not_touch_money() -> None:
    with localcontext(prec=2):
        account = Account().reserve(A, "0", usd("10.0000035")).reserve(B, "0", usd("0.0000001"))
        assert account.committed == usd("10.0000036")


@given(
    st.lists(st.tuples(st.sampled_from([A, B]), st.sampled_from("0123"), amounts, st.sampled_from("rsku")), max_size=30)
)
def test_no_history_loses_money_that_may_have_been_spent(history: list[tuple[str, str, Decimal, str]]) -> None:
    account = Account()
    for holder, order, amount, act in history:
        before = account
        if act == "r":
            account = account.reserve(holder, order, amount)
            replaced = before.line(holder).reserved if before.line(holder).order == order else Decimal(0)
            assert account.committed == before.committed + amount - replaced
        elif act == "s":
            account = account.settle(holder, amount)
            gone = before.line(holder).reserved
            assert account.committed == before.committed + (amount - gone if gone else 0)
        elif act == "k":
            account = account.settle(holder, None)
            assert account.committed == before.committed
        else:
            account = account.release(holder, order)
            gone = before.line(holder).reserved if before.line(holder).order == order else Decimal(0)
            assert account.committed == before.committed - gone
        other = B if holder == A else A
        assert account.line(other) == before.line(other)


# ── Entries ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def entry(**changes: object) -> dict[str, object]:
    return {
        "number": 1,
        "at": "2026-11-22T12:00:00+00:00",
        "event": "reserved",
        "holder": A,
        "amount_usd": "0.40",
        "spent_usd": "0",
        "reserved_usd": "0.40",
        "lines": {A: {"reserved": "0.40", "order": "0"}},
        **changes,
    }


def test_amounts_are_text_in_json_and_come_back_exactly() -> None:
    read = Entry.model_validate(entry(amount_usd="0.10000000000000000001"))
    assert read.event == Event.RESERVED
    assert read.lines == {A: Line(reserved=usd("0.40"), order="0")}
    assert read.model_dump(mode="json")["amount_usd"] == "0.10000000000000000001"
    assert Entry.model_validate(read.model_dump(mode="json")) == read


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"event": "spent"},
        {"amount_usd": "-0.1"},
        {"amount_usd": "NaN"},
        {"reserved_usd": "Infinity"},
        {"lines": None},
        {"lines": {A: {"reserved": "a lot"}}},
        {"lines": {A: {"spent": "-1"}}},
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Entry.model_validate(entry(**changes))

"""The look before an order leaves, against a server that answers as scripted: what passes, and what is never sent."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import (
    BudgetExceededError,
    ConfigurationError,
    CostLimitError,
    OrVideoError,
    RequestUnsupportedError,
)
from airflow_provider_orvideo.preflight.inspection import Inspected, Rules, dollars, inspect
from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Look = Callable[..., Inspected]

#: Costs $0.05.
ORDER: dict[str, Any] = {"model": "x-ai/grok-imagine-video", "prompt": "a boat", "duration": 1, "resolution": "480p"}


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(SimulatorSettings()) as simulator:
        yield simulator


@pytest.fixture
def sim(server: Simulator) -> Iterator[Simulator]:
    yield server
    server.reset()


@pytest.fixture
def look(sim: Simulator, tmp_path: Path) -> Iterator[Look]:
    """Look at an order under the given rules; the catalogue is read anew in each test."""
    config = ClientConfig(api_key="sk-or-test-1", base_url=sim.base_url, allow_insecure_http=True)
    with VideoClient(config, sleep=lambda _: None) as client:

        def run(*, order: dict[str, Any] | None = None, **rules: Any) -> Inspected:  # noqa: ANN401
            request = VideoRequest.build(**{**ORDER, **(order or {})})
            return inspect(client, request, Rules(cache_dir=str(tmp_path), **rules))

        yield run


def answer(sim: Simulator, operation: str, **respond: object) -> None:
    sim.add_fault({"match": {"operation": operation}, "respond": respond})


def tell_key(sim: Simulator, **facts: object) -> None:
    data = {"limit": None, "limit_remaining": None, "is_management_key": False, **facts}
    answer(sim, "getKey", status=200, body={"data": data})


def test_what_is_possible_and_allowed_passes_with_its_estimate(look: Look, sim: Simulator) -> None:
    found = look(max_cost_usd=Decimal("0.05"))
    assert found.request == VideoRequest.build(**ORDER)
    assert found.estimate is not None
    assert found.estimate.usd == Decimal("0.05")
    assert sim.posts == 0


def test_nobody_looks_where_nobody_is_to(look: Look, sim: Simulator) -> None:
    assert look(preflight=False) == Inspected(VideoRequest.build(**ORDER))
    assert sim.requests() == []


def test_what_the_model_does_not_support_is_not_sent(look: Look) -> None:
    with pytest.raises(RequestUnsupportedError, match=r"'resolution' is '8K': x-ai/grok-imagine-video supports "):
        look(order={"resolution": "8K"})


def test_what_is_adjusted_is_what_is_estimated_and_sent(look: Look) -> None:
    found = look(order={"resolution": "360p"}, on_unsupported="adjust")
    assert found == look()


def test_more_than_the_limit_is_not_sent(look: Look) -> None:
    with pytest.raises(CostLimitError, match=r"nothing was spent.*more than the 'max_cost_usd' of \$0\.04"):
        look(max_cost_usd=Decimal("0.04"))


def test_a_model_that_is_not_listed_has_no_estimate(look: Look, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = look(order={"model": "someone/else"}, on_unsupported="warn")
    assert found.estimate is not None
    assert found.estimate.reason == "the catalogue does not list someone/else"
    assert "Estimated cost: " in caplog.text


def test_a_catalogue_that_cannot_be_read_stops_nothing_by_itself(
    look: Look, sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    answer(sim, "listVideosModels", status=500, body={})
    found = look(max_cost_usd=Decimal(1))
    assert found.estimate is not None
    assert found.estimate.reason == "the catalogue of models cannot be read"
    assert "catalogue cannot be read: " in caplog.text
    assert "'max_cost_usd' of $1.00 cannot be kept" in caplog.text


def test_an_unknown_cost_is_refused_where_that_is_wanted(look: Look, sim: Simulator) -> None:
    answer(sim, "listVideosModels", status=500, body={})
    with pytest.raises(CostLimitError, match="'on_unknown_cost' is 'fail'"):
        look(on_unknown_cost="fail")


def test_the_catalogue_is_read_again_after_the_time_that_the_author_gives(look: Look, sim: Simulator) -> None:
    for _ in range(2):
        look(cache_ttl=0.0)
    assert len(sim.requests()) == 2
    for _ in range(2):
        look(cache_ttl=3600.0)
    assert len(sim.requests()) == 2


# ── The key ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["is_management_key", "is_provisioning_key"])
def test_a_key_that_may_not_generate_is_told_before(look: Look, sim: Simulator, kind: str) -> None:
    tell_key(sim, **{kind: True})
    with pytest.raises(BudgetExceededError, match="management key"):
        look(check_budget=True)


@pytest.mark.parametrize(("left", "said"), [(None, "no spending limit"), (0.05, "has $0.05 left")])
def test_a_key_with_enough_left_passes(
    look: Look, sim: Simulator, caplog: pytest.LogCaptureFixture, left: float | None, said: str
) -> None:
    caplog.set_level(logging.INFO)
    tell_key(sim, limit_remaining=left)
    look(check_budget=True)
    assert said in caplog.text


@pytest.mark.parametrize(
    ("left", "preflight", "said"), [(0.04, True, "is estimated at"), (0, False, "costs something")]
)
def test_a_key_with_too_little_left_is_told_before(
    look: Look, sim: Simulator, left: float, said: str, *, preflight: bool
) -> None:
    tell_key(sim, limit_remaining=left)
    with pytest.raises(BudgetExceededError, match=f"and this video {said}"):
        look(check_budget=True, preflight=preflight)


def test_without_an_estimate_any_money_is_enough(look: Look, sim: Simulator) -> None:
    tell_key(sim, limit_remaining=0.01)
    assert look(check_budget=True, preflight=False).estimate is None


def test_a_key_of_which_nothing_is_told_stops_the_order(look: Look, sim: Simulator) -> None:
    answer(sim, "getKey", status=500, body={})
    with pytest.raises(OrVideoError):
        look(check_budget=True)


# ── What the author wrote ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"on_unknown_cost": "ask"}, "'on_unknown_cost' is 'ask'"),
        ({"on_unsupported": "ask"}, "'on_unsupported' is 'ask'"),
        ({"preflight": False, "max_cost_usd": Decimal(1)}, "'preflight' is False"),
        ({"preflight": False, "on_unknown_cost": "fail"}, "'preflight' is False"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(rules: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Rules(**rules)


@pytest.mark.parametrize(
    ("written", "amount"),
    [(None, None), ("", None), (" None ", None), (0.5, Decimal("0.5")), ("1.25", Decimal("1.25")), (2, Decimal(2))],
)
def test_an_amount_may_be_a_number_or_text(written: object, amount: Decimal | None) -> None:
    assert dollars("max_cost_usd", written) == amount


@pytest.mark.parametrize("written", [True, 0, -1, "nan", "inf", "cheap", "$1"])
def test_what_is_no_amount_is_refused_by_name(written: object) -> None:
    with pytest.raises(ConfigurationError, match="'max_cost_usd'"):
        dollars("max_cost_usd", written)

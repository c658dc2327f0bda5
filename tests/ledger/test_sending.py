"""What leaves with an order, what is put on record of it, and who is told first."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import OutcomeUnknownError
from airflow_provider_orvideo.ledger.fingerprint import fingerprint
from airflow_provider_orvideo.ledger.purchase import Attempt, Prepared, obtain

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.ledger.record import Record
    from tests.ledger.conftest import Notebook, Shop

    Buy = Callable[..., Record]


class Board:
    """Gives one nonce, and knows of no call."""

    def require_usable(self) -> None:
        """It is."""

    def new_nonce(self) -> str:
        return "nonce-1"

    def url(self, nonce: str) -> str:
        return f"https://airflow.example.com/orvideo/webhook/{nonce}"

    def reported(self, nonce: str) -> None:
        """No call came."""


@pytest.fixture
def order() -> VideoRequest:
    return VideoRequest.build(model="google/veo-3.1", prompt="a lighthouse", duration=7)


@pytest.fixture
def buy(client: VideoClient, order: VideoRequest, notebook: Notebook) -> Buy:
    """One attempt; a clock that ticks by a second each time somebody looks."""
    ticks = itertools.count(1000)

    def attempt(
        request: VideoRequest = order,
        *,
        prepare: Callable[[VideoRequest], Prepared] = Prepared,
        first: Callable[[str], None] = lambda _order: None,
        **who: Any,  # noqa: ANN401 - fields of Attempt
    ) -> Record:
        asks = Attempt(conn_id="c", **who)
        clock = lambda: float(next(ticks))  # noqa: E731
        return obtain(client, request, notebook, asks, prepare=prepare, first=first, clock=clock, sleep=lambda _: None)

    return attempt


def test_the_callback_url_leaves_with_the_order(buy: Buy, shop: Shop) -> None:
    buy(callbacks=Board())
    (body,) = shop.bodies
    assert body["callback_url"] == "https://airflow.example.com/orvideo/webhook/nonce-1"


def test_without_webhooks_no_callback_url_leaves(buy: Buy, shop: Shop) -> None:
    buy()
    (body,) = shop.bodies
    assert body == {"model": "google/veo-3.1", "prompt": "a lighthouse", "duration": 7}


def test_what_is_sent_is_what_was_prepared_and_the_record_tells_of_the_difference(
    buy: Buy, shop: Shop, notebook: Notebook, client: VideoClient, order: VideoRequest
) -> None:
    def prepare(request: VideoRequest) -> Prepared:
        return Prepared(request.model_copy(update={"duration": 8}), estimated_cost_usd=0.5, estimated_low_usd=0.25)

    record = buy(prepare=prepare)
    (body,) = shop.bodies
    assert body["duration"] == 8
    (page,) = shop.pages
    assert page is not None
    for each in (record, page, notebook.peek()):
        assert each is not None
        assert (each.estimated_cost_usd, each.estimated_low_usd, each.adjusted) == (0.5, 0.25, {"duration": 8})
        assert each.fingerprint == fingerprint(order, conn_id="c", base_url=client.config.base_url)


def test_the_record_tells_those_who_watch_how_long_and_how_often_the_attempt_looks(buy: Buy) -> None:
    record = buy(timeout=60.0, poll_interval=5.0, try_number=3, max_tries=4)
    assert (record.submitted_at, record.deadline) == (1001.0, 1061.0)
    assert (record.poll_interval, record.try_number, record.max_tries) == (5.0, 3, 4)


def test_each_model_that_is_asked_is_asked_at_a_time_of_its_own(buy: Buy, shop: Shop) -> None:
    shop.script = [429, 429, 429]
    record = buy(models=("google/veo-3.1", "b/second"))
    assert [(refused.model, refused.at) for refused in record.refused] == [("google/veo-3.1", 1000.0)]
    assert (record.model, record.intent_at, record.submitted_at) == ("b/second", 1001.0, 1002.0)
    assert [body["model"] for body in shop.bodies] == [*["google/veo-3.1"] * 3, "b/second"]


@pytest.mark.parametrize(
    ("event", "status"), [(503, 503), (408, 408), (httpx.ReadTimeout("waited"), None)], ids=["503", "408", "timeout"]
)
@pytest.mark.parametrize("board", [None, Board()], ids=["no webhooks", "webhooks"])
def test_an_unknown_outcome_tells_its_status_and_whether_the_job_will_call_in(
    buy: Buy, shop: Shop, event: object, status: int | None, board: Board | None
) -> None:
    shop.script = [event]
    with pytest.raises(OutcomeUnknownError) as caught:
        buy(callbacks=board)
    assert caught.value.status_code == status
    assert caught.value.calls_in is (board is not None)
    assert ("calls this Airflow at its end" in str(caught.value)) is (board is not None)


def test_only_the_first_order_of_a_task_instance_is_announced(
    buy: Buy, notebook: Notebook, client: VideoClient, order: VideoRequest
) -> None:
    told: list[str] = []
    buy(first=told.append)
    assert told == [fingerprint(order, conn_id="c", base_url=client.config.base_url)]
    buy(first=told.append)
    buy(order.model_copy(update={"duration": 4}), first=told.append)
    assert len(told) == 1
    notebook.delete()
    buy(first=told.append)
    assert len(told) == 2


def test_who_is_told_of_the_first_order_may_stop_it(buy: Buy, shop: Shop, notebook: Notebook) -> None:
    def stop(_order: str) -> None:
        raise LookupError("wait for another task")

    with pytest.raises(LookupError):
        buy(first=stop)
    assert (shop.posts, notebook.page) == (0, None)

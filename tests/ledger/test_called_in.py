"""Orders with an unknown outcome whose jobs call in by webhook, and orders whose request cannot be told any more."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import (
    AmbiguousSubmitError,
    BeforeSendError,
    ConfigurationError,
    InputUnavailableError,
    LedgerUnavailableError,
    OutcomeUnknownError,
    RequestInvalidError,
)
from airflow_provider_orvideo.ledger.callbacks import UnusableCallbacks
from airflow_provider_orvideo.ledger.policies import Policies
from airflow_provider_orvideo.ledger.purchase import Attempt, obtain
from airflow_provider_orvideo.ledger.record import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.ledger.record import Record
    from tests.ledger.conftest import Notebook, Shop

    Buy = Callable[..., Record]


@dataclass(frozen=True)
class Report:
    job_id: str
    model: str | None = None


@dataclass
class Switchboard:
    """Callbacks as a test writes them.

    Attributes:
        reports: job ids by nonce.
        model: what every call says of its model.
        away: whether nobody can tell.
    """

    reports: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    away: bool = False
    given: int = 0

    def require_usable(self) -> None:
        """Whatever happens, an order may leave."""

    def new_nonce(self) -> str:
        self.given += 1
        return f"nonce-{self.given}"

    def url(self, nonce: str) -> str:
        return f"https://airflow.example.com/orvideo/webhook/{nonce}"

    def reported(self, nonce: str) -> Report | None:
        if self.away:
            raise LedgerUnavailableError("the store is away")
        assert nonce.startswith("nonce-"), "only what was given is asked for"
        return Report(self.reports[nonce], self.model) if nonce in self.reports else None


@pytest.fixture
def order() -> VideoRequest:
    return VideoRequest.build(model="google/veo-3.1", prompt="a lighthouse", duration=8)


@pytest.fixture
def board() -> Switchboard:
    return Switchboard()


@pytest.fixture
def buy(client: VideoClient, order: VideoRequest, notebook: Notebook, board: Switchboard) -> Buy:
    def attempt(request: Any = order, **arguments: Any) -> Record:  # noqa: ANN401
        policies = {name: arguments.pop(name) for name in ("on_ambiguous_submit", "on_clear") if name in arguments}
        max_tries = arguments.pop("max_tries", None)
        who = Attempt(conn_id="c", policies=Policies(**policies), callbacks=board, max_tries=max_tries, timeout=60.0)
        return obtain(client, request, notebook, who, clock=lambda: 1000.0, sleep=lambda _: None, **arguments)

    return attempt


def lose(buy: Buy, shop: Shop) -> None:
    shop.script = [httpx.ReadTimeout("waited")]
    with pytest.raises(OutcomeUnknownError) as caught:
        buy()
    assert caught.value.calls_in


def test_the_nonce_is_on_record_before_the_post_leaves_and_goes_with_it(
    client: VideoClient, order: VideoRequest, notebook: Notebook, shop: Shop, board: Switchboard
) -> None:
    who = Attempt(conn_id="c", callbacks=board)
    record = obtain(client, order, notebook, who, clock=lambda: 1000.0)
    assert record.nonce == "nonce-1"
    (page,) = shop.pages
    assert page is not None
    assert page.nonce == "nonce-1"


def test_a_callback_url_of_the_author_is_left_alone(
    client: VideoClient, order: VideoRequest, notebook: Notebook, board: Switchboard
) -> None:
    own = order.model_copy(update={"callback_url": "https://example.com/mine"})
    record = obtain(client, own, notebook, Attempt(conn_id="c", callbacks=board), clock=lambda: 1000.0)
    assert (record.nonce, board.given) == (None, 0)


def test_a_job_that_called_in_is_followed_and_nothing_is_ordered(
    buy: Buy, shop: Shop, notebook: Notebook, board: Switchboard
) -> None:
    lose(buy, shop)
    board.reports["nonce-1"], shop.known = "job-77", {"job-77": "completed"}
    record = buy()
    assert (record.phase, record.job_id, record.submitted_at, record.deadline) == (
        Phase.SUBMITTED,
        "job-77",
        1000.0,
        1060.0,
    )
    assert notebook.peek() == record
    assert shop.posts == 1


def test_before_it_called_in_the_attempt_stops_and_says_that_a_retry_may_find_it(buy: Buy, shop: Shop) -> None:
    lose(buy, shop)
    with pytest.raises(AmbiguousSubmitError, match="calls this Airflow at its end") as caught:
        buy()
    assert caught.value.calls_in
    assert shop.posts == 1


def test_an_order_that_left_without_a_nonce_is_never_said_to_call_in(
    client: VideoClient, order: VideoRequest, notebook: Notebook, shop: Shop, buy: Buy
) -> None:
    shop.script = [httpx.ReadTimeout("waited")]
    with pytest.raises(OutcomeUnknownError):
        obtain(client, order, notebook, Attempt(conn_id="c"), clock=lambda: 1000.0, sleep=lambda _: None)
    with pytest.raises(AmbiguousSubmitError) as caught:
        buy()
    assert not caught.value.calls_in
    assert "calls this Airflow" not in str(caught.value)


def test_retries_that_may_pay_again_look_for_the_call_first(buy: Buy, shop: Shop, board: Switchboard) -> None:
    lose(buy, shop)
    board.reports["nonce-1"], shop.known = "job-77", {"job-77": "pending"}
    assert buy(on_ambiguous_submit="resubmit").job_id == "job-77"
    assert shop.posts == 1


def test_a_call_for_another_order_changes_nothing(buy: Buy, shop: Shop, board: Switchboard) -> None:
    lose(buy, shop)
    board.reports["nonce-2"], shop.known = "job-77", {"job-77": "completed"}
    with pytest.raises(AmbiguousSubmitError):
        buy()


def test_polling_is_the_truth_a_job_that_the_api_does_not_know_is_none(
    buy: Buy, shop: Shop, board: Switchboard, notebook: Notebook
) -> None:
    lose(buy, shop)
    before = notebook.page
    board.reports["nonce-1"], shop.known = "job-of-nobody", {}
    with pytest.raises(AmbiguousSubmitError):
        buy()
    assert notebook.page == before


BORN_LONG_BEFORE = "gen-vid-1000000000-BXyYqhSkuztnVdDoZpef"
BORN_AFTER = "gen-vid-1790983457-BXyYqhSkuztnVdDoZpef"
BORN_BY_A_SLOW_CLOCK = "gen-vid-1499999700-BXyYqhSkuztnVdDoZpef"  # the order left at 1 500 000 000
BORN_JUST_BEFORE = "gen-vid-1499999699-BXyYqhSkuztnVdDoZpef"


@pytest.mark.parametrize(
    ("job_id", "model", "fits"),
    [
        (BORN_AFTER, None, True),
        (BORN_AFTER, "google/veo-3.1", True),
        (BORN_AFTER, "google/veo-3.1-20260320", True),
        (BORN_AFTER, "x-ai/grok-imagine-video", False),
        (BORN_LONG_BEFORE, "google/veo-3.1", False),
        (BORN_BY_A_SLOW_CLOCK, "google/veo-3.1", True),
        (BORN_JUST_BEFORE, "google/veo-3.1", False),
        ("an-id-of-another-shape", "google/veo-3.1", True),
    ],
)
def test_a_caught_call_that_is_played_to_another_orders_address_changes_nothing(
    client: VideoClient,
    order: VideoRequest,
    notebook: Notebook,
    shop: Shop,
    board: Switchboard,
    job_id: str,
    model: str | None,
    fits: bool,  # noqa: FBT001
) -> None:
    who = Attempt(conn_id="c", callbacks=board)

    def attempt() -> Record:
        return obtain(client, order, notebook, who, clock=lambda: 1_500_000_000.0, sleep=lambda _: None)

    shop.script = [httpx.ReadTimeout("waited")]
    with pytest.raises(OutcomeUnknownError):
        attempt()
    before = notebook.page
    board.reports["nonce-1"], board.model, shop.known = job_id, model, {job_id: "completed"}
    if fits:
        assert attempt().job_id == job_id
    else:
        with pytest.raises(AmbiguousSubmitError):
            attempt()
        assert notebook.page == before
    assert shop.posts == 1


def test_where_the_calls_cannot_be_read_nothing_is_sent(buy: Buy, shop: Shop, board: Switchboard) -> None:
    lose(buy, shop)
    board.away = True
    with pytest.raises(LedgerUnavailableError):
        buy(on_ambiguous_submit="resubmit")
    assert shop.posts == 1


def test_a_late_call_does_not_touch_a_job_that_is_known(buy: Buy, shop: Shop, board: Switchboard) -> None:
    first = buy()
    board.reports["nonce-1"] = "job-77"
    assert buy() == first
    assert shop.posts == 1


# ── Callbacks that are meant to be on and cannot work ────────────────────────────────────────────────────────────────

MISSET = UnusableCallbacks(ConfigurationError("[orvideo] webhook_url is 'http://x'; set it to another."))


@pytest.fixture
def misset(client: VideoClient, order: VideoRequest, notebook: Notebook) -> Buy:
    def attempt(request: VideoRequest = order, adopt: str | None = None, **policies: Any) -> Record:  # noqa: ANN401
        who = Attempt(conn_id="c", policies=Policies(**policies), callbacks=MISSET, adopt=adopt, max_tries=3)
        return obtain(client, request, notebook, who, clock=lambda: 1000.0, sleep=lambda _: None)

    return attempt


@pytest.mark.parametrize("own", [None, "https://example.com/mine"], ids=["ours", "the author's own"])
def test_no_order_leaves_whoever_is_to_be_called(
    misset: Buy, order: VideoRequest, shop: Shop, notebook: Notebook, own: str | None
) -> None:
    with pytest.raises(ConfigurationError, match=r"webhook_url is 'http://x'.* Nothing was sent"):
        misset(order.model_copy(update={"callback_url": own}))
    assert (shop.posts, notebook.page) == (0, None)


def test_a_job_that_exists_is_followed(buy: Buy, misset: Buy, shop: Shop) -> None:
    first = buy()
    assert misset() == first
    assert shop.posts == 1


@pytest.mark.parametrize(
    ("ended", "policies"),
    [
        ("failed", {"on_job_failure": "resubmit"}),
        ("completed", {"on_clear": "submit"}),
    ],
)
def test_no_policy_orders_again(
    buy: Buy, misset: Buy, shop: Shop, notebook: Notebook, ended: str, policies: dict[str, str]
) -> None:
    buy(max_tries=2)
    before = json.loads(notebook.page or "") | {"phase": "terminal", "status": ended, "finished_at": 1001.0}
    notebook.page = json.dumps(before)
    with pytest.raises(ConfigurationError):
        misset(**policies)
    assert (shop.posts, json.loads(notebook.page)) == (1, before)


def test_another_request_is_not_ordered_and_the_old_job_stays_on_record(
    buy: Buy, misset: Buy, order: VideoRequest, shop: Shop, notebook: Notebook
) -> None:
    first = buy()
    with pytest.raises(ConfigurationError):
        misset(order.model_copy(update={"prompt": "a bridge"}))
    assert (shop.posts, notebook.peek()) == (1, first)


@pytest.mark.parametrize("policy", ["fail", "resubmit"])
def test_whether_a_lost_order_called_in_cannot_be_told(
    buy: Buy, misset: Buy, shop: Shop, notebook: Notebook, policy: str
) -> None:
    lose(buy, shop)
    before = notebook.page
    with pytest.raises(ConfigurationError):
        misset(on_ambiguous_submit=policy)
    assert (shop.posts, notebook.page) == (1, before)


def test_a_lost_order_can_be_adopted(buy: Buy, misset: Buy, shop: Shop) -> None:
    lose(buy, shop)
    shop.known = {"job-77": "completed"}
    assert misset(adopt="job-77").job_id == "job-77"
    assert shop.posts == 1


# ── What is wanted, found out no earlier than it matters ─────────────────────────────────────────────────────────────


def unreadable(_request: VideoRequest) -> VideoRequest:
    raise InputUnavailableError("s3://b/first.png cannot be read. Nothing was spent.")


def no_image(_request: VideoRequest) -> VideoRequest:
    raise RequestInvalidError(("'frame_images[0]' is s3://b/first.png, which is an empty file.",))


def misread(_request: VideoRequest) -> VideoRequest:
    raise ConfigurationError("[orvideo] input_url_ttl is '4 h'; it must be a whole number of seconds.")


@pytest.mark.parametrize("resolve", [unreadable, no_image, misread])
def test_a_job_is_followed_though_its_inputs_are_gone(
    buy: Buy, shop: Shop, resolve: Callable[[VideoRequest], VideoRequest]
) -> None:
    first = buy()
    assert buy(resolve=resolve) == first
    assert shop.posts == 1


def test_without_a_job_inputs_that_cannot_be_read_stop_the_order(buy: Buy, shop: Shop, notebook: Notebook) -> None:
    with pytest.raises(InputUnavailableError):
        buy(resolve=unreadable)
    assert (shop.posts, notebook.page) == (0, None)


def test_what_is_sent_and_compared_is_what_the_inputs_became(buy: Buy, shop: Shop) -> None:
    def seeded(seed: int) -> Callable[[VideoRequest], VideoRequest]:
        return lambda request: request.model_copy(update={"seed": seed})

    first = buy(resolve=seeded(1))
    assert buy(resolve=seeded(1)) == first
    assert buy(resolve=seeded(2)).job_id == "job-2"
    assert shop.posts == 2


def test_a_request_that_is_told_by_a_function_is_asked_for_once(buy: Buy, shop: Shop) -> None:
    asked: list[int] = []

    def tell() -> VideoRequest:
        asked.append(1)
        return VideoRequest.build(model="m", prompt=f"prompt {len(asked)}")

    first = buy(tell)
    assert buy(tell) == first
    assert (len(asked), shop.posts) == (1, 1)


@pytest.mark.parametrize("resolve", [unreadable, no_image, misread])
def test_a_function_whose_answer_cannot_be_sent_is_asked_once(
    buy: Buy, shop: Shop, notebook: Notebook, resolve: Callable[[VideoRequest], VideoRequest]
) -> None:
    asked: list[int] = []

    def tell() -> VideoRequest:
        asked.append(1)
        return VideoRequest.build(model="m", prompt=f"prompt {len(asked)}")

    done = buy(tell, max_tries=2).terminal(
        status="completed", now=1.0, error=None, generation_id=None, cost_usd=1.0, outputs=1
    )
    notebook.save(done)
    with pytest.raises(BeforeSendError):
        buy(tell, max_tries=5, on_clear="submit", resolve=resolve)
    assert (len(asked), shop.posts, notebook.peek()) == (2, 1, done)


def test_after_a_clear_the_function_is_asked_again_and_a_new_answer_is_a_new_order(
    buy: Buy, shop: Shop, notebook: Notebook
) -> None:
    answers = iter([VideoRequest.build(model="m", prompt="one"), VideoRequest.build(model="m", prompt="two")])
    first = buy(lambda: next(answers), max_tries=2)
    done = first.terminal(status="completed", now=1.0, error=None, generation_id=None, cost_usd=1.0, outputs=1)
    notebook.save(done)
    assert buy(lambda: pytest.fail("asked again"), max_tries=2) == done
    assert buy(lambda: next(answers), max_tries=5).job_id == "job-2"
    assert shop.posts == 2


@pytest.mark.parametrize("end", ["completed", None])
def test_a_clear_whose_answer_is_the_same_order_is_answered_once(
    buy: Buy, shop: Shop, notebook: Notebook, end: str | None
) -> None:
    def tell() -> VideoRequest:
        return VideoRequest.build(model="m", prompt="one")

    first = buy(tell, max_tries=2)
    if end is not None:
        first = first.terminal(status=end, now=1.0, error=None, generation_id=None, cost_usd=1.0, outputs=1)
        notebook.save(first)
    after = buy(tell, max_tries=5)
    assert after == notebook.peek() == first.model_copy(update={"max_tries": 5})
    assert buy(lambda: pytest.fail("a retry asked again"), max_tries=5) == after
    assert shop.posts == 1


def test_a_job_is_followed_though_it_cannot_be_noted_that_the_clear_was_answered(
    buy: Buy, shop: Shop, notebook: Notebook
) -> None:
    def tell() -> VideoRequest:
        return VideoRequest.build(model="m", prompt="one")

    first, page = buy(tell, max_tries=2), notebook.page
    notebook.trouble["save"] = [LedgerUnavailableError("the store is away")]
    assert buy(tell, max_tries=5).job_id == first.job_id
    assert (shop.posts, notebook.page) == (1, page)


def test_an_attempt_without_a_clear_writes_nothing(buy: Buy, notebook: Notebook) -> None:
    def tell() -> VideoRequest:
        return VideoRequest.build(model="m", prompt="one")

    buy(tell, max_tries=2)
    notebook.calls.clear()
    buy(tell, max_tries=2)
    assert notebook.calls == ["load"]


def test_an_order_told_by_a_function_whose_outcome_is_unknown_is_not_repeated(buy: Buy, shop: Shop) -> None:
    shop.script = [httpx.ReadTimeout("waited")]
    requests = iter([VideoRequest.build(model="m", prompt="one"), VideoRequest.build(model="m", prompt="two")])
    with pytest.raises(OutcomeUnknownError):
        buy(lambda: next(requests))
    with pytest.raises(AmbiguousSubmitError):
        buy(lambda: next(requests))
    assert shop.posts == 1

"""Several models for one order: which is asked after which, and what each attempt leaves in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.exceptions import (
    AmbiguousSubmitError,
    BadRequestError,
    OutcomeUnknownError,
    PaymentRequiredError,
    RateLimitedError,
    RequestUnsupportedError,
)
from airflow_provider_orvideo.ledger.decision import EndedWithoutVideo, Reuse, Submit, decide
from airflow_provider_orvideo.ledger.fingerprint import fingerprint
from airflow_provider_orvideo.ledger.policies import Policies
from airflow_provider_orvideo.ledger.purchase import Attempt, Prepared, obtain
from airflow_provider_orvideo.ledger.reasons import is_capacity
from airflow_provider_orvideo.ledger.record import Phase, Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.ledger.policies import FallbackOn
    from tests.ledger.conftest import Notebook, Shop

    Buy = Callable[..., Record]

MODELS = ("google/veo-3.1", "b/second", "c/third")
BUSY = [429, 429, 429]  # all that the client itself tries


@pytest.fixture
def buy(client: VideoClient, order: VideoRequest, notebook: Notebook) -> Buy:
    """One attempt of a task whose order three models may serve."""

    def attempt(
        on: FallbackOn = "capacity",
        prepare: Callable[[VideoRequest], Prepared] = Prepared,
        models: tuple[str, ...] = MODELS,
        **policies: Any,  # noqa: ANN401
    ) -> Record:
        who = Attempt(conn_id="c", policies=Policies(fallback_on=on, **policies), models=models)
        return obtain(client, order, notebook, who, prepare=prepare, clock=lambda: 1000.0, sleep=lambda _: None)

    return attempt


def ended(record: Record, status: str, error: str | None) -> Record:
    return record.terminal(status=status, now=1.0, error=error, generation_id=None, cost_usd=None, outputs=0)


def test_the_first_model_serves_where_it_has_room(buy: Buy, shop: Shop) -> None:
    record = buy()
    assert (record.model, record.refused, shop.posts) == ("google/veo-3.1", (), 1)


def test_a_model_without_room_is_followed_by_the_next_and_the_ledger_tells_of_each(
    buy: Buy, shop: Shop, notebook: Notebook
) -> None:
    shop.script = [*BUSY, *BUSY]
    record = buy()
    assert (record.model, record.job_id, len(shop.sold)) == ("c/third", "job-1", 1)
    assert [refused.model for refused in record.refused] == ["google/veo-3.1", "b/second"]
    assert all("429" in refused.error for refused in record.refused)
    assert notebook.peek() == record
    assert [page.model for page in shop.pages if page] == [*["google/veo-3.1"] * 3, *["b/second"] * 3, "c/third"]


def test_whichever_model_served_the_next_attempt_follows_it_and_orders_nothing(buy: Buy, shop: Shop) -> None:
    shop.script = [*BUSY]
    first = buy()
    assert buy() == first
    assert shop.posts == 4


def test_where_no_model_has_room_nothing_stays_on_record_and_the_first_answer_is_told(
    buy: Buy, shop: Shop, notebook: Notebook
) -> None:
    shop.script = [*BUSY * 3]
    with pytest.raises(RateLimitedError):
        buy()
    assert (notebook.page, shop.sold) == (None, [])


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_goes_on_to_the_next_model_only_where_the_author_asks_for_it(
    buy: Buy, shop: Shop, status: int
) -> None:
    for on in ("capacity", "failure"):
        shop.script = [status]
        with pytest.raises(Exception, match=str(status)):
            buy(on)
    assert shop.sold == []
    shop.script = [status]
    assert buy("refusal").model == "b/second"


@pytest.mark.parametrize("status", [401, 402])
def test_what_is_about_the_account_stops_every_model(buy: Buy, shop: Shop, status: int) -> None:
    shop.script = [status]
    with pytest.raises(Exception, match=str(status)):
        buy("refusal")
    assert shop.posts == 1


@pytest.mark.parametrize("on", ["capacity", "failure", "refusal"])
def test_a_503_is_an_unknown_outcome_and_asks_no_other_model(buy: Buy, shop: Shop, on: FallbackOn) -> None:
    shop.script = [503]
    with pytest.raises(OutcomeUnknownError):
        buy(on)
    with pytest.raises(AmbiguousSubmitError):
        buy(on)
    assert shop.posts == 1


def test_who_lets_retries_pay_again_after_an_unknown_outcome_gets_the_next_model(buy: Buy, shop: Shop) -> None:
    shop.script = [503]
    with pytest.raises(OutcomeUnknownError):
        buy(on_ambiguous_submit="resubmit")
    record = buy(on_ambiguous_submit="resubmit")
    assert (record.model, record.lost) == ("b/second", (1000.0,))


def test_a_later_model_that_cannot_serve_is_passed_over(buy: Buy, shop: Shop) -> None:
    def prepare(request: VideoRequest) -> Prepared:
        if request.model == "b/second":
            raise RequestUnsupportedError(("'duration' is 8: b/second knows 5.",))
        return Prepared(request)

    shop.script = [*BUSY]
    record = buy(prepare=prepare)
    assert [refused.model for refused in record.refused] == ["google/veo-3.1", "b/second"]
    assert record.model == "c/third"


def test_a_first_model_that_cannot_serve_is_the_authors_mistake(buy: Buy, shop: Shop) -> None:
    def prepare(request: VideoRequest) -> Prepared:
        raise RequestUnsupportedError((f"'duration' is 8: {request.model} knows 5.",))

    with pytest.raises(RequestUnsupportedError, match=r"veo-3\.1"):
        buy(prepare=prepare)
    assert shop.posts == 0


def test_a_last_model_that_is_refused_otherwise_hides_not_that_the_first_had_no_room(
    buy: Buy, shop: Shop, notebook: Notebook
) -> None:
    shop.script = [*BUSY, 402]
    with pytest.raises(RateLimitedError) as caught:
        buy()
    assert isinstance(caught.value.__cause__, PaymentRequiredError)
    assert notebook.page is None


# ── Jobs that ended ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "error", "capacity"),
    [
        ("expired", "Job exceeded maximum time to live", True),
        ("expired", None, True),
        ("failed", "The provider is overloaded", True),
        ("failed", "Rate limit reached, please try later", True),
        ("failed", "No available providers", True),
        ("failed", "Service unavailable", True),
        ("failed", "upstream answered 503", True),
        ("failed", "Internal error", False),
        ("failed", None, False),
        ("failed", "The image could not be read", False),
        ("cancelled", "Job was cancelled", False),
        ("failed", "Content policy violation", False),
        ("expired", "blocked by safety filters", False),
        ("failed", "content policy service unavailable", False),
    ],
)
def test_what_counts_as_want_of_room(status: str, error: str | None, capacity: bool) -> None:  # noqa: FBT001
    assert is_capacity(status, error) is capacity


ENDS: dict[str, tuple[str, str]] = {
    "no room": ("failed", "The provider is overloaded"),
    "broke": ("failed", "Internal error"),
    "refused": ("failed", "Content policy violation"),
}
GOES_ON: dict[str, set[str]] = {
    "capacity": {"no room"},
    "failure": {"no room", "broke"},
    "refusal": {"no room", "broke", "refused"},
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("on", GOES_ON)
def test_after_a_job_without_a_video_the_author_decides_by_its_reason(
    buy: Buy, notebook: Notebook, shop: Shop, on: FallbackOn, end: str
) -> None:
    record = ended(buy(on), *ENDS[end])
    notebook.save(record)
    after = buy(on)
    if end in GOES_ON[on]:
        assert (after.model, after.job_id) == ("b/second", "job-2")
        (past,) = after.past
        assert (past.job_id, past.model, past.error) == ("job-1", "google/veo-3.1", ENDS[end][1])
    else:
        assert (after, shop.posts) == (record, 1)


def test_after_the_last_model_nothing_more_is_ordered(buy: Buy, notebook: Notebook, shop: Shop) -> None:
    for number, model in enumerate(MODELS, start=1):
        record = buy()
        assert (record.model, record.job_id) == (model, f"job-{number}")
        notebook.save(ended(record, *ENDS["no room"]))
    assert buy().phase == Phase.TERMINAL
    assert [past.model for past in buy().past] == ["google/veo-3.1", "b/second"]
    assert shop.posts == len(MODELS)


def test_retries_that_may_buy_again_begin_with_the_first_model(buy: Buy, notebook: Notebook) -> None:
    for _ in MODELS:
        notebook.save(ended(buy(), *ENDS["no room"]))
    assert buy(on_job_failure="resubmit").model == "google/veo-3.1"


def test_a_video_is_a_video_whichever_model_made_it() -> None:
    record = Record(phase=Phase.TERMINAL, fingerprint="f", model="b/second", conn_id="c", intent_at=1.0, job_id="j")
    done = record.model_copy(update={"status": "completed"})
    assert decide(done, order="f", models=MODELS, policies=Policies(fallback_on="refusal")) == Reuse(done)
    failed = ended(record, *ENDS["no room"])
    assert isinstance(decide(failed, order="f", models=MODELS), Submit)
    assert decide(failed, order="f", models=("b/second",)) == EndedWithoutVideo(failed)
    assert decide(failed, order="f") == EndedWithoutVideo(failed)


def test_the_models_are_part_of_the_order_and_a_single_one_needs_no_list(order: VideoRequest) -> None:
    def of(*models: str) -> str:
        return fingerprint(order, conn_id="c", base_url="https://x", models=models)

    assert of() == of("google/veo-3.1")
    assert len({of(), of(*MODELS), of(*MODELS[:2]), of(MODELS[0], MODELS[2], MODELS[1])}) == 4


def test_an_order_that_is_refused_for_good_names_the_refusal(buy: Buy, shop: Shop) -> None:
    shop.script = [400]
    with pytest.raises(BadRequestError):
        buy()

"""`decide` over everything at once, against a table that was written from the runbook and shares no code with it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, get_args

import pytest

from airflow_provider_orvideo.ledger.decision import (
    Adopt,
    Ambiguous,
    Attach,
    Changed,
    EndedWithoutVideo,
    Reuse,
    Submit,
    decide,
    was_cleared,
)
from airflow_provider_orvideo.ledger.policies import (
    OnAmbiguousSubmit,
    OnChangedRequest,
    OnClear,
    OnJobFailure,
    Policies,
)
from airflow_provider_orvideo.ledger.reasons import is_refusal
from airflow_provider_orvideo.ledger.record import PastJob, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.ledger.record import Record

    RecordOf = Callable[..., Record]

EARLIER: Final = PastJob(job_id="job-0", status="completed", cost_usd=0.4, submitted_at=500.0)
PAID: Final = PastJob(job_id="job-1", cost_usd=1.5, submitted_at=1003.0, model="google/veo-3.1")
MODERATION: Final = "Content policy violation"

#: The first row that fits holds. "*" fits all; adopt "other" is a job that the record is not about.
ROWS: Final = (
    # record     request   cleared  adopt    policy                          what the attempt does
    ("*",        "*",      "*",     "other", "*",                            Adopt),
    ("nothing",  "*",      "*",     "*",     "*",                            Submit),
    ("intent",   "*",      "*",     "*",     "on_ambiguous_submit=resubmit", Submit),
    ("intent",   "*",      "*",     "*",     "*",                            Ambiguous),
    ("*",        "other",  "*",     "none",  "on_changed_request=submit",    Submit),
    ("*",        "other",  "*",     "none",  "*",                            Changed),
    ("in flight", "*",     "*",     "*",     "*",                            Attach),
    ("*",        "*",      "yes",   "none",  "on_clear=submit",              Submit),
    ("video",    "*",      "*",     "*",     "*",                            Reuse),
    ("refused",  "*",      "*",     "*",     "*",                            EndedWithoutVideo),
    ("no video", "*",      "*",     "none",  "on_job_failure=resubmit",      Submit),
    ("no video", "*",      "*",     "*",     "*",                            EndedWithoutVideo),
)  # fmt: skip

#: What is on record: name in the table, phase, status and error.
RECORDS: Final = (
    ("nothing", None, None, None),
    ("intent", Phase.INTENT, None, None),
    ("in flight", Phase.SUBMITTED, None, None),
    *(("video", Phase.TERMINAL, "completed", error) for error in (None, MODERATION)),
    *(
        ("refused" if error == MODERATION else "no video", Phase.TERMINAL, status, error)
        for status in ("failed", "cancelled", "expired", "dead", None)
        for error in (None, "", "The provider gave up.", MODERATION)
    ),
)
#: Airflow's max_tries in the record and now, and whether that tells a clear.
TRIES: Final = ((2, 2, "no"), (2, 5, "yes"), (5, 2, "yes"), (None, 2, "no"), (2, None, "no"), (None, None, "no"))
POLICIES: Final = [
    Policies(on_ambiguous_submit=a, on_changed_request=b, on_job_failure=c, on_clear=d)
    for a, b, c, d in itertools.product(*map(get_args, (OnAmbiguousSubmit, OnChangedRequest, OnJobFailure, OnClear)))
]


def by_the_table(record: str, request: str, cleared: str, adopt: str, policies: Policies) -> type:
    facts = (record, request, cleared, adopt)
    for *wanted, policy, outcome in ROWS:
        name, _, value = policy.partition("=")
        fits = all(want in {"*", fact} for want, fact in zip(wanted, facts, strict=True))
        if fits and (policy == "*" or getattr(policies, name) == value):
            return outcome
    raise AssertionError(facts)


@pytest.mark.parametrize("policies", POLICIES, ids=lambda each: "-".join(vars(each).values()))
def test_every_combination_does_what_the_table_says(record_of: RecordOf, policies: Policies) -> None:
    seen: set[type] = set()
    for (name, phase, status, error), order, (tries_then, tries_now, cleared), adopt in itertools.product(
        RECORDS, ("same", "other"), TRIES, (None, "job-1", "job-9")
    ):
        record = None
        if phase:
            record = record_of(
                phase, status=status, error=error, max_tries=tries_then, past=(EARLIER,), lost=(7.0,), cost_usd=1.5
            )
        adopts = "none" if adopt is None else "same" if record and record.job_id == adopt else "other"
        expected = by_the_table(name, order, cleared, adopts, policies)
        decision = decide(record, order=order, policies=policies, max_tries=tries_now, adopt=adopt)
        what = (name, status, error, order, tries_then, tries_now, adopt)
        assert type(decision) is expected, what
        seen.add(expected)
        # Whatever replaces a record remembers all that it knew; whatever does not hands it on as it is.
        if isinstance(decision, Submit | Adopt):
            paid = (PAID.model_copy(update={"status": status, "error": error}),)
            assert decision.past == ((EARLIER, *(paid if record.job_id else ())) if record else ()), what
            assert decision.lost == ((7.0, *((1000.0,) if phase == Phase.INTENT else ())) if record else ()), what
        else:
            assert decision.record is record, what
        if isinstance(decision, Adopt):
            assert decision.job_id == adopt, what
        if isinstance(decision, Submit):
            assert bool(decision.reason) is (record is not None), what
    assert {Adopt, Submit, Attach, Reuse, EndedWithoutVideo} <= seen


def test_by_default_the_table_pays_for_nothing_on_record_and_for_a_changed_request_only() -> None:
    names = {name for name, *_ in RECORDS}
    paying = {
        (name, request)
        for name, request, cleared in itertools.product(names, ("same", "other"), ("yes", "no"))
        if by_the_table(name, request, cleared, "none", Policies()) is Submit
    }
    known = names - {"nothing", "intent"}
    assert paying == {("nothing", "same"), ("nothing", "other"), *((name, "other") for name in known)}


@pytest.mark.parametrize(("then", "now", "cleared"), TRIES)
def test_a_clear_is_told_by_max_tries_alone(
    record_of: RecordOf, then: int | None, now: int | None, cleared: str
) -> None:
    assert was_cleared(record_of(max_tries=then, try_number=1), now) == (cleared == "yes")


@pytest.mark.parametrize(
    "text",
    [
        "Content policy violation",
        "Input was flagged by moderation",
        "Your request was blocked by our moderation system.",
        "The prompt could not be submitted: it contains words that violate our usage guidelines.",
        "Rejected by our safety system",
        "SAFETY.INPUT.TEXT",
        "Unsafe content detected",
        "data_inspection: output may contain inappropriate content",
        "input new_sensitive",
        "Failure to pass the risk control system",
        "content_filter",
        "Blocked by the content filter",
        "Prohibited content",
        "NSFW",
        "A guardrail refused",
    ],
)
def test_what_moderation_says_is_a_refusal(text: str) -> None:
    assert is_refusal(text)
    assert is_refusal(f"provider said: {text.upper()}")


@pytest.mark.parametrize("text", [None, "", "The provider gave up.", "Internal error", "upstream timeout", "GPU lost"])
def test_an_accident_is_no_refusal(text: str | None) -> None:
    assert not is_refusal(text)

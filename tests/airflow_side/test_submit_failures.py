"""The submit operator when the order itself fails: was it sent, may a retry send it, what is a person told."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.exceptions import (
    AuthenticationError,
    ConfigurationError,
    LedgerUnavailableError,
    NotSentError,
    OrVideoError,
    PaymentRequiredError,
    RateLimitedError,
)

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Execute, FakeStateStore, MakeSubmit

POST = {"operation": "createVideos"}


def fail(sim: Simulator, **fault: Any) -> None:  # noqa: ANN401 - a fault rule
    sim.add_fault({"match": POST, **fault})


# ── Refused by us: nothing leaves ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"duration": "soon"}, "'duration' is 'soon'"),
        ({"duration": 0}, "'duration'"),
        ({"size": "wide"}, "WIDTHxHEIGHT"),
        ({"model": ""}, "'model'"),
        ({"callback_url": "http://films.example"}, "https://"),
        ({"frame_images": [{"type": "image_url"}]}, "'frame_images.0"),
        (
            {"input_references": [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}]},
            "HTTPS URL",
        ),
    ],
)
def test_an_impossible_request_fails_for_good_before_anything_is_sent(
    sim: Simulator,
    make_submit: MakeSubmit,
    execute: Execute,
    store: FakeStateStore,
    changes: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(AirflowFailException, match="nothing was spent") as caught:
        execute(make_submit(**changes))
    assert words in str(caught.value)
    assert {entry.operation for entry in sim.requests()} <= {"listVideosModels"}
    assert store.values == {}


@pytest.mark.parametrize("key", [None, "sk or test"])
def test_a_connection_that_cannot_work_may_be_mended_and_retried(
    sim: Simulator, connect: Connect, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore, key: str | None
) -> None:
    connect(sim, key=key)
    with pytest.raises(ConfigurationError, match="password"):
        execute(make_submit())
    connect(sim)
    assert sim.requests() == []
    assert store.values == {}
    assert execute(make_submit())["status"] == "completed"
    assert sim.posts == 1


@pytest.mark.parametrize("operation", ["get", "set"])
def test_without_a_record_nothing_is_ordered(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore, operation: str
) -> None:
    store.broken = {operation}
    with pytest.raises(LedgerUnavailableError) as caught:
        execute(make_submit())
    assert not isinstance(caught.value, AirflowFailException), "a retry may find the store mended"
    assert {entry.operation for entry in sim.requests()} <= {"listVideosModels"}
    store.broken = set()
    assert execute(make_submit())["status"] == "completed"
    assert sim.posts == 1


@pytest.mark.parametrize("odd", ["text", 5, [], {"phase": "bought"}, {"schema_version": 99}])
def test_a_record_that_cannot_be_read_is_never_taken_for_none(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore, odd: object
) -> None:
    store.set("orvideo_job", odd)
    with pytest.raises(LedgerUnavailableError, match="Nothing was sent"):
        execute(make_submit())
    assert sim.requests() == []


# ── Refused by the API: nothing was accepted ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Invalid request parameters"),
        (403, "Input was flagged by moderation"),
        (404, "No endpoints found matching your data policy"),
        (413, "Send smaller images"),
    ],
)
def test_a_refusal_fails_for_good_and_leaves_no_record(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore, status: int, words: str
) -> None:
    fail(sim, respond={"status": status})
    with pytest.raises(AirflowFailException, match=f"createVideos was answered with HTTP {status}") as caught:
        execute(make_submit())
    assert words in str(caught.value)
    assert isinstance(caught.value.__cause__, OrVideoError)
    assert sim.posts == 1
    assert sim.jobs() == []
    assert store.values == {}


def test_the_refusal_of_an_impossible_duration_says_which_are_possible(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute
) -> None:
    with pytest.raises(AirflowFailException, match="Supported durations: 1, 2, 3"):
        execute(make_submit(duration=99, preflight=False))
    assert sim.jobs() == []
    with pytest.raises(AirflowFailException, match=r"'duration' is 99.*supports.*15"):
        execute(make_submit(duration=99))
    assert sim.posts == 1, "the second one did not leave"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, AuthenticationError, "password field"),
        (402, PaymentRequiredError, "https://openrouter.ai/credits"),
    ],
)
def test_what_a_person_can_mend_may_be_retried(
    sim: Simulator,
    make_submit: MakeSubmit,
    execute: Execute,
    store: FakeStateStore,
    status: int,
    kind: type[OrVideoError],
    words: str,
) -> None:
    fail(sim, respond={"status": status}, times=1)
    with pytest.raises(kind, match=words) as caught:
        execute(make_submit())
    assert not isinstance(caught.value, AirflowFailException)
    assert (sim.posts, sim.jobs(), store.values) == (1, [], {})
    assert execute(make_submit())["status"] == "completed"
    assert (sim.posts, len(sim.jobs())) == (2, 1)


def test_a_rate_limit_is_waited_out_as_the_server_asks(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, pauses: list[float]
) -> None:
    fail(sim, respond={"status": 429, "retry_after": 17}, times=2)
    assert execute(make_submit())["status"] == "completed"
    assert pauses == [17, 17]
    assert (sim.posts, len(sim.jobs())) == (3, 1)


def test_a_lasting_rate_limit_may_be_retried_later(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore, pauses: list[float]
) -> None:
    fail(sim, respond={"status": 429})
    with pytest.raises(RateLimitedError):
        execute(make_submit())
    assert len(pauses) == 2
    assert (sim.posts, sim.jobs(), store.values) == (3, [], {})


# ── Never sent ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_connection_means_nothing_spent_and_a_retry_orders(
    sim: Simulator,
    connect: Connect,
    make_submit: MakeSubmit,
    execute: Execute,
    store: FakeStateStore,
    pauses: list[float],  # noqa: ARG001 - passes them at once
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        connect(f"http://127.0.0.1:{probe.getsockname()[1]}/api/v1")
    with pytest.raises(NotSentError, match="Nothing was sent, nothing was spent"):
        execute(make_submit())
    assert store.values == {}
    connect(sim)
    assert execute(make_submit())["status"] == "completed"
    assert sim.posts == 1


# ── It left, and then ────────────────────────────────────────────────────────────────────────────────────────────────

UNCLEAR: dict[str, tuple[dict[str, Any], int]] = {
    "503": ({"respond": {"status": 503, "retry_after": 1}}, 0),
    "500": ({"respond": {"status": 500}}, 0),
    "502 after the job was accepted": ({"respond": {"status": 502, "when": "after"}}, 1),
    "408": ({"respond": {"status": 408}}, 0),
    "499": ({"respond": {"status": 499, "when": "after"}}, 1),
    "524 as a web page": ({"respond": {"status": 524, "html": True}}, 0),
    "202 without a job": ({"respond": {"status": 202, "body": {"status": "pending"}, "when": "after"}}, 1),
    "202 as a web page": ({"respond": {"status": 202, "html": True, "when": "after"}}, 1),
    "dropped before": ({"drop": {"when": "before"}}, 0),
    "dropped after the job was accepted": ({"drop": {"when": "after"}}, 1),
    "reset after the job was accepted": ({"drop": {"when": "after", "how": "reset"}}, 1),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_an_unknown_outcome_fails_for_good_and_no_later_attempt_pays(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore, pauses: list[float], case: str
) -> None:
    fault, jobs = UNCLEAR[case]
    fail(sim, **fault)
    with pytest.raises(AirflowFailException, match="outcome of the paid submit is unknown") as caught:
        execute(make_submit())
    text = str(caught.value)
    assert "may have been billed" in text
    assert "https://openrouter.ai/activity" in text
    assert "gen-vid-" not in text
    assert store.record["phase"] == "intent"
    # Whatever comes later, be it a retry or a clear, and however well the API does by then.
    sim.clear_faults()
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="may have been billed") as again:
            execute(make_submit())
        assert "delete the record 'orvideo_job'" in str(again.value)
        assert "Nothing was sent now" in str(again.value)
    assert pauses == []
    assert (sim.posts, len(sim.jobs())) == (1, jobs)


def test_a_slow_answer_is_an_unknown_outcome_and_not_a_second_order(
    sim: Simulator, connect: Connect, make_submit: MakeSubmit, execute: Execute
) -> None:
    connect(sim, submit_timeout=0.2)
    fail(sim, delay={"seconds": 1.0, "when": "after"})
    with pytest.raises(AirflowFailException, match="outcome of the paid submit is unknown"):
        execute(make_submit())
    assert (sim.posts, len(sim.jobs())) == (1, 1)


def test_once_a_person_deleted_the_record_a_new_video_is_ordered(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore
) -> None:
    fail(sim, times=1, respond={"status": 503})
    with pytest.raises(AirflowFailException):
        execute(make_submit())
    store.delete("orvideo_job")
    assert execute(make_submit())["status"] == "completed"
    assert (sim.posts, len(sim.jobs())) == (2, 1)


# ── The job itself fails ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "expired"])
def test_a_job_without_a_video_fails_the_task_for_good_and_is_not_ordered_again(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore, outcome: str
) -> None:
    fail(sim, job={"outcome": outcome, "error": "Content policy violation"})
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="Content policy violation") as caught:
            execute(make_submit())
        text = str(caught.value)
        assert sim.jobs()[0].id in text
        assert f"'{outcome}'" in text
        assert "billed" in text
        assert "clear this task" in text
    assert (store.record["phase"], store.record["status"]) == ("terminal", outcome)
    assert sim.posts == 1


def test_no_failure_shows_the_key(sim: Simulator, make_submit: MakeSubmit, execute: Execute, key: str) -> None:
    fail(sim, respond={"status": 403, "message": f"The key {key} may not, see https://files.example/x?sig=5ec2e7"})
    with pytest.raises(AirflowFailException) as caught:
        execute(make_submit())
    assert "5ec2e7" not in str(caught.value)

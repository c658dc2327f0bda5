"""One item's trouble is its own; what all items would meet stops new orders, and no job that exists is left alone."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_orvideo.exceptions import BatchIncompleteError, ConfigurationError, DestinationError
from airflow_provider_orvideo.operators.batch import OrVideoBatchOperator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, FakeStateStore, MakeContext, Simulate
    from tests.batch.conftest import Attempt, MakeBatch, Mode, ReadManifest

    PostsOf = Callable[[], dict[str, int]]


def submit(prompt: str, **action: Any) -> dict[str, Any]:  # noqa: ANN401 - the simulator's schema
    return {"match": {"operation": "createVideos", "prompt_contains": prompt}, **action}


def statuses(lines: list[dict[str, Any]]) -> dict[str, str]:
    return {line["request"]["prompt"]: line["status"] for line in lines}


# ── One item's own ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def troubled(sim: Simulator) -> Simulator:
    """A simulator where each kind of trouble has its prompt."""
    for rule in (
        submit("forbidden", respond={"status": 403, "message": "Flagged by moderation"}),
        submit("malformed", respond={"status": 400}),
        submit("unheard", drop={"when": "after"}),
        submit("failing", job={"outcome": "failed", "error": "The provider broke"}),
        submit("unsafe", job={"outcome": "failed", "error": "Content policy violation"}),
        {"match": {"operation": "listVideosContent", "prompt_contains": "garbled"}, "content": {"garbage": True}},
    ):
        sim.add_fault(rule)
    return sim


MIXED = (
    "a boat",
    "forbidden",
    "malformed",
    "unheard",
    "failing",
    "unsafe",
    "garbled",
    {"prompt": "unsupported", "duration": 999},
    "a bird",
)
EXPECTED = {
    "a boat": "landed",
    "forbidden": "refused",
    "malformed": "refused",
    "unheard": "ambiguous",
    "failing": "failed",
    "unsafe": "refused",
    "garbled": "landing_failed",
    "unsupported": "refused",
    "a bird": "landed",
}


@pytest.mark.usefixtures("troubled")
def test_all_kinds_of_trouble_leave_the_other_items_alone(
    attempt: Attempt, read_manifest: ReadManifest, posts_of: PostsOf, mode: Mode
) -> None:
    summary = attempt(*MIXED, **mode, fail_on_partial_error=False)
    lines = read_manifest()
    assert statuses(lines) == EXPECTED
    assert (summary["total"], summary["landed"], summary["failed"], summary["not_ordered"]) == (9, 2, 7, 0)
    assert set(posts_of().values()) == {1}
    assert "unsupported" not in posts_of()
    errors = {line["request"]["prompt"]: line["error"] for line in lines if "error" in line}
    assert set(errors) == {prompt for prompt, status in EXPECTED.items() if status != "landed"}
    assert "give this item its id as 'job_id'" in errors["unheard"]
    assert "Flagged by moderation" in errors["forbidden"]
    retryable = {line["request"]["prompt"] for line in lines if line.get("retryable")}
    assert retryable == {"garbled"}
    assert summary["cost_unknown"] == 3, "two jobs ended without a bill, and one is known to nobody"


def test_with_fail_on_partial_error_the_task_fails_once_all_is_done_and_says_what_a_retry_would_do(
    troubled: Simulator, attempt: Attempt, read_manifest: ReadManifest, videos: Path
) -> None:
    with pytest.raises(BatchIncompleteError) as caught:
        attempt(*MIXED)
    text = str(caught.value)
    assert text.startswith("2 of 9 items landed; not so 7: 4 refused, ")
    assert "A retry of this task takes up 1 of them again (1 landing failed); nothing is paid for twice." in text
    assert f"All of them are in file://{next(videos.glob('*.jsonl'))}." in text
    assert "Spent so far: $0." in text
    assert sum(text.count(f"({status}): ") for status in set(EXPECTED.values())) == 5, "five examples"
    assert statuses(read_manifest()) == EXPECTED
    assert troubled.posts == 8


def test_a_retry_asks_again_for_nothing_that_was_refused_and_lands_what_can_land_now(
    troubled: Simulator, attempt: Attempt, posts_of: PostsOf, read_manifest: ReadManifest
) -> None:
    with pytest.raises(BatchIncompleteError):
        attempt(*MIXED)
    posts = posts_of()
    troubled.clear_faults()
    with pytest.raises(AirflowFailException, match=r"3 of 9 items landed.*would mend none of them"):
        attempt(*MIXED, try_number=2)
    assert posts_of() == posts
    assert statuses(read_manifest()) == {**EXPECTED, "garbled": "landed"}


def test_a_clear_asks_again_for_what_was_refused_without_a_job(
    troubled: Simulator, attempt: Attempt, posts_of: PostsOf, read_manifest: ReadManifest
) -> None:
    with pytest.raises(AirflowFailException):
        attempt("forbidden", "malformed", "unsafe")
    troubled.clear_faults()
    with pytest.raises(AirflowFailException):
        attempt("forbidden", "malformed", "unsafe", try_number=2, max_tries=5)
    assert posts_of() == {"forbidden": 2, "malformed": 2, "unsafe": 1}
    assert statuses(read_manifest()) == {"forbidden": "landed", "malformed": "landed", "unsafe": "refused"}


def test_where_every_item_fails_the_task_fails_whatever_it_allows(troubled: Simulator, attempt: Attempt) -> None:
    with pytest.raises(AirflowFailException, match="0 of 2 items landed"):
        attempt("forbidden", "failing", fail_on_partial_error=False)
    assert troubled.posts == 2


def test_a_job_that_outlasts_its_timeout_is_looked_at_again_by_a_retry(
    simulate: Simulate, connect: Connect, attempt: Attempt, read_manifest: ReadManifest, mode: Mode
) -> None:
    sim = simulate()
    connect(sim)
    sim.add_fault(submit("slow", job={"seconds": "manual"}))
    with pytest.raises(BatchIncompleteError, match="1 timed out"):
        attempt("a boat", "slow", **mode, timeout=0.3)
    assert statuses(read_manifest()) == {"a boat": "landed", "slow": "timed_out"}
    (slow,) = [job for job in sim.jobs() if job.order.prompt == "slow"]
    sim.finish(slow.id)
    assert attempt("a boat", "slow", **mode, timeout=0.3, try_number=2)["landed"] == 2
    assert sim.posts == 2


def test_a_job_without_a_video_is_bought_again_by_a_retry_only_and_only_if_its_author_wants(
    sim: Simulator, attempt: Attempt, posts_of: PostsOf, read_manifest: ReadManifest
) -> None:
    sim.add_fault(submit("failing", job={"outcome": "failed", "error": "The provider broke"}))
    arguments: dict[str, Any] = {"on_job_failure": "resubmit", "deferrable": True, "max_in_flight": 1}
    with pytest.raises(BatchIncompleteError, match="takes up 1 of them again"):
        attempt("failing", "a boat", "a bird", **arguments)
    assert posts_of() == {"failing": 1, "a boat": 1, "a bird": 1}
    sim.clear_faults()
    summary = attempt("failing", "a boat", "a bird", try_number=2, **arguments)
    assert summary["landed"] == 3
    assert posts_of() == {"failing": 2, "a boat": 1, "a bird": 1}
    (line,) = [line for line in read_manifest() if line["past"]]
    assert line["request"]["prompt"] == "failing"
    assert line["past"][0]["status"] == "failed"


# ── What all would meet ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [401, 402])
def test_a_key_that_may_not_order_stops_the_orders_and_not_the_jobs(
    sim: Simulator, attempt: Attempt, read_manifest: ReadManifest, status: int, mode: Mode
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "after": 2, "respond": {"status": status}})
    prompts = [f"take {number}" for number in range(20)]
    with pytest.raises(BatchIncompleteError, match="2 of 20 items landed; not so 18: 18 not ordered"):
        attempt(*prompts, **mode, max_concurrent_submits=1)
    assert sim.posts <= 2 + 3, "one try for each time that a job has ended"
    lines = read_manifest()
    assert [line["status"] for line in lines] == ["landed"] * 2 + ["not_ordered"] * 18
    assert all(f"HTTP {status}" in line["error"] for line in lines[2:])
    sim.clear_faults()
    assert attempt(*prompts, **mode, try_number=2)["landed"] == 20
    assert len(sim.jobs()) == 20


@pytest.mark.usefixtures("pauses")
def test_an_item_for_which_the_api_is_too_busy_is_put_back_and_ordered_when_a_job_has_ended(
    sim: Simulator, attempt: Attempt, mode: Mode
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "after": 1, "times": 3, "respond": {"status": 429}})
    assert attempt("a boat", "a bridge", "a bird", **mode, max_concurrent_submits=1)["landed"] == 3
    assert (sim.posts, len(sim.jobs())) == (6, 3)


@pytest.mark.usefixtures("pauses")
def test_with_nothing_in_flight_a_busy_api_ends_the_attempt_and_a_retry_goes_on(
    sim: Simulator, attempt: Attempt
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 3, "respond": {"status": 429}})
    with pytest.raises(BatchIncompleteError, match="3 not ordered"):
        attempt("a boat", "a bridge", "a bird", max_concurrent_submits=1)
    assert (sim.posts, len(sim.jobs())) == (3, 0)
    assert attempt("a boat", "a bridge", "a bird", try_number=2)["landed"] == 3


@pytest.mark.parametrize("broken", ["get", "set"])
def test_without_its_records_nothing_is_ordered(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, read_manifest: ReadManifest, broken: str
) -> None:
    store.broken = {broken}
    with pytest.raises(BatchIncompleteError, match="0 of 3 items landed; not so 3: 3 not ordered"):
        attempt()
    assert sim.posts == 0
    assert all("record" in line["error"] for line in read_manifest())
    store.broken = set()
    assert attempt(try_number=2)["landed"] == 3


def test_one_record_that_cannot_be_read_is_no_absent_one_and_stops_no_other_item(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, read_manifest: ReadManifest
) -> None:
    store.values["orvideo_job.two"] = json.dumps({"odd": True})
    requests = [{"id": name, "prompt": name} for name in ("one", "two", "three")]
    with pytest.raises(BatchIncompleteError, match="2 of 3 items landed"):
        attempt(*requests)
    assert sim.posts == 2
    assert statuses(read_manifest())["two"] == "not_ordered"


def test_without_a_place_for_records_a_batch_orders_nothing(sim: Simulator, attempt: Attempt) -> None:
    with pytest.raises(ConfigurationError, match="state_path"):
        attempt(in_context={"task_state_store": None})
    assert sim.posts == 0


def test_a_destination_that_cannot_be_used_shows_before_anything_is_ordered(
    sim: Simulator, attempt: Attempt, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DestinationError, match=r"a file lies where a folder is needed.*Nothing is ordered") as caught:
        attempt(destination=f"file://{tmp_path}/file/")
    # Nor does what Airflow prints as its cause speak of a video that is paid for.
    assert "The video is paid for" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(AirflowFailException, match="at the same address"):
        attempt(destination=f"file://{tmp_path}/one.mp4")
    assert sim.posts == 0


def test_a_key_that_is_refused_while_jobs_run_gives_the_wait_up_and_a_retry_attaches(
    simulate: Simulate, connect: Connect, attempt: Attempt, read_manifest: ReadManifest
) -> None:
    sim = simulate()
    connect(sim)
    sim.add_fault({"match": {"operation": "getVideos"}, "respond": {"status": 401}})
    with pytest.raises(BatchIncompleteError, match="3 in flight") as caught:
        attempt(deferrable=True)
    assert "cannot be read" in str(caught.value)
    assert {line["status"] for line in read_manifest()} == {"in_flight"}
    sim.clear_faults()
    assert attempt(deferrable=True, try_number=2)["landed"] == 3
    assert sim.posts == 3


def test_what_only_the_triggerer_cannot_read_ends_the_attempt_instead_of_going_round(
    simulate: Simulate, connect: Connect, make_batch: MakeBatch, make_context: MakeContext
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    context: Any = make_context()
    first = make_batch(deferrable=True)
    with pytest.raises(TaskDeferred):
        first.execute(context)
    event = {"jobs": 3, "ended": 3, "gave_up": 3, "error": "The connection cannot be read in the triggerer."}
    with pytest.raises(BatchIncompleteError, match="cannot be read in the triggerer"):
        make_batch(deferrable=True).execute_complete(context, event)
    assert sim.posts == 3


# ── Being told to stop ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kill_says_how_many_jobs_go_on_and_no_more_orders_leave(
    simulate: Simulate,
    connect: Connect,
    make_batch: MakeBatch,
    make_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sim = simulate()
    connect(sim)
    monkeypatch.setattr(OrVideoBatchOperator, "log", logging.getLogger("orvideo.operator"))
    operator = make_batch(max_in_flight=1)

    class Stopped(BaseException):
        pass

    def stop(_span: float) -> None:
        operator.on_kill()
        operator._batch.advance()  # type: ignore[union-attr]  # as much as still can happen
        raise Stopped

    monkeypatch.setattr(operator, "_pause", stop)
    with pytest.raises(Stopped):
        operator.execute(make_context())  # type: ignore[arg-type]  # a plain dict will do
    (warning,) = [record.getMessage() for record in caplog.records if "Detached" in record.getMessage()]
    assert warning.startswith("Detached from 1 jobs: the API cannot cancel them")
    assert sim.posts == 1


def test_a_kill_before_there_is_a_batch_says_nothing(make_batch: MakeBatch, caplog: pytest.LogCaptureFixture) -> None:
    make_batch().on_kill()
    assert caplog.text == ""

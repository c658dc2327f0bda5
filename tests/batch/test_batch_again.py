"""The next attempt, the next pass, another list: what was paid for is found again, and nothing is paid for twice."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_orvideo.exceptions import BatchIncompleteError, ConfigurationError
from airflow_provider_orvideo.landing.land import land as land_one
from airflow_provider_orvideo.operators.batching import landings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, FakeStateStore, MakeContext, Simulate
    from tests.batch.conftest import Attempt, MakeBatch, ReadManifest

    PostsOf = Callable[[], dict[str, int]]


@pytest.fixture
def lands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hold the job of each landing that is begun."""
    jobs: list[str] = []
    real = land_one

    def land(client: Any, job: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
        jobs.append(job.job_id)
        return real(client, job, *arguments, **options)

    monkeypatch.setattr(landings, "land", land)
    return jobs


# ── Passes of one attempt ────────────────────────────────────────────────────────────────────────────────────────────


def test_all_that_fits_is_waited_for_at_once(sim: Simulator, attempt: Attempt) -> None:
    deferrals: list[dict[str, Any]] = []
    attempt("a", "b", "c", "d", "e", deferrable=True, deferrals=deferrals)
    assert [(len(deferral["jobs"]), deferral["wake_after"]) for deferral in deferrals] == [(5, 5)]
    assert sim.posts == 5


def test_with_more_items_than_places_the_task_wakes_when_half_of_the_jobs_have_ended(
    simulate: Simulate, connect: Connect, attempt: Attempt, lands: list[str]
) -> None:
    sim = simulate()
    connect(sim)
    deferrals: list[dict[str, Any]] = []
    summary = attempt(*"abcdefgh", deferrable=True, deferrals=deferrals, max_in_flight=4)
    assert summary["landed"] == 8
    assert [len(deferral["jobs"]) for deferral in deferrals[:1]] == [4]
    assert deferrals[0]["wake_after"] == 2
    assert deferrals[-1]["wake_after"] == len(deferrals[-1]["jobs"]), "at last nothing waits for a place"
    assert len(deferrals) <= 4
    assert sim.posts == 8
    assert sorted(lands) == sorted(job.id for job in sim.jobs()), "each was landed, and read, once in this attempt"


def test_never_more_jobs_are_under_way_than_allowed(
    simulate: Simulate, connect: Connect, make_batch: MakeBatch, make_context: MakeContext
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    context: Any = make_context()
    with pytest.raises(TaskDeferred) as deferred:
        make_batch(tuple("abcdefgh"), deferrable=True, max_in_flight=3).execute(context)
    assert sim.posts == len(deferred.value.trigger.serialize()[1]["jobs"]) == 3
    sim.finish(sim.jobs()[0].id)
    event = {"jobs": 3, "ended": 1}
    with pytest.raises(TaskDeferred) as deferred:
        make_batch(tuple("abcdefgh"), deferrable=True, max_in_flight=3).execute_complete(context, event)
    assert sim.posts == 4
    assert len(deferred.value.trigger.serialize()[1]["jobs"]) == 3


def test_what_has_landed_in_an_attempt_is_not_read_again_each_time_it_wakes(
    simulate: Simulate,
    connect: Connect,
    make_batch: MakeBatch,
    make_context: MakeContext,
    attempt: Attempt,
    store: FakeStateStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    items = [{"id": name, "prompt": name} for name in "abcdef"]
    context: Any = make_context()
    read: list[str] = []
    get = store.get

    def noted(key: str, default: object = None) -> Any:  # noqa: ANN401 - JSON
        read.append(key.rpartition(".")[2])
        return get(key, default)

    monkeypatch.setattr(store, "get", noted)
    with pytest.raises(TaskDeferred):
        make_batch(items, deferrable=True, max_in_flight=2, budget_usd=9).execute(context)
    for landed in ("", "ab"):
        for job in sim.jobs():
            if not job.is_over:
                sim.finish(job.id)
        read.clear()
        batch = make_batch(items, deferrable=True, max_in_flight=2, budget_usd=9)
        with pytest.raises(TaskDeferred):
            batch.execute_complete(context, {"jobs": 2, "ended": 2})
        assert {*read} == {*"abcdef"} - {*landed}
    assert sim.posts == 6
    for job in sim.jobs():
        if not job.is_over:
            sim.finish(job.id)
    read.clear()
    # Another attempt takes nothing for granted.
    assert attempt(try_number=2, requests=items, budget_usd=9)["landed"] == 6
    assert {*read} == {*"abcdef"}
    assert sim.posts == 6


def test_what_appears_in_the_list_while_the_task_waits_is_not_ordered_in_this_attempt(
    simulate: Simulate, connect: Connect, make_batch: MakeBatch, make_context: MakeContext, attempt: Attempt
) -> None:
    sim = simulate()
    connect(sim)
    context: Any = make_context()
    with pytest.raises(TaskDeferred):
        make_batch(("a", "b"), deferrable=True).execute(context)
    with pytest.raises(BatchIncompleteError, match="was not in the list when this attempt began"):
        make_batch(("another", "b"), deferrable=True).execute_complete(context, {"jobs": 2, "ended": 2})
    assert sim.posts == 2
    assert attempt("another", "b", try_number=2)["landed"] == 2
    assert sim.posts == 3


def test_a_request_that_changes_while_the_task_waits_is_ordered_by_a_retry_at_the_earliest(
    make_batch: MakeBatch, make_context: MakeContext, posts_of: PostsOf
) -> None:
    context: Any = make_context()
    with pytest.raises(TaskDeferred):
        make_batch(({"id": "one", "prompt": "before"},), deferrable=True).execute(context)
    summary = make_batch(({"id": "one", "prompt": "after"},), deferrable=True).execute_complete(
        context, {"jobs": 1, "ended": 1}
    )
    assert summary["landed"] == 1
    assert posts_of() == {"before": 1}


def test_a_lost_trigger_is_no_reason_to_order_anything(
    simulate: Simulate, connect: Connect, make_batch: MakeBatch, make_context: MakeContext
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    context: Any = make_context()
    with pytest.raises(TaskDeferred):
        make_batch(("a", "b"), deferrable=True).execute(context)
    sim.finish(sim.jobs()[0].id)
    operator = make_batch(("a", "b"), deferrable=True)
    kwargs = {"error": "Trigger failure", "traceback": ["lost"]}
    with pytest.raises(TaskDeferred) as deferred:
        operator.resume_execution("__fail__", kwargs, context)
    assert [job[0] for job in deferred.value.trigger.serialize()[1]["jobs"]] == [sim.jobs()[1].id]
    assert sim.posts == 2


# ── Another attempt ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_attempt_looks_at_what_landed_and_downloads_only_what_is_not_whole(
    sim: Simulator, attempt: Attempt, lands: list[str], videos: Path
) -> None:
    attempt()
    broken = next(videos.glob("*.mp4"))
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    reads = sum(job.content_reads for job in sim.jobs())
    assert attempt(try_number=2)["landed"] == 3
    assert len(lands) == 6
    assert sum(job.content_reads for job in sim.jobs()) == reads + 1
    assert broken.read_bytes() == whole
    assert sim.posts == 3


def test_rows_may_move_come_and_go_and_only_new_ones_are_paid_for(
    sim: Simulator, attempt: Attempt, read_manifest: ReadManifest, posts_of: PostsOf
) -> None:
    attempt("a boat", "a bridge", "a bridge", "a bird")
    job = next(line["job_id"] for line in read_manifest() if line["request"]["prompt"] == "a boat")
    summary = attempt("a bird", "a cat", "a bridge", "a bridge", try_number=2)
    assert (summary["total"], summary["landed"], summary["dropped"]) == (4, 4, 1)
    assert posts_of() == {"a boat": 1, "a bridge": 2, "a bird": 1, "a cat": 1}
    lines = read_manifest()
    assert [line["request"]["prompt"] for line in lines] == ["a bird", "a cat", "a bridge", "a bridge", "a boat"]
    assert (lines[-1]["status"], lines[-1]["job_id"]) == ("dropped", job)
    assert attempt("a boat", try_number=3)["dropped"] == 4
    assert sim.posts == 5


def test_new_defaults_are_a_changed_request_and_no_new_items(
    sim: Simulator, attempt: Attempt, read_manifest: ReadManifest
) -> None:
    attempt()
    longer = {"duration": 2, "resolution": "480p"}
    with pytest.raises(AirflowFailException, match=r"3 not ordered.*on_changed_request is 'fail'"):
        attempt(defaults=longer, on_changed_request="fail", try_number=2)
    assert sim.posts == 3
    assert attempt(defaults=longer, try_number=3)["landed"] == 3
    assert sim.posts == 6
    assert [len(line["past"]) for line in read_manifest()] == [1, 1, 1]


def test_a_clear_may_ask_for_new_videos(sim: Simulator, attempt: Attempt) -> None:
    attempt()
    assert attempt(try_number=2, max_tries=5)["landed"] == 3
    assert sim.posts == 3
    assert attempt(try_number=3, max_tries=8, on_clear="submit", deferrable=True, max_in_flight=1)["landed"] == 3
    assert sim.posts == 6


def test_an_unknown_outcome_is_resolved_by_naming_the_job(
    sim: Simulator, attempt: Attempt, posts_of: PostsOf, read_manifest: ReadManifest
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "drop": {"when": "after"}})
    with pytest.raises(AirflowFailException, match="1 ambiguous"):
        attempt("a boat", "a bridge", max_concurrent_submits=1)
    (job,) = [job for job in sim.jobs() if job.order.prompt == "a boat"]
    assert attempt({"prompt": "a boat", "job_id": job.id}, "a bridge", try_number=2)["landed"] == 2
    assert posts_of() == {"a boat": 1, "a bridge": 1}
    assert read_manifest()[0]["job_id"] == job.id


def test_a_job_that_does_not_exist_is_one_items_trouble(
    sim: Simulator, attempt: Attempt, read_manifest: ReadManifest
) -> None:
    with pytest.raises(AirflowFailException, match="1 of 2 items landed"):
        attempt({"prompt": "a boat", "job_id": "gen-vid-nobody"}, "a bridge")
    assert [line["status"] for line in read_manifest()] == ["not_ordered", "landed"]
    assert sim.posts == 1


def test_an_unknown_outcome_is_ordered_again_by_a_retry_where_its_author_wants_that(
    sim: Simulator, attempt: Attempt, posts_of: PostsOf, read_manifest: ReadManifest
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "drop": {"when": "after"}})
    arguments: dict[str, Any] = {"on_ambiguous_submit": "resubmit", "max_concurrent_submits": 1, "max_in_flight": 1}
    with pytest.raises(BatchIncompleteError, match="1 ambiguous"):
        attempt("a boat", "a bridge", deferrable=True, **arguments)
    assert posts_of() == {"a boat": 1, "a bridge": 1}
    assert attempt("a boat", "a bridge", deferrable=True, try_number=2, **arguments)["landed"] == 2
    assert posts_of() == {"a boat": 2, "a bridge": 1}
    assert len(read_manifest()[0]["lost"]) == 1


# ── The manifest ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_manifest_holds_no_secret_and_no_media(
    simulate: Simulate, connect: Connect, attempt: Attempt, videos: Path, key: str
) -> None:
    sim = simulate(signed_urls=True)
    connect(sim)
    image = "data:image/png;base64," + "QUJD" * 2000
    frame = [{"type": "image_url", "image_url": {"url": image}, "frame_type": "first_frame"}]
    attempt({"prompt": "a boat", "frame_images": frame})
    (path,) = videos.glob("*.jsonl")
    text = path.read_text()
    assert "sha256:" in text
    for secret in (key, "QUJDQUJD", sim.origin):
        assert secret not in text


def test_a_file_that_is_no_manifest_is_never_written_over(sim: Simulator, attempt: Attempt, tmp_path: Path) -> None:
    listed = tmp_path / "shots.jsonl"
    listed.write_text('{"prompt": "a boat"}\n')
    with pytest.raises(ConfigurationError, match="no manifest of a batch"):
        attempt(requests=str(listed), manifest=f"file://{listed}")
    assert listed.read_text() == '{"prompt": "a boat"}\n'
    assert sim.posts == 0


def test_mapped_tasks_that_share_a_manifest_are_told_and_another_run_replaces_it(
    sim: Simulator, make_batch: MakeBatch, make_context: MakeContext, tmp_path: Path
) -> None:
    manifest = f"file://{tmp_path}/shots.jsonl"

    def run(**identity: object) -> dict[str, Any]:
        context: Any = make_context()
        vars(context["ti"]).update(identity)
        context["task_state_store"] = type(context["task_state_store"])()
        return make_batch(("a boat",), manifest=manifest).execute(context)

    run(map_index=0)
    with pytest.raises(ConfigurationError, match="map index 0 of this task"):
        run(map_index=1)
    assert sim.posts == 1
    assert run(run_id="manual__2", map_index=1)["dropped"] == 0
    (line,) = [json.loads(text) for text in (tmp_path / "shots.jsonl").read_text().splitlines()]
    assert line["run_id"] == "manual__2"


def test_an_empty_list_is_a_batch_without_items(sim: Simulator, attempt: Attempt, read_manifest: ReadManifest) -> None:
    summary = attempt(requests=[])
    assert (summary["total"], summary["cost_usd"], summary["estimated_cost_usd"]) == (0, 0, None)
    assert read_manifest() == []
    assert sim.posts == 0


def test_records_are_asked_for_by_one_thread_at_a_time(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[str] = []
    most: list[int] = []

    def alone(act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
            inside.append("")
            most.append(len(inside))
            time.sleep(0.001)  # as long as an answer takes: others may come meanwhile
            try:
                return act(*arguments, **options)
            finally:
                inside.pop()

        return acted

    for name in ("get", "set", "delete"):
        monkeypatch.setattr(store, name, alone(getattr(store, name)))
    attempt(*[f"take {number}" for number in range(12)], max_concurrent_submits=8)
    assert max(most) == 1
    assert sim.posts == 12

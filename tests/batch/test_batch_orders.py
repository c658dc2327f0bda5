"""What an item's order has in common with a single one: several models, inputs from anywhere, jobs that call in."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_orvideo.exceptions import BatchIncompleteError
from airflow_provider_orvideo.ledger.callbacks import Callbacks
from airflow_provider_orvideo.operators.batch import OrVideoBatchOperator
from airflow_provider_orvideo.webhooks import read_event
from tests.airflow_side.conftest import fire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import FakeStateStore, MakeContext
    from tests.batch.conftest import Attempt, Mode, ReadManifest

POST = {"operation": "createVideos"}
FIRST, SECOND = "x-ai/grok-imagine-video", "bytedance/seedance-2.0"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_an_item_whose_model_has_no_room_is_made_by_the_next_one_in_the_same_attempt(
    sim: Simulator, attempt: Attempt, mode: Mode, read_manifest: ReadManifest
) -> None:
    overloaded = {"outcome": "failed", "error": "The provider is overloaded"}
    sim.add_fault({"match": {**POST, "prompt_contains": "bridge"}, "times": 1, "job": overloaded})
    result = attempt("a boat", "a bridge", model=[FIRST, SECOND], defaults={"duration": 4}, **mode)
    assert (result["landed"], sim.posts) == (2, 3)
    boat, bridge = read_manifest()
    assert (boat["model"], bridge["model"], bridge["request"]["model"]) == (FIRST, SECOND, SECOND)
    (past,) = bridge["past"]
    assert (past["model"], past["error"]) == (FIRST, "The provider is overloaded")


def test_where_all_models_are_out_of_room_the_item_has_failed_and_each_was_asked_once(
    sim: Simulator, attempt: Attempt, mode: Mode, read_manifest: ReadManifest
) -> None:
    sim.add_fault({"match": {**POST, "prompt_contains": "bridge"}, "job": {"outcome": "expired"}})
    arguments: dict[str, Any] = {"model": [FIRST, SECOND], "defaults": {"duration": 4}, "fail_on_partial_error": False}
    assert attempt("a boat", "a bridge", **arguments, **mode)["landed"] == 1
    assert [line["status"] for line in read_manifest()] == ["landed", "failed"]
    assert attempt("a boat", "a bridge", try_number=2, **arguments, **mode)["landed"] == 1
    assert sim.posts == 3


def test_a_moderated_item_is_asked_of_no_other_model(sim: Simulator, attempt: Attempt, mode: Mode) -> None:
    sim.add_fault({"match": POST, "times": 1, "job": {"outcome": "failed", "error": "Content policy violation"}})
    arguments: dict[str, Any] = {"model": [FIRST, SECOND], "defaults": {"duration": 4}, "fail_on_partial_error": False}
    assert attempt("a boat", "a bridge", **arguments, **mode)["landed"] == 1
    assert sim.posts == 2


def test_an_items_images_may_lie_on_the_worker_and_are_read_when_it_is_ordered(
    sim: Simulator, attempt: Attempt, mode: Mode, read_manifest: ReadManifest, tmp_path: Path
) -> None:
    image = tmp_path / "first.png"
    image.write_bytes(PNG)
    rows = [{"prompt": "a boat", "frame_images": str(image)}, "a bridge"]
    assert attempt(*rows, **mode)["landed"] == 2
    image.unlink()
    assert attempt(*rows, try_number=2, **mode)["landed"] == 2
    assert sim.posts == 2
    boat, _ = read_manifest()
    assert boat["request"]["frame_images"][0]["image_url"]["url"].endswith("first.png")
    sent = next(entry.body for entry in sim.requests(operation="createVideos") if "frame_images" in (entry.body or {}))
    assert str(sent).count("data:image/png;base64,") == 1


def test_an_item_whose_image_is_missing_stops_no_other(
    sim: Simulator, attempt: Attempt, read_manifest: ReadManifest, tmp_path: Path
) -> None:
    rows = [{"prompt": "a boat", "frame_images": f"{tmp_path}/missing.png"}, "a bridge"]
    with pytest.raises(BatchIncompleteError):
        attempt(*rows)
    assert [line["status"] for line in read_manifest()] == ["not_ordered", "landed"]
    (tmp_path / "missing.png").write_bytes(PNG)
    assert attempt(*rows, try_number=2)["landed"] == 2
    assert sim.posts == 2


def test_media_in_the_list_show_as_their_sha256(store: FakeStateStore, sim: Simulator, attempt: Attempt) -> None:
    packed = base64.b64encode(PNG + bytes(400)).decode()
    rows = [{"prompt": "a boat", "frame_images": f"data:image/png;base64,{packed}"}]
    operator = OrVideoBatchOperator(task_id="batch", requests=rows, destination="s3://bucket/films/")
    assert packed[:60] not in repr(operator.requests)
    result = attempt(*rows)
    assert packed[:60] not in json.dumps(result) + json.dumps(store.values)
    assert sim.posts == 1


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callbacks:
    """Webhooks are on; `Callbacks.keep` is what the endpoint does with a genuine call."""
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_URL", "https://airflow.example.com/orvideo/webhook")
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", f"file://{tmp_path}/state")
    found = Callbacks.configured()
    assert found is not None
    return found


def test_an_item_whose_answer_was_lost_lands_by_a_retry_once_its_job_called(
    sim: Simulator,
    attempt: Attempt,
    mode: Mode,
    calls: Callbacks,
    store: FakeStateStore,
    read_manifest: ReadManifest,
    posts_of: Callable[[], dict[str, int]],
) -> None:
    sim.add_fault({"match": {**POST, "prompt_contains": "bridge"}, "times": 1, "drop": {"when": "after"}})
    for number in (1, 2):
        with pytest.raises(BatchIncompleteError, match="1 ambiguous"):
            attempt("a boat", "a bridge", try_number=number, **mode)
    (lost,) = [record for record in map(json.loads, store.values.values()) if record["phase"] == "intent"]
    job = next(job for job in sim.jobs() if job.order.prompt == "a bridge")
    event = {"id": job.id, "status": "completed", "model": FIRST}
    body = json.dumps({"type": "video.generation.completed", "created_at": "2026-11-22T12:00:00Z", "data": event})
    assert calls.keep(lost["nonce"], read_event(body.encode()), time.time())
    assert attempt("a boat", "a bridge", try_number=3, **mode)["landed"] == 2
    assert [line["status"] for line in read_manifest()] == ["landed", "landed"]
    assert posts_of() == {"a boat": 1, "a bridge": 1}


WRONG = "http://localhost/orvideo/webhook"


@pytest.mark.usefixtures("calls")
def test_webhooks_that_cannot_work_stop_new_orders_and_no_landing(
    sim: Simulator,
    make_batch: Callable[..., OrVideoBatchOperator],
    make_context: MakeContext,
    attempt: Attempt,
    read_manifest: ReadManifest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = {"requests": ["a boat", "a bridge", "a bird"], "max_in_flight": 2, "deferrable": True}
    context: Any = make_context(try_number=1, max_tries=2)
    with pytest.raises(TaskDeferred) as deferred:
        make_batch(**rows).execute(context)
    event = asyncio.run(fire(deferred.value.trigger))
    # While the task waits, somebody mistypes the option.
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_URL", WRONG)
    with pytest.raises(BatchIncompleteError, match=r"2 of 3 items landed; .* webhook_url is .*takes up 1 of them"):
        make_batch(**rows).execute_complete(context, event)
    assert [line["status"] for line in read_manifest()] == ["landed", "landed", "not_ordered"]
    said = [record.message for record in caplog.records if "No new order leaves" in record.message]
    assert len(said) == 1
    assert WRONG in said[0]
    with pytest.raises(BatchIncompleteError):
        attempt(try_number=2, **rows)
    assert sim.posts == 2
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_URL", "https://airflow.example.com/orvideo/webhook")
    assert attempt(try_number=3, **rows)["landed"] == 3
    assert sim.posts == 3

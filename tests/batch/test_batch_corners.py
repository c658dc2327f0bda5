"""What a review of batches found: each was wrong once."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_orvideo.exceptions import BatchIncompleteError
from airflow_provider_orvideo.inputs import storage
from airflow_provider_orvideo.operators.batching.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import FakeStateStore, MakeContext
    from tests.batch.conftest import Attempt, MakeBatch, ReadManifest

POST = {"operation": "createVideos"}
MODELS = ["x-ai/grok-imagine-video", "bytedance/seedance-2.0"]
OVERLOADED = {"match": POST, "job": {"outcome": "failed", "error": "The provider is overloaded"}}


def test_an_item_that_names_its_own_failed_job_has_failed(
    sim: Simulator, attempt: Attempt, store: FakeStateStore
) -> None:
    sim.add_fault(OVERLOADED)
    item = {"id": "a", "prompt": "a boat"}
    with pytest.raises(AirflowFailException):
        attempt(item, preflight=False)
    (record,) = store.values.values()
    job_id = json.loads(record)["job_id"]
    with pytest.raises(AirflowFailException, match="1 failed"):
        attempt({**item, "job_id": job_id}, try_number=2, preflight=False, model=MODELS)
    assert sim.posts == 1


def test_defaults_that_render_differently_ask_each_model_once(
    sim: Simulator, make_batch: MakeBatch, make_context: MakeContext, fire: Callable[..., Any]
) -> None:
    sim.add_fault(OVERLOADED)
    context: Any = make_context()
    ratios = itertools.cycle(["16:9", "9:16"])

    def go_on(event: dict[str, Any] | None) -> dict[str, Any]:
        """Let one worker do what it can, and return what wakes the next one."""
        defaults = {"duration": 4, "resolution": "480p", "aspect_ratio": next(ratios)}
        item = {"id": "a", "prompt": "a boat"}
        batch = make_batch((item,), deferrable=True, model=MODELS, preflight=False, defaults=defaults)
        with pytest.raises(TaskDeferred) as deferral:
            batch.execute_complete(context, event) if event else batch.execute(context)
        woken: dict[str, Any] = asyncio.run(fire(deferral.value.trigger))
        return woken

    second = go_on(go_on(None))
    with pytest.raises(AirflowFailException, match="1 failed"):
        go_on(second)
    assert [(entry.body or {})["model"] for entry in sim.requests(operation="createVideos")] == MODELS


def test_a_further_video_of_one_item_takes_no_other_items_place(
    sim: Simulator, attempt: Attempt, videos: Path, read_manifest: ReadManifest
) -> None:
    sim.add_fault({"match": {**POST, "prompt_contains": "one"}, "job": {"outputs": 2}})
    items = ({"id": "x", "prompt": "one"}, {"id": "x-1", "prompt": "two"})
    result = attempt(*items, destination=f"file://{videos}/{{item}}.{{ext}}", fail_on_partial_error=False)
    assert result["landed"] == 1
    first, second = read_manifest()
    assert (first["status"], second["status"]) == ("landing_failed", "landed")
    assert "'x-1'" in first["error"]
    assert "{index}" in first["error"]


def test_a_model_that_refused_leaves_its_share_of_the_budget_to_the_next() -> None:
    spending = Spending(Decimal("1.00"), None)
    estimate: Any = SimpleNamespace(usd=Decimal("0.60"))
    spending.reserve("a", estimate)
    spending.reserve("a", estimate)
    with pytest.raises(Exception, match="budget_usd"):
        spending.reserve("b", estimate)


def test_jobs_of_items_that_left_the_list_after_a_crash_are_told(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, read_manifest: ReadManifest
) -> None:
    class Died(BaseException):
        """The worker is gone."""

    real = store.set

    def die(key: str, value: Any, **rest: Any) -> None:  # noqa: ANN401
        real(key, value, **rest)
        if len(sim.jobs()) == 2 and value["phase"] == "submitted":
            raise Died

    store.set = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        attempt("a boat", "a bridge", max_concurrent_submits=1)
    store.set = real  # type: ignore[method-assign]
    result = attempt("a boat", "a bird", try_number=2)
    assert (result["landed"], result["dropped"]) == (2, 1)
    (dropped,) = [line for line in read_manifest() if line["status"] == "dropped"]
    assert dropped["job_id"] == next(job.id for job in sim.jobs() if job.order.prompt == "a bridge")


@pytest.mark.parametrize("requests", [("a boat", {"promt": "x"}), "/nowhere/list.csv"], ids=["a wrong row", "no file"])
def test_a_list_that_breaks_while_jobs_are_under_way_is_no_reason_to_give_up_or_to_say_that_nothing_was_spent(
    sim: Simulator,
    make_batch: MakeBatch,
    make_context: MakeContext,
    requests: Any,  # noqa: ANN401
) -> None:
    sim.add_fault({"match": POST, "job": {"seconds": 9999}})
    context: Any = make_context()
    with pytest.raises(TaskDeferred):
        make_batch(("a boat",), deferrable=True).execute(context)
    with pytest.raises(BatchIncompleteError, match="go on and bill") as caught:
        make_batch(requests, deferrable=True).execute_complete(context, {"jobs": 1, "ended": 1})
    assert "nothing was spent" not in str(caught.value)


def test_connections_of_inputs_are_read_in_the_tasks_own_thread(
    sim: Simulator, attempt: Attempt, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - not before AIRFLOW_HOME is set

    from tests.batch.test_batch_orders import PNG  # noqa: PLC0415

    first, second = f"{bucket}/first.png", f"{bucket}/second.png"
    for address in (first, second):
        ObjectStoragePath(address).write_bytes(PNG)
    threads: list[str] = []
    real = storage.connect

    def connect(address: str) -> None:
        threads.append(threading.current_thread().name)
        real(address)

    monkeypatch.setattr(storage, "connect", connect)
    rows = [{"prompt": "a boat", "frame_images": first}, {"prompt": "a bird", "frame_images": second}]
    assert attempt(*rows)["landed"] == 2
    assert {*threads} == {threading.main_thread().name}
    assert sim.posts == 2

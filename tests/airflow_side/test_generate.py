"""The generate operator over real HTTP: one task from the prompt to the landed video, and what its retries never do."""

from __future__ import annotations

import asyncio
import hashlib
import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.sdk import DAG

from airflow_provider_orvideo.exceptions import ConfigurationError, DestinationError, OrVideoError
from airflow_provider_orvideo.manifests import LandedManifest
from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import FakeStateStore, MakeContext

    Generate = Callable[..., dict[str, Any]]

POST = {"operation": "createVideos"}
CONTENT = {"operation": "listVideosContent"}
ORDER: dict[str, Any] = {
    "model": "x-ai/grok-imagine-video",
    "prompt": "a red boat",
    "duration": 1,
    "resolution": "480p",
}


@pytest.fixture(params=[False, True], ids=["on the worker", "in the triggerer"])
def generate(
    request: pytest.FixtureRequest, make_context: MakeContext, fire: Callable[..., Any], tmp_path: Path
) -> Generate:
    """Run one attempt of the task to its end; each deferral's trigger fires, and another worker resumes."""

    def run(*, try_number: int = 1, max_tries: int = 2, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        context: Any = make_context(try_number=try_number, max_tries=max_tries)
        values = {"task_id": "film", "poll_interval": 0.02, "destination": f"{tmp_path}/landed/", **ORDER, **arguments}

        def worker() -> OrVideoGenerateOperator:
            operator = OrVideoGenerateOperator(deferrable=request.param, **values)
            operator.render_template_fields(context)
            return operator

        event = None
        while True:
            try:
                return worker().execute_complete(context, event) if event else worker().execute(context)
            except TaskDeferred as deferral:
                assert request.param, "only a deferrable task defers"
                event = asyncio.run(fire(deferral.trigger))

    return run


def downloads(sim: Simulator) -> int:
    return sum(request.operation == "listVideosContent" for request in sim.requests())


def landed_bytes(result: dict[str, Any]) -> bytes:
    (file,) = result["files"]
    data = Path(urlsplit(file["uri"]).path).read_bytes()
    assert hashlib.sha256(data).hexdigest() == file["sha256"]
    return data


# ── From prompt to video ─────────────────────────────────────────────────────────────────────────────────────────────


def test_one_task_orders_waits_and_lands(sim: Simulator, generate: Generate, store: FakeStateStore) -> None:
    result = generate()
    manifest = LandedManifest.model_validate(result)
    assert manifest.to_json() == result
    assert landed_bytes(result)[4:8] == b"ftyp"
    assert (manifest.status, manifest.model, manifest.reused_from) == ("completed", ORDER["model"], None)
    assert manifest.request is not None
    assert manifest.request["prompt"] == ORDER["prompt"]
    assert (sim.posts, store.record["phase"]) == (1, "terminal")


def test_the_retry_of_a_failed_landing_lands_and_never_orders(sim: Simulator, generate: Generate) -> None:
    sim.add_fault({"match": CONTENT, "content": {"truncate": 0.5, "clean": True}})
    for attempt in (1, 2):
        with pytest.raises(OrVideoError, match="run this task again"):
            generate(try_number=attempt)
    sim.clear_faults()
    assert landed_bytes(generate(try_number=3))
    assert sim.posts == 1


def test_a_cleared_task_verifies_what_lies_there_and_downloads_nothing(sim: Simulator, generate: Generate) -> None:
    first = generate()
    before = downloads(sim)
    again = generate(try_number=2, max_tries=5)
    assert [file["sha256"] for file in again["files"]] == [file["sha256"] for file in first["files"]]
    assert (sim.posts, downloads(sim)) == (1, before)


def test_a_destination_that_cannot_be_written_costs_nothing(
    sim: Simulator, generate: Generate, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for destination in (f"{bucket}-is-not-there/films/", "relative/folder/", f"{tmp_path}/file/films/"):
        with pytest.raises(ConfigurationError, match="nothing was spent") as caught:
            generate(destination=destination)
        # Nor does what Airflow prints as its cause.
        assert "paid for" not in "".join(traceback.format_exception(caught.value))
    assert sim.posts == 0


def test_a_destination_that_breaks_after_the_order_leaves_the_job_on_record(
    sim: Simulator, generate: Generate, tmp_path: Path
) -> None:
    sim.add_fault({"match": CONTENT, "times": 50, "respond": {"status": 410}})
    with pytest.raises(OrVideoError):
        generate()
    (tmp_path / "landed").rmdir() if (tmp_path / "landed").exists() else None
    (tmp_path / "landed").write_text("a file where a folder was")
    sim.clear_faults()
    with pytest.raises(DestinationError):
        generate(try_number=2)
    (tmp_path / "landed").unlink()
    assert landed_bytes(generate(try_number=3))
    assert sim.posts == 1


def test_an_option_of_the_landing_that_cannot_be_kept_shows_before_anything_is_ordered(
    sim: Simulator, generate: Generate
) -> None:
    with pytest.raises(ConfigurationError, match="on_existing"):
        generate(on_existing="replace")
    assert sim.posts == 0


def test_what_is_left_to_the_operator_cannot_be_asked_for() -> None:
    arguments: dict[str, Any] = {"wait_for_completion": False}
    with DAG("films", schedule=None), pytest.raises(TypeError, match="OrVideoSubmitOperator"):
        OrVideoGenerateOperator(task_id="film", destination="/tmp/x/", model="m", **arguments)  # noqa: S108


def test_the_arguments_that_editors_complete_are_those_that_the_operators_take() -> None:
    import inspect  # noqa: PLC0415

    from airflow.sdk import BaseOperator  # noqa: PLC0415

    from airflow_provider_orvideo.operators import typed  # noqa: PLC0415
    from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator  # noqa: PLC0415

    def taken(kind: type) -> set[str]:
        return {*inspect.signature(kind.__init__).parameters} - {"self", "kwargs"}  # type: ignore[misc]

    def offered(kind: type) -> set[str]:
        return {*kind.__annotations__}

    told = offered(typed.OrderArguments) - offered(typed.TaskArguments)
    assert told | {"model", "prompt", "wait_for_completion"} == taken(OrVideoSubmitOperator)
    more = offered(typed.GenerateArguments) - offered(typed.OrderArguments)
    assert more | {"model", "prompt", "destination"} == taken(OrVideoGenerateOperator)
    since_airflow_3_3 = {"retry_policy"}
    assert offered(typed.TaskArguments) <= taken(BaseOperator) | since_airflow_3_3


# ── Several models ───────────────────────────────────────────────────────────────────────────────────────────────────

SECOND = "bytedance/seedance-2.0"


def test_a_job_that_found_no_room_is_followed_by_the_next_model_in_the_same_attempt(
    sim: Simulator, generate: Generate, store: FakeStateStore
) -> None:
    sim.add_fault({"match": POST, "times": 1, "job": {"outcome": "failed", "error": "The provider is overloaded"}})
    result = generate(model=[ORDER["model"], SECOND], duration=4)
    assert (result["model"], result["request"]["model"]) == (SECOND, SECOND)
    assert landed_bytes(result)
    assert sim.posts == 2
    (past,) = store.record["past"]
    assert (past["model"], past["status"], past["error"]) == (ORDER["model"], "failed", "The provider is overloaded")


def test_a_job_that_moderation_refused_is_followed_by_no_other_model(sim: Simulator, generate: Generate) -> None:
    sim.add_fault({"match": POST, "times": 1, "job": {"outcome": "failed", "error": "Content policy violation"}})
    with pytest.raises(AirflowFailException, match="without a video"):
        generate(model=[ORDER["model"], SECOND], duration=4)
    assert sim.posts == 1


def test_the_models_may_come_as_rendered_text(sim: Simulator, generate: Generate) -> None:
    assert generate(model=json.dumps([ORDER["model"], SECOND]), duration=4)["model"] == ORDER["model"]
    assert sim.posts == 1


@pytest.mark.parametrize("model", [[], ["a", "a"], [1], "[", "['a', 'a']", ["a", ""]], ids=repr)
def test_a_list_of_models_that_cannot_serve_is_refused(sim: Simulator, generate: Generate, model: object) -> None:
    with pytest.raises(AirflowFailException, match="'model' is"):
        generate(model=model)
    assert sim.posts == 0


# ── Results of earlier orders ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def another_run(store: FakeStateStore) -> Callable[[], None]:
    """Forget what the task instance knows: the next attempt is that of another run."""

    def forget() -> None:
        store.values.clear()

    return forget


def test_an_identical_order_of_another_run_is_served_by_the_earlier_result(
    sim: Simulator, generate: Generate, another_run: Callable[[], None], tmp_path: Path, store: FakeStateStore
) -> None:
    cache = {"result_cache": f"file://{tmp_path}/results"}
    first = generate(**cache)
    another_run()
    second = generate(destination=f"{tmp_path}/elsewhere/film.mp4", **cache)
    assert (sim.posts, store.values) == (1, {})
    assert landed_bytes(second) == landed_bytes(first)
    assert second["files"][0]["uri"] == f"file://{tmp_path}/elsewhere/film.mp4"
    assert (tmp_path / "elsewhere" / "film.mp4.json").is_file()
    assert (second["job_id"], second["total_cost_usd"]) == (first["job_id"], 0.0)
    assert second["reused_from"] == "films/manual__1/submit"
    another_run()
    assert generate(**cache)["files"] == first["files"]
    assert sim.posts == 1


@pytest.mark.parametrize(
    "change", [{"prompt": "a blue boat"}, {"duration": 2}, {"resolution": "720p"}, {"result_cache": None}]
)
def test_any_other_order_is_ordered(
    sim: Simulator, generate: Generate, another_run: Callable[[], None], tmp_path: Path, change: dict[str, Any]
) -> None:
    cache = {"result_cache": f"{tmp_path}/results"}
    generate(**cache)
    another_run()
    assert generate(**{**cache, **change})["reused_from"] is None
    assert sim.posts == 2


@pytest.mark.parametrize("damage", ["gone", "changed", "garbled"])
def test_a_result_that_is_not_there_any_more_is_ordered_anew_and_kept(
    sim: Simulator, generate: Generate, another_run: Callable[[], None], tmp_path: Path, damage: str
) -> None:
    cache = {"result_cache": f"{tmp_path}/results"}
    (file,) = generate(**cache)["files"]
    video = Path(urlsplit(file["uri"]).path)
    if damage == "gone":
        video.unlink()
    elif damage == "changed":
        video.write_bytes(video.read_bytes()[:-1] + b"?")
    else:
        next((tmp_path / "results").iterdir()).write_text("{")
    another_run()
    second = generate(destination=f"{tmp_path}/second/", **cache)
    assert (second["reused_from"], sim.posts) == (None, 2)
    another_run()
    third = generate(destination=f"{tmp_path}/third/", **cache)
    assert (third["job_id"], sim.posts) == (second["job_id"], 2)


def test_a_cache_that_cannot_be_read_orders_nothing(sim: Simulator, generate: Generate, bucket: str) -> None:
    with pytest.raises(OrVideoError, match=r"Nothing was ordered\..*result_cache") as caught:
        generate(result_cache=f"{bucket}-is-not-there/results")
    assert "paid for" not in "".join(traceback.format_exception(caught.value))
    assert sim.posts == 0


def test_a_job_of_this_task_instance_goes_before_any_cache(sim: Simulator, generate: Generate, tmp_path: Path) -> None:
    first = generate()
    again = generate(try_number=2, result_cache=f"{tmp_path}/results")
    assert (again["job_id"], again["reused_from"], sim.posts) == (first["job_id"], None, 1)

"""Several models within one attempt of a task: each is asked once, whatever is forgotten or rendered anew."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.sdk import DAG

from airflow_provider_orvideo import decorators
from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Context, FakeStateStore, MakeContext

    Run = Callable[..., Any]

POST = {"operation": "createVideos"}
MODELS = ["x-ai/grok-imagine-video", "bytedance/seedance-2.0"]
OVERLOADED = {"match": POST, "job": {"outcome": "failed", "error": "The provider is overloaded"}}
ORDER: dict[str, Any] = {
    "prompt": "a red boat",
    "duration": 4,
    "resolution": "480p",
    "deferrable": True,
    "poll_interval": 0.02,
    "preflight": False,
}


@pytest.fixture
def run(fire: Callable[..., Any]) -> Run:
    """Run one attempt; each deferral's trigger fires and a new worker resumes, ten times at most."""

    def attempt(make: Callable[[], OrVideoSubmitOperator], context: Context) -> Any:  # noqa: ANN401
        event = None
        for _ in range(10):
            operator = make()
            operator.render_template_fields(context)  # type: ignore[arg-type]
            resume: Any = operator.execute_complete if event else operator.execute
            try:
                return resume(context, event) if event else resume(context)
            except TaskDeferred as deferral:
                event = asyncio.run(fire(deferral.trigger))
        pytest.fail("the attempt does not end")

    return attempt


@pytest.fixture
def overloaded(sim: Simulator, make_context: MakeContext, fire: Callable[..., Any]) -> tuple[Any, dict[str, Any]]:
    """The context of a task whose first model's job found no room, and the event that wakes it."""
    sim.add_fault(OVERLOADED)
    context: Any = make_context()
    with pytest.raises(TaskDeferred) as deferral:
        submit().execute(context)
    return context, asyncio.run(fire(deferral.value.trigger))


def asked(sim: Simulator) -> list[str]:
    return [str((entry.body or {}).get("model")) for entry in sim.requests(operation="createVideos")]


def submit(**arguments: Any) -> OrVideoSubmitOperator:  # noqa: ANN401
    return OrVideoSubmitOperator(**{"task_id": "submit", "model": MODELS, **ORDER, **arguments})


def test_without_a_place_for_records_no_other_model_is_asked(
    sim: Simulator, run: Run, make_context: MakeContext
) -> None:
    sim.add_fault(OVERLOADED)
    with pytest.raises(AirflowFailException, match="overloaded"):
        run(submit, make_context(task_state_store=None))
    assert asked(sim) == MODELS[:1]


def test_a_record_that_a_person_deleted_meanwhile_asks_no_other_model(
    sim: Simulator, store: FakeStateStore, overloaded: tuple[Any, dict[str, Any]]
) -> None:
    context, event = overloaded
    store.values.clear()
    store.broken.add("set")
    with pytest.raises(AirflowFailException, match="overloaded"):
        submit().execute_complete(context, event)
    assert asked(sim) == MODELS[:1]


def test_an_end_that_cannot_be_recorded_asks_no_other_model(
    sim: Simulator, store: FakeStateStore, overloaded: tuple[Any, dict[str, Any]]
) -> None:
    context, event = overloaded
    store.broken.add("set")
    with pytest.raises(AirflowFailException, match="overloaded"):
        submit().execute_complete(context, event)
    assert asked(sim) == MODELS[:1]


def test_a_request_that_renders_differently_asks_each_model_once(
    sim: Simulator, run: Run, make_context: MakeContext
) -> None:
    sim.add_fault(OVERLOADED)
    numbers: Iterator[int] = itertools.count()
    with pytest.raises(AirflowFailException, match="overloaded"):
        run(lambda: submit(prompt=f"a boat at {next(numbers)}"), make_context())
    assert asked(sim) == MODELS


def test_a_retry_whose_template_finds_nothing_follows_the_paid_job(
    sim: Simulator, make_context: MakeContext, store: FakeStateStore
) -> None:
    sim.add_fault({"match": POST, "job": {"seconds": 9999}})
    for number, nothing in enumerate(({}, {"prompt": "None"}, {"model": []}), start=1):
        with pytest.raises(TaskDeferred):
            submit(**nothing).execute(make_context(try_number=number))  # type: ignore[arg-type]
    assert (sim.posts, store.record["phase"]) == (1, "submitted")


def test_a_dags_default_arguments_cannot_keep_a_generated_video_from_landing(
    sim: Simulator, run: Run, make_context: MakeContext, tmp_path: Path
) -> None:
    def make() -> OrVideoSubmitOperator:
        with DAG("films", schedule=None, default_args={"wait_for_completion": False, "max_cost_usd": 7}):
            values = {**ORDER, "preflight": True, "model": MODELS[0], "destination": f"{tmp_path}/"}
            return OrVideoGenerateOperator(task_id="film", **values)

    assert len(run(make, make_context())["files"]) == 1
    assert sim.posts == 1


def test_a_file_that_was_left_alone_is_no_result_to_reuse(
    sim: Simulator, run: Run, make_context: MakeContext, tmp_path: Path
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"somebody's holiday")

    def make(folder: Path) -> OrVideoGenerateOperator:
        return OrVideoGenerateOperator(
            task_id="film",
            model=MODELS[0],
            destination=f"{folder}/film.mp4",
            on_existing="skip",
            result_cache=f"{tmp_path}/results",
            **ORDER,
        )

    assert run(lambda: make(tmp_path), make_context())["files"][0]["skipped"]
    run(lambda: make(tmp_path / "other"), make_context(task_state_store=None))
    assert (tmp_path / "other" / "film.mp4").read_bytes()[4:8] == b"ftyp"
    assert sim.posts == 2


# ── Functions ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Any]:
    """Make the task of a function."""

    def make(answer: Callable[[], Any], **arguments: Any) -> Any:  # noqa: ANN401
        def submit() -> Any:  # noqa: ANN401
            return answer()

        values = {"model": MODELS, "destination": f"{tmp_path}/", **ORDER, **arguments}
        del values["prompt"]
        with DAG("films", schedule=None):
            return decorators.task.orvideo(**values)(submit)().operator  # type: ignore[attr-defined]

    return make


def in_run(make_context: MakeContext, **attempt: int) -> Any:  # noqa: ANN401
    context = make_context(**attempt)
    context["ti"].xcom_push = lambda **_: None
    context["ti"].xcom_pull = lambda **_: None
    return context


def test_a_retry_after_a_clear_does_not_ask_the_function_again(
    sim: Simulator, make_context: MakeContext, told: Callable[..., Any]
) -> None:
    sim.add_fault({"match": POST, "job": {"seconds": 9999}})
    answers = iter(["a boat", "a boat", "a bridge"])
    for try_number, max_tries in ((1, 1), (2, 3), (3, 3)):  # the first one, after a clear, and a retry of that
        with pytest.raises(TaskDeferred):
            told(lambda: next(answers)).execute(in_run(make_context, try_number=try_number, max_tries=max_tries))
    assert (sim.posts, next(answers)) == (1, "a bridge")


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_model_that_the_function_names_is_where_the_list_begins(
    sim: Simulator, run: Run, make_context: MakeContext, told: Callable[..., Any], *, deferrable: bool
) -> None:
    sim.add_fault({**OVERLOADED, "times": 1})
    request = {"prompt": "a boat", "model": MODELS[0]}
    made = run(
        lambda: told(lambda: request, deferrable=deferrable, duration=4, resolution="720p"), in_run(make_context)
    )
    assert made["model"] == MODELS[1]
    assert asked(sim) == MODELS


def test_a_function_that_names_a_model_of_its_own_is_served_by_that_one(
    sim: Simulator, run: Run, make_context: MakeContext, told: Callable[..., Any]
) -> None:
    sim.add_fault({**OVERLOADED, "times": 1})
    answers = iter([{"prompt": "a boat"}, {"prompt": "a boat", "model": "google/veo-3.1"}])
    made = run(lambda: told(lambda: next(answers), resolution="720p"), in_run(make_context))
    assert asked(sim) == [MODELS[0], "google/veo-3.1"]
    assert json.dumps(made)

"""``@task.orvideo``: found by Airflow, asked once in an order's life, and what its answers may be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.sdk import DAG, task

from airflow_provider_orvideo import decorators
from airflow_provider_orvideo.chains import film
from airflow_provider_orvideo.decorators.orvideo import OrVideoDecoratedOperator
from airflow_provider_orvideo.exceptions import OrVideoError, OutcomeUnknownError
from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Execute, FakeStateStore, MakeContext

    Run = Callable[..., dict[str, Any]]

MODEL = "x-ai/grok-imagine-video"
SMALL: dict[str, Any] = {"duration": 1, "resolution": "480p", "poll_interval": 0.02}


class XComs:
    """What a task instance pushes, kept between its workers as Airflow does, and wiped before each new attempt."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def push(self, key: str, value: Any) -> None:  # noqa: ANN401
        self.values[key] = value

    def pull(self, *, task_ids: str, map_indexes: int, key: str) -> Any:  # noqa: ANN401
        assert (task_ids, map_indexes) == ("submit", -1)
        return self.values.get(key)


@pytest.fixture
def run(make_context: MakeContext, fire: Callable[..., Any], tmp_path: Path) -> Run:
    """Run one attempt of a task whose function is given; it defers, and another worker resumes."""

    def attempt(
        function: Callable[..., Any],
        *,
        try_number: int = 1,
        max_tries: int = 2,
        **arguments: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        context: Any = make_context(try_number=try_number, max_tries=max_tries)
        xcoms = XComs()
        context["ti"].xcom_push, context["ti"].xcom_pull = xcoms.push, xcoms.pull
        function.__name__ = "submit"  # a lambda has no name that a task could bear
        values = {"model": MODEL, "destination": f"{tmp_path}/", "deferrable": True, **SMALL, **arguments}

        def worker() -> OrVideoDecoratedOperator:
            with DAG("films", schedule=None):
                return decorators.task.orvideo(**values)(function)().operator  # type: ignore[attr-defined,no-any-return]

        event = None
        while True:
            operator = worker()
            resume = operator.execute_complete if event else operator.execute
            given = (context, event) if event else (context,)
            try:
                result: dict[str, Any] = resume(*given)
            except TaskDeferred as deferral:
                event = asyncio.run(fire(deferral.trigger))
            else:
                return result

    return attempt


def test_airflow_finds_the_decorator_by_its_name() -> None:
    with DAG("films", schedule=None) as dag:

        @task.orvideo(model=MODEL, destination="s3://bucket/films/")
        def harbour(topic: str) -> str:
            return f"a {topic} in a harbour"

        harbour("boat")
    (made,) = dag.tasks
    assert isinstance(made, OrVideoDecoratedOperator)
    assert made.task_id == "harbour"
    assert (made.operator_name, made.destination) == ("@task.orvideo", "s3://bucket/films/")
    assert decorators.task is task


def test_the_function_says_the_prompt_and_the_task_returns_the_landed_manifest(sim: Simulator, run: Run) -> None:
    def harbour() -> str:
        return "a red boat"

    result = run(harbour)
    assert (result["status"], len(result["files"])) == ("completed", 1)
    assert result["request"]["prompt"] == "a red boat"
    assert sim.posts == 1


def test_the_function_may_say_the_whole_request(sim: Simulator, run: Run) -> None:
    def harbour() -> dict[str, Any]:
        return {"model": MODEL, "prompt": "a {{ not a template }} boat", "duration": 2}

    result = run(harbour, model=None)
    assert (result["request"]["duration"], result["request"]["resolution"]) == (2, "480p")
    assert result["request"]["prompt"] == "a {{ not a template }} boat"
    assert sim.posts == 1


def test_the_function_is_asked_once_however_often_its_landing_fails(sim: Simulator, run: Run) -> None:
    prompts = iter(["a red boat", "a blue boat", "a green boat"])
    sim.add_fault({"match": {"operation": "listVideosContent"}, "content": {"truncate": 0.5, "clean": True}})
    for attempt in (1, 2):
        with pytest.raises(OrVideoError):
            run(lambda: next(prompts), try_number=attempt)
    sim.clear_faults()
    assert run(lambda: next(prompts), try_number=3)["status"] == "completed"
    assert (sim.posts, next(prompts)) == (1, "a blue boat")


def test_after_a_clear_another_answer_is_a_changed_request(sim: Simulator, run: Run) -> None:
    run(lambda: "a red boat")
    assert run(lambda: "a red boat", max_tries=5)["request"]["prompt"] == "a red boat"
    assert sim.posts == 1
    assert run(lambda: "a blue boat", max_tries=8)["request"]["prompt"] == "a blue boat"
    assert sim.posts == 2


def test_an_unknown_outcome_is_never_answered_by_another_prompt(
    sim: Simulator, run: Run, store: FakeStateStore
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "drop": {"when": "after"}})
    prompts = iter(["a red boat", "a blue boat"])
    for attempt in (1, 2):
        with pytest.raises(AirflowFailException) as caught:
            run(lambda: next(prompts), try_number=attempt)
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert (sim.posts, store.record["phase"]) == (1, "intent")


@pytest.mark.parametrize("answer", [None, "", "  ", 7, ["a"], {"promt": "a"}, {"prompt": ""}], ids=repr)
def test_an_answer_that_is_no_request_costs_nothing(sim: Simulator, run: Run, answer: object) -> None:
    with pytest.raises(AirflowFailException, match="nothing was spent"):
        run(lambda: answer)
    assert sim.posts == 0


def test_without_any_model_nothing_is_ordered(sim: Simulator, run: Run) -> None:
    with pytest.raises(AirflowFailException, match="'model'"):
        run(lambda: "a red boat", model=None)
    assert sim.posts == 0


# ── Films ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_film_is_a_chain_of_tasks_each_of_which_continues_the_one_before() -> None:
    with DAG("films", schedule=None) as dag:
        shots = film(["one", "two", "three"], model="m", destination="s3://bucket/{task_id}.mp4", duration=4)
    assert [shot.task_id for shot in shots] == ["shot_1", "shot_2", "shot_3"]
    assert [dag.get_task(shot.task_id).upstream_task_ids for shot in shots] == [set(), {"shot_1"}, {"shot_2"}]
    assert [shot.prompt for shot in shots] == ["one", "two", "three"]
    with pytest.raises(ValueError, match="'shots' is empty"):
        film([], model="m", destination="s3://bucket/")


def test_a_shot_is_continued_by_the_model_that_made_it(
    sim: Simulator, execute: Execute, tmp_path: Path, make_context: MakeContext, store: FakeStateStore
) -> None:
    continues = "bytedance/seedance-2.0"
    values: dict[str, Any] = {"destination": f"{tmp_path}/", "deferrable": False, "duration": 4, "resolution": "480p"}
    first = execute(OrVideoGenerateOperator(task_id="one", model=continues, prompt="one", poll_interval=0.02, **values))
    store.values.clear()
    for previous in (first, str(first), first["job_id"]):
        store.values.clear()
        second = OrVideoGenerateOperator(
            task_id="two", model=["no/such", continues], prompt="two", previous_job_id=previous, **values
        )
        if previous == first["job_id"]:
            second.model = continues
        assert second._request().model == continues
        assert second._request().previous_job_id == first["job_id"]
    other = OrVideoGenerateOperator(task_id="x", model=MODEL, prompt="two", previous_job_id=first, **values)
    with pytest.raises(AirflowFailException, match="only that model can"):
        execute(other, make_context())
    assert sim.posts == 1

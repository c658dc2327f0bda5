"""What `orvideo_run` does with a DAG, and what it tells."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.configuration import conf
from airflow.sdk import DAG
from airflow.sdk.execution_time import supervisor

from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from airflow.triggers.base import TriggerEvent

    from airflow_provider_orvideo.simulator import Simulator
    from airflow_provider_orvideo.testing.faults import Faults
    from airflow_provider_orvideo.testing.running import FinishedRun, RunDag

DAGS = "films_dag.py"


def test_airflow_lives_in_a_throw_away_home() -> None:
    assert "orvideo-pytest-" in os.environ["AIRFLOW_HOME"]
    assert conf.get("database", "sql_alchemy_conn") == f"sqlite:///{os.environ['AIRFLOW_HOME']}/airflow.db"
    assert conf.getboolean("core", "load_examples") is False


def test_a_run_tells_states_tries_and_what_the_tasks_returned(
    film: Callable[..., FinishedRun], orvideo_simulator: Simulator, folder: Path
) -> None:
    run = film()
    (job,) = orvideo_simulator.jobs()
    assert (run.state, run.states) == ("success", {"submit": "success", "download": "success"})
    assert (run.tries, run.errors) == ({"submit": 1, "download": 1}, {})
    assert run.xcoms["submit"]["job_id"] == run.xcoms["download"]["job_id"] == job.id
    assert run.xcoms["download"]["files"][0]["uri"] == (folder / f"{job.id}-0.mp4").as_uri()
    assert run.dag_run.dag_id == "film"


def test_a_deferrable_task_really_waits_in_a_trigger(
    film: Callable[..., FinishedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    run = OrVideoJobTrigger.run

    async def run_and_tell(trigger: OrVideoJobTrigger) -> AsyncIterator[TriggerEvent]:
        waited.append(trigger.job_id)
        async for event in run(trigger):
            yield event

    monkeypatch.setattr(OrVideoJobTrigger, "run", run_and_tell)
    assert waited == [] and film().xcoms["submit"]["job_id"] in waited  # noqa: PT018 - before and after


def test_mapped_tasks_have_one_entry_for_each_instance(
    orvideo_run: RunDag, orvideo_simulator: Simulator, folder: Path
) -> None:
    run = orvideo_run(DAGS, dag_id="mapped", conf={"prompts": ["a boat", "a bridge"]})
    names = [f"{task}[{index}]" for task in ("land", "order", "wait") for index in (0, 1)]
    assert run.states == dict.fromkeys([*names, "prompts"], "success")
    prompts = {job.id: job.order.prompt for job in orvideo_simulator.jobs()}
    assert [prompts[run.xcoms[f"land[{index}]"]["job_id"]] for index in (0, 1)] == ["a boat", "a bridge"]
    assert len(list(folder.glob("*.mp4"))) == 2


def test_an_airflow_that_makes_its_server_for_each_task_makes_one_for_the_run(
    film: Callable[..., FinishedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    make: Any = supervisor.in_process_api_server
    made: list[str] = []

    def make_and_tell() -> Any:  # noqa: ANN401 - Airflow's server
        made.append("server")
        return make()

    monkeypatch.setattr(supervisor, "in_process_api_server", make_and_tell)
    assert film().states == {"submit": "success", "download": "success"}
    assert made == ["server"]


def test_what_a_task_expands_is_left_alone(orvideo_run: RunDag, orvideo_simulator: Simulator) -> None:
    run = orvideo_run(DAGS, dag_id="patient")
    assert run.states == {"submit[0]": "success", "submit[1]": "success"}
    assert orvideo_simulator.posts == 2


def test_runs_do_not_know_of_each_other(film: Callable[..., FinishedRun], orvideo_simulator: Simulator) -> None:
    date = datetime(2026, 11, 22, tzinfo=UTC)
    assert [film(logical_date=date).state, film(logical_date=date).state] == ["success", "success"]
    assert orvideo_simulator.posts == 2


with DAG("from_this_module", schedule=None, default_args={"retry_delay": timedelta(hours=1)}) as own_dag:
    own_task = OrVideoSubmitOperator(
        task_id="submit", model="x-ai/grok-imagine-video", prompt="a red boat", duration=1, resolution="480p", retries=1
    )


def test_a_dag_object_runs_and_is_afterwards_as_it_was(
    orvideo_run: RunDag, orvideo_simulator: Simulator, orvideo_faults: Faults
) -> None:
    orvideo_faults.no_credits(times=1)
    run = orvideo_run(own_dag)
    assert (run.states, run.tries, orvideo_simulator.posts) == ({"submit": "success"}, {"submit": 2}, 2)
    assert (own_task.poll_interval, own_task.timeout) == (30.0, 3 * 3600.0)
    assert own_task.retry_delay == timedelta(hours=1)


def failure(run: Callable[[], Any]) -> str:
    with pytest.raises(pytest.fail.Exception) as caught:
        run()
    return str(caught.value)


def test_a_dag_that_stands_in_no_module_is_explained(orvideo_run: RunDag) -> None:
    with DAG("nowhere", schedule=None) as dag:
        OrVideoSubmitOperator(task_id="submit", model="x-ai/grok-imagine-video", prompt="a red boat")
    assert "'nowhere'" in failure(lambda: orvideo_run(dag))


def test_a_file_of_several_dags_asks_which(orvideo_run: RunDag) -> None:
    text = failure(lambda: orvideo_run(DAGS))
    assert "the DAGs film, mapped, patient" in text
    assert "dag_id" in text


def test_a_missing_file_is_named(orvideo_run: RunDag) -> None:
    assert "nowhere.py" in failure(lambda: orvideo_run("nowhere.py"))


def test_a_file_that_cannot_be_imported_shows_why(orvideo_run: RunDag, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("from airflow.sdk import DAG\n1 / 0\n")
    assert "ZeroDivisionError" in failure(lambda: orvideo_run(broken))

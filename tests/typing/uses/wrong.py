"""Mistakes that a type checker must see; each line says by which of mypy's codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import DAG

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.chains import film
from airflow_provider_orvideo.decorators import orvideo_task, task
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
from airflow_provider_orvideo.sensors.job import OrVideoJobSensor
from airflow_provider_orvideo.webhooks import verify_signature

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from airflow_provider_orvideo.testing.faults import Faults
    from airflow_provider_orvideo.testing.running import RunDag

M = "google/veo-3.1-lite"
D = "file:///tmp/{job_id}.{ext}"

with DAG("films", schedule=None):
    submit = OrVideoSubmitOperator(task_id="submit", model=M, prompt="A boat")
    OrVideoSubmitOperator(task_id="no_model", prompt="A boat")  # error: call-arg
    OrVideoSubmitOperator(task_id="policy", model=M, on_ambiguous_submit="retry")  # error: arg-type
    OrVideoSubmitOperator(task_id="clear", model=M, on_clear="resubmit")  # error: arg-type
    OrVideoSubmitOperator(task_id="time", model=M, timeout="3h")  # error: arg-type
    OrVideoSubmitOperator(task_id="yes", model=M, wait_for_completion="yes")  # error: arg-type
    OrVideoSubmitOperator(task_id="prompt", model=M, prompt=1)  # error: arg-type
    OrVideoJobSensor(task_id="no_job")  # error: call-arg
    OrVideoDownloadOperator(task_id="no_destination", job=submit.output)  # error: call-arg
    OrVideoDownloadOperator(task_id="there", job=submit.output, destination=D, on_existing="?")  # error: arg-type
    OrVideoGenerateOperator(task_id="no_destination_2", model=M, prompt="A boat")  # error: call-arg
    film("One, Two", model=M)  # error: call-arg
    film([1, 2], model=M, destination=D)  # error: list-item
    film(["One"], model=M, destination=D, durations=8)  # error: call-arg
    film(["One"], model=M, destination=D, duration=[8])  # error: arg-type

    @task.orvideo(model=M)  # error: call-arg
    def no_destination() -> str:
        return "A boat"

    @task.orvideo(model=M, destination=D, on_job_failure="retry")  # error: arg-type
    def unknown_policy() -> str:
        return "A boat"

    @task.orvideo(model=M, destination=D)  # error: type-var
    def no_prompt() -> int:
        return 1

    @orvideo_task(destination=D, promt="A boat")  # error: call-arg
    def misspelt() -> str:
        return "A boat"


def by_hand(hook: OrVideoHook) -> object:
    hook.generate("A boat")  # error: arg-type
    hook.generate(VideoRequest(model=M, duraton=4))  # error: call-arg
    return hook.get_generation("gen-vid-1").duration  # error: attr-defined


def receive(body: str, header: str | None) -> None:
    verify_signature(body, header, secret="whsec-test-0")  # error: arg-type
    verify_signature(b"", header)  # error: call-arg
    if verify_signature(b"", header, "whsec-test-0"):  # error: func-returns-value
        raise AssertionError


def test_a_dag(orvideo_run: RunDag, orvideo_simulator: Simulator, orvideo_faults: Faults) -> None:
    run = orvideo_run("dags/films.py", config={"slogans": ["One"]})  # error: call-arg
    run.state = "success"  # error: misc
    orvideo_faults.lose_answer(times="2")  # error: arg-type
    orvideo_simulator.finish(1)  # error: arg-type

"""Every public way to use the package, as a user's type checker sees it; no error may be found here."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, assert_type

from airflow.sdk import DAG

from airflow_provider_orvideo.api.schema import VideoJob, VideoRequest
from airflow_provider_orvideo.chains import film
from airflow_provider_orvideo.decorators import orvideo_task, task
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
from airflow_provider_orvideo.sensors.job import OrVideoJobSensor
from airflow_provider_orvideo.testing.running import FinishedRun
from airflow_provider_orvideo.webhooks import WebhookEvent, read_event, verify_signature

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from airflow_provider_orvideo.testing.faults import Faults
    from airflow_provider_orvideo.testing.running import RunDag

with DAG("films", schedule=None):
    submit = OrVideoSubmitOperator(
        task_id="submit",
        model="google/veo-3.1-lite",
        prompt="A red boat",
        duration=4,
        resolution="720p",
        frame_images=["s3://aws_default@bucket/first.png"],
        timeout=timedelta(hours=1),
        on_ambiguous_submit="fail",
        max_cost_usd=0.5,
        deferrable=True,
        retries=2,
    )
    several = OrVideoSubmitOperator(task_id="several", model=["one/model", "other/model"], fallback_on="capacity")
    wait = OrVideoJobSensor(task_id="wait", job=submit.output, mode="reschedule", poke_interval=60)
    download = OrVideoDownloadOperator(
        task_id="download",
        job=submit.output,
        destination="s3://aws_default@bucket/{job_id}.{ext}",
        on_existing="verify",
    )
    generate = OrVideoGenerateOperator(
        task_id="generate", model="google/veo-3.1-lite", prompt=submit.output, destination="file:///tmp/{job_id}.{ext}"
    )
    OrVideoSubmitOperator.partial(task_id="mapped", model="google/veo-3.1-lite").expand(prompt=["a boat", "a bridge"])
    shots = film(["One", "Two"], model="google/veo-3.1", destination="file:///tmp/{task_id}.{ext}", duration=8)
    assert_type(shots, list[OrVideoGenerateOperator])

    @task.orvideo(model="google/veo-3.1-lite", destination="file:///tmp/{job_id}.{ext}", duration=4, retries=1)
    def a_prompt(word: str) -> str:
        return f"A {word} boat"

    @orvideo_task(destination="file:///tmp/{job_id}.{ext}", on_clear="submit")
    def a_request() -> dict[str, Any]:
        return {"model": "google/veo-3.1-lite", "prompt": "A boat"}

    a_prompt("red")
    a_request()


def by_hand() -> Decimal | None:
    with OrVideoHook("orvideo_default") as hook:
        job = hook.generate(VideoRequest(model="google/veo-3.1-lite", prompt="A boat"))
        assert_type(job, VideoJob)
        assert_type([model.id for model in hook.list_videos_models()], list[str])
        works, why = hook.test_connection()
        assert_type((works, why), tuple[bool, str])
        return hook.get_current_key().limit_remaining


def receive(body: bytes, header: str | None) -> WebhookEvent:
    verify_signature(body, header, secret="whsec-test-0")
    return read_event(body)


def test_a_dag(orvideo_run: RunDag, orvideo_simulator: Simulator, orvideo_faults: Faults) -> None:
    orvideo_faults.refuse_by_moderation(prompt="Rude")
    run = orvideo_run("dags/films.py", conf={"slogans": ["One"]})
    assert_type(run, FinishedRun)
    assert_type(run.state, str)
    assert_type(orvideo_simulator.posts, int)

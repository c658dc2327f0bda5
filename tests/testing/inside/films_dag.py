"""DAGs for the tests of the plugin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
from airflow_provider_orvideo.sensors.job import OrVideoJobSensor

ORDER: dict[str, Any] = {
    "model": "x-ai/grok-imagine-video",
    "duration": 1,
    "resolution": "480p",
    "deferrable": True,
}
FOLDER = "{{ var.value.films_folder }}"
SETTINGS: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(hours=1)}

with DAG("film", schedule=None, default_args=SETTINGS) as film:
    video = OrVideoSubmitOperator(task_id="submit", prompt="a red boat", timeout=timedelta(hours=1), **ORDER)
    OrVideoDownloadOperator(task_id="download", job=video.output, destination=FOLDER, expect="fail")

with DAG("mapped", schedule=None, default_args=SETTINGS):

    @task
    def prompts(dag_run: Any = None) -> list[str]:  # noqa: ANN401 - Airflow's run
        """Return the prompts of the run's configuration."""
        found: list[str] = dag_run.conf["prompts"]
        return found

    orders = OrVideoSubmitOperator.partial(task_id="order", wait_for_completion=False, **ORDER).expand(prompt=prompts())
    ends = OrVideoJobSensor.partial(task_id="wait", deferrable=True).expand(job=orders.output)
    OrVideoDownloadOperator.partial(task_id="land", destination=FOLDER, expect="fail").expand(job=ends.output)

with DAG("patient", schedule=None, default_args=SETTINGS):
    OrVideoSubmitOperator.partial(task_id="submit", prompt="a red boat", **ORDER).expand_kwargs(
        [{"timeout": 3600, "poll_interval": 0.1}, {"timeout": 3600, "poll_interval": 0.2}]
    )

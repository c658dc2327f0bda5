"""Orders that outlive the hosts they ran on; the test takes the hosts away. Each prompt is its DAG's name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

FOLDER = "{{ var.value.orvideo_destination }}{{ dag.dag_id }}/"
VIDEO: dict[str, Any] = {"model": "x-ai/grok-imagine-video", "duration": 1, "resolution": "480p"}
WAIT: dict[str, Any] = {"deferrable": True, "poll_interval": 2}
AGAIN: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=5)}

with DAG("hosts_mapped", schedule=None, default_args=AGAIN):
    OrVideoGenerateOperator.partial(task_id="video", destination=FOLDER, **VIDEO, **WAIT).expand(
        prompt=[f"hosts_mapped, shot {number}" for number in range(8)]
    )

for name in ("worker_lost_in_submit", "worker_lost_in_landing", "triggerer_lost"):
    with DAG(name, schedule=None, default_args=AGAIN):
        OrVideoGenerateOperator(task_id="video", prompt=name, destination=FOLDER, **VIDEO, **WAIT)

with DAG("worker_lost_while_waiting", schedule=None, default_args=AGAIN):
    video = OrVideoSubmitOperator(task_id="submit", prompt="worker_lost_while_waiting", **VIDEO, **WAIT)
    OrVideoDownloadOperator(task_id="download", job=video.output, destination=FOLDER)

"""The orders of `make soak`: mapped generate tasks, and batches where this checkout has the operator."""

from __future__ import annotations

import os
from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import DAG

from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

GENERATE = int(os.environ["SOAK_GENERATE"])
BATCHES = [int(size) for size in os.environ["SOAK_BATCHES"].split(",") if size]
FOLDER = os.environ["SOAK_DESTINATION"]

VIDEO: dict[str, Any] = {"model": "x-ai/grok-imagine-video"}
SHAPE: dict[str, Any] = {"duration": 1, "resolution": "480p"}
WAIT: dict[str, Any] = {"deferrable": True, "poll_interval": 10}
# A worker is killed every minute and content is cut; each costs an attempt, and never an order.
AGAIN: dict[str, Any] = {"retries": 6, "retry_delay": timedelta(seconds=10)}

if GENERATE:
    with DAG("soak_generate", schedule=None, max_active_tasks=4096, default_args=AGAIN):
        OrVideoGenerateOperator.partial(
            task_id="video", destination=FOLDER + "generate/", **VIDEO, **SHAPE, **WAIT
        ).expand(prompt=[f"generate {number}" for number in range(GENERATE)])

if BATCHES:
    operator = import_module("airflow_provider_orvideo.operators.batch").OrVideoBatchOperator
    with DAG("soak_batch", schedule=None, max_active_tasks=4096, default_args=AGAIN):
        operator.partial(
            task_id="videos", destination=FOLDER + "batch/{job_id}.mp4", defaults=SHAPE, **VIDEO, **WAIT
        ).expand(
            requests=[
                [{"id": f"{batch}-{item}", "prompt": f"batch {batch} item {item}"} for item in range(size)]
                for batch, size in enumerate(BATCHES)
            ]
        )

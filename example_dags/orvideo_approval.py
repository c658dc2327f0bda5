"""A person is asked before an expensive video is ordered; a cheap one is ordered at once.

Needs the connection ``orvideo_default``. The question waits in the UI, under "Required Actions".
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, task

from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator
from airflow_provider_orvideo.prices import estimate

FOLDER = "{{ var.value.get('orvideo_destination', 'file:///tmp/orvideo/') }}"

# [START approval]
REQUEST: dict[str, Any] = {
    "model": "google/veo-3.1-fast",
    "prompt": "{{ params.prompt }}",
    "duration": "{{ params.seconds }}",
    "resolution": "720p",
    "generate_audio": False,
}

with DAG(
    "orvideo_approval",
    schedule=None,
    params={
        "prompt": "A paper boat sails through a thunderstorm",
        "seconds": Param(8, enum=[4, 6, 8]),
        "ask_above_usd": Param(0.50, type="number", minimum=0),
    },
    tags=["orvideo", "example"],
):

    @task(retries=2)
    def price(request: dict[str, Any]) -> float | None:
        """Estimate what the video will cost, in US dollars; None where nobody can tell. Orders nothing."""
        usd = estimate(**request).usd
        return None if usd is None else float(usd)

    @task.branch
    def is_cheap(usd: float | None, params: dict[str, Any]) -> str:
        """Ask nobody below the price; what has no price, a person sees."""
        return "generate" if usd is not None and usd <= params["ask_above_usd"] else "approve"

    approve = ApprovalOperator(
        task_id="approve",
        subject="A video for ${{ ti.xcom_pull('price') }}?",
        body="{{ params.seconds }} seconds: {{ params.prompt }}",
        response_timeout=timedelta(days=1),
    )
    generate = OrVideoGenerateOperator(
        task_id="generate",
        **REQUEST,
        # Never more than what was said before, should the price list change meanwhile.
        max_cost_usd="{{ ti.xcom_pull('price') }}",
        destination=FOLDER + "approved/",
        trigger_rule="none_failed_min_one_success",
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=30),
    )
    choice = is_cheap(price(REQUEST))
    choice >> [approve, generate]
    approve >> generate
# [END approval]

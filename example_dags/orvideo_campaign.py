"""A trailer for each product, every Monday: mapped tasks, a pool, and a budget that they share.

Needs the connection ``orvideo_default``; a pool that counts deferred tasks, made once with
``airflow pools set openrouter_video 4 "videos under way" --include-deferred``; and a place for the budget,
``[orvideo] state_path``. The DAG begins paused, since its schedule spends money.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

FOLDER = "{{ var.value.get('orvideo_destination', 'file:///tmp/orvideo/') }}"

# [START campaign]
with DAG(
    "orvideo_campaign",
    schedule="0 6 * * 1",
    start_date=datetime(2026, 1, 5, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,
    # A retry goes on with the job that exists; it never orders a second one.
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["orvideo", "example"],
):

    @task
    def products() -> list[dict[str, str]]:
        """Say what is in the shop this week; in real life, a query."""
        return [
            {"sku": "kettle", "look": "a copper kettle that begins to steam"},
            {"sku": "lamp", "look": "a paper lamp that lights up a dark room"},
            {"sku": "chair", "look": "an oak chair in the morning sun"},
        ]

    def as_request(product: dict[str, str]) -> dict[str, Any]:
        """Make each product a request: the fields that differ."""
        return {"prompt": f"A slow shot of {product['look']}", "trace": {"sku": product["sku"]}}

    OrVideoGenerateOperator.partial(
        task_id="trailer",
        model="x-ai/grok-imagine-video",
        duration=2,
        resolution="480p",
        destination=FOLDER + "campaign/{logical_date}/{map_index}-{job_id}.mp4",
        # What the grid shows instead of 0, 1, 2.
        map_index_template="{{ task.trace['sku'] }}",
        # Videos under way at a time, over all DAGs; and of this run.
        pool="openrouter_video",
        max_active_tis_per_dagrun=2,
        # No video above 25 cents, and no run above a dollar.
        max_cost_usd=0.25,
        on_unknown_cost="fail",
        run_budget_usd=1.00,
        deferrable=True,
    ).expand_kwargs(products().map(as_request))
# [END campaign]

"""One video for each row of a CSV file, in a single task, with a manifest of what became of each row.

Needs the connection ``orvideo_default``. The columns of the file are fields of a request, and ``id``, by which a row is
known from run to run. The Variable ``orvideo_batch_csv`` names a file of your own, for example
``s3://aws_default@my-bucket/batch.csv``; without it, the rows beside this DAG are taken.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_orvideo.operators.batch import OrVideoBatchOperator

FOLDER = "{{ var.value.get('orvideo_destination', 'file:///tmp/orvideo/') }}"
ROWS = Path(__file__).with_name("orvideo_batch.csv")

# [START batch_csv]
with DAG("orvideo_batch_csv", schedule=None, tags=["orvideo", "example"]):
    OrVideoBatchOperator(
        task_id="videos",
        requests=f"{{{{ var.value.get('orvideo_batch_csv', 'file://{ROWS}') }}}}",
        # For all rows that do not say otherwise.
        model="x-ai/grok-imagine-video",
        defaults={"duration": 2, "resolution": "480p"},
        # {item} is the row's id. The manifest lies beside the videos.
        destination=FOLDER + "batch/{run_id}/{item}.{ext}",
        max_in_flight=50,
        budget_usd=1.00,
        deferrable=True,
        # Rows that failed for a while are tried again; those that landed are not.
        retries=2,
        retry_delay=timedelta(minutes=1),
    )
# [END batch_csv]

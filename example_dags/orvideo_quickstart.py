"""The shortest way from a prompt to a landed video: a function that says what to show.

Needs the connection ``orvideo_default``. Costs $0.12 with a real key.
"""

from __future__ import annotations

# [START quickstart]
from airflow.sdk import DAG

from airflow_provider_orvideo.decorators import task

FOLDER = "{{ var.value.get('orvideo_destination', 'file:///tmp/orvideo/') }}"

WAIT = {"deferrable": True, "retries": 2}  # without a worker slot; a retry never pays twice

with DAG("orvideo_quickstart", schedule=None, default_args=WAIT, tags=["orvideo", "example"]):

    @task.orvideo(model="google/veo-3.1-lite", duration=4, resolution="720p", generate_audio=False, destination=FOLDER)
    def paper_boat() -> str:
        """Say what to show."""
        return "A paper boat sails down a rainy street at dusk"

    paper_boat()
# [END quickstart]

"""From a prompt to a verified MP4 in object storage: submit, wait without a worker, download."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

# [START first_video]
with DAG("orvideo_first_video", schedule=None, tags=["orvideo", "example"]):
    video = OrVideoSubmitOperator(
        task_id="submit",
        model="google/veo-3.1-lite",
        prompt="A paper boat sails down a rainy street at dusk",
        duration=4,
        resolution="720p",
        aspect_ratio="16:9",
        generate_audio=False,
        deferrable=True,
        poll_interval=5,
    )
    OrVideoDownloadOperator(
        task_id="download",
        job=video.output,
        # Any object storage that Airflow knows, for example s3://aws_default@my-bucket/videos/
        destination="{{ var.value.get('orvideo_destination', 'file:///tmp/orvideo/') }}",
    )
# [END first_video]

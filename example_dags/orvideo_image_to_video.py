"""A video that begins with a picture from S3.

Needs the connections ``orvideo_default`` and ``aws_default``, and the Variable ``orvideo_first_frame``, the address of
your picture. A local path works as well, if the worker can read it; the picture goes with the request.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

FOLDER = "{{ var.value.get('orvideo_destination', 'file:///tmp/orvideo/') }}"

# [START image_to_video]
with DAG("orvideo_image_to_video", schedule=None, tags=["orvideo", "example"]):
    OrVideoGenerateOperator(
        task_id="animate",
        model="google/veo-3.1-lite",
        prompt="The boat leaves the harbour; the camera follows it",
        # One address is the first frame. For the last one, too: [first, last], or {"last_frame": …}.
        frame_images="{{ var.value.get('orvideo_first_frame', 's3://aws_default@my-bucket/frames/boat.png') }}",
        duration=4,
        resolution="720p",
        generate_audio=False,
        destination=FOLDER + "image-to-video/",
        poster=True,  # a still image beside the video
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=30),
    )
# [END image_to_video]

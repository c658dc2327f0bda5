"""A film of three shots, each of which continues the one before, and the list that ffmpeg joins them by.

Needs the connection ``orvideo_default``, and a model that continues its own jobs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, task

from airflow_provider_orvideo.chains import film

FOLDER = "{{ var.value.get('orvideo_destination', 'file:///tmp/orvideo/') }}"

# [START film]
with DAG("orvideo_film", schedule=None, tags=["orvideo", "example"]):
    # Three tasks: shot_1 >> shot_2 >> shot_3. A retry of one orders none of the others again.
    shots = film(
        [
            "A paper boat lies on a desk; a hand picks it up",
            "The hand carries the boat through the rain",
            "The boat sails away down the street",
        ],
        model="x-ai/grok-imagine-video",
        duration=3,
        resolution="480p",
        destination=FOLDER + "film/{run_id}/{task_id}.mp4",
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=30),
    )

    @task
    def edit_list(landed: list[dict[str, Any]]) -> str:
        """Write the list of shots beside them; then: ``ffmpeg -f concat -i shots.txt -c copy film.mp4``."""
        videos = [ObjectStoragePath(shot["files"][0]["uri"]) for shot in landed]
        target = videos[0].parent / "shots.txt"
        target.write_text("".join(f"file '{video.name}'\n" for video in videos))
        return str(target)

    edit_list([shot.output for shot in shots])
# [END film]

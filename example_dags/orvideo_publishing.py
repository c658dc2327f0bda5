"""Two DAGs: one makes a video and says so with an asset; the other one runs whenever there is a new one.

The event of the asset carries the manifest: the second DAG needs no XCom, no sensor and no folder to look into.
Needs the connection ``orvideo_default``.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, ObjectStoragePath, task

from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = "{{ var.value.get('orvideo_destination', 'file:///tmp/orvideo/') }}"

# [START publishing]
TRAILERS = Asset("orvideo_trailers")  # one name, however many videos

with DAG("orvideo_trailer", schedule=None, tags=["orvideo", "example"]):
    OrVideoGenerateOperator(
        task_id="trailer",
        model="x-ai/grok-imagine-video",
        prompt="A paper boat on a stage, and the curtain rises",
        duration=2,
        resolution="480p",
        destination=FOLDER + "trailers/",
        outlets=[TRAILERS],
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=30),
    )

with DAG("orvideo_publishing", schedule=[TRAILERS], tags=["orvideo", "example"]):

    @task(retries=2)
    def publish(triggering_asset_events: Mapping[Asset, Sequence[Any]]) -> list[str]:
        """Write an entry for the website, one for each video that landed since the last run."""
        entries = []
        for event in triggering_asset_events[TRAILERS]:
            manifest = event.extra  # what the generate task returned
            (file,) = manifest["files"]
            entry = {"title": manifest["request"]["prompt"], "video": file["uri"], "sha256": file["sha256"]}
            target = ObjectStoragePath(file["uri"]).parent / "published" / f"{manifest['job_id']}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(entry, indent=2))
            entries.append(str(target))
        return entries

    publish()  # Airflow passes the events
# [END publishing]

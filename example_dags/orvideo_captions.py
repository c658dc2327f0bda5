"""One video, captions for three regions: SRT files and the commands that burn them in.

Burning in is left to you, since it needs ffmpeg where it runs: take the commands of ``captions.json`` into a
``BashOperator``, a container, or your editor's hands. Needs the connection ``orvideo_default``.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, task

from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

FOLDER = "{{ var.value.get('orvideo_destination', 'file:///tmp/orvideo/') }}"

# [START captions]
SECONDS = 4
REGIONS = [
    {"region": "us", "aspect": "16:9", "lines": ["Paper boats", "Fold one today"]},
    {"region": "de", "aspect": "16:9", "lines": ["Papierboote", "Heute eins falten"]},
    {"region": "jp", "aspect": "9:16", "lines": ["紙の船", "今日、折ってみよう"]},
]

with DAG("orvideo_captions", schedule=None, tags=["orvideo", "example"]):
    video = OrVideoGenerateOperator(
        task_id="video",  # one order serves all regions
        model="google/veo-3.1-lite",
        prompt="A paper boat sails down a rainy street at dusk; room for a line of text below",
        duration=SECONDS,
        resolution="720p",
        generate_audio=False,
        destination=FOLDER + "captions/{job_id}/master.mp4",
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=30),
    )

    @task
    def captions(region: str, aspect: str, lines: list[str], landed: dict[str, Any]) -> dict[str, str]:
        """Write a region's captions beside the video, and say how they are burned in."""
        master = ObjectStoragePath(landed["files"][0]["uri"])
        each = (landed["files"][0]["duration_s"] or SECONDS) / len(lines)
        cues = [f"{i + 1}\n{at(i * each)} --> {at((i + 1) * each)}\n{line}\n" for i, line in enumerate(lines)]
        (master.parent / f"{region}.srt").write_text("\n".join(cues), encoding="utf-8")
        crop = "crop=ih*9/16:ih," if aspect == "9:16" else ""
        return {
            "region": region,
            "captions": f"{region}.srt",
            "next": f"ffmpeg -i {master.name} -vf '{crop}subtitles={region}.srt' {region}.mp4",
        }

    def at(seconds: float) -> str:
        """Write a time as SRT does."""
        whole, milliseconds = divmod(round(seconds * 1000), 1000)
        return f"00:{whole // 60:02}:{whole % 60:02},{milliseconds:03}"

    @task
    def manifest(landed: dict[str, Any], regions: list[dict[str, str]]) -> str:
        """Write what there is to do with this video beside it."""
        target = ObjectStoragePath(landed["files"][0]["uri"]).parent / "captions.json"
        target.write_text(json.dumps({"job_id": landed["job_id"], "regions": list(regions)}, indent=2))
        return str(target)

    manifest(video.output, captions.partial(landed=video.output).expand_kwargs(REGIONS))
# [END captions]

"""``airflow orvideo status`` and ``fetch``: how a job stands, and bringing its videos home. Both order nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow.providers.common.compat.sdk import conf

from airflow_provider_orvideo.cli.access import connected
from airflow_provider_orvideo.cli.answer import Answer, as_dollars, known
from airflow_provider_orvideo.cli.running import command
from airflow_provider_orvideo.cli.storage import absolute
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.jobs import job_manifest
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.landing.naming import destination

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_orvideo.manifests import LandedFile

#: What a destination's placeholders and the manifest say in place of a task.
NO_TASK: Final = {
    "dag_id": "command-line",
    "run_id": "command-line",
    "task_id": "fetch",
    "map_index": "-1",
    "logical_date": "none",
}


@command
def status(args: Namespace) -> Answer:
    """Read one job's status; that it failed is an answer too, so it is no failure of this command."""
    manifest = job_manifest(args.job)
    with connected(args.conn_id or manifest.conn_id) as client:
        job = client.get_generation(manifest.job_id)
    cost = None if job.usage is None or job.usage.cost is None else float(job.usage.cost)
    value = {
        "job_id": job.id,
        "status": job.status,
        "is_terminal": job.is_terminal,
        "cost_usd": cost,
        "outputs": job.output_count,
        "generation_id": job.generation_id,
        "error": job.error,
    }
    row = {
        "job_id": job.id,
        "status": job.status,
        "cost": as_dollars(cost),
        "outputs": job.output_count,
        "error": job.error or "-",
    }
    return Answer(value=value, rows=[row])


@command
def fetch(args: Namespace) -> Answer:
    """Land every output of a completed job."""
    job = job_manifest(args.job)
    values = {"job_id": job.job_id, "model": job.model or "unknown", **NO_TASK}
    where = destination(absolute(args.destination), values)
    options = LandingOptions(
        on_existing=args.on_existing,
        poster=args.poster,
        spool_dir=conf.get("orvideo", "spool_dir", fallback="") or None,
    )
    conn_id = args.conn_id or job.conn_id or OrVideoHook.default_conn_name
    job = job.model_copy(update={"conn_id": conn_id})
    with connected(conn_id) as client:
        manifest = land(client, job, where, options)
    return Answer(value=manifest.to_json(), rows=[row for file in manifest.files for row in _rows(file)])


def _rows(file: LandedFile) -> list[dict[str, object]]:
    """Return a line for the video, and one for its poster where it has one; the sha256 is for programs."""
    video: dict[str, object] = {
        "file": file.uri,
        "bytes": file.bytes,
        "duration": known(None if file.duration_s is None else f"{file.duration_s:g} s"),
        "size": known(None if file.width is None else f"{file.width}x{file.height}"),
        "audio": known(None if file.has_audio is None else ("yes" if file.has_audio else "no")),
    }
    if file.poster_uri is None:
        return [video]
    return [video, {name: file.poster_uri if name == "file" else "" for name in video}]

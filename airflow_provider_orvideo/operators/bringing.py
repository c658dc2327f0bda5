"""What the operators that land share: where to, how, and who is told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_orvideo.exceptions import ConfigurationError, DestinationError
from airflow_provider_orvideo.landing import media
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.landing.naming import Destination, destination
from airflow_provider_orvideo.landing.publish import require_usable, why
from airflow_provider_orvideo.manifests import JobManifest
from airflow_provider_orvideo.operators.announcing import announce
from airflow_provider_orvideo.operators.observing import landing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
    from airflow_provider_orvideo.manifests import LandedManifest

log = logging.getLogger(__name__)


def options_of(operator: Any) -> LandingOptions:  # noqa: ANN401 - whoever has the arguments
    """Read how to land from an operator's arguments and Airflow's configuration.

    Raises:
        ConfigurationError: an argument cannot work.
    """
    return LandingOptions(
        on_existing=operator.on_existing,
        expect=operator.expect,
        poster=operator.poster,
        look_up_cost=operator.look_up_cost,
        spool_dir=conf.get("orvideo", "spool_dir", fallback="") or None,
        concurrency=operator.max_concurrent_downloads,
    )


def where_to(text: object, job: JobManifest, context: Context) -> Destination:
    """Read a destination for a job of the running task.

    Raises:
        DestinationError: it is none.
    """
    return destination(str(text), {"job_id": job.job_id, "model": job.model or "unknown", **placeholders(context)})


def placeholders(context: Context) -> dict[str, str]:
    """Return what those of the destination's placeholders stand for that are about the task and not the job."""
    task_instance = context["ti"]
    # A run that a person or another DAG's asset started may have none; then, the time from which it may run.
    date = context.get("logical_date") or getattr(context.get("dag_run"), "run_after", None)
    return {
        "dag_id": str(task_instance.dag_id),
        "run_id": str(task_instance.run_id),
        "task_id": str(task_instance.task_id),
        "map_index": str(task_instance.map_index),
        "logical_date": date.strftime("%Y-%m-%dT%H%M%SZ") if date else "none",
    }


def require_place(text: object, context: Context) -> None:
    """Ask a destination whether it can be written, before anything is ordered.

    Raises:
        ConfigurationError: it cannot.
    """
    not_yet = JobManifest(job_id="not-ordered-yet", status="unknown")
    try:
        require_usable(where_to(text, not_yet, context).uri(0, media.MP4.extension, outputs=1))
    except DestinationError as error:
        # Not from the DestinationError, which says that the video is paid for.
        raise ConfigurationError(
            f"The video request was not sent, nothing was spent. The destination {text} cannot be used: {why(error)}. "
            "Check the bucket, the connection's credentials and the installed file system, then run this task again."
        ) from (error.__cause__ or error)


def bring_home(
    hook: OrVideoHook,
    job: JobManifest,
    where: Destination,
    options: LandingOptions,
    outlets: Iterable[object],
    context: Context,
) -> LandedManifest:
    """Land a job, and tell the rest of Airflow.

    Raises:
        LandingError: the destination is untouched, or holds whole files only.
    """
    log.info("Landing job %s at %s", job.job_id, where.uri(0, media.MP4.extension, outputs=1))
    with landing(hook.orvideo_conn_id, job, context.get("ti")) as watch:
        manifest = land(hook.get_conn(), job, where, options, on_landed=watch.landed)
        watch.done(manifest)
    announce(manifest, where, outlets, context, hook)
    return manifest

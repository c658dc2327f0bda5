"""The download operator: brings a finished video to object storage, whole and verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator

from airflow_provider_orvideo.jobs import job_manifest
from airflow_provider_orvideo.links import OpenRouterLink, VideoLink
from airflow_provider_orvideo.operators.failures import airflow_failures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, XComArg
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.landing.land import Expect, LandingOptions, OnExisting
    from airflow_provider_orvideo.manifests import JobManifest, LandedManifest

__all__ = ["OrVideoDownloadOperator", "job_manifest"]


class OrVideoDownloadOperator(BaseOperator):
    """Lands every output of a completed job at its destination. Orders nothing, whatever happens.

    Each file is downloaded to the worker's spool, checked to be a whole video, and then stored in one step; a manifest
    ``<name>.json`` beside it comes last. A failure leaves the destination as it was. What already lies there from the
    same job is not downloaded again.

    Args:
        job: the submit task's output, or a job id. A template.
        destination: object storage URL with the id of its connection (``s3://aws_default@bucket/videos/``), ``file://``
            URL or absolute path. One that ends in ``/`` is a directory, where files are called
            ``{job_id}-{index}.{ext}``; any other is a file name. Placeholders: ``{job_id}``, ``{index}``, ``{ext}``,
            ``{model}``, ``{dag_id}``, ``{run_id}``, ``{task_id}``, ``{map_index}``, ``{logical_date}``. A template.
        orvideo_conn_id: Airflow connection of type ``orvideo``. Default: the one in ``job``, else ``orvideo_default``.
            A template.
        on_existing: where something lies at the destination. ``verify``: this job's file, sha256 and all, is done,
            anything else is replaced. ``overwrite``: download and replace in any case. ``fail``: as ``verify`` for this
            job's own file, an error for any other. ``skip``: leave whatever lies there.
        expect: where what came is not what was ordered (duration, size, sound; needs the ``media`` extra). ``warn``:
            say so in log and manifest. ``fail``: store nothing. ``off``: do not look.
        poster: put a still image, ``<name>.jpg``, beside each video (needs the ``media`` extra).
        look_up_cost: where the job does not tell what it cost, ask for its accounting record (``GET /generation``),
            once and without waiting for it.
        max_concurrent_downloads: outputs of the job that are downloaded at the same time.

    With ``outlets``, each asset event carries the manifest as ``extra``; an `AssetAlias` gets the destination's folder
    as its asset.

    Returns:
        A `LandedManifest` as a dict: the job's manifest with the files' addresses, sizes, sha256 and what is in them.

    Raises:
        OrVideoError: the video did not land; the message says whether a retry helps. A retry lands, and orders nothing.
    """

    template_fields: Sequence[str] = ("job", "destination", "orvideo_conn_id")
    operator_extra_links: Sequence[BaseOperatorLink] = (VideoLink(), OpenRouterLink())
    ui_color = "#e6ffec"

    def __init__(
        self,
        *,
        job: str | Mapping[str, Any] | XComArg,
        destination: str | XComArg,
        orvideo_conn_id: str | None = None,
        on_existing: OnExisting = "verify",
        expect: Expect = "warn",
        poster: bool = False,
        look_up_cost: bool = False,
        max_concurrent_downloads: int = 4,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.destination = destination
        self.orvideo_conn_id = orvideo_conn_id
        self.on_existing = on_existing
        self.expect = expect
        self.poster = poster
        self.look_up_cost = look_up_cost
        self.max_concurrent_downloads = max_concurrent_downloads
        self._landed: LandedManifest | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Land the outputs and return what lies where."""
        # Imported here: whoever only parses the DAG never gets this far.
        from airflow_provider_orvideo.hooks.orvideo import OrVideoHook  # noqa: PLC0415
        from airflow_provider_orvideo.landing.land import land  # noqa: PLC0415
        from airflow_provider_orvideo.landing.naming import destination  # noqa: PLC0415
        from airflow_provider_orvideo.operators.announcing import announce  # noqa: PLC0415
        from airflow_provider_orvideo.operators.observing import landing  # noqa: PLC0415

        with airflow_failures():
            options = self._options()
            job = job_manifest(self.job)
            where = destination(str(self.destination), _values(job, context))
            conn_id = self.orvideo_conn_id or job.conn_id or OrVideoHook.default_conn_name
            self.log.info("Landing job %s at %s.", job.job_id, self.destination)
            with OrVideoHook(conn_id) as hook:
                with landing(conn_id, job, context.get("ti")) as watch:
                    manifest = land(hook.get_conn(), job, where, options, on_landed=watch.landed)
                    watch.done(manifest)
                announce(manifest, where, self.outlets, context, hook)
        self._landed = manifest
        return manifest.to_json()

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:  # noqa: ANN401 - OpenLineage's own
        """Name the landed files as output datasets; called by the OpenLineage provider after the task."""
        from airflow_provider_orvideo.operators.announcing import lineage  # noqa: PLC0415

        return lineage(self._landed)

    def _options(self) -> LandingOptions:
        from airflow_provider_orvideo.landing.land import LandingOptions  # noqa: PLC0415

        return LandingOptions(
            on_existing=self.on_existing,
            expect=self.expect,
            poster=self.poster,
            look_up_cost=self.look_up_cost,
            spool_dir=conf.get("orvideo", "spool_dir", fallback="") or None,
            concurrency=self.max_concurrent_downloads,
        )


def _values(job: JobManifest, context: Context) -> dict[str, str]:
    """Return what the destination's placeholders stand for."""
    task_instance = context["ti"]
    logical_date = context.get("logical_date")
    return {
        "job_id": job.job_id,
        "model": job.model or "unknown",
        "dag_id": str(task_instance.dag_id),
        "run_id": str(task_instance.run_id),
        "task_id": str(task_instance.task_id),
        "map_index": str(task_instance.map_index),
        "logical_date": logical_date.strftime("%Y-%m-%dT%H%M%SZ") if logical_date else "none",
    }

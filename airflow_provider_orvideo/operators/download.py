"""The download operator: brings a finished video to object storage, whole and verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_orvideo.jobs import job_manifest
from airflow_provider_orvideo.links import OpenRouterLink, VideoLink
from airflow_provider_orvideo.operators.failures import airflow_failures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, XComArg
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.landing.land import Expect, OnExisting
    from airflow_provider_orvideo.manifests import LandedManifest

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
        on_existing: where something lies at the destination. ``verify`` (default): this job's file, sha256 and all, is
            done, anything else is replaced. ``overwrite``: download and replace in any case. ``fail``: as ``verify``
            for this job's own file, an error for any other. ``skip``: leave whatever lies there.
        expect: where what came is not what was ordered (duration, size, sound; needs the ``media`` extra). ``warn``
            (default): say so in log and manifest. ``fail``: store nothing. ``off``: do not look.
        poster: put a still image, ``<name>.jpg``, beside each video (needs the ``media`` extra). Default: False.
        look_up_cost: where the job does not tell what it cost, ask for its accounting record (``GET /generation``),
            once and without waiting for it. Default: False.
        max_concurrent_downloads: outputs of the job that are downloaded at the same time, at least 1. Default: 4.
        **kwargs: as every operator takes them, ``retries`` and ``pool`` for example.

    With ``outlets``, each asset event carries the manifest as ``extra``; an ``AssetAlias`` gets the destination's
    folder as its asset.

    Returns:
        A `LandedManifest` as a dict, the job's manifest with the files' addresses, sizes, sha256 and what is in them.

    Raises:
        AirflowFailException: what a retry cannot mend: ``job`` is none, another video lies there (``fail``), or what
            came is not what was ordered (``fail``).
        OrVideoError: the video did not land; the message says whether a retry helps. A retry lands, and orders nothing.

    Source: what a job and its outputs tell, OpenRouter's OpenAPI document of 2026-08-22; that ``GET /generation`` knows
    a job only minutes after its end, the live API in October 2026.
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
        from airflow_provider_orvideo.operators.bringing import bring_home, options_of, where_to  # noqa: PLC0415

        with airflow_failures():
            options = options_of(self)
            job = job_manifest(self.job)
            where = where_to(self.destination, job, context)
            conn_id = self.orvideo_conn_id or job.conn_id or OrVideoHook.default_conn_name
            with OrVideoHook(conn_id) as hook:
                self._landed = bring_home(hook, job, where, options, self.outlets, context)
        return self._landed.to_json()

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:  # noqa: ANN401 - OpenLineage's own
        """Name the landed files as output datasets; called by the OpenLineage provider after the task."""
        from airflow_provider_orvideo.operators.announcing import lineage  # noqa: PLC0415

        return lineage(self._landed)

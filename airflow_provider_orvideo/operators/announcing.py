"""Tells the rest of Airflow what landed: asset events, hook lineage, OpenLineage."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.definitions.asset import AssetRef

from airflow_provider_orvideo.landing.protocols import LOCAL
from airflow_provider_orvideo.manifests import JobManifest, LandedManifest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk.bases.hook import BaseHook
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.manifests import LandedFile
    from airflow_provider_orvideo.operators.batching.lines import Line

log = logging.getLogger(__name__)

#: Other spellings of a store's scheme, and the one by which OpenLineage knows it.
_SCHEMES: Final = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}


def announce(
    manifest: LandedManifest, where: Destination, outlets: Iterable[object], context: Context, hook: BaseHook
) -> None:
    """Give each outlet's event the manifest, and report each file once as what the hook made.

    An outlet is one logical asset however many videos it gets; an `AssetAlias` gets the folder that the destination
    names before its first placeholder.

    Args:
        manifest: what landed.
        where: the destination.
        outlets: the operator's.
        context: the task's.
        hook: by which the files came.
    """
    tell_outlets(manifest.to_json(), where.folder, outlets, context)
    tell_collector(manifest.files, hook)


def tell_outlets(extra: dict[str, Any], folder: str, outlets: Iterable[object], context: Context) -> None:
    """Give each outlet's event its ``extra``.

    Args:
        extra: JSON.
        folder: what an `AssetAlias` gets as its asset.
        outlets: the operator's.
        context: the task's.
    """
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            context["outlet_events"][outlet].add(Asset(without_connection(folder)), extra=extra)
        elif isinstance(outlet, Asset | AssetRef):
            context["outlet_events"][outlet].extra.update(extra)


def tell_collector(files: Iterable[LandedFile], hook: BaseHook) -> None:
    """Report each file to hook lineage as what the hook made."""
    collector = get_hook_lineage_collector()
    for file in files:
        try:
            collector.add_output_asset(context=hook, uri=without_connection(file.uri))
        except ValueError as error:  # no name for an asset, such as a very long one: the video has landed all the same
            log.warning("%s is not reported to hook lineage: %s", file.uri, error)


def lineage(job: JobManifest | None) -> Any:  # noqa: ANN401 - the type comes with an optional provider
    """Return what OpenLineage is told: the job as a facet of the run, and what landed as output datasets.

    Args:
        job: the manifest that the task returned, None for none.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - an extra

    if job is None:
        return OperatorLineage()
    from airflow_provider_orvideo.operators.facets import output, run_facets  # noqa: PLC0415 - needs that extra

    files = job.files if isinstance(job, LandedManifest) else ()
    outputs = [output(job, file, *_dataset(file.uri)) for file in files]
    return OperatorLineage(outputs=outputs, run_facets=run_facets(job))


def batch_lineage(lines: Iterable[Line]) -> Any:  # noqa: ANN401 - as above
    """Return what OpenLineage is told of a batch: every file of every item that landed, as output datasets.

    The facet of the run names one job, so a batch has none; each dataset names its own.

    Args:
        lines: the batch's manifest.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - an extra

    from airflow_provider_orvideo.operators.facets import output  # noqa: PLC0415 - needs that extra

    # Of an item that did not land now, a line may still tell what did before.
    landed = [line for line in lines if line.status == "landed" and line.job_id]
    jobs = [(JobManifest(job_id=str(line.job_id), status="completed"), line.files) for line in landed]
    return OperatorLineage(outputs=[output(job, file, *_dataset(file.uri)) for job, files in jobs for file in files])


def without_connection(uri: str) -> str:
    """Return the address of a file as everybody knows it: the id of the Airflow connection is no part of it."""
    scheme, slashes, rest = uri.partition("://")
    bucket, slash, name = rest.partition("/")
    return f"{scheme}{slashes}{bucket.rpartition('@')[2]}{slash}{name}"


def _dataset(uri: str) -> tuple[str, str]:
    """Return namespace and name, by OpenLineage's naming conventions."""
    scheme, _, rest = without_connection(uri).partition("://")
    if scheme in LOCAL:
        return "file", rest
    bucket, _, name = rest.partition("/")
    return f"{_SCHEMES.get(scheme, scheme)}://{bucket}", name

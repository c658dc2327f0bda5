"""OpenLineage's view of a job and of its files. Imported only where the OpenLineage provider is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from airflow.providers.common.compat.openlineage.facet import (
    DatasetFacet,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
    RunFacet,
)

from airflow_provider_orvideo.observability.names import FACETS, JOB_FACET, VIDEO_FACET

if TYPE_CHECKING:
    from airflow_provider_orvideo.manifests import JobManifest, LandedFile


@attrs.define
class JobRunFacet(RunFacet):  # type: ignore[misc]  # the type comes with an optional provider
    """The job that a run ordered, followed or landed; the fields are those of `JobManifest`."""

    job_id: str
    generation_id: str | None = None
    model: str | None = None
    status: str | None = None
    cost_usd: float | None = None
    estimated_cost_usd: float | None = None
    total_cost_usd: float | None = None


@attrs.define
class VideoDatasetFacet(DatasetFacet):  # type: ignore[misc]  # the type comes with an optional provider
    """One landed video; the fields are those of `LandedFile`, but for ``job_id``."""

    job_id: str
    index: int
    sha256: str
    content_type: str
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    has_audio: bool | None = None
    has_c2pa: bool | None = None


def run_facets(job: JobManifest) -> dict[str, Any]:
    """Return the facets of a run that had to do with a job."""
    return {JOB_FACET: JobRunFacet(**{name: getattr(job, name) for name in FACETS[JOB_FACET]})}


def output(job: JobManifest, file: LandedFile, namespace: str, name: str) -> Any:  # noqa: ANN401 - as above
    """Return a landed file as OpenLineage's output dataset."""
    if file.skipped:  # it lay there already, and whether it is this job's nobody knows
        return OutputDataset(namespace=namespace, name=name)
    video = {field: getattr(file, field) for field in FACETS[VIDEO_FACET] if field != "job_id"}
    return OutputDataset(
        namespace=namespace,
        name=name,
        facets={VIDEO_FACET: VideoDatasetFacet(job_id=job.job_id, **video)},
        outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(size=file.bytes, fileCount=1)},
    )

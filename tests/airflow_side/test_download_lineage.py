"""What OpenLineage learns of a landing, with its real provider: namespaces and names by its naming conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.manifests import LandedFile, LandedManifest
from airflow_provider_orvideo.operators.announcing import lineage
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Context, Execute, MakeSubmit

extractors = pytest.importorskip(
    "airflow.providers.openlineage.extractors", reason="The OpenLineage provider is missing; run `make test-extras`."
)


def landed(*uris: str) -> LandedManifest:
    files = tuple(
        LandedFile(uri=uri, index=index, bytes=1, sha256="0" * 64, content_type="video/mp4")
        for index, uri in enumerate(uris)
    )
    return LandedManifest(job_id="gen-vid-1", status="completed", files=files)


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("s3://aws_default@media/a/film.mp4", "s3://media", "a/film.mp4"),
        ("s3a://media/film.mp4", "s3://media", "film.mp4"),
        ("gs://google@media/a/film.mp4", "gs://media", "a/film.mp4"),
        ("gcs://media/film.mp4", "gs://media", "film.mp4"),
        ("abfs://azure@media/a/film.mp4", "abfs://media", "a/film.mp4"),
        ("file:///videos/a/film.mp4", "file", "/videos/a/film.mp4"),
        ("file:///videos/a#1/b?c@d/film.mp4", "file", "/videos/a#1/b?c@d/film.mp4"),
    ],
)
def test_a_file_is_a_dataset_named_as_everybody_names_it(uri: str, namespace: str, name: str) -> None:
    (dataset,) = lineage(landed(uri)).outputs
    assert (dataset.namespace, dataset.name) == (namespace, name)


def test_a_landing_names_its_files_once_it_landed(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, context: Context, tmp_path: Path
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "job": {"outputs": 2}})
    job: dict[str, Any] = execute(make_submit())
    operator = OrVideoDownloadOperator(task_id="download", job=job, destination=f"{tmp_path}/", poster=True)
    operator.render_template_fields(context)  # type: ignore[arg-type]  # a plain dict will do
    before = operator.get_openlineage_facets_on_complete(None)
    assert (before.inputs, before.outputs) == ([], [])
    result = execute(operator)
    after = operator.get_openlineage_facets_on_complete(None)
    assert isinstance(after, extractors.OperatorLineage)
    assert [(dataset.namespace, dataset.name) for dataset in after.outputs] == [
        ("file", file["uri"].removeprefix("file://")) for file in result["files"]
    ]
    assert after.inputs == []


def test_the_providers_own_manager_asks_the_operator(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, context: Context, tmp_path: Path
) -> None:
    job: dict[str, Any] = execute(make_submit())
    assert sim.posts == 1
    operator = OrVideoDownloadOperator(task_id="download", job=job, destination=f"{tmp_path}/film.mp4")
    operator.render_template_fields(context)  # type: ignore[arg-type]  # a plain dict will do
    execute(operator)
    extractor = extractors.ExtractorManager()._get_extractor(operator)
    found = extractor.extract_on_complete(None)
    assert [(dataset.namespace, dataset.name) for dataset in found.outputs] == [("file", f"{tmp_path}/film.mp4")]

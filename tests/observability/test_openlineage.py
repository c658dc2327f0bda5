"""What OpenLineage is told, through its own provider, up to the JSON that leaves. Needs the extra."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.observability.names import FACETS
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import BaseOperator

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Execute, MakeSubmit

pytest.importorskip("airflow.providers.openlineage", reason="needs the extra 'openlineage'")


def told(operator: BaseOperator, *, failed: bool = False) -> dict[str, Any]:
    """Return what the provider extracts from an operator that has run, as JSON."""
    from airflow.providers.openlineage.extractors.base import DefaultExtractor  # noqa: PLC0415 - needs the extra

    serde = import_module("openlineage.client.serde")  # has types only where the extra is installed
    extractor = DefaultExtractor(operator)
    lineage = extractor.extract_on_failure(None) if failed else extractor.extract_on_complete(None)
    assert lineage is not None
    shown: dict[str, Any] = json.loads(serde.Serde.to_json(lineage))
    return shown


def own(facet: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facet.items() if not name.startswith("_")}


def test_a_landed_file_is_an_output_with_its_job_size_and_sha256(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, tmp_path: Path
) -> None:
    job = execute(make_submit())
    operator = OrVideoDownloadOperator(task_id="download", job=job, destination=f"{tmp_path}/")
    (file,) = execute(operator)["files"]
    lineage = told(operator)
    (output,) = lineage["outputs"]
    assert (output["namespace"], output["name"]) == ("file", file["uri"].removeprefix("file://"))
    assert own(output["outputFacets"]["outputStatistics"]) == {"size": file["bytes"], "fileCount": 1}
    video = own(output["facets"]["orvideo_video"])
    known = {name: value for name, value in file.items() if name in FACETS["orvideo_video"] and value is not None}
    assert video == {"job_id": job["job_id"], **known}
    assert {"sha256", "width", "duration_s"} < set(video)
    assert own(lineage["run_facets"]["orvideo_job"])["job_id"] == job["job_id"]
    assert sim.posts == 1


def test_a_file_that_was_left_alone_is_named_without_facets(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, tmp_path: Path
) -> None:
    there = tmp_path / "film.mp4"
    there.write_bytes(b"somebody's")
    operator = OrVideoDownloadOperator(
        task_id="download", job=execute(make_submit()), destination=str(there), on_existing="skip"
    )
    execute(operator)
    (output,) = told(operator)["outputs"]
    assert output["name"] == str(there)
    assert not output.get("facets")
    assert not output.get("outputFacets")
    assert sim.posts == 1


def test_a_submit_task_tells_its_job_and_what_it_cost(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute
) -> None:
    operator = make_submit()
    manifest = execute(operator)
    facet = own(told(operator)["run_facets"]["orvideo_job"])
    assert facet == {name: manifest[name] for name in FACETS["orvideo_job"] if manifest[name] is not None}
    assert facet["cost_usd"] == float(sim.job(manifest["job_id"]).cost or 0) > 0


def test_a_submit_task_whose_job_failed_still_names_it(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "job": {"outcome": "failed", "error": "It broke"}})
    operator = make_submit()
    with pytest.raises(AirflowFailException):
        execute(operator)
    (job,) = sim.jobs()
    facet = own(told(operator, failed=True)["run_facets"]["orvideo_job"])
    assert (facet["job_id"], facet["model"]) == (job.id, operator.model)


def test_a_task_that_never_got_to_a_job_tells_nothing(make_submit: MakeSubmit) -> None:
    assert not told(make_submit(), failed=True).get("run_facets")

"""What OpenLineage learns of a batch, with its real provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, MakeContext, Simulate
    from tests.batch.conftest import MakeBatch, ReadManifest

extractors = pytest.importorskip(
    "airflow.providers.openlineage.extractors", reason="The OpenLineage provider is missing; run `make test-extras`."
)


def told(operator: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401 - any operator
    """Ask as the provider's own manager does."""
    found = extractors.ExtractorManager()._get_extractor(operator).extract_on_complete(None)
    assert (found.inputs, found.run_facets) == ([], {})
    return [(each.namespace, each.name, each.facets["orvideo_video"].job_id) for each in found.outputs]


def files_of(lines: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        ("file", file["uri"].removeprefix("file://"), line["job_id"])
        for line in lines
        for file in line.get("files", ())
    ]


def test_all_that_landed_is_told_whichever_worker_landed_it(
    simulate: Simulate,
    connect: Connect,
    make_batch: MakeBatch,
    make_context: MakeContext,
    read_manifest: ReadManifest,
) -> None:
    sim = simulate(job_seconds="manual")
    connect(sim)
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "job": {"outputs": 2}})
    context: Any = make_context()
    arguments: dict[str, Any] = {"deferrable": True, "max_in_flight": 1}
    operator = make_batch(("a boat", "a bridge"), **arguments)
    assert told(operator) == []
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    sim.finish(sim.jobs()[0].id)
    with pytest.raises(TaskDeferred):
        make_batch(("a boat", "a bridge"), **arguments).execute_complete(context, {"jobs": 1, "ended": 1})
    sim.finish(sim.jobs()[1].id)
    last = make_batch(("a boat", "a bridge"), **arguments)
    last.execute_complete(context, {"jobs": 1, "ended": 1})
    assert len(told(last)) == 3
    assert told(last) == files_of(read_manifest())


def test_what_a_failed_batch_landed_is_told(
    sim: Simulator, make_batch: MakeBatch, make_context: MakeContext, read_manifest: ReadManifest
) -> None:
    fault = {"match": {"operation": "createVideos", "prompt_contains": "bridge"}, "times": 1, "drop": {"when": "after"}}
    sim.add_fault(fault)
    context: Any = make_context()
    operator = make_batch(("a boat", "a bridge"))
    with pytest.raises(AirflowFailException):
        operator.execute(context)
    assert told(operator) == files_of(read_manifest())
    assert len(told(operator)) == 1

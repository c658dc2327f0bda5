"""What the tests of batches share: an operator, a context with a store that outlives attempts, and whole attempts."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_orvideo.operators.batch import OrVideoBatchOperator
from tests.airflow_side.conftest import (  # noqa: F401 - fixtures
    FakeStateStore,
    _fire,
    _no_connections,
    connect,
    context,
    fire,
    key,
    make_context,
    pauses,
    sim,
    simulate,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Context, MakeContext

    MakeBatch = Callable[..., OrVideoBatchOperator]
    Attempt = Callable[..., dict[str, Any]]
    ReadManifest = Callable[..., list[dict[str, Any]]]
    Mode = dict[str, bool]

#: The cheapest and smallest video that the simulator offers.
DEFAULTS: dict[str, Any] = {"duration": 1, "resolution": "480p"}
MODEL = "x-ai/grok-imagine-video"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Where the videos land."""
    return tmp_path / "videos"


@pytest.fixture(params=[False, True], ids=["on the worker", "in the triggerer"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Wait in each of the two ways; arguments for `attempt`."""
    return {"deferrable": request.param}


@pytest.fixture
def make_batch(videos: Path) -> MakeBatch:
    """Build operators that look often and wait on the worker, unless told otherwise."""

    def make(requests: object = ("a boat", "a bridge", "a bird"), **arguments: Any) -> OrVideoBatchOperator:  # noqa: ANN401 - the operator's own
        values: dict[str, Any] = {
            "task_id": "batch",
            "requests": list(requests) if isinstance(requests, tuple) else requests,
            "model": MODEL,
            "defaults": DEFAULTS,
            "destination": f"file://{videos}/",
            "deferrable": False,
            "poll_interval": 0.02,
            **arguments,
        }
        return OrVideoBatchOperator(**values)

    return make


@pytest.fixture
def attempt(make_batch: MakeBatch, make_context: MakeContext) -> Attempt:  # noqa: F811 - the fixture
    """Run one attempt to its end: whenever the task defers, its trigger fires, and another worker resumes.

    ``deferrals`` gets each trigger's arguments; ``try_number``, ``max_tries`` and ``in_context`` go into the context,
    the rest into the operator.
    """

    def run(
        *requests: object,
        try_number: int = 1,
        max_tries: int = 2,
        in_context: Context | None = None,
        deferrals: list[dict[str, Any]] | None = None,
        **arguments: Any,  # noqa: ANN401 - the operator's own
    ) -> dict[str, Any]:
        in_attempt: Any = make_context(try_number=try_number, max_tries=max_tries, **(in_context or {}))
        arguments = {"requests": list(requests)} | arguments if requests else arguments

        def worker() -> OrVideoBatchOperator:
            operator = make_batch(**arguments)
            operator.render_template_fields(in_attempt)
            return operator

        event: dict[str, Any] | None = None
        while True:
            try:
                return worker().execute(in_attempt) if event is None else worker().execute_complete(in_attempt, event)
            except TaskDeferred as deferral:
                assert arguments.get("deferrable"), "only a deferrable task defers"
                if deferrals is not None:
                    deferrals.append(json.loads(json.dumps(deferral.trigger.serialize()[1])))
                event = asyncio.run(fire(deferral.trigger))

    return run


@pytest.fixture
def read_manifest(videos: Path) -> ReadManifest:
    """Read the lines of the manifest, by default the only one beside the videos."""

    def read(path: Path | None = None) -> list[dict[str, Any]]:
        if path is None:
            (path,) = videos.glob("*.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    return read


@pytest.fixture
def posts_of(sim: Simulator) -> Callable[[], dict[str, int]]:  # noqa: F811 - the fixture
    """Count the paid requests by prompt."""

    def count() -> dict[str, int]:
        prompts = [str((entry.body or {}).get("prompt")) for entry in sim.requests(operation="createVideos")]
        return {prompt: prompts.count(prompt) for prompt in prompts}

    return count

"""What the tests of the Airflow-facing rooms share: simulators, connections, a task's context, a fake state store.

Test modules import nothing from each other; the names here reach them as fixtures, and as types while type checking.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import airflow
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.execution_time import context as airflows_context
from airflow.sdk.execution_time import task_runner

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import BaseOperator
    from airflow.triggers.base import BaseTrigger

    Context = dict[str, Any]
    Simulate = Callable[..., Simulator]
    Connect = Callable[..., None]
    MakeContext = Callable[..., Context]
    MakeSubmit = Callable[..., OrVideoSubmitOperator]
    Execute = Callable[..., Any]
    Defer = Callable[..., TaskDeferred]
    Attempt = Callable[..., dict[str, Any]]

KEY = "sk-or-test-5ec2e7"
ENVIRONMENT = "AIRFLOW_CONN_ORVIDEO_DEFAULT"
#: The cheapest and smallest video that the simulator offers.
ORDER: dict[str, Any] = {
    "model": "x-ai/grok-imagine-video",
    "prompt": "a red boat",
    "duration": 1,
    "resolution": "480p",
}


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without a connection, and may call ``execute()`` without Airflow's task runner."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    if airflow.__version__ == "3.1.0":  # asks for its supervisor before it looks into the environment
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)


@pytest.fixture
def key() -> str:
    """The API key of the connection that `connect` sets."""
    return KEY


# ── The API ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def simulate() -> Iterator[Simulate]:
    """Start simulators with the given settings; small pictures and no waiting unless told otherwise."""
    with ExitStack() as stack:

        def start(**settings: object) -> Simulator:
            values: dict[str, Any] = {"job_seconds": 0, "max_pixels": 160 * 90, "fps": 8, **settings}
            return stack.enter_context(Simulator(SimulatorSettings(**values)))

        yield start


@pytest.fixture(scope="session")
def dag_bag() -> Callable[..., Any]:
    """Airflow's `DagBag`, which moved with 3.2."""
    try:
        from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415
    except ImportError:
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]  # noqa: PLC0415
    return DagBag


@pytest.fixture
def sim(simulate: Simulate, connect: Connect) -> Simulator:
    """A simulator whose jobs complete at once, and ``orvideo_default`` pointing to it."""
    simulator = simulate()
    connect(simulator)
    return simulator


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Point a connection to a simulator, or to any base URL."""

    def point(to: Simulator | str, *, key: str | None = KEY, conn_id: str = "orvideo_default", **extra: object) -> None:
        host = to if isinstance(to, str) else to.base_url
        value = {"conn_type": "orvideo", "host": host, "password": key, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(value))

    return point


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the blocking client's retries pass without waiting; holds the pauses that they asked for."""
    asked: list[float] = []
    defaults = VideoClient.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "sleep", asked.append)
    return asked


# ── The task ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class FakeStateStore:
    """Airflow's ``task_state_store``, for one task instance: what it holds outlives each call of ``execute()``.

    Attributes:
        values: what it holds, JSON as Airflow keeps it.
        retentions: what each write asked for.
        broken: operations that fail, as the real accessor does when the API server does not answer.
    """

    values: dict[str, str] = field(default_factory=dict)
    retentions: list[object] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Say nothing: Airflow's own accessor is no container either."""
        return False

    def get(self, key: str, default: object = None) -> Any:  # noqa: ANN401 - JSON
        self._check("get")
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: object, *, retention: object = None) -> None:
        self._check("set")
        self.values[key] = json.dumps(value)
        self.retentions.append(retention)

    def delete(self, key: str) -> None:
        self._check("delete")
        self.values.pop(key, None)

    def _check(self, operation: str) -> None:
        if operation in self.broken:
            raise RuntimeError("API_SERVER_ERROR: 503")

    @property
    def record(self) -> dict[str, Any]:
        """The pay-once record, as a person sees it in the UI; empty if there is none."""
        value: dict[str, Any] = json.loads(self.values.get("orvideo_job", "{}"))
        return value


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStateStore:
    """What the state store keeps for the task instance of `context`.

    Airflow 3.1 and 3.2 have no task state store. What the operators do with a record does not depend on where it lies,
    so there, too, the fake keeps it, and gets the one name that comes with the real one. The record in object storage,
    which those versions really use, has tests of its own.
    """
    if not hasattr(airflows_context, "NEVER_EXPIRE"):
        monkeypatch.setattr(airflows_context, "NEVER_EXPIRE", object(), raising=False)
    return FakeStateStore()


@pytest.fixture
def make_context(store: FakeStateStore) -> MakeContext:
    """Build the context of one attempt; the state store is the same for all."""

    def make(*, try_number: int = 1, max_tries: int = 2, **changes: object) -> Context:
        identity = {"dag_id": "films", "run_id": "manual__1", "task_id": "submit", "map_index": -1}
        instance = SimpleNamespace(**identity, try_number=try_number, max_tries=max_tries)
        values: Context = {"ti": instance, "logical_date": datetime(2026, 11, 22, tzinfo=UTC)}
        return {**values, "task_state_store": store, **changes}

    return make


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    """The context of a task instance's first attempt."""
    return make_context()


@pytest.fixture
def make_submit() -> MakeSubmit:
    """Build submit operators that order `ORDER`, look often and wait on the worker, unless told otherwise."""

    def make(**arguments: Any) -> OrVideoSubmitOperator:  # noqa: ANN401 - the operator's own
        values = {"task_id": "submit", "deferrable": False, "poll_interval": 0.02, **ORDER, **arguments}
        return OrVideoSubmitOperator(**values)

    return make


@pytest.fixture
def task_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture what a task logs, the operators' own lines included: Airflow writes those past the standard library."""
    for operator in (OrVideoSubmitOperator, OrVideoDownloadOperator):
        monkeypatch.setattr(operator, "log", logging.getLogger("orvideo.operator"))
    caplog.set_level(logging.DEBUG)
    # Airflow silences the HTTP library; a deployment may not.
    caplog.set_level(logging.DEBUG, logger="httpx")
    return caplog


@pytest.fixture
def execute(context: Context) -> Execute:
    """Call ``execute()`` as the task runner does."""

    def call(operator: BaseOperator, in_context: Context | None = None) -> Any:  # noqa: ANN401 - the task's result
        try:
            return operator.execute(in_context or context)  # type: ignore[arg-type]  # a plain dict will do
        except TaskDeferred:  # which is no Exception, and would end the whole session
            pytest.fail("the task deferred")

    return call


@pytest.fixture
def defer(context: Context) -> Defer:
    """Call ``execute()`` of a task that must defer, and return how it did."""

    def call(operator: BaseOperator, in_context: Context | None = None) -> TaskDeferred:
        with pytest.raises(TaskDeferred) as caught:
            operator.execute(in_context or context)  # type: ignore[arg-type]  # a plain dict will do
        return caught.value

    return call


async def fire(trigger: BaseTrigger) -> dict[str, Any]:
    """Run a trigger as the triggerer does and return the payload of its only event."""
    events = [event async for event in trigger.run()]
    assert len(events) == 1, "a trigger fires exactly one event"
    payload: dict[str, Any] = json.loads(json.dumps(events[0].payload))
    return payload


@pytest.fixture(name="fire")
def _fire() -> Callable[[BaseTrigger], Any]:
    """`fire`, for the test modules."""
    return fire


@pytest.fixture(params=[False, True], ids=["on the worker", "in the triggerer"])
def attempt(request: pytest.FixtureRequest, make_submit: MakeSubmit, make_context: MakeContext) -> Attempt:
    """Run one attempt of the task to its end, in both modes; the trigger fires, and another worker resumes.

    ``in_context`` goes into the context, ``try_number`` and ``max_tries`` into the task instance, the rest into the
    operator.
    """

    def run(
        *, try_number: int = 1, max_tries: int = 2, in_context: Context | None = None, **arguments: object
    ) -> dict[str, Any]:
        context: Any = make_context(try_number=try_number, max_tries=max_tries, **(in_context or {}))
        operators = [make_submit(deferrable=request.param, **arguments) for _ in range(2)]
        for operator in operators:
            operator.render_template_fields(context)
        try:
            return operators[0].execute(context)
        except TaskDeferred as deferral:
            assert request.param, "only a deferrable task defers"
            event = asyncio.run(fire(deferral.trigger))
            return operators[1].execute_complete(context, event)

    return run

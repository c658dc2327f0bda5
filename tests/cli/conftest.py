"""What the tests of the command line share: a simulator, a connection, and the command, run in this process."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.providers_manager import ProvidersManager

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Connect = Callable[..., None]
    Run = Callable[..., "Ran"]

#: Airflow 3.1 has no commands of providers.
collect_ignore_glob = [] if hasattr(ProvidersManager, "cli_command_functions") else ["test_*.py"]

KEY = "sk-or-test-5ec2e7"
#: The cheapest and smallest video that the simulator offers: $0.05.
ORDER = (
    *("--model", "x-ai/grok-imagine-video", "--prompt", "a red boat"),
    *("--duration", "1", "--resolution", "480p"),
)


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        """What it printed for programs."""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def order() -> tuple[str, ...]:
    """The arguments of the cheapest order."""
    return ORDER


@pytest.fixture
def key() -> str:
    """The API key of the connection that `connect` sets."""
    return KEY


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Point a connection to a simulator, or to any base URL."""

    def point(to: Simulator | str, *, conn_id: str = "orvideo_default", key: str = KEY) -> None:
        host = to if isinstance(to, str) else to.base_url
        value = {"conn_type": "orvideo", "host": host, "password": key}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(value))

    return point


@pytest.fixture
def stranger() -> Iterator[Simulator]:
    """A simulator that no connection points to; its jobs complete at once, with two videos."""
    with Simulator(SimulatorSettings(job_seconds=0, outputs=2, max_pixels=160 * 90, fps=8)) as simulator:
        yield simulator


@pytest.fixture
def sim(stranger: Simulator, connect: Connect) -> Simulator:
    """The same with ``orvideo_default`` pointing to it."""
    connect(stranger)
    return stranger


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the client's retries pass without waiting; holds the pauses that they asked for."""
    asked: list[float] = []
    defaults = VideoClient.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "sleep", asked.append)
    return asked


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``airflow orvideo …`` in this process, with what a person types; the API key must never show."""

    def call(*arguments: str, typed: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code: object = 0
        try:
            args = get_parser().parse_args(["orvideo", *arguments])
            args.func(args)
        except SystemExit as end:
            code = end.code
        assert isinstance(code, int), "the end of a command is a number"
        out, err = capsys.readouterr()
        assert KEY not in out + err
        assert "Traceback" not in out + err
        return Ran(code, out, err)

    return call


@pytest.fixture
def job_id(sim: Simulator, run: Run, order: tuple[str, ...]) -> str:
    """A completed job."""
    job = run("submit", *order, "--yes").out.strip()
    assert [each.id for each in sim.jobs()] == [job]
    return job

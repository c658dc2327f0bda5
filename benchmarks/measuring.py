"""What the benchmarks share: processor time, memory, percentiles, loop lag, and processes that end for certain."""

from __future__ import annotations

import asyncio
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REPOSITORY: Final = Path(__file__).resolve().parent.parent
HOST: Final = "127.0.0.1"
KEY: Final = "sk-or-test-bench"
CONN_ID: Final = "orvideo_bench"

_PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") / 1024
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_TICK: Final = 0.01


def raise_file_limit() -> None:
    """Allow this process, and those it starts, as many open files as the system does: a socket or log file per job."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def machine(*distributions: str) -> str:
    """Describe what the figures depend on, for the first line of a report."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("apache-airflow", "httpx", *distributions))
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of all are not above (nearest rank); NaN for none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rss_kib(pid: int | str = "self") -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KIB


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children(pid: int) -> list[int]:
    """Return the direct children of a process; none where it is gone."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


class LoopLag:
    """How late a sleep of 10 ms ends: what a job's own code sees of a busy event loop. Use as an async block."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to measure."""
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the measurement."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _tick(self) -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(_TICK)
            self.seconds.append(time.perf_counter() - begun - _TICK)


@contextmanager
def process(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, grace: float = 5.0
) -> Iterator[subprocess.Popen[str]]:
    """Start a Python process of ours, its output a pipe, and end it with the block, whatever happens."""
    started = subprocess.Popen(  # noqa: S603 - our own modules
        [sys.executable, *command],
        env=None if environment is None else dict(environment),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.terminate()
            with suppress(subprocess.TimeoutExpired):
                started.wait(grace)
        if started.poll() is None:
            started.kill()
        started.wait()
        if started.stdout:
            started.stdout.close()


def answer_of(command: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout: float) -> Any:  # noqa: ANN401
    """Run a Python process of ours to its end and return the JSON of its last line.

    Raises:
        RuntimeError: it failed, or was not done after ``timeout`` seconds.
    """
    with process(command, environment=environment) as started:
        try:
            told, _ = started.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{' '.join(command)}: not done after {timeout:g} s") from None
        if started.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit code {started.returncode}")
        return json.loads(told.splitlines()[-1])


def airflow_environment(home: Path, base_url: str) -> dict[str, str]:
    """Return an environment where Airflow's own settings are unknown but for one connection to a fake API."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    connection = {"conn_type": "orvideo", "host": base_url, "password": KEY}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "NO_PROXY": f"{HOST},localhost",
        f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(connection),
    }

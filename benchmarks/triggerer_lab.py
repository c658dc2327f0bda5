"""A real ``airflow triggerer`` with N deferred task instances, its connection in the metadata database."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from benchmarks.fake_api import FakeApi, job_id
from benchmarks.measuring import CONN_ID, KEY, REPOSITORY, children, cpu_seconds, rss_kib

sys.path.insert(0, str(REPOSITORY / "scripts"))

from pathlib import Path

from local_airflow import LocalAirflow, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["KINDS", "Lab", "lab", "template", "wait_until"]

DAG_ID: Final = "bench"
TASK_ID: Final = "wait"
_DAG_FILE: Final = f"""from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("{DAG_ID}", schedule=None):
    EmptyOperator(task_id="{TASK_ID}")
"""
#: Triggers in this queue are left alone by a triggerer that serves no queues.
_PARKED: Final = "parked"
_BLOCKED: Final = "async thread was blocked"
_FOR_EVER: Final = 1e6
#: A triggerer that uses less processor time than this in two seconds is idle.
_IDLE: Final = 0.1
#: Seconds that the jobs have been running for when the triggers start; see ``bench_polling.py``.
_AGE: Final = 120.0

Trigger = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Kind:
    """One kind of trigger.

    Args:
        label: its name in tables.
        trigger: class path and arguments of one, for base URL, job id, interval and number.
        times: arguments that are seconds from the start, and become epoch seconds at it.
        polls: whether it asks the API.
    """

    label: str
    trigger: Callable[[str, str, float, int], Trigger]
    times: tuple[str, ...] = ()
    polls: bool = True


def _sleep(_base_url: str, _job: str, _interval: float, number: int) -> Trigger:
    return "benchmarks.peer_triggers.SleepTrigger", {"seconds": _FOR_EVER, "number": number}


def _provider(_base_url: str, job: str, interval: float, _number: int) -> Trigger:
    return "airflow_provider_orvideo.triggers.job.OrVideoJobTrigger", {
        "conn_id": CONN_ID,
        "job_id": job,
        "submitted_at": -_AGE,
        "deadline": _FOR_EVER,
        "poll_interval": interval,
        "model": "bench/model",
        "not_before": 0.0,
    }


def _httpx(base_url: str, job: str, interval: float, _number: int) -> Trigger:
    arguments = {"url": f"{base_url}/videos/{job}", "poll_interval": interval, "not_before": 0.0}
    return "benchmarks.peer_triggers.HttpxTrigger", arguments


KINDS: Final[Mapping[str, Kind]] = {
    "sleep": Kind("only sleeps (floor)", _sleep, polls=False),
    "provider": Kind("this provider's trigger", _provider, times=("submitted_at", "deadline", "not_before")),
    "httpx": Kind("httpx client per trigger", _httpx, times=("not_before",)),
}


@dataclass
class Lab:
    """One deployment: a database with deferred task instances, a triggerer.

    Args:
        airflow: the deployment.
        api: what the triggers poll.
        kind: what kind of triggers.
        jobs: how many.
    """

    airflow: LocalAirflow
    api: FakeApi
    kind: Kind
    jobs: int

    @property
    def triggerer(self) -> int:
        """The supervisor's process id."""
        return self.airflow.processes["triggerer"].pid

    @property
    def runner(self) -> int:
        """The process id of the child whose event loop runs the triggers."""
        return children(self.triggerer)[0]

    def start(self) -> None:
        """Start the triggerer and wait until its runner is idle."""
        process = self.airflow.start("triggerer")
        wait_until("runner", lambda: process.poll() is not None or children(process.pid), timeout=60)
        if process.poll() is not None:
            raise RuntimeError(f"The triggerer ended:\n{self.log()[-4000:]}")
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until neither the runner nor its supervisor has anything to do."""
        used = cpu_seconds(self.runner) + cpu_seconds(self.triggerer)

        def idle() -> bool:
            nonlocal used
            before, used = used, cpu_seconds(self.runner) + cpu_seconds(self.triggerer)
            return used - before < _IDLE

        wait_until("idle triggerer", idle, timeout=120, pause=2.0)

    def log(self) -> str:
        """Return what the triggerer printed."""
        return (self.airflow.home / "triggerer.log").read_text()

    @property
    def blocked(self) -> int:
        """How often Airflow warned that the loop was blocked."""
        return self.log().count(_BLOCKED)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.airflow.home / "airflow.db", timeout=30)) as database, database:
            yield database

    def release(self, most: int = -1) -> float:
        """Hand so many parked triggers, or all, to the triggerer in one transaction; return when, in epoch seconds."""
        now = time.time()
        with self._database() as database:
            rows = database.execute(
                "SELECT id, kwargs FROM trigger WHERE queue = ? LIMIT ?", (_PARKED, most)
            ).fetchall()
            changed = []
            for number, text in rows:
                arguments = json.loads(text)
                arguments.update({name: now + arguments[name] for name in self.kind.times})
                changed.append((json.dumps(arguments), number))
            database.executemany("UPDATE trigger SET queue = NULL, kwargs = ? WHERE id = ?", changed)
        return time.time()

    def log_files(self) -> list[Path]:
        """Return the triggers' own logs: Airflow writes the first line right before it calls ``run()``."""
        return list((self.airflow.home / "logs").glob(f"dag_id={DAG_ID}/**/*.trigger.*.log"))

    def started(self) -> list[float]:
        """Return the epoch seconds at which each ``run()`` was called."""
        times = []
        for path in self.log_files():
            with path.open() as lines:
                first = json.loads(lines.readline())
            times.append(datetime.fromisoformat(first["timestamp"]).timestamp())
        return times

    def wait_running(self, jobs: int) -> float:
        """Wait until ``run()`` was called so often; return when it was last called, in epoch seconds."""
        limit = 120 + 0.3 * jobs
        wait_until("all triggers running", lambda: len(self.log_files()) >= jobs, timeout=limit, pause=0.5)
        return max(self.started())

    def wait_polled(self, jobs: int) -> float:
        """Wait until so many jobs were polled since the API forgot everything; return when."""
        return float(
            wait_until(
                "all jobs polled",
                lambda: (stats := self.api.control("stats"))["jobs"] >= jobs and stats["now"],
                timeout=120 + 0.3 * jobs,
            )
        )

    def wait_working(self, jobs: int) -> float:
        """Wait until so many triggers do what they are for, polling or sleeping; return since when."""
        running = self.wait_running(jobs)
        return self.wait_polled(jobs) if self.kind.polls else running

    def ends(self) -> Counter[str]:
        """Return how the waits ended, as the task instances will hear of it; those still deferred included."""
        with self._database() as database:
            rows = database.execute("SELECT state, next_method, next_kwargs FROM task_instance").fetchall()
        return Counter(_end(*row) for row in rows)

    def memory(self) -> float:
        """Return the runner's resident KiB."""
        return rss_kib(self.runner)


def _end(state: str, method: str, arguments: str) -> str:
    if state != "scheduled" or method != "execute_complete":
        return f"{state}, {method}" if method != "execute_complete" else state
    event = json.loads(arguments)["event"]
    return str(event["status"] if event["outcome"] == "ended" else event["outcome"])


def template(folder: Path, base_url: str, jobs: int) -> LocalAirflow:
    """Migrate a database, let Airflow know the DAG and the connection; `lab` copies it for each run."""
    dags = folder / "dags"
    dags.mkdir(parents=True)
    (dags / "bench.py").write_text(_DAG_FILE)
    environment = {
        "PYTHONPATH": str(REPOSITORY),
        "AIRFLOW__TRIGGERER__CAPACITY": str(max(jobs, 1000)),
        "AIRFLOW__CORE__MAX_MAP_LENGTH": str(max(jobs, 1024)),
    }
    airflow = LocalAirflow(folder / "template", dags, environment)
    airflow.command("db", "migrate")
    airflow.command("dags", "reserialize")
    airflow.command(
        *("connections", "add", CONN_ID, "--conn-type", "orvideo", "--conn-host", base_url, "--conn-password", KEY)
    )
    return airflow


@contextmanager
def lab(made: LocalAirflow, name: str, api: FakeApi, jobs: int, interval: float, ends: float) -> Iterator[Lab]:
    """Copy the template, seed it, and end whatever triggerer runs at the end of the block.

    Args:
        made: the template.
        name: the kind of trigger.
        api: what the triggers poll.
        jobs: how many triggers.
        interval: their seconds between two polls.
        ends: the jobs end spread over this many seconds from "go".
    """
    home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=made.home.parent)) / "home"
    shutil.copytree(made.home, home, ignore=shutil.ignore_patterns("logs"))
    # The copied airflow.cfg names the template's log folder.
    airflow = LocalAirflow(home, made.dags, {**made.environment, "AIRFLOW__LOGGING__BASE_LOG_FOLDER": f"{home}/logs"})
    kind = KINDS[name]
    triggers = [
        kind.trigger(api.base_url, job_id(ends * index / jobs, index), interval, index) for index in range(jobs)
    ]
    seeds = {"dag_id": DAG_ID, "task_id": TASK_ID, "queue": _PARKED, "triggers": triggers}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.triggerer_seed"],
        env=airflow.env(),
        input=json.dumps(seeds),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"The database could not be seeded:\n{done.stderr[-4000:]}")
    api.control("hold")
    try:
        yield Lab(airflow, api, kind, jobs)
    finally:
        for component in list(airflow.processes):
            airflow.stop(component)

"""One Airflow on several hosts for all tests here; nothing of it starts unless it is asked for."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as of
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from accounts import Accounts, accounts
from local_airflow import REPOSITORY
from local_hosts import BUCKET, Cluster, cluster
from local_services import missing, program, version

if TYPE_CHECKING:
    from collections.abc import Iterator

DAGS: Final = Path(__file__).with_name("dags")
DESTINATION: Final = f"s3://aws_default@{BUCKET}/videos/"
TAIL: Final = 3000
_HOME = pytest.StashKey[Path]()


@dataclass
class Distributed:
    """What the tests talk to.

    Attributes:
        cluster: the hosts.
        started: monotonic time at which all began.
    """

    cluster: Cluster
    started: float

    def told(self) -> str:
        """Return the date, the versions and what a host is, for the report."""
        names = ("apache-airflow", "airflow-provider-orvideo", "celery")
        servers = (("PostgreSQL", program("postgres")), ("Redis", program("redis-server")))
        versions = ", ".join(
            [
                *(f"{name} {of(name)}" for name in names),
                *(f"{name} {version(str(path), '--version')}" for name, path in servers),
            ]
        )
        hosts = "with networks of their own" if self.cluster.network.isolated else "that are folders only"
        return f"{datetime.now(UTC):%Y-%m-%d}, {versions}; hosts {hosts}"

    def attempts(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """Return a task instance's attempts, the present one last."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/tries"
        found: list[dict[str, Any]] = self.cluster.api("GET", path)["task_instances"]
        return sorted(found, key=lambda attempt: int(attempt["try_number"]))

    def host(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return the host on which a task instance runs, or ran last."""
        found: str = self.cluster.task(dag_id, run_id, task_id)["hostname"]
        return found

    def back(self, host: str) -> None:
        """Start a lost host again, and wait until it takes work."""
        self.cluster.start_host(host)
        self.cluster.wait_back(host)

    def jobs(self, prompt: str) -> list[dict[str, Any]]:
        """Return the jobs of a prompt."""
        return [job for job in self.cluster.simulator.get("/jobs") if job["prompt"].startswith(prompt)]

    def accounts(self) -> Accounts:
        """Hold everything together."""
        return accounts(self.cluster.simulator, self.cluster.postgres, self.cluster.s3, BUCKET)

    def log(self, dag_id: str, run_id: str) -> str:
        """Return the logs of a run's tasks, from whatever host wrote them."""
        files = self.cluster.home.glob(f"hosts/*/logs/dag_id={dag_id}/run_id={run_id}/**/*.log")
        return "\n".join(path.read_text(errors="replace") for path in sorted(files))


@pytest.fixture(scope="module")
def distributed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distributed]:
    """Start everything, with the example DAGs and those of this folder."""
    if not os.environ.get("ORVIDEO_DISTRIBUTED"):
        pytest.skip("several hosts take minutes: make distributed")
    if absent := missing():
        pytest.fail(f"needs Debian's {' and '.join(absent)}: make distributed")
    dags = tmp_path_factory.mktemp("distributed") / "dags"
    shutil.copytree(REPOSITORY / "example_dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(DAGS / "hosts.py", dags)
    started = time.monotonic()
    with cluster(dags, {}, "job_seconds=4") as made:
        request.config.stash[_HOME] = made.home
        made.command("variables", "set", "orvideo_destination", DESTINATION)
        yield Distributed(made, started)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:  # noqa: ANN401, ARG001 - pytest's
    """Show the ends of all components' logs with a failure."""
    report = yield
    home = item.config.stash.get(_HOME, None)
    if report.failed and home is not None:
        # Once is enough.
        del item.config.stash[_HOME]
        for log in sorted((*home.glob("*/*.log"), *home.glob("hosts/*/logs/dag_id=*/**/*.log"))):
            report.sections.append((str(log.relative_to(home)), log.read_text(errors="replace")[-TAIL:]))
    return report

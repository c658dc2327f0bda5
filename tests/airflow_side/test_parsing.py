"""Parsing a DAG is free: no network, no database, no connection and no variable is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

import pytest
from airflow.sdk import DAG, BaseHook, Variable

from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.operators.batch import OrVideoBatchOperator
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
from airflow_provider_orvideo.triggers.batch import OrVideoBatchTrigger
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"

#: Runs in a fresh interpreter, in which nothing is imported yet that could hide a first-time access.
PROGRAM = """
import importlib.util, socket, sys

def explode(*arguments, **options):
    raise AssertionError(f"touched while parsing: {arguments[1:]}")

socket.socket.connect = socket.socket.connect_ex = explode
socket.getaddrinfo = explode

from airflow.sdk import BaseHook, Variable
from sqlalchemy.engine import Engine

BaseHook.get_connection = BaseHook.aget_connection = Variable.get = explode
Engine.connect = Engine.raw_connection = explode

for path in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("parsed", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
loaded = [name for name in sys.modules if name.startswith("airflow_provider_orvideo.")]
print(*sorted(loaded))
"""


@pytest.fixture
def _untouchable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every lookup and every connection fail the test."""

    def explode(*arguments: object, **_: object) -> Never:
        raise AssertionError(f"touched: {arguments[1:]}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(f"socket.socket.{name}", explode)
    for name in ("get_connection", "aget_connection"):
        monkeypatch.setattr(BaseHook, name, classmethod(explode))
    monkeypatch.setattr(Variable, "get", classmethod(explode))
    monkeypatch.setattr("sqlalchemy.engine.Engine.connect", explode)


def test_importing_the_example_dags_touches_nothing_and_loads_no_client() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert files
    done = subprocess.run(  # noqa: S603 - our own program
        # Airflow 3.1 loads its standard operators through names that it deprecates itself.
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:The `airflow.operators:FutureWarning",
            "-c",
            PROGRAM,
            *map(str, files),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "airflow_provider_orvideo.operators.submit" in loaded
    assert not {name for name in loaded if ".api.client" in name or ".simulator" in name or ".landing" in name}


CONSTRUCTORS: dict[str, Callable[[], Any]] = {
    "hook": lambda: OrVideoHook("nowhere"),
    "trigger": lambda: OrVideoJobTrigger(conn_id="nowhere", job_id="j", submitted_at=0, deadline=1).serialize(),
    "submit": lambda: OrVideoSubmitOperator(task_id="s", model="m", orvideo_conn_id="nowhere"),
    "batch": lambda: OrVideoBatchOperator(
        task_id="b", requests="s3://nowhere@bucket/shots.csv", destination="s3://nowhere@bucket/", model="m"
    ),
    "batch trigger": lambda: OrVideoBatchTrigger(conn_id="nowhere", jobs=[("j", 0, 1, "m")]).serialize(),
    "download": lambda: OrVideoDownloadOperator(
        task_id="d", job="j", destination="s3://nowhere@bucket/videos/", orvideo_conn_id="nowhere"
    ),
}


@pytest.mark.usefixtures("_untouchable")
@pytest.mark.parametrize("what", CONSTRUCTORS)
def test_a_constructor_touches_nothing(what: str) -> None:
    CONSTRUCTORS[what]()


@pytest.mark.usefixtures("_untouchable")
def test_building_a_dag_with_mapped_tasks_touches_nothing() -> None:
    with DAG("films", schedule=None):
        videos = OrVideoSubmitOperator.partial(task_id="submit", model="m", orvideo_conn_id="nowhere").expand(
            prompt=["a boat", "a bridge"]
        )
        OrVideoDownloadOperator.partial(task_id="download", destination="s3://nowhere@bucket/").expand(
            job=videos.output
        )

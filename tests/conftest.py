"""Every test runs in an Airflow of its own: a throw-away AIRFLOW_HOME, set before Airflow is imported anywhere."""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOME = Path(tempfile.mkdtemp(prefix="orvideo-tests-"))

for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[_name]
os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).resolve().parent.parent / "example_dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        # No scheduler runs next to these tests, so there is nothing to be gentle to.
        "AIRFLOW__ORVIDEO__RESUME_GRACE": "0",
        "NO_PROXY": "127.0.0.1,localhost",
    }
)


_tests = itertools.count()


@pytest.fixture(autouse=True)
def _no_catalogue_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator may get the port that another one had, and with it what is remembered of that one's models."""
    monkeypatch.setenv("AIRFLOW__ORVIDEO__CACHE_DIR", str(_HOME / f"cache-{next(_tests)}"))


@pytest.fixture(autouse=True)
def _no_bundles_of_another_test() -> None:
    """Airflow 3.4 reads the configured DAG bundles once in the life of a process, and each test has its own."""
    manager = sys.modules.get("airflow.dag_processing.bundles.manager")
    remembered = getattr(manager, "_load_bundle_config_snapshot", None)
    if remembered is not None:
        remembered.cache_clear()


def pytest_unconfigure(config: pytest.Config) -> None:  # noqa: ARG001 - pytest's signature
    """Leave nothing behind."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 of our own."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - heavy, and few tests need it

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An empty bucket, as ``s3://aws_test@<bucket>``."""
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - not before AIRFLOW_HOME is set

    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing-secret-key",
        "extra": {"endpoint_url": s3_endpoint, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_TEST", json.dumps(connection))
    uri = f"s3://aws_test@test-{zlib.crc32(request.node.nodeid.encode())}"
    ObjectStoragePath(uri).mkdir()
    return uri

"""Every test runs in an Airflow of its own: a throw-away AIRFLOW_HOME, set before Airflow is imported anywhere."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

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


def pytest_unconfigure(config: pytest.Config) -> None:  # noqa: ARG001 - pytest's signature
    """Leave nothing behind."""
    shutil.rmtree(_HOME, ignore_errors=True)

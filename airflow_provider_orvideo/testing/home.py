"""An Airflow home for one pytest run: made before Airflow is imported, gone when pytest ends."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

#: Airflow reads all of these, at import or later; what a developer's shell holds must not reach a test.
_PREFIX = "AIRFLOW"


class ThrowAwayHome:
    """A fresh Airflow home with the default configuration and an SQLite database that is still to be made.

    Every ``AIRFLOW…`` variable of the environment is put aside, connections and variables included: a shell may hold a
    real key or the address of a real database. What tests need is set in ``conftest.py``, which is read afterwards.

    Raises:
        RuntimeError: Airflow is imported already and has chosen its home.
    """

    def __init__(self) -> None:
        if "airflow" in sys.modules:
            raise RuntimeError(
                "orvideo_airflow_home = tmp: Airflow was imported before pytest read its plugins, and has chosen its "
                "home already. Import it in conftest.py or in tests, not in another plugin; or set "
                "orvideo_airflow_home = own and prepare a home yourself."
            )
        self.path = Path(tempfile.mkdtemp(prefix="orvideo-pytest-"))
        self._before = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
        self._clear()
        os.environ.update(
            {
                "AIRFLOW_HOME": str(self.path),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.path}/airflow.db",
                "AIRFLOW__CORE__DAGS_FOLDER": str(self.path / "dags"),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            }
        )

    def remove(self) -> None:
        """Delete the home and give the environment back."""
        self._clear()
        os.environ.update(self._before)
        shutil.rmtree(self.path, ignore_errors=True)

    def _clear(self) -> None:
        for name in [name for name in os.environ if name.startswith(_PREFIX)]:
            del os.environ[name]

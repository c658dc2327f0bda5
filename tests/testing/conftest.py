"""Runs pytest in a process of its own, as a team does that has this package installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    RunPytest = Callable[..., "Outcome"]

ROOT = Path(__file__).resolve().parents[2]
#: Airflow 3.1 uses what it deprecates itself, and what newer libraries do.
_OF_AIRFLOW = ("-W", "ignore::FutureWarning", "-W", "ignore::DeprecationWarning")
WARNINGS = ("-W", "error", *(_OF_AIRFLOW if version("apache-airflow").startswith("3.1.") else ()))
PLUGIN = "airflow_provider_orvideo.testing.plugin"


class Outcome:
    """How a run of pytest ended.

    Attributes:
        code: pytest's exit code.
        text: all that it printed.
    """

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.text = done.stdout + done.stderr

    def passed(self, count: int) -> bool:
        """Whether all is well, and that many tests ran."""
        assert self.code == 0, self.text
        assert f"{count} passed" in self.text, self.text
        return True


@pytest.fixture
def _dag_test() -> None:
    """For tests that let Airflow run a DAG."""
    if version("apache-airflow") == "3.1.0":
        pytest.skip("dag.test() of Airflow 3.1.0 knows no DAG that a DAG processor has not read")


@pytest.fixture
def run_pytest(tmp_path: Path) -> RunPytest:
    """Run pytest with the plugin and no other, warnings as errors, in a folder or on the text of one test module."""

    def run(
        *arguments: str,
        module: str | None = None,
        ini: str = "",
        folder: Path | None = None,
        plugin: str = PLUGIN,
        **environment: str,
    ) -> Outcome:
        where = folder or tmp_path
        if module is not None:
            (where / "test_module.py").write_text(module)
        if folder is None:
            (where / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
        shell = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
        # Other plugins stay away, and ours is named: this works whether or not this checkout is installed.
        shell |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT), **environment}
        strict = (*WARNINGS, "--strict-config", "--strict-markers", "-p", "no:cacheprovider")
        return Outcome(
            subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-m", "pytest", "-p", plugin, *strict, *arguments],
                cwd=where,
                env=shell,
                capture_output=True,
                text=True,
                check=False,
                timeout=900,  # Airflow 3.2 builds its server anew for each task: seconds, on a busy machine
            )
        )

    return run

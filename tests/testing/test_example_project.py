"""The example project of the docs runs as it is shown there."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PROJECT = Path(__file__).resolve().parents[2] / "docs" / "example_project"


@pytest.mark.usefixtures("_dag_test")
def test_the_example_project_passes_its_own_tests(run_pytest: Callable[..., Any], tmp_path: Path) -> None:
    project = tmp_path / "campaign"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    assert run_pytest(folder=project).passed(4)


def test_the_example_project_asks_for_the_extras_that_its_dag_and_its_tests_need() -> None:
    groups = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]
    assert groups["dags"] == ["airflow-provider-orvideo[media]"]
    assert groups["test"][:2] == [{"include-group": "dags"}, "airflow-provider-orvideo[simulator]"]

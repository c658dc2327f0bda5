"""What the tests inside share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from airflow_provider_orvideo.testing.running import FinishedRun, RunDag


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the videos go."""
    monkeypatch.setenv("AIRFLOW_VAR_FILMS_FOLDER", f"{tmp_path.as_uri()}/")
    return tmp_path


@pytest.fixture
def film(orvideo_run: RunDag, folder: Path) -> Callable[..., FinishedRun]:
    """Run the DAG that orders one video and lands it."""
    del folder

    def run(**arguments: Any) -> FinishedRun:  # noqa: ANN401 - those of RunDag
        return orvideo_run("films_dag.py", dag_id="film", **arguments)

    return run

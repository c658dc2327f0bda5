"""The real ``airflow`` executable in a process of its own: what lands on stdout, what on stderr, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator

AIRFLOW = Path(sys.executable).with_name("airflow")


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> None:
    done = subprocess.run([AIRFLOW, "version"], capture_output=True, text=True, check=True, timeout=120)  # noqa: S603
    if len(done.stdout.splitlines()) > 1:
        pytest.skip("this Airflow itself warns of an older provider on stdout, at each of its commands")


def airflow(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [AIRFLOW, "orvideo", *arguments], input=typed, capture_output=True, text=True, check=False, timeout=120
    )


def test_programs_find_json_on_stdout_and_nothing_else_there_whatever_is_logged(sim: Simulator) -> None:
    done = airflow("models", "--supports", "duration=8", "--output", "json", "--verbose")
    assert done.returncode == 0, done.stderr
    assert "google/veo-3.1" in {model["id"] for model in json.loads(done.stdout)}
    assert "Fetched the catalogue of video models" in done.stderr
    assert sim.stats()["model_lists"] == 1


def test_an_order_that_is_confirmed_over_a_pipe_leaves_its_id_on_stdout(
    sim: Simulator, key: str, order: tuple[str, ...]
) -> None:
    done = airflow("submit", *order, typed="y\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{sim.jobs()[0].id}\n"
    assert sim.posts == 1
    assert key not in done.stderr


def test_a_lost_answer_ends_with_one_and_one_post(sim: Simulator, key: str, order: tuple[str, ...]) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "drop": {"when": "after"}})
    done = airflow("submit", *order, "--yes", "--output", "json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "one video may have been billed" in done.stderr
    assert "Traceback" not in done.stderr
    assert key not in done.stderr
    assert sim.posts == 1


def test_the_id_is_told_even_where_nobody_reads_stdout(sim: Simulator, order: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            [AIRFLOW, "orvideo", "submit", *order, "--yes"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert f"Ordered: job {sim.jobs()[0].id}" in done.stderr
    assert done.stderr.endswith("The result could not be printed: whoever read it has gone.\n")

"""The plugin in pytest: what it costs and changes where nobody asks for it, and what it says where it cannot help."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    RunPytest = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]
USAGE_ERROR = 4

# ── Where nobody asks for it ─────────────────────────────────────────────────────────────────────────────────────────

LOADED = """
import json, os, pytest, sys
before = set(sys.modules)
import airflow_provider_orvideo.testing.plugin
print(*sorted(set(sys.modules) - before))
"""


def test_importing_it_loads_three_modules_none_of_which_is_airflow_or_the_simulator() -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    package = "airflow_provider_orvideo"
    assert done.stdout.split() == [package, f"{package}.testing", f"{package}.testing.plugin"]


UNUSED = """
import os, socket, sys

def test_nothing_is_loaded_and_nothing_is_set():
    ours = {name for name in sys.modules if name.startswith("airflow_provider_orvideo.")}
    assert ours == {"airflow_provider_orvideo.testing", "airflow_provider_orvideo.testing.plugin"}
    assert not {"airflow", "pydantic", "fastapi", "httpx"} & set(sys.modules)
    assert {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW")} == {
        "AIRFLOW_HOME": "/nowhere"
    }
    assert socket.getaddrinfo.__module__ == "socket"
"""


def test_a_suite_that_does_not_use_it_is_left_alone(run_pytest: RunPytest) -> None:
    assert run_pytest(module=UNUSED, AIRFLOW_HOME="/nowhere").passed(1)


def test_the_entry_point_brings_the_fixtures_with_their_docstrings(run_pytest: RunPytest, tmp_path: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    installed = tmp_path / "site" / "films-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: films\nVersion: 1.0\n")
    ((name, target),) = declared.items()
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{name} = {target}\n")
    outcome = run_pytest("--fixtures", plugin=name, PYTHONPATH=f"{tmp_path / 'site'}:{ROOT}")
    assert outcome.code in {0, 5}, outcome.text
    for fixture in ("simulator", "connection", "faults", "run", "network_guard"):
        assert f"orvideo_{fixture} -- " in outcome.text
    assert "A fresh simulator of OpenRouter's video API" in outcome.text
    assert "no docstring available" not in outcome.text.partition("orvideo_simulator")[2]


# ── The throw-away home ──────────────────────────────────────────────────────────────────────────────────────────────

HOME = """
import os
from pathlib import Path
from airflow_provider_orvideo.testing.home import ThrowAwayHome

def test_what_the_shell_held_is_put_aside():
    assert sorted(name for name in os.environ if name.startswith("AIRFLOW")) == [
        "AIRFLOW_HOME", "AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    ]
    Path("home").write_text(os.environ["AIRFLOW_HOME"])
"""
AFTERWARDS = """
import os
from pathlib import Path

def pytest_unconfigure(config):
    config.add_cleanup(lambda: Path("afterwards").write_text(os.environ["AIRFLOW_HOME"]))
"""


def test_a_throw_away_home_hides_the_shells_settings_and_gives_them_back(run_pytest: RunPytest, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(AFTERWARDS)
    shell = {"AIRFLOW_HOME": "/nowhere", "AIRFLOW_CONN_ORVIDEO_DEFAULT": "{}", "AIRFLOW__CORE__EXECUTOR": "Nobody"}
    assert run_pytest(module=HOME, ini="orvideo_airflow_home = tmp", **shell).passed(1)
    assert not Path((tmp_path / "home").read_text()).exists()
    assert (tmp_path / "afterwards").read_text() == "/nowhere"


def test_a_home_is_set_before_a_conftest_reads_it(run_pytest: RunPytest, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import os\nassert 'orvideo-pytest-' in os.environ['AIRFLOW_HOME']\n")
    assert run_pytest(module="def test_it():\n    pass\n", ini="orvideo_airflow_home = tmp").passed(1)


def test_an_airflow_that_was_imported_earlier_is_an_error_that_says_so(run_pytest: RunPytest, tmp_path: Path) -> None:
    (tmp_path / "airflow.py").write_text("")
    (tmp_path / "early.py").write_text("import airflow\n")
    outcome = run_pytest(
        *("-p", "early"), ini="orvideo_airflow_home = tmp", PYTHONPATH=f"{tmp_path}:{ROOT}", module=UNUSED
    )
    assert outcome.code == USAGE_ERROR
    assert "Airflow was imported before pytest read its plugins" in outcome.text


def test_another_word_for_the_home_is_refused(run_pytest: RunPytest) -> None:
    outcome = run_pytest(module=UNUSED, ini="orvideo_airflow_home = temp")
    assert outcome.code == USAGE_ERROR
    assert "orvideo_airflow_home is 'temp'; allowed are tmp, own and nothing." in outcome.text


OWN = """
import pytest

@pytest.fixture(scope="session", autouse=True)
def database():
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.utils.db import initdb
        initdb()

def test_the_prepared_airflow_is_used(orvideo_run, orvideo_simulator):
    import os
    before = dict(os.environ)
    from airflow.configuration import conf
    run = orvideo_run("dags/own.py")
    assert (run.state, orvideo_simulator.posts) == ("success", 1)
    assert conf.get("core", "dags_folder") == before["AIRFLOW__CORE__DAGS_FOLDER"]
    assert os.environ["AIRFLOW_HOME"] == before["AIRFLOW_HOME"]
"""
OWN_DAG = """
from airflow.sdk import DAG
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

with DAG("own", schedule=None):
    OrVideoSubmitOperator(
        task_id="submit", model="x-ai/grok-imagine-video", prompt="a boat", duration=1, resolution="480p"
    )
"""


@pytest.mark.usefixtures("_dag_test")
def test_a_team_may_bring_an_airflow_of_its_own(run_pytest: RunPytest, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "own.py").write_text(OWN_DAG)
    settings = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    assert run_pytest(module=OWN, ini="orvideo_airflow_home = own", **settings).passed(1)


# ── Where it cannot help ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_without_a_home_says_what_to_set(run_pytest: RunPytest) -> None:
    outcome = run_pytest(module="def test_it(orvideo_run):\n    pass\n")
    assert outcome.code == 1
    assert "'orvideo_airflow_home = tmp' into pytest.ini" in outcome.text


WITHOUT_EXTRA = """
import sys
sys.modules["uvicorn"] = None

def test_it(orvideo_simulator):
    pass
"""


def test_a_missing_extra_says_what_to_install(run_pytest: RunPytest) -> None:
    outcome = run_pytest(module=WITHOUT_EXTRA)
    assert outcome.code == 1
    assert "Run: pip install 'airflow-provider-orvideo[simulator]'" in outcome.text
    assert "Traceback" not in outcome.text


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("job_second=3", "job_second"),
        ("job_seconds=-1", "greater than or equal to 0"),
        ("'films'", "takes keywords only; it was given ('films',)"),
        ("host='films.example'", "host"),
    ],
)
def test_a_marker_that_means_nothing_is_an_error(run_pytest: RunPytest, marker: str, words: str) -> None:
    module = f"import pytest\n@pytest.mark.orvideo({marker})\ndef test_it(orvideo_simulator):\n    pass\n"
    outcome = run_pytest(module=module)
    assert outcome.code == 1
    assert words in outcome.text
    assert "1 error" in outcome.text

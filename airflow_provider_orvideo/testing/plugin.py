"""The pytest plugin: fixtures for tests of DAGs that order videos, without the network and without money.

pytest loads it in every run of an environment that has this package, so it imports nothing but pytest, and changes
nothing until a test asks for a fixture or an ini file sets ``orvideo_airflow_home``.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.simulator import Simulator
    from airflow_provider_orvideo.testing.faults import Faults
    from airflow_provider_orvideo.testing.home import ThrowAwayHome
    from airflow_provider_orvideo.testing.running import RunDag

_MARKER: Final = "orvideo"
_HOME: Final = "orvideo_airflow_home"
_HOMES: Final = ("", "tmp", "own")
_KEY: Final = "sk-or-test-of-a-dag"
_DEFAULT_CONN_ID: Final = "orvideo_default"
#: Jobs end at once. Rendering is what takes time, so there are few frames; size, length and sound stay as ordered, for
#: a DAG may insist on them (``expect="fail"``).
_QUICK: Final[dict[str, Any]] = {"job_seconds": 0, "fps": 2}

_home: pytest.StashKey[ThrowAwayHome] = pytest.StashKey()


# ── pytest's hooks ───────────────────────────────────────────────────────────────────────────────────────────────────


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the one setting."""
    parser.addini(
        _HOME,
        "Which Airflow the fixture orvideo_run may use. tmp: a throw-away home with an SQLite database, set before "
        "Airflow is imported; the environment's AIRFLOW variables are put aside. own: the one that you prepared. "
        "Empty (default): none, and nothing is changed.",
        default="",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set the Airflow home before a conftest.py imports Airflow, where the ini file asks for that."""
    _prepare_home(early_config)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    _prepare_home(config)  # for a plugin that a conftest.py names, which pytest loads too late for the hook above
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(conn_ids=[...], **settings): connection ids that orvideo_connection points to the simulator, and "
        "settings of the simulator (python -m airflow_provider_orvideo.simulator --settings lists them).",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    home = config.stash.get(_home, None)
    if home is not None:
        home.remove()
        del config.stash[_home]


def _prepare_home(config: pytest.Config) -> None:
    wanted = str(config.getini(_HOME))
    if wanted not in _HOMES:
        raise pytest.UsageError(f"{_HOME} is {wanted!r}; allowed are tmp, own and nothing.")
    if wanted != "tmp" or _home in config.stash:
        return
    # Only who asks for it pays for it.
    from airflow_provider_orvideo.testing.home import ThrowAwayHome  # noqa: PLC0415

    try:
        config.stash[_home] = ThrowAwayHome()
    except RuntimeError as error:
        raise pytest.UsageError(str(error)) from error


# ── The fixtures ─────────────────────────────────────────────────────────────────────────────────────────────────────
# They import what they need when a test asks for them, for the reason in this module's docstring.


@pytest.fixture
def orvideo_simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """A fresh simulator of OpenRouter's video API, on a free port of this machine's loopback interface.

    Its jobs end at once, and its videos have two frames per second; ``@pytest.mark.orvideo(job_seconds=2)`` on the
    test, its class or its module changes settings. What a test asks of it: ``posts`` (orders that arrived, refused
    ones included), ``jobs()`` (what was accepted, and would be billed), ``requests(operation="getVideos")``,
    ``stats()``, ``finish(job_id)``, ``advance(seconds)``.

    Yields:
        A `Simulator` that serves.
    """
    try:
        from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings  # noqa: PLC0415
    except ImportError as error:
        pytest.fail(str(error), pytrace=False)
    settings = {name: value for name, value in _asked(request).items() if name != "conn_ids"}
    try:
        valid = SimulatorSettings(**_QUICK | settings)
    except ValueError as error:
        pytest.fail(f"@pytest.mark.{_MARKER}: {error}", pytrace=False)
    with Simulator(valid) as simulator:  # binds to loopback, which is its default and not to be changed here
        yield simulator


@pytest.fixture
def orvideo_network_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this process from the real API for the duration of the test.

    A connection of this provider that points to any other machine is refused before anything is sent, with an error
    that says so; and no name under ``openrouter.ai`` is resolved, whatever library asks. Other hosts stay within reach.
    Processes that the test starts are not covered.
    """
    from airflow_provider_orvideo.testing.guard import only_loopback  # noqa: PLC0415

    only_loopback(monkeypatch)


@pytest.fixture
def orvideo_connection(
    orvideo_simulator: Simulator,
    orvideo_network_guard: None,  # noqa: ARG001 - only that it is there
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> str:
    """The id of an Airflow connection that points to the simulator: ``orvideo_default``, or what the test names.

    ``@pytest.mark.orvideo(conn_ids=["films", "trailers"])`` sets these, too, and the fixture is the first of them. For
    the duration of the test, the real API is out of reach (`orvideo_network_guard`), the provider's ``cache_dir`` and
    ``state_path`` are empty folders, ``resume_grace`` is 0, and repeated calls follow each other without a pause.

    Returns:
        The connection's id.
    """
    from airflow_provider_orvideo.testing.guard import without_pauses  # noqa: PLC0415

    without_pauses(monkeypatch)
    asked = _asked(request).get("conn_ids", ())
    conn_ids = (asked,) if isinstance(asked, str) else tuple(asked)
    connection = json.dumps({"conn_type": "orvideo", "host": orvideo_simulator.base_url, "password": _KEY})
    for conn_id in {*conn_ids, _DEFAULT_CONN_ID}:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)
    folder = tmp_path_factory.mktemp("orvideo")
    monkeypatch.setenv("AIRFLOW__ORVIDEO__CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", (folder / "state").as_uri())
    monkeypatch.setenv("AIRFLOW__ORVIDEO__RESUME_GRACE", "0")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost"))))
    return conn_ids[0] if conn_ids else _DEFAULT_CONN_ID


@pytest.fixture
def orvideo_faults(orvideo_simulator: Simulator) -> Faults:
    """Mishaps on demand: ``orvideo_faults.lose_answer()``, ``.cut_download(times=4)`` and others.

    See `Faults` for all of them, and for what the provider does then.

    Returns:
        The `Faults` of this test's simulator.
    """
    from airflow_provider_orvideo.testing.faults import Faults  # noqa: PLC0415

    return Faults(orvideo_simulator)


@pytest.fixture
def orvideo_run(
    orvideo_connection: str,  # noqa: ARG001 - no DAG runs without the simulator behind its connections
    _orvideo_database: None,
    pytestconfig: pytest.Config,
) -> RunDag:
    """Runs a DAG whole, in this process; takes the path of a DAG file, such as ``dags/films.py``, or a DAG object.

    Needs ``orvideo_airflow_home = tmp`` in the ini file (or ``own``). See `RunDag` for its arguments and `FinishedRun`
    for what it returns.

    Returns:
        A `RunDag`, to be called.
    """
    from airflow_provider_orvideo.testing.running import RunDag  # noqa: PLC0415

    return RunDag(root=pytestconfig.rootpath, set_bundle=_home in pytestconfig.stash)


@pytest.fixture(scope="session")
def _orvideo_database(pytestconfig: pytest.Config) -> None:
    """Make the tables of the throw-away home's database, once per session."""
    if pytestconfig.getini(_HOME) == "own":
        return
    if _home not in pytestconfig.stash:
        pytest.fail(
            "orvideo_run needs an Airflow whose database it may write to. For a throw-away one, put "
            "'orvideo_airflow_home = tmp' into pytest.ini, or orvideo_airflow_home = \"tmp\" under "
            "[tool.pytest.ini_options] in pyproject.toml; or 'own' if AIRFLOW_HOME is one that you prepared for tests.",
            pytrace=False,
        )
    from airflow_provider_orvideo.testing.running import make_database  # noqa: PLC0415

    make_database()


def _asked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what the test's markers say; the closest to the test wins."""
    asked: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(_MARKER))):
        if marker.args:
            pytest.fail(f"@pytest.mark.{_MARKER} takes keywords only; it was given {marker.args!r}.", pytrace=False)
        asked |= marker.kwargs
    return asked

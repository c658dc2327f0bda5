"""The simulator, the connection to it, and the guard around both."""

from __future__ import annotations

import json
import os
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from airflow.configuration import conf
from airflow.sdk import BaseHook

from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator

pytestmark = pytest.mark.orvideo(job_seconds=30, fps=12)


def test_the_connection_reaches_the_simulator_and_nobody_else(
    orvideo_connection: str, orvideo_simulator: Simulator
) -> None:
    assert orvideo_connection == "orvideo_default"
    with OrVideoHook(orvideo_connection) as hook:
        assert hook.test_connection()[0]
        assert hook.list_videos_models()
        host, port = hook.get_config().origin[1:]
    assert ip_address(host).is_loopback
    assert port == orvideo_simulator.port
    assert orvideo_simulator.stats()["key_reads"] == 1


@pytest.mark.orvideo(conn_ids=["films", "trailers"])
def test_named_connections_reach_it_as_well(orvideo_connection: str, orvideo_simulator: Simulator) -> None:
    assert orvideo_connection == "films"
    for conn_id in ("films", "trailers", "orvideo_default"):
        assert OrVideoHook(conn_id).get_config().base_url == orvideo_simulator.base_url


@pytest.mark.orvideo(conn_ids="films")
def test_one_connection_needs_no_list(orvideo_connection: str) -> None:
    assert BaseHook.get_connection(orvideo_connection).password == "sk-or-test-of-a-dag"


@pytest.mark.orvideo(job_seconds="manual")
def test_the_closest_marker_wins_and_the_others_still_count(orvideo_simulator: Simulator) -> None:
    assert (orvideo_simulator.settings.job_seconds, orvideo_simulator.settings.fps) == (float("inf"), 12)


@pytest.mark.parametrize("_again", [1, 2])
def test_each_test_has_a_simulator_of_its_own(
    orvideo_simulator: Simulator, orvideo_connection: str, _again: int
) -> None:
    assert orvideo_simulator.stats()["model_lists"] == 0
    with OrVideoHook(orvideo_connection) as hook:
        hook.list_videos_models()
    assert orvideo_simulator.stats()["model_lists"] == 1


@pytest.mark.usefixtures("orvideo_connection")
def test_nothing_that_the_provider_keeps_outlives_the_test() -> None:
    assert conf.getfloat("orvideo", "resume_grace") == 0
    for option in ("cache_dir", "state_path"):
        assert "pytest-of-" in conf.get("orvideo", option)


@pytest.mark.usefixtures("orvideo_connection")
def test_retries_have_the_usual_number_of_tries_and_no_pauses() -> None:
    config = OrVideoHook().get_config()
    assert (config.read_retry.attempts, config.submit_retry.attempts) == (4, 3)
    assert config.read_retry.pause(4, retry_after=60) == config.submit_retry.pause(3) == 0


@pytest.mark.usefixtures("orvideo_connection")
@pytest.mark.parametrize("host", ["", "https://eu.openrouter.ai/api/v1", "https://films.example"])
def test_a_connection_to_anywhere_else_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    real = {"conn_type": "orvideo", "host": host, "password": "sk-or-test-real"}
    monkeypatch.setenv("AIRFLOW_CONN_REAL", json.dumps(real))
    with pytest.raises(ConfigurationError, match=r"may reach the simulator only.*conn_ids"):
        OrVideoHook("real").get_conn()


@pytest.mark.usefixtures("orvideo_network_guard")
@pytest.mark.parametrize("name", ["openrouter.ai", "eu.OpenRouter.ai.", b"openrouter.ai"])
def test_the_names_of_the_api_are_not_resolved(name: str | bytes) -> None:
    with pytest.raises(socket.gaierror, match="the simulator only"):
        socket.getaddrinfo(name, 443)


def test_other_names_are_resolved_as_ever(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: asked.append((host, port)))
    request.getfixturevalue("orvideo_network_guard")
    for host in ("localhost", "notopenrouter.ai", "openrouter.ai.example", None):
        socket.getaddrinfo(host, 443)
    assert asked == [("localhost", 443), ("notopenrouter.ai", 443), ("openrouter.ai.example", 443), (None, 443)]


def test_without_the_fixtures_all_is_as_it_was() -> None:
    assert not [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "AIRFLOW__ORVIDEO__"))]
    assert ClientConfig(api_key="sk-or-test-1").base_url == "https://openrouter.ai/api/v1"
    assert ClientConfig(api_key="sk-or-test-1").read_retry.base > 0

"""What must not be found anywhere after a landing: signed URLs, the key, the prompt. The simulator signs its URLs."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.exceptions import LandingError
from airflow_provider_orvideo.landing.land import land

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.manifests import JobManifest
    from airflow_provider_orvideo.simulator import Simulator
    from tests.landing.conftest import Order, Spoil

    Where = Callable[[str, JobManifest], Destination]
    Look = Callable[[str], dict[str, bytes]]


@pytest.fixture
def secrets(client: VideoClient, sim: Simulator) -> tuple[str, ...]:
    return (client.config.api_key, "signature", "/stored/", f":{sim.state.storage_port}", "private red boat")


def ours(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged, but for the simulator's side of the wire and for how S3 requests are signed."""
    others = ("uvicorn", "botocore", "aiobotocore")
    return "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith(others))


def test_a_landing_leaves_no_secret_in_manifest_sidecar_or_log(
    client: VideoClient,
    order: Order,
    where: Where,
    home: str,
    look: Look,
    caplog: pytest.LogCaptureFixture,
    secrets: tuple[str, ...],
    sim: Simulator,
) -> None:
    job = order(job={"outputs": 2}, known_outputs=0)
    status = client.get_generation(job.job_id)
    assert len(status.urls) == 2
    assert "signature" in status.urls[0].get_secret_value()
    caplog.set_level(logging.DEBUG)
    landed = land(client, job, where(f"{home}/", job))
    land(client, job, where(f"{home}/", job))
    sidecars = [content.decode() for name, content in look(home).items() if name.endswith(".json")]
    assert len(sidecars) == 2
    for text in (json.dumps(landed.to_json()), *sidecars, ours(caplog)):
        assert [secret for secret in secrets if secret in text] == []
    # The stored copies are not used, so the key cannot reach their host.
    assert sim.stats()["stored_reads"] == sim.stats()["leaked_authorizations"] == 0


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"content": {"truncate": 0.5}}, id="cut"),
        pytest.param({"content": {"garbage": True}}, id="garbage"),
        pytest.param({"respond": {"status": 410}}, id="gone"),
        pytest.param({"respond": {"status": 502, "message": "https://h.example/v?signature=abc"}}, id="upstream"),
        pytest.param({"respond": {"status": 404, "message": "Bearer sk-or-test-7e57ed is unknown"}}, id="echoed key"),
    ],
)
def test_a_failed_landing_tells_no_secret(
    client: VideoClient,
    order: Order,
    where: Where,
    home: str,
    spoil: Spoil,
    caplog: pytest.LogCaptureFixture,
    secrets: tuple[str, ...],
    rule: dict[str, Any],
) -> None:
    job = order()
    spoil(**rule)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(LandingError) as caught:
        land(client, job, where(f"{home}/", job))
    for text in ("".join(traceback.format_exception(caught.value)), ours(caplog)):
        assert [secret for secret in secrets if secret in text] == []


def test_a_status_with_a_signed_url_in_its_text_is_told_without_it(
    client: VideoClient, order: Order, where: Where, home: str, secrets: tuple[str, ...]
) -> None:
    job = order(job={"outcome": "failed", "error": "see https://h.example/v.mp4?signature=abc"})
    with pytest.raises(LandingError, match=r"https://h\.example/v\.mp4\?\*\*\*") as caught:
        land(client, job, where(f"{home}/", job))
    assert [secret for secret in secrets if secret in str(caught.value)] == []

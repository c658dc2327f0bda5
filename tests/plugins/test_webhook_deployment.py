"""The webhook against a real API server: nothing of Airflow's stands between OpenRouter's call and the endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from airflow_provider_orvideo.ledger.callbacks import Callbacks
from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugins.deployment import UiDeployment

pytestmark = pytest.mark.e2e

SECRET = "whsec_test_of_this_workspace"
ORDER = {"model": "x-ai/grok-imagine-video", "prompt": "a red boat", "duration": 1, "resolution": "480p"}


def test_a_signed_call_needs_no_session_and_any_other_call_does_nothing(
    ui_deployment: UiDeployment, tmp_path: Path
) -> None:
    callbacks = Callbacks("https://airflow.example.com/orvideo/webhook", (tmp_path / "state").as_uri())
    options = {"webhook_url": callbacks.webhook_url, "webhook_secret": SECRET, "state_path": callbacks.state_path}
    lost, forged = callbacks.new_nonce(), callbacks.new_nonce()
    with ui_deployment.another_server(**options) as url:
        settings = SimulatorSettings(job_seconds=0, webhook_origin=url, webhook_secret=SECRET)
        with Simulator(settings) as sim:
            for nonce in (lost, forged):
                sim.clear_faults()
                if nonce == forged:
                    sim.add_fault({"match": {"operation": "sendWebhook"}, "webhook": {"signature": "forged"}})
                order = {**ORDER, "callback_url": callbacks.url(nonce)}
                headers = {"Authorization": "Bearer sk-or-test-1"}
                job = httpx.post(f"{sim.base_url}/videos", json=order, headers=headers).raise_for_status().json()
                sim.wait_for_webhooks(1, timeout=30, job_id=job["id"])
            first, second = sim.jobs()
            assert [entry.status for entry in sim.webhooks()] == [200, 401]
        with ui_deployment.client("admin", url) as admin:
            # A session is no signature.
            assert admin.post(f"/orvideo/webhook/{forged}", json={"data": {"id": second.id}}).status_code == 401
            assert admin.get(f"/orvideo/webhook/{forged}").status_code == 405
            assert admin.post(f"/orvideo/webhook/{forged}", content=b" " * 70_000).status_code == 413
    reported = callbacks.reported(lost)
    assert reported is not None
    assert reported.job_id == first.id
    assert callbacks.reported(forged) is None


def test_webhooks_are_off_unless_their_address_is_set(ui_deployment: UiDeployment) -> None:
    with ui_deployment.client(None) as nobody:
        assert nobody.post(f"/orvideo/webhook/{Callbacks.new_nonce()}", json={}).status_code == 404

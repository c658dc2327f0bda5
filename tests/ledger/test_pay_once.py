"""Rule 1 over everything that can go wrong together: whatever the API and the store do, one video is bought at most."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import RetryPolicy
from airflow_provider_orvideo.exceptions import (
    AmbiguousSubmitError,
    LedgerUnavailableError,
    OrVideoError,
    OutcomeUnknownError,
)
from airflow_provider_orvideo.ledger.purchase import Attempt, obtain
from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.api.schema import VideoRequest
    from tests.ledger.conftest import Notebook, Shop

ATTEMPT = Attempt(conn_id="c")
#: What the first POST meets, and whether it may have bought a video.
FAULTS: dict[str, tuple[Any, bool]] = {
    "accepted": (None, True),
    "500": (500, True),
    "502": (502, True),
    "503": (503, True),
    "408": (408, True),
    "499": (499, True),
    "303": (httpx.Response(303, headers={"Location": "/x"}), True),
    "dropped": (httpx.RemoteProtocolError("gone"), True),
    "reset": (httpx.ReadError("reset"), True),
    "timeout": (httpx.ReadTimeout("slow"), True),
    "unreadable": (httpx.Response(200, text="<html>"), True),
    "no job id": (httpx.Response(202, json={}), True),
    "interrupted": (KeyboardInterrupt(), True),
    "exited": (SystemExit(1), True),
    "unexpected bug": (ZeroDivisionError("bug"), True),
    "400": (400, False),
    "402": (402, False),
    "403": (403, False),
    "413": (413, False),
    "429": (429, False),
    "no connection": (httpx.ConnectError("refused"), False),
}
AWAY = LedgerUnavailableError("away")
KILL = KeyboardInterrupt()

#: What the store does meanwhile: for each method, what its first calls meet.
STORES: dict[str, dict[str, list[Any]]] = {
    "works": {},
    "load fails": {"load": [AWAY]},
    "load is killed": {"load": [KILL]},
    "intent fails": {"save": [AWAY]},
    "intent is not confirmed": {"save": [(AWAY, "after")]},
    "killed before the intent": {"save": [KILL]},
    "killed after the intent": {"save": [(KILL, "after")]},
    "job id fails once": {"save": [None, AWAY]},
    "job id fails always": {"save": [None, *[AWAY] * 5]},
    "job id is not confirmed": {"save": [None, *[(AWAY, "after")] * 5]},
    "killed before the job id": {"save": [None, KILL]},
    "killed after the job id": {"save": [None, (KILL, "after")]},
    "killed while trying the job id again": {"save": [None, AWAY, KILL]},
    "withdrawal fails": {"delete": [AWAY]},
    "withdrawal is not confirmed": {"delete": [(AWAY, "after")]},
    "killed before the withdrawal": {"delete": [KILL]},
    "killed after the withdrawal": {"delete": [(KILL, "after")]},
}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_goes_wrong_five_attempts_buy_one_video_at_most(
    client: VideoClient, order: VideoRequest, notebook: Notebook, shop: Shop, fault: str, store: str
) -> None:
    event, may_have_bought = FAULTS[fault]
    shop.script = [event]
    notebook.trouble = {name: list(script) for name, script in STORES[store].items()}
    jobs: list[str | None] = []
    for _ in range(5):
        with contextlib.suppress(OrVideoError, KeyboardInterrupt, SystemExit, ZeroDivisionError):
            jobs.append(obtain(client, order, notebook, ATTEMPT, sleep=lambda _: None).job_id)
    # After a clear refusal a second POST is right; what may have bought a video was the only one.
    assert shop.posts <= (1 if may_have_bought else 2)
    assert len(shop.sold) <= 1
    assert set(jobs) <= set(shop.sold)
    # Every POST found the intent in the store.
    assert [page.phase if page else None for page in shop.pages] == ["intent"] * shop.posts


@pytest.mark.parametrize("fault", [name for name, (_, may_have_bought) in FAULTS.items() if not may_have_bought])
def test_what_was_refused_for_certain_does_not_stop_the_next_attempt(
    client: VideoClient, order: VideoRequest, notebook: Notebook, shop: Shop, fault: str
) -> None:
    shop.script = [FAULTS[fault][0]] * (3 if fault in {"429", "no connection"} else 1)
    with pytest.raises(OrVideoError):
        obtain(client, order, notebook, ATTEMPT)
    assert obtain(client, order, notebook, ATTEMPT).job_id == "job-1"
    assert shop.sold == ["job-1"]


# ── The same over real connections: what counts is what the server received ──────────────────────────────────────────


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(SimulatorSettings(job_seconds=0)) as running:
        yield running


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"respond": {"status": 503, "when": "after", "retry_after": 0}}, id="503, job made"),
        pytest.param({"respond": {"status": 503}}, id="503, no job"),
        pytest.param({"respond": {"status": 408, "when": "after"}}, id="408, job made"),
        pytest.param({"respond": {"status": 202, "html": True, "when": "after"}}, id="HTML, job made"),
        pytest.param({"drop": {"when": "after"}}, id="closed, job made"),
        pytest.param({"drop": {"when": "after", "how": "reset"}}, id="reset, job made"),
        pytest.param({"drop": {"when": "before"}}, id="closed, no job"),
        pytest.param({"delay": {"seconds": 0.6, "when": "after"}}, id="answer too late, job made"),
    ],
)
def test_the_server_receives_one_post_whatever_becomes_of_its_answer(
    simulator: Simulator, notebook: Notebook, rule: dict[str, Any], order: VideoRequest
) -> None:
    simulator.reset()
    simulator.add_fault({"match": {"operation": "createVideos"}, "times": 1, **rule})
    config = ClientConfig(
        api_key="sk-or-test-1",
        base_url=simulator.base_url,
        submit_timeout=0.3,
        submit_retry=RetryPolicy(attempts=5, base=0.0),
    )
    with VideoClient(config) as client:
        with pytest.raises(OutcomeUnknownError):
            obtain(client, order, notebook, ATTEMPT)
        for _ in range(3):
            with pytest.raises(AmbiguousSubmitError):
                obtain(client, order, notebook, ATTEMPT)
    assert simulator.posts == 1
    assert len(simulator.jobs()) <= 1

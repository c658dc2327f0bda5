"""``make bench-pay-once``: the same faults through the official SDK with its defaults and through this provider.

Counted are the paid POSTs and the jobs that the API would have billed, both in the simulator's log. Each side gets what
a DAG author would give it: the SDK one call of ``generate`` and a loop around ``get_generation``; the provider a task
instance with two retries, which keeps its record between the attempts.
"""

from __future__ import annotations

import platform
import sys
import time
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import RetryPolicy
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import OrVideoError
from airflow_provider_orvideo.ledger.purchase import Attempt, obtain
from airflow_provider_orvideo.polling.decision import Ended, Wait
from airflow_provider_orvideo.polling.waiting import wait_for_job
from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.ledger.record import Record

KEY: Final = "sk-or-test-bench"
MODEL: Final = "google/veo-3.1-lite"
RETRIES: Final = 2

_SUBMIT: Final = {"operation": "createVideos"}
#: Name of the fault, the rule that causes it.
FAULTS: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    "submit answered 503, three times, nothing accepted": {
        "match": _SUBMIT,
        "times": 3,
        "respond": {"status": 503, "when": "before"},
    },
    "submit answered 503, three times, job accepted": {
        "match": _SUBMIT,
        "times": 3,
        "respond": {"status": 503, "when": "after"},
    },
    "submit answered after 7 s, twice": {"match": _SUBMIT, "times": 2, "delay": {"seconds": 7, "when": "after"}},
    "connection dropped after accepting, twice": {"match": _SUBMIT, "times": 2, "drop": {"when": "after"}},
    "poll answered 503, twice": {"match": {"operation": "getVideos"}, "times": 2, "respond": {"status": 503}},
}


class MemoryStore:
    """Keeps the record between the attempts of one task instance, as Airflow's task state store does."""

    where = "in memory"

    def __init__(self) -> None:
        self.record: Record | None = None

    def load(self) -> Record | None:
        """Return the record."""
        return self.record

    def save(self, record: Record) -> None:
        """Keep the record."""
        self.record = record

    def delete(self) -> None:
        """Forget the record."""
        self.record = None


def through_sdk(base_url: str) -> str:
    """Order one video with the official SDK as its documentation shows, retries and timeouts at their defaults."""
    from openrouter import OpenRouter  # noqa: PLC0415 - so that its import warnings stay in here

    with OpenRouter(api_key=KEY, server_url=base_url) as sdk:
        try:
            job = sdk.video_generation.generate(model=MODEL, prompt="a boat", duration=4, resolution="720p")
            while True:
                status = str(sdk.video_generation.get_generation(job_id=job.id).status)
                if status in {"completed", "failed", "cancelled", "expired"}:
                    return status
                time.sleep(0.2)
        except Exception as error:  # noqa: BLE001 - whatever it raises is its result
            return type(error).__name__


def through_provider(base_url: str) -> str:
    """Order one video as a task instance with retries does."""
    store = MemoryStore()
    request = VideoRequest.build(model=MODEL, prompt="a boat", duration=4, resolution="720p")
    config = ClientConfig(api_key=KEY, base_url=base_url, submit_retry=RetryPolicy(attempts=3, base=0.1))
    result = ""
    for _ in range(RETRIES + 1):
        with VideoClient(config) as client:
            try:
                record = obtain(client, request, store, Attempt(conn_id="bench"))
            except OrVideoError as error:
                # More than Airflow would do: it does not retry most of these.
                result = type(error).__name__
                continue
            wait = Wait(job_id=str(record.job_id), submitted_at=0, deadline=time.time() + 30, poll_interval=0.2)
            end = wait_for_job(client, wait)
            return end.job.status if isinstance(end, Ended) else type(end).__name__
    return result


def measure(order: Callable[[str], str], rule: dict[str, Any]) -> tuple[int, int, str]:
    """Return POSTs, jobs and the result of one order under one fault."""
    with Simulator(SimulatorSettings(job_seconds=0.3)) as simulator:
        if rule:
            simulator.add_fault(rule)
        result = order(simulator.base_url)
        return simulator.posts, len(simulator.jobs()), result


def main() -> int:
    """Print the table; the exit code says whether the provider paid at most once in every row."""
    warnings.simplefilter("ignore")
    print(f"openrouter {version('openrouter')}, Python {platform.python_version()}; paid POSTs / jobs made / result")
    print(f"{'fault':52} {'official SDK, defaults':32} this provider, {RETRIES} retries")
    worst = 0
    for name, rule in FAULTS.items():
        cells = []
        for order in (through_sdk, through_provider):
            posts, jobs, result = measure(order, rule)
            cells.append(f"{posts} / {jobs} / {result}")
        worst = max(worst, posts)
        print(f"{name:52} {cells[0]:32} {cells[1]}", flush=True)
    return 0 if worst <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())

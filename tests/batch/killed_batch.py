"""One attempt of a batch in a process of its own, for a test to kill: real threads, real files, real connections.

The only argument is JSON: the operator's arguments under ``operator``, the attempt's number under ``try_number``, and
under ``refused`` how many in a hundred connections for a paid request are refused, by a seeded die. How it ended is
written to the file ``result``.
"""

from __future__ import annotations

import json
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from airflow.sdk.bases.operator import ExecutorSafeguard

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.operators.batch import OrVideoBatchOperator


def refuse_connections(percent: int) -> None:
    """Let some paid requests find no server: nothing is sent, nothing accepted."""
    die = random.Random(2026)  # noqa: S311 - a test's own chance
    real = httpx.HTTPTransport.handle_request

    def handle(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and die.randrange(100) < percent:
            raise httpx.ConnectError("[Errno 111] Connection refused")
        return real(transport, request)

    httpx.HTTPTransport.handle_request = handle  # type: ignore[assignment, method-assign]


def main() -> None:
    """Run the attempt."""
    task: dict[str, Any] = json.loads(sys.argv[1])
    refuse_connections(task["refused"])
    # Retries come at once: what is tested is that they are right, not that they are polite.
    defaults = VideoClient.__init__.__kwdefaults__
    assert defaults is not None
    defaults["sleep"] = lambda _: None
    ExecutorSafeguard.test_mode = True
    identity = {"dag_id": "films", "run_id": "manual__1", "task_id": "batch", "map_index": -1}
    instance = SimpleNamespace(**identity, try_number=task["try_number"], max_tries=2)
    context: Any = {"ti": instance, "logical_date": datetime(2026, 11, 22, tzinfo=UTC)}
    operator = OrVideoBatchOperator(task_id="batch", deferrable=False, **task["operator"])
    try:
        result: dict[str, Any] = {"returned": operator.execute(context)}
    except Exception as error:  # noqa: BLE001 - told to whoever started this
        result = {"raised": type(error).__name__, "text": str(error)}
    Path(task["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()

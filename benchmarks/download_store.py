"""An S3 of our own for measuring uploads: moto in a process of its own, with an empty bucket."""

from __future__ import annotations

import json
import logging
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measuring import HOST, process

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET: Final = "bench"
CONN_ID: Final = "aws_bench"
_REGION: Final = "us-east-1"
_KEY: Final = "testing"
_SECRET: Final = "testing-secret-key"  # noqa: S105 - moto takes any


@contextmanager
def store() -> Iterator[str]:
    """Run an empty S3 on a free port, and end it with the block.

    Yields:
        Its endpoint.
    """
    with process(["-m", "benchmarks.download_store"]) as started:
        told = started.stdout.readline() if started.stdout else ""
        if not told:
            raise RuntimeError("The S3 server did not start.")
        yield f"http://{HOST}:{json.loads(told)['port']}"


def connection(endpoint: str) -> dict[str, str]:
    """Return the environment variable that is Airflow's connection to the store."""
    described = {
        "conn_type": "aws",
        "login": _KEY,
        "password": _SECRET,
        "extra": {"endpoint_url": endpoint, "region_name": _REGION},
    }
    return {f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(described)}


def s3_client(endpoint: str) -> Any:  # noqa: ANN401 - boto3 has no types
    """Return a boto3 client of the store."""
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - only for who needs it

    return boto3.client(
        "s3", endpoint_url=endpoint, region_name=_REGION, aws_access_key_id=_KEY, aws_secret_access_key=_SECRET
    )


def main() -> None:
    """Serve until SIGTERM; the first line printed tells the port."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - heavy

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(HOST, 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    s3_client(f"http://{HOST}:{port}").create_bucket(Bucket=BUCKET)
    print(json.dumps({"port": port}), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()

"""``make standalone``: ``airflow standalone`` with the provider, the example DAGs, the simulator and the connection.

State is kept in ``.standalone`` between runs; ``make clean`` removes it.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

from local_airflow import HOST, REPOSITORY, LocalAirflow, LocalSimulator, connection, free_port, stop_process

HOME = REPOSITORY / ".standalone"
PORT = 8080
#: The pool of the campaign: videos under way at a time.
POOL = ("openrouter_video", "4", "videos under way", "--include-deferred")


def main() -> int:
    """Run until Ctrl-C."""
    # So that a plain `kill` cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Long enough to look at a task that is deferred.
    with LocalSimulator(HOME / "simulator", ("--set", "job_seconds=20")).running() as simulator:
        # There is no S3 here to take a first frame from.
        frame = HOME / "first_frame.png"
        frame.write_bytes(picture())
        airflow = LocalAirflow(
            HOME / "airflow",
            REPOSITORY / "example_dags",
            {
                **connection(simulator.base_url),
                "AIRFLOW_VAR_ORVIDEO_DESTINATION": f"file://{HOME}/videos/",
                "AIRFLOW_VAR_ORVIDEO_FIRST_FRAME": f"file://{frame}",
                "AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES": f"file://{HOME}/videos/",
                # Where the campaign's budget is kept.
                "AIRFLOW__ORVIDEO__STATE_PATH": f"file://{HOME}/state",
                "AIRFLOW__API__HOST": HOST,
            },
            port=int(os.environ.get("PORT", "0")) or (PORT if _is_free(PORT) else free_port()),
        )
        sys.stdout.write(
            f"\nAirflow: {airflow.url}/dags?tags=example (no login; ready in about half a minute)\n"
            "Each example runs as it is: open one and press play. What they do: docs/examples.md\n"
            f"The simulator stands in for OpenRouter at {simulator.base_url}: nothing is billed.\n"
            f"Videos land in {HOME}/videos. Set PORT for another port than {PORT}. Ctrl-C ends everything.\n"
            "Note: airflow standalone opens its log servers (8793, 8794) on all interfaces.\n\n"
        )
        sys.stdout.flush()
        airflow.home.mkdir(parents=True, exist_ok=True)
        airflow.command("db", "migrate")
        airflow.command("pools", "set", *POOL)
        process = subprocess.Popen(  # noqa: S603 - our own command
            [str(Path(sys.executable).parent / "airflow"), "standalone"], env=airflow.env(), start_new_session=True
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            stop_process(process)


def picture(width: int = 320, height: int = 180) -> bytes:
    """Return a PNG of an evening sky over water."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    horizon = height * 2 // 3
    sky = [(40 + y, 60 + y // 2, 120) for y in range(horizon)]
    water = [(10, 30, 70 + y) for y in range(height - horizon)]
    rows = b"".join(b"\0" + bytes(colour) * width for colour in sky + water)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


if __name__ == "__main__":
    sys.exit(main())

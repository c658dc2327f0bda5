"""``make standalone``: ``airflow standalone`` with the provider, the example DAGs, the simulator and the connection.

State is kept in ``.standalone`` between runs; ``make clean`` removes it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from local_airflow import HOST, REPOSITORY, LocalAirflow, LocalSimulator, connection, free_port, stop_process

HOME = REPOSITORY / ".standalone"
PORT = 8080


def main() -> int:
    """Run until Ctrl-C."""
    # So that a plain `kill` cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Long enough to look at a task that is deferred.
    with LocalSimulator(HOME / "simulator", ("--set", "job_seconds=20")).running() as simulator:
        airflow = LocalAirflow(
            HOME / "airflow",
            REPOSITORY / "example_dags",
            {
                **connection(simulator.base_url),
                "AIRFLOW_VAR_ORVIDEO_DESTINATION": f"file://{HOME}/videos/",
                "AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES": f"file://{HOME}/videos/",
                "AIRFLOW__API__HOST": HOST,
            },
            port=int(os.environ.get("PORT", "0")) or (PORT if _is_free(PORT) else free_port()),
        )
        sys.stdout.write(
            f"\nAirflow: {airflow.url}/dags/orvideo_first_video (no login; ready in about half a minute)\n"
            f"The simulator stands in for OpenRouter at {simulator.base_url}: nothing is billed.\n"
            f"Videos land in {HOME}/videos. Set PORT for another port than {PORT}. Ctrl-C ends everything.\n"
            "Note: airflow standalone opens its log servers (8793, 8794) on all interfaces.\n\n"
        )
        sys.stdout.flush()
        airflow.home.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(  # noqa: S603 - our own command
            [str(Path(sys.executable).parent / "airflow"), "standalone"], env=airflow.env(), start_new_session=True
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            stop_process(process)


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

"""``make demo``: the example DAG on real Airflow processes against the simulator, from nothing to an MP4."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

from local_airflow import REPOSITORY, LocalAirflow, LocalSimulator, connection

DAG_ID = "orvideo_first_video"
HOME = REPOSITORY / ".demo"


def main() -> int:
    """Run the demo; the exit code says whether a video landed for one order."""
    shutil.rmtree(HOME, ignore_errors=True)
    videos = HOME / "videos"
    started = time.monotonic()
    with LocalSimulator(HOME / "simulator").running() as simulator:
        say(f"The simulator answers at {simulator.base_url}.")
        airflow = LocalAirflow(
            HOME / "airflow",
            REPOSITORY / "example_dags",
            {**connection(simulator.base_url), "AIRFLOW_VAR_ORVIDEO_DESTINATION": f"file://{videos}/"},
        )
        say("Starting Airflow (scheduler, DAG processor, API server, triggerer) on SQLite …")
        with airflow.running():
            airflow.wait_for_dag(DAG_ID)
            run_id = airflow.trigger(DAG_ID)
            say(f"Running DAG {DAG_ID}: submit → wait in the triggerer → download …")
            airflow.wait_for_task(DAG_ID, run_id, "submit", "deferred")
            say("The submit task is deferred: it waits without a worker slot.")
            state = airflow.wait_for_run(DAG_ID, run_id)
            if state != "success":
                say(f"The run ended as {state}.")
                for task_id in ("submit", "download"):
                    say(f"── log of {task_id} ──\n{airflow.task_log(DAG_ID, run_id, task_id)}")
                return 1
            report(airflow.xcom(DAG_ID, run_id, "download"), simulator.posts)
        posts = simulator.posts
    say(f"Done in {time.monotonic() - started:.0f} s.")
    return 0 if posts == 1 else 1


def report(manifest: dict[str, Any], posts: int) -> None:
    """Print what landed."""
    for file in manifest["files"]:
        say("")
        say(f"  video       {file['uri']}")
        say(f"  size        {file['bytes']:,} bytes")
        say(f"  duration    {file['duration_s']:g} s")
        say(f"  resolution  {file['width']}x{file['height']}")
        say(f"  sha256      {file['sha256']}")
    say(f"  cost        ${manifest['cost_usd']:.2f} is what {manifest['model']} would have billed")
    say(f"  orders      {posts} paid POST in the simulator's log")
    say("")


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""One DAG for each row of the chaos table. Workers parse this file and kill themselves where the row says.

Each crash happens once: the first attempt leaves a mark in the folder ``CHAOS_MARKS`` and dies by SIGKILL, as a worker
does that runs out of memory or loses its machine; later attempts see the mark and live.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from airflow.sdk import DAG

from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

MODEL = "x-ai/grok-imagine-video"


def crash_once(name: str) -> None:
    """Kill this process the first time that this is called under a name."""
    mark = Path(os.environ["CHAOS_MARKS"]) / name
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class CrashingSubmit(OrVideoSubmitOperator):
    """The product's operator, in a process that dies at one point of its work."""

    def __init__(self, *, crash: str = "", **kwargs: Any) -> None:  # noqa: ANN401 - the operator's own
        super().__init__(**kwargs)
        self.crash = crash

    def execute(self, context: Context) -> dict[str, Any]:
        """Run with the crash in place."""
        from airflow_provider_orvideo.api.client import VideoClient  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.record import Phase, Record  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.stores import TaskStateStore  # noqa: PLC0415
        from airflow_provider_orvideo.operators import following  # noqa: PLC0415
        from airflow_provider_orvideo.polling import waiting  # noqa: PLC0415

        generate, save = VideoClient.generate, TaskStateStore.save
        wait = waiting.wait_for_job

        def crashing_save(store: TaskStateStore, record: Record) -> None:
            if self.crash == "before the intent" or (
                self.crash == "before the record" and record.phase == Phase.SUBMITTED
            ):
                crash_once(self.dag_id)
            save(store, record)

        def crashing_generate(client: VideoClient, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if self.crash == "before the POST":
                crash_once(self.dag_id)
            if self.crash == "before the answer":
                threading.Thread(target=self._crash_when_accepted, daemon=True).start()
            return generate(client, *args, **kwargs)

        def crashing_wait(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if self.crash == "while it waits":
                crash_once(self.dag_id)
            return wait(*args, **kwargs)

        with (
            mock.patch.object(TaskStateStore, "save", crashing_save),
            mock.patch.object(VideoClient, "generate", crashing_generate),
            mock.patch.object(following, "wait_for_job", crashing_wait),
        ):
            return super().execute(context)

    def _crash_when_accepted(self) -> None:
        import httpx  # noqa: PLC0415

        while True:
            jobs = httpx.get(f"{os.environ['CHAOS_CONTROL']}/jobs").json()
            if any(job["prompt"] == self.prompt for job in jobs):
                crash_once(self.dag_id)
                return
            time.sleep(0.05)

    def defer(self, **kwargs: Any) -> Any:  # noqa: ANN401 - Airflow's own
        """Die where the record is written and the deferral is not."""
        if self.crash == "before the deferral":
            crash_once(self.dag_id)
        return super().defer(**kwargs)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Die where the job is done and its manifest has not been handed on."""
        if self.crash == "at resume":
            crash_once(self.dag_id)
        manifest = super().execute_complete(context, event)
        if self.crash == "before XCom":
            crash_once(self.dag_id)
        return manifest


class CrashingDownload(OrVideoDownloadOperator):
    """The product's operator, in a process that dies between the download and its publication."""

    def __init__(self, *, crash: str = "", **kwargs: Any) -> None:  # noqa: ANN401 - the operator's own
        super().__init__(**kwargs)
        self.crash = crash

    def execute(self, context: Context) -> dict[str, Any]:
        """Run with the crash in place."""
        from airflow_provider_orvideo.landing.publish import Publisher  # noqa: PLC0415

        publish_file = Publisher.publish_file

        def crashing_publish(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            if self.crash == "before publishing":
                crash_once(self.dag_id)
            publish_file(*args, **kwargs)

        with mock.patch.object(Publisher, "publish_file", crashing_publish):
            return super().execute(context)


def row(name: str, *, crash: str = "", download_crash: str = "", **submit: Any) -> None:  # noqa: ANN401
    """Make the DAG of one row; its prompt is its name, by which the simulator's rules find it."""
    arguments = {"deferrable": True, "poll_interval": 2, "timeout": 300, **submit}
    with DAG(
        name,
        schedule=None,
        catchup=False,
        default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
        max_active_runs=1,
    ):
        video = CrashingSubmit(
            task_id="submit",
            model=MODEL,
            prompt=name,
            duration=1,
            resolution="480p",
            crash=crash,
            **arguments,
        )
        CrashingDownload(
            task_id="download",
            job=video.output,
            destination="file://" + os.environ.get("CHAOS_VIDEOS", "/nowhere") + "/{dag_id}.mp4",
            crash=download_crash,
        )


row("nothing")
row("worker_killed_before_the_intent", crash="before the intent")
row("worker_killed_before_the_post", crash="before the POST")
row("worker_killed_before_the_answer", crash="before the answer")
row("worker_killed_before_the_record", crash="before the record")
row("worker_killed_before_the_deferral", crash="before the deferral")
row("worker_killed_at_resume", crash="at resume")
row("worker_killed_before_xcom", crash="before XCom")
row("worker_killed_before_publishing", download_crash="before publishing")
row("connection_dropped_after_accept")
row("submit_503_after_accept")
row("submit_429_once")
row("polls_503")
row("job_failed")
row("wait_timed_out", timeout=15)
row("cleared_while_deferred")
row("marked_failed_while_deferred")
row("cleared_when_finished")
row("triggerer_killed")
row("scheduler_killed")
row("synchronous_worker_killed", crash="while it waits", deferrable=False)

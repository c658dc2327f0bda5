"""Whatever breaks, one task instance buys one video: a table of faults against real Airflow processes.

`ROWS` is the table of the runbook (docs/pay-once.md) with what must come of each row. All rows run at the same time in
one deployment; those that take a component down are driven while the others are on their way, as it happens in life.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from local_airflow import REPOSITORY, LocalAirflow, LocalSimulator, connection, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Rule = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One fault and what must come of it.

    Attributes:
        name: of the DAG, and the prompt.
        fault: what breaks, in words.
        rules: what the simulator does.
        state: of the submit task in the end.
        posts: paid requests that left; one that was refused with 429 counts here, and not as a job.
        jobs: videos that the API would bill.
        lands: whether the video lies at its destination in the end.
        says: what the submit task's log must tell a person, all of it.
        act: what the test does while the job is in flight; gets the chaos and the row's run.
        quick: whether the row is part of the short form.
    """

    name: str
    fault: str
    state: str = "success"
    posts: int = 1
    jobs: int = 1
    lands: bool = True
    says: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    act: Callable[[Chaos, str], None] | None = None
    quick: bool = False


@dataclass(frozen=True)
class Chaos:
    """The deployment that everything happens to."""

    airflow: LocalAirflow
    simulator: LocalSimulator
    videos: Path

    def counts(self, name: str) -> tuple[int, int]:
        """Return paid requests and jobs of one row."""
        submits = self.simulator.get("/requests?operation=createVideos")
        jobs = self.simulator.get("/jobs")
        return (
            sum(submit["body"]["prompt"] == name for submit in submits),
            sum(job["prompt"] == name for job in jobs),
        )

    def finish(self, name: str) -> None:
        """Let the row's job complete."""
        for job in self.simulator.get("/jobs"):
            if job["prompt"] == name:
                self.simulator.post(f"/jobs/{job['id']}/finish", {})

    def log(self, name: str, run: str) -> str:
        """Return the submit task's log, all attempts."""
        tries = self.airflow.task(name, run, "submit")["try_number"]
        return "\n".join(self.airflow.task_log(name, run, "submit", attempt) for attempt in range(1, tries + 1))

    def wait_deferred(self, name: str, run: str) -> None:
        """Wait until the row's submit task is deferred, and its trigger runs."""
        self.airflow.wait_for_task(name, run, "submit", "deferred")
        wait_until("the trigger to run", lambda: "starting" in self.log(name, run), timeout=60)

    def wait_detached(self, name: str, run: str) -> None:
        """Wait until the trigger of an attempt that is over has let go: the new attempt may be quicker."""
        wait_until("the old trigger to let go", lambda: "Detached from job" in self.log(name, run), timeout=60)


# ── What a person or an accident does while a job is in flight ───────────────────────────────────────────────────────


def clear(chaos: Chaos, name: str, run: str) -> None:
    body = {
        "dry_run": False,
        "task_ids": ["submit"],
        "dag_run_id": run,
        "only_failed": False,
        "include_downstream": True,
    }
    chaos.airflow.api("POST", f"/dags/{name}/clearTaskInstances", json=body)


def mark_failed(chaos: Chaos, name: str, run: str) -> None:
    chaos.airflow.api("PATCH", f"/dags/{name}/dagRuns/{run}/taskInstances/submit", json={"new_state": "failed"})


def cleared_while_deferred(chaos: Chaos, run: str) -> None:
    name = "cleared_while_deferred"
    chaos.wait_deferred(name, run)
    clear(chaos, name, run)
    wait_until("a second attempt", lambda: chaos.airflow.task(name, run, "submit")["try_number"] > 1, timeout=60)
    chaos.wait_deferred(name, run)
    chaos.wait_detached(name, run)
    chaos.finish(name)


def marked_failed_while_deferred(chaos: Chaos, run: str) -> None:
    name = "marked_failed_while_deferred"
    chaos.wait_deferred(name, run)
    mark_failed(chaos, name, run)
    chaos.airflow.wait_for_task(name, run, "submit", "failed")
    chaos.wait_detached(name, run)
    chaos.finish(name)
    clear(chaos, name, run)


def cleared_when_finished(chaos: Chaos, run: str) -> None:
    name = "cleared_when_finished"
    assert chaos.airflow.wait_for_run(name, run) == "success"
    clear(chaos, name, run)
    wait_until("a second attempt", lambda: chaos.airflow.task(name, run, "submit")["try_number"] > 1, timeout=60)


def wait_timed_out(chaos: Chaos, run: str) -> None:
    name = "wait_timed_out"
    wait_until("a second attempt", lambda: chaos.airflow.task(name, run, "submit")["try_number"] > 1, timeout=90)
    chaos.finish(name)


def triggerer_killed(chaos: Chaos, run: str) -> None:
    chaos.wait_deferred("triggerer_killed", run)
    chaos.airflow.kill("triggerer")
    chaos.airflow.start("triggerer")
    chaos.finish("triggerer_killed")


def scheduler_killed(chaos: Chaos, run: str) -> None:
    chaos.wait_deferred("scheduler_killed", run)
    chaos.airflow.kill("scheduler")
    chaos.airflow.start("scheduler")
    chaos.finish("scheduler_killed")


def _submit(name: str, **action: Any) -> Rule:  # noqa: ANN401 - the simulator's schema
    return {"match": {"operation": "createVideos", "prompt_contains": name}, **action}


def _held(name: str) -> Rule:
    return _submit(name, job={"seconds": "manual"})


#: The runbook's table. The first column of docs/pay-once.md names the same faults in the same order.
ROWS: Final = (
    Row("nothing", "nothing breaks", says=("completed with 1 video",), quick=True),
    Row("worker_killed_before_the_intent", "worker killed before anything was recorded"),
    Row(
        "worker_killed_before_the_post",
        "worker killed between the record and the paid request",
        state="failed",
        posts=0,
        jobs=0,
        lands=False,
        says=("the worker died before an answer came",),
    ),
    Row(
        "worker_killed_before_the_answer",
        "worker killed after the server accepted, before the answer",
        state="failed",
        lands=False,
        says=("the worker died before an answer came",),
        rules=(_submit("worker_killed_before_the_answer", delay={"seconds": 30, "when": "after"}),),
        quick=True,
    ),
    Row(
        "worker_killed_before_the_record",
        "worker killed between the answer and the record",
        state="failed",
        lands=False,
        says=("Ordered: job gen-vid-",),
    ),
    Row(
        "worker_killed_before_the_deferral",
        "worker killed between the record and the deferral",
        says=("Re-attached to job",),
    ),
    Row("worker_killed_at_resume", "worker killed when it resumes", says=("Re-attached to job",)),
    Row(
        "worker_killed_before_xcom", "worker killed before the result was handed on", says=("has ended as 'completed'",)
    ),
    Row("worker_killed_before_publishing", "worker killed before the video was stored"),
    Row(
        "synchronous_worker_killed",
        "worker killed while it waits itself",
        says=("Re-attached to job",),
    ),
    Row(
        "connection_dropped_after_accept",
        "connection dropped after the server accepted",
        state="failed",
        lands=False,
        says=("The outcome of the paid submit is unknown",),
        rules=(_submit("connection_dropped_after_accept", drop={"when": "after"}),),
    ),
    Row(
        "submit_503_after_accept",
        "paid request answered 503 although accepted",
        state="failed",
        lands=False,
        says=("HTTP 503",),
        rules=(_submit("submit_503_after_accept", respond={"status": 503, "when": "after"}),),
        quick=True,
    ),
    Row(
        "submit_429_once",
        "paid request refused with 429, once",
        posts=2,
        rules=(_submit("submit_429_once", times=1, respond={"status": 429, "retry_after": 1}),),
    ),
    Row(
        "polls_503",
        "status reads answered 503, five times",
        rules=(
            {
                "match": {"operation": "getVideos", "prompt_contains": "polls_503"},
                "times": 5,
                "respond": {"status": 503},
            },
        ),
    ),
    Row(
        "job_failed",
        "the job fails",
        state="failed",
        lands=False,
        says=("Airflow's retries do not order another",),
        rules=(_submit("job_failed", job={"outcome": "failed", "error": "Renderer crashed"}),),
        quick=True,
    ),
    Row(
        "wait_timed_out",
        "the wait times out, and is retried",
        says=("was still 'pending' when this task's timeout passed",),
        rules=(_held("wait_timed_out"),),
        act=wait_timed_out,
    ),
    Row(
        "cleared_while_deferred",
        "cleared while the job is in flight",
        says=("Detached from job", "although the task was cleared: the job is still in flight"),
        rules=(_held("cleared_while_deferred"),),
        act=cleared_while_deferred,
        quick=True,
    ),
    Row(
        "marked_failed_while_deferred",
        "marked failed while the job is in flight, then cleared",
        says=("Detached from job", "Re-attached to job"),
        rules=(_held("marked_failed_while_deferred"),),
        act=marked_failed_while_deferred,
    ),
    Row(
        "cleared_when_finished",
        "cleared after the job had ended",
        says=("has ended as 'completed'; nothing is ordered now",),
        act=cleared_when_finished,
    ),
    Row(
        "triggerer_killed",
        "triggerer killed while the job is in flight",
        rules=(_held("triggerer_killed"),),
        act=triggerer_killed,
    ),
    Row(
        "scheduler_killed",
        "scheduler killed while the job is in flight",
        rules=(_held("scheduler_killed"),),
        act=scheduler_killed,
    ),
)

FULL: Final = os.environ.get("ORVIDEO_CHAOS", "") == "full"
#: The short form is part of every test run; `make chaos` runs them all.
CHOSEN: Final = tuple(row for row in ROWS if FULL or row.quick)


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    """The deployment, with every row's DAG."""
    home = tmp_path_factory.mktemp("chaos")
    marks, videos = home / "marks", home / "videos"
    marks.mkdir()
    with LocalSimulator(home / "simulator", ("--set", "job_seconds=3")).running() as simulator:
        for row in CHOSEN:
            for rule in row.rules:
                simulator.post("/faults", rule)
        airflow = LocalAirflow(
            home / "airflow",
            REPOSITORY / "tests" / "chaos" / "dags",
            {
                **connection(simulator.base_url),
                "CHAOS_MARKS": str(marks),
                "CHAOS_VIDEOS": str(videos),
                "CHAOS_CONTROL": simulator.control_url,
                # A killed worker's task is given up after this silence, and a killed triggerer's triggers move on.
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
                "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
                "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
            },
        )
        with airflow.running():
            for row in CHOSEN:
                airflow.wait_for_dag(row.name)
            yield Chaos(airflow, simulator, videos)


@pytest.fixture(scope="module")
def runs(chaos: Chaos) -> dict[str, str]:
    """Every row on its way, and the accidents over."""
    started = {row.name: chaos.airflow.trigger(row.name) for row in CHOSEN}
    for row in CHOSEN:
        if row.act:
            row.act(chaos, started[row.name])
    return started


@pytest.fixture(scope="module")
def report() -> Iterator[list[str]]:
    """The table, printed at the end."""
    lines = [f"{'fault':58} {'POSTs':>5} {'jobs':>5} {'submit':>8} {'landed':>7}"]
    yield lines
    print("\n\n" + "\n".join(lines))  # noqa: T201 - `make chaos` is there to show it


@pytest.mark.e2e
@pytest.mark.parametrize("row", CHOSEN, ids=lambda row: row.name)
def test_a_task_instance_buys_one_video(row: Row, chaos: Chaos, runs: dict[str, str], report: list[str]) -> None:
    run = runs[row.name]
    chaos.airflow.wait_for_run(row.name, run, timeout=300)
    state = chaos.airflow.task(row.name, run, "submit")["state"]
    posts, jobs = chaos.counts(row.name)
    landed = (chaos.videos / f"{row.name}.mp4").exists()
    report.append(f"{row.fault:58} {posts:5} {jobs:5} {state:>8} {'yes' if landed else 'no':>7}")
    log = chaos.log(row.name, run)
    assert (state, posts, jobs, landed) == (row.state, row.posts, row.jobs, row.lands), log
    for words in row.says:
        assert words in log
    if state == "failed" and row.jobs and row.name != "job_failed":
        assert "https://openrouter.ai/activity" in log
        assert "job_id set to its id" in log


def test_the_runbook_has_the_same_table() -> None:
    page = (REPOSITORY / "docs" / "pay-once.md").read_text()
    table = page.partition("## What happens when something breaks")[2].partition("\n\nThe paid request")[0]
    faults = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert faults == ["what happened", *(row.fault for row in ROWS)]


def test_no_row_pays_twice() -> None:
    assert all(row.jobs <= 1 for row in ROWS)
    assert len({row.name for row in ROWS}) == len(ROWS) >= 12

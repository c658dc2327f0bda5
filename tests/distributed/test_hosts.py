"""Orders, waits and landings on different hosts, some of them lost on the way: each video is bought once, and lands.

The examples are under way from the beginning, while hosts are lost one after the other; each comes back when its work
has moved.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
from local_airflow import wait_until
from local_hosts import BUCKET, HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accounts import Accounts

    from tests.distributed.conftest import Distributed

pytestmark = pytest.mark.e2e

FRAME: Final = "frames/boat.png"
#: Rules for the simulator; the prompt of each of these DAGs is its name.
FAULTS: Final[list[dict[str, Any]]] = [
    {
        # The order is accepted, and its answer never comes: the worker is lost meanwhile.
        "match": {"operation": "createVideos", "prompt_contains": "worker_lost_in_submit"},
        "delay": {"seconds": 30, "when": "after"},
    },
    {
        "match": {"operation": "createVideos", "prompt_contains": "worker_lost_while_waiting"},
        "job": {"seconds": "manual"},
    },
    {"match": {"operation": "createVideos", "prompt_contains": "triggerer_lost"}, "job": {"seconds": "manual"}},
    {
        "match": {"operation": "listVideosContent", "prompt_contains": "worker_lost_in_landing"},
        "times": 1,
        "content": {"bytes_per_second": 200},
    },
]
LIMIT: Final = 240.0


def lost_in_submit(to: Distributed, dag_id: str, run_id: str) -> str:
    """Take the worker away after its order was accepted and before the answer came."""
    made = to.cluster
    wait_until("the order", lambda: to.jobs(dag_id), timeout=LIMIT)
    first = to.host(dag_id, run_id, "video")
    made.lose(first)
    wait_until("another attempt", lambda: made.task(dag_id, run_id, "video")["try_number"] > 1, timeout=LIMIT)
    assert made.wait_for_run(dag_id, run_id, timeout=LIMIT) == "success"
    second = to.host(dag_id, run_id, "video")
    to.back(first)
    return f"{first} lost with the answer to its order; a webhook told {second} the job"


def lost_while_waiting(to: Distributed, dag_id: str, run_id: str) -> str:
    """Take the worker away that ordered, while the task waits; the other one lands."""
    made = to.cluster
    made.wait_for_task(dag_id, run_id, "submit", "deferred")
    first = to.host(dag_id, run_id, "submit")
    made.lose(first)
    (job,) = to.jobs(dag_id)
    made.simulator.post(f"/jobs/{job['id']}/finish")
    assert made.wait_for_run(dag_id, run_id, timeout=LIMIT) == "success"
    hosts = [to.host(dag_id, run_id, task_id) for task_id in ("submit", "download")]
    assert first not in hosts
    to.back(first)
    assert [len(to.attempts(dag_id, run_id, task_id)) for task_id in ("submit", "download")] == [1, 1]
    return f"{first} lost, which had ordered; {hosts[0]} took the result, {hosts[1]} landed it"


def lost_in_landing(to: Distributed, dag_id: str, run_id: str) -> str:
    """Take the worker away in the middle of a download."""
    made = to.cluster

    def reads() -> list[Any]:
        found: list[Any] = made.simulator.get(f"/requests?operation=listVideosContent&job_id={job['id']}")
        return found

    wait_until("the order", lambda: to.jobs(dag_id), timeout=LIMIT)
    (job,) = to.jobs(dag_id)
    wait_until("the download", reads, timeout=LIMIT)
    first = to.host(dag_id, run_id, "video")
    made.lose(first)
    assert not [name for name in landed_keys(to) if job["id"] in name], "a part of a video is at its destination"
    assert made.wait_for_run(dag_id, run_id, timeout=LIMIT) == "success"
    second = to.host(dag_id, run_id, "video")
    assert second != first
    left = sorted(path.name for path in (made.folder(first) / "spool").iterdir())
    to.back(first)
    return f"{first} lost in the middle of a download, {len(left)} spool folder left; {second} landed it whole"


def triggerer_lost(to: Distributed, dag_id: str, run_id: str) -> str:
    """Take the triggerer away that looks at the job."""
    made = to.cluster

    def watcher() -> str:
        return str((made.task(dag_id, run_id, "video")["triggerer_job"] or {}).get("hostname") or "")

    made.wait_for_task(dag_id, run_id, "video", "deferred")
    first = wait_until("a triggerer", watcher, timeout=60)
    (job,) = to.jobs(dag_id)
    made.lose(first)
    second = wait_until("another triggerer", lambda: (now := watcher()) != first and now, timeout=LIMIT)
    to.back(first)
    made.simulator.post(f"/jobs/{job['id']}/finish")
    assert made.wait_for_run(dag_id, run_id, timeout=LIMIT) == "success"
    assert len(to.attempts(dag_id, run_id, "video")) == 1
    return f"{first} lost while it looked at the job; {second} went on"


LOSSES: Final[dict[str, Callable[[Distributed, str, str], str]]] = {
    "worker_lost_in_landing": lost_in_landing,
    "worker_lost_while_waiting": lost_while_waiting,
    "worker_lost_in_submit": lost_in_submit,
    "triggerer_lost": triggerer_lost,
}


def landed_keys(to: Distributed) -> list[str]:
    found = to.cluster.s3.client.list_objects_v2(Bucket=BUCKET, Prefix="videos/").get("Contents", ())
    return [each["Key"] for each in found]


# ── What the examples need besides the connection ────────────────────────────────────────────────────────────────────


def picture() -> bytes:
    from PIL import Image  # noqa: PLC0415 - only here

    data = io.BytesIO()
    Image.new("RGB", (640, 360), "steelblue").save(data, "PNG")
    return data.getvalue()


def prepare(to: Distributed) -> None:
    made = to.cluster
    made.s3.client.put_object(Bucket=BUCKET, Key=FRAME, Body=picture())
    made.command("variables", "set", "orvideo_first_frame", f"s3://aws_default@{BUCKET}/{FRAME}")
    made.command("pools", "set", "openrouter_video", "4", "videos under way", "--include-deferred")


def examples(to: Distributed) -> list[dict[str, Any]]:
    """Every DAG of the examples that the DAG processor has read."""
    return to.cluster.postgres.query(
        "select dag.dag_id, asset_expression from dag join dag_tag on dag_tag.dag_id = dag.dag_id "
        "where dag_tag.name = 'example' order by dag.dag_id"
    )


def approve_all(to: Distributed) -> None:
    """Say yes to whoever asks."""
    for asked in to.cluster.api("GET", "/dags/~/dagRuns/~/hitlDetails?response_received=false")["hitl_details"]:
        task = asked["task_instance"]
        path = (
            f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}/{task['map_index']}"
        )
        to.cluster.api("PATCH", f"{path}/hitlDetails", json={"chosen_options": ["Approve"]})


def ended(to: Distributed, dag_ids: set[str]) -> dict[str, str]:
    """The worst state of each DAG's runs, once none is under way; those that wait for an asset have a run, too."""
    rows = to.cluster.postgres.query("select dag_id, state from dag_run")
    states: dict[str, set[str]] = {dag_id: set() for dag_id in dag_ids}
    for row in rows:
        if row["dag_id"] in states:
            states[row["dag_id"]].add(row["state"])
    done = {"success", "failed"}
    if any(not found or found - done for found in states.values()):
        return {}
    return {dag_id: "failed" if "failed" in found else "success" for dag_id, found in states.items()}


# ── The story, and what came of it ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def told(distributed: Distributed) -> dict[str, str]:
    """Everything started, hosts lost and back; what happened, by DAG."""
    made = distributed.cluster
    made.simulator.post("/faults", FAULTS)
    prepare(distributed)
    for dag_id in ("hosts_mapped", *LOSSES):
        made.wait_for_dag(dag_id)
    wait_until(
        "all DAG files",
        lambda: (
            not made.postgres.query(
                "select 1 from dag where last_parsed_time is null union all select 1 from import_error"
            )
        ),
        timeout=60,
    )
    made.trigger("hosts_mapped")
    for example in examples(distributed):
        made.api("PATCH", f"/dags/{example['dag_id']}", json={"is_paused": False})
        if not example["asset_expression"]:
            made.trigger(example["dag_id"])
    return {name: act(distributed, name, made.trigger(name)) for name, act in LOSSES.items()}


@pytest.fixture(scope="module")
def states(distributed: Distributed, told: dict[str, str]) -> dict[str, str]:
    """The end of every DAG."""
    dag_ids = {"hosts_mapped", *told, *(example["dag_id"] for example in examples(distributed))}

    def all_ended() -> dict[str, str]:
        approve_all(distributed)
        return ended(distributed, dag_ids)

    found: dict[str, str] = wait_until("the end of all runs", all_ended, timeout=600, pause=2)
    return found


@pytest.fixture(scope="module")
def counted(distributed: Distributed, states: dict[str, str], told: dict[str, str]) -> Accounts:
    """Who bought what; prints the report, which `make distributed` is there to show."""
    found = distributed.accounts()
    print("\n\n" + "\n".join(lines(distributed, states, told, found)))  # noqa: T201
    return found


def lines(to: Distributed, states: dict[str, str], told: dict[str, str], counted: Accounts) -> Iterator[str]:
    tasks = to.cluster.postgres.query("select dag_id, hostname, state from task_instance")
    yield to.told()
    yield f"{'DAG':28}{'state':>9}{'tasks':>7}{'POSTs':>7}{'landed':>8}{'verified':>10}  on"
    for dag_id, state in sorted(states.items()):
        mine = [task for task in tasks if task["dag_id"] == dag_id]
        posts, landed, verified = counted.by_dag(dag_id)
        hosts = Counter(task["hostname"] for task in mine if task["hostname"])
        where = ", ".join(f"{host}: {number}" for host, number in sorted(hosts.items()))
        yield f"{dag_id:28}{state:>9}{len(mine):7}{posts:7}{landed:8}{verified:10}  {where}"
    yield f"{'all':28}{'':9}{len(tasks):7}{len(counted.submits):7}{len(counted.landed):8}"
    yield from (f"{name}: {what}" for name, what in told.items())
    yield f"{time.monotonic() - to.started:.0f} s"


def test_every_run_succeeds_whatever_host_is_lost(states: dict[str, str], distributed: Distributed) -> None:
    assert {dag_id: state for dag_id, state in states.items() if state != "success"} == {}
    assert {example["dag_id"] for example in examples(distributed)} >= {"orvideo_first_video"}


def test_each_order_is_one_paid_request_and_one_landed_video(counted: Accounts) -> None:
    assert counted.problems() == []
    assert counted.unclear == []
    assert (
        len(counted.submits) == len(counted.jobs) == len(counted.owners) == len({each.uri for each in counted.landed})
    )


def test_the_work_is_spread_over_both_workers_and_both_triggerers(distributed: Distributed, counted: Accounts) -> None:
    assert counted.by_dag("hosts_mapped") == (8, 8, 8)
    homes = distributed.cluster.home / "hosts"
    wrote = {path.relative_to(homes).parts[0] for path in homes.glob("*/logs/dag_id=*/**/attempt=*.log*")}
    assert wrote == {"worker-1", "worker-2", "triggerer-1", "triggerer-2"}


def test_no_host_keeps_a_video_or_writes_where_it_was_not_told_to(
    distributed: Distributed, states: dict[str, str]
) -> None:
    assert states
    for host in HOSTS:
        folder = distributed.cluster.folder(host)
        assert list((folder / "tmp").glob("orvideo-spool-*")) == []
        assert list(folder.glob("**/*.mp4")) == []
        assert list((folder / "cwd").iterdir()) == []


def test_no_upload_is_left_unfinished(distributed: Distributed, states: dict[str, str]) -> None:
    assert states
    assert distributed.cluster.s3.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []

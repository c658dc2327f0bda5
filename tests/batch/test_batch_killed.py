"""Two hundred videos, one fault in twenty calls, and a worker killed in the middle: two hundred are paid for."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Simulate

ITEMS: Final = 200
WORKER: Final = Path(__file__).with_name("killed_batch.py")
KEY: Final = "sk-or-test-5ec2e7"
#: One call in twenty goes wrong, of each kind; no client repeats a call that often.
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"match": {"operation": "createVideos"}, "every": 20, "after": 3, "respond": {"status": 429, "retry_after": 0}},
    {"match": {"operation": "getVideos"}, "every": 40, "after": 7, "respond": {"status": 503}},
    {"match": {"operation": "getVideos"}, "every": 40, "after": 7, "drop": {}},
    {"match": {"operation": "listVideosContent"}, "every": 20, "after": 5, "content": {"truncate": 0.5}},
)


class Killable:
    """The batch of this test, one process for each attempt.

    Args:
        sim: whom it orders from.
        folder: for videos and records.
    """

    def __init__(self, sim: Simulator, folder: Path) -> None:
        self._sim = sim
        self.videos = folder / "videos"
        self.records = folder / "state"
        self._result = folder / "result.json"
        self._workers: list[subprocess.Popen[bytes]] = []
        connection = {"conn_type": "orvideo", "host": sim.base_url, "password": KEY}
        self._environ = os.environ | {
            "AIRFLOW_CONN_ORVIDEO_DEFAULT": json.dumps(connection),
            "AIRFLOW__ORVIDEO__STATE_PATH": f"file://{self.records}",
            "AIRFLOW__ORVIDEO__SPOOL_DIR": str(folder / "spool"),
        }

    def start(self, try_number: int, **arguments: object) -> subprocess.Popen[bytes]:
        """Start an attempt."""
        operator = {
            "requests": [f"a boat, take {number}" for number in range(ITEMS)],
            "model": "x-ai/grok-imagine-video",
            "defaults": {"duration": 1, "resolution": "480p"},
            "destination": f"file://{self.videos}/",
            "poll_interval": 0.05,
            **arguments,
        }
        task = json.dumps({"try_number": try_number, "operator": operator, "refused": 5, "result": str(self._result)})
        worker = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, WORKER, task],
            env=self._environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._workers.append(worker)
        return worker

    def finish(self, try_number: int, **arguments: object) -> dict[str, Any]:
        """Run an attempt to its end and return how it ended."""
        assert self.start(try_number, **arguments).wait(120) == 0
        result: dict[str, Any] = json.loads(self._result.read_text())
        return result

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill a worker as the kernel does that runs out of memory."""
        assert worker.poll() is None, "it must be in the midst of it"
        worker.kill()
        worker.wait(10)

    def close(self) -> None:
        """Leave no process behind."""
        for worker in self._workers:
            worker.kill()
            worker.wait(10)

    def phases(self) -> list[str]:
        """Return how far each record is."""
        return [json.loads(path.read_text())["phase"] for path in self.records.rglob("*.json")]

    def lines(self) -> list[dict[str, Any]]:
        """Read the manifest."""
        (path,) = self.videos.glob("*.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def require_whole(self, lines: list[dict[str, Any]]) -> None:
        """Check each landed file against its line and against its sidecar."""
        for line in lines:
            (file,) = line["files"]
            path = Path(file["uri"].removeprefix("file://"))
            assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
            sidecar = json.loads(path.with_name(f"{path.name}.json").read_text())
            assert (sidecar["job_id"], sidecar["files"][0]["sha256"]) == (line["job_id"], file["sha256"])


@pytest.fixture
def faulty(simulate: Simulate) -> Simulator:
    """A simulator where one call in twenty goes wrong."""
    sim = simulate(fps=2, max_pixels=64 * 36)
    for fault in FAULTS:
        sim.add_fault(fault)
    return sim


@pytest.fixture
def batch(faulty: Simulator, tmp_path: Path) -> Iterator[Killable]:
    """The batch, with nothing ordered yet."""
    killable = Killable(faulty, tmp_path)
    yield killable
    killable.close()


def until(what: str, happens: Callable[[], object]) -> None:
    """Wait for an event."""
    deadline = time.monotonic() + 300
    while not happens():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.1)  # what is asked reads hundreds of files, and takes time from the simulator beside it


def accepted(sim: Simulator) -> int:
    """Count the paid requests that the server took."""
    return sum(entry.job_id is not None for entry in sim.requests(operation="createVideos"))


def test_a_worker_killed_while_it_lands_pays_for_each_item_once(faulty: Simulator, batch: Killable) -> None:
    held = faulty.add_fault({"match": {"operation": "listVideosContent"}, "after": 30, "times": 1, "delay": 3600})
    worker = batch.start(1, max_in_flight=50)
    until("a landing under way", lambda: any(held in entry.rules for entry in faulty.requests()))
    batch.kill(worker)
    assert 50 < len(faulty.jobs()) < ITEMS, "the middle"
    assert 0 < len(list(batch.videos.glob("*.mp4"))) < ITEMS
    result = batch.finish(2, max_in_flight=50)
    assert result["returned"]["landed"] == result["returned"]["total"] == ITEMS, result
    assert len(faulty.jobs()) == accepted(faulty) == ITEMS
    assert len({job.order.prompt for job in faulty.jobs()}) == ITEMS
    hits = {json.dumps(fault): fault["hits"] for fault in faulty.faults()}
    assert all(hits.values()), hits
    lines = batch.lines()
    assert len({line["job_id"] for line in lines}) == len(lines) == ITEMS
    batch.require_whole(lines)


def test_a_worker_killed_before_the_answer_leaves_one_item_to_a_person_and_lands_the_others(
    faulty: Simulator, batch: Killable
) -> None:
    held = faulty.add_fault(
        {"match": {"operation": "createVideos"}, "after": 100, "times": 1, "delay": {"seconds": 3600, "when": "after"}}
    )
    worker = batch.start(1, max_in_flight=ITEMS)
    until("all other orders", lambda: batch.phases().count("submitted") == ITEMS - 1)
    batch.kill(worker)
    (unheard,) = [entry for entry in faulty.requests(operation="createVideos") if held in entry.rules]
    assert unheard.job_id is not None
    result = batch.finish(2, max_in_flight=ITEMS)
    assert result["raised"] == "AirflowFailException", result
    assert f"{ITEMS - 1} of {ITEMS} items landed; not so 1: 1 ambiguous" in result["text"]
    assert len(faulty.jobs()) == accepted(faulty) == ITEMS
    lines = batch.lines()
    (left,) = [line for line in lines if line["status"] != "landed"]
    assert (left["status"], left.get("job_id")) == ("ambiguous", None)
    assert left["request"]["prompt"] == faulty.job(unheard.job_id).order.prompt
    batch.require_whole([line for line in lines if line["status"] == "landed"])

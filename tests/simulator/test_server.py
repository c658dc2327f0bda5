"""Starting, stopping and being used from several threads."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

Order = Callable[..., dict[str, Any]]


def test_it_starts_and_stops_quickly_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    started = time.monotonic()
    with Simulator() as sim:
        httpx.get(f"{sim.control_url}/health").raise_for_status()
        assert set(threading.enumerate()) > before
    assert time.monotonic() - started < 2
    assert set(threading.enumerate()) == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{sim.control_url}/health")


def test_it_binds_loopback_and_a_free_port() -> None:
    with Simulator() as one, Simulator() as other:
        assert one.port != other.port
        assert one.base_url == f"http://127.0.0.1:{one.port}/api/v1"


def test_a_taken_port_is_an_error(sim: Simulator) -> None:
    with pytest.raises(OSError, match="in use"):
        Simulator(port=sim.port)


def test_it_stops_while_a_client_waits(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client]
) -> None:
    sim = simulate()
    sim.add_fault({"delay": 600})
    client = connect(sim)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, "/key")
        sim.wait_for_requests(operation="getKey")
        started = time.monotonic()
        sim.stop()
        assert time.monotonic() - started < 2
        with pytest.raises(httpx.TransportError):
            waiting.result(timeout=5)


def test_a_client_that_dies_while_it_sends_a_request_is_counted_and_buys_nothing(sim: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", sim.port)) as connection:
        connection.sendall(b"POST /api/v1/videos HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        sim.wait_for_requests(operation="createVideos")
    sim.wait_for_requests(operation="createVideos", status="disconnected")
    assert (sim.posts, sim.jobs()) == (1, [])


def test_stopping_twice_is_harmless(simulate: Callable[..., Simulator]) -> None:
    sim = simulate()
    sim.stop()
    sim.stop()


def test_answers_are_not_held_back(client: httpx.Client) -> None:
    """Nagle's algorithm with delayed acknowledgements would cost 40 ms at each request, busy machine or not."""
    took = []
    for _ in range(50):
        started = time.monotonic()
        client.get("/key")
        took.append(time.monotonic() - started)
    assert min(took) < 0.03


def test_nothing_is_lost_when_many_ask_at_once(sim: Simulator, order: Order) -> None:
    def one(number: int) -> str:
        with httpx.Client(base_url=sim.base_url, headers={"Authorization": f"Bearer sk-or-test-{number}"}) as client:
            job_id = str(client.post("/videos", json=order(prompt=f"boat {number}")).json()["id"])
            assert client.get(f"/videos/{job_id}").json()["status"] == "completed"
            assert client.get(f"/videos/{job_id}/content").content[4:8] == b"ftyp"
            return job_id

    sim.add_fault({"match": {"operation": "getVideos"}, "every": 5, "delay": 0.02})
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(one, range(40)))
    assert len(set(ids)) == 40
    assert {job.id for job in sim.jobs()} == set(ids)
    stats = sim.stats()
    assert [stats[name] for name in ("posts", "jobs_created", "polls", "content_reads", "videos_rendered")] == [40] * 5
    assert {entry.seq for entry in sim.requests()} == set(range(1, 121))
    assert sim.faults()[0]["hits"] == 8


@pytest.mark.parametrize(
    "values",
    [{"job_second": 1}, {"job_seconds": -1}, {"job_seconds": "soon"}, {"outputs": 0}, {"fps": 0}, {"max_pixels": 1}],
)
def test_wrong_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        SimulatorSettings(**values)

"""The catalogue between real processes: one fetch for all of them, and nobody hangs on one that died or hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.preflight.catalogue import CatalogueCache

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CATALOGUE = (HERE / "models.json").read_bytes()
PATIENCE = 30


class Api:
    """Serves the catalogue, counts how often, and may keep its first visitor waiting."""

    def __init__(self) -> None:
        self.asked = 0
        self.visited = threading.Event()
        self.holds_first = False
        self.released = threading.Event()
        self._lock = threading.Lock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with api._lock:
                    api.asked += 1
                    held = api.holds_first and api.asked == 1
                api.visited.set()
                if held:
                    api.released.wait(PATIENCE)
                with suppress(OSError):  # whoever was killed is gone
                    self.send_response(200 if self.path == "/api/v1/videos/models" else 404)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(CATALOGUE)))
                    self.end_headers()
                    self.wfile.write(CATALOGUE)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,))
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/v1"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def api() -> Iterator[Api]:
    running = Api()
    yield running
    running.close()


@pytest.fixture
def client(api: Api) -> Iterator[VideoClient]:
    with VideoClient(ClientConfig(api_key="sk-or-test-0002", base_url=api.base_url)) as opened:
        yield opened


@contextmanager
def workers(folder: Path, api: Api, number: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / "catalogue_workers.py"), str(folder), api.base_url, str(number)]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_sixteen_processes_at_once_fetch_once(tmp_path: Path, api: Api) -> None:
    with workers(tmp_path, api, 16) as process:
        answers = finish(process)
    assert api.asked == 1
    assert len(answers) == 16
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]["models"]) == 15  # type: ignore[arg-type]


def test_processes_that_come_later_fetch_nothing(tmp_path: Path, api: Api, client: VideoClient) -> None:
    first = CatalogueCache(tmp_path).get(client)
    with workers(tmp_path, api, 3) as process:
        answers = finish(process)
    assert api.asked == 1
    assert [answer["fetched_at"] for answer in answers] == [first.fetched_at] * 3


def test_who_finds_another_fetching_waits_and_takes_what_it_got(tmp_path: Path, api: Api, client: VideoClient) -> None:
    api.holds_first = True
    with workers(tmp_path, api, 1) as other:
        assert api.visited.wait(PATIENCE)
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            if not pauses:
                api.released.set()
                other.wait(PATIENCE)
            pauses.append(seconds)

        found = CatalogueCache(tmp_path, sleep=sleep).get(client)
        (answer,) = finish(other)
    assert pauses
    assert api.asked == 1
    assert found.fetched_at == answer["fetched_at"]


def kill_the_worker(process: subprocess.Popen[str]) -> None:
    """Kill the one worker in the midst of its fetch; its parent, which we started, then ends by itself."""
    assert process.stderr is not None
    os.kill(int(process.stderr.readline()), signal.SIGKILL)
    process.wait(PATIENCE)


def test_a_holder_of_the_lock_that_dies_blocks_nobody(tmp_path: Path, api: Api, client: VideoClient) -> None:
    api.holds_first = True
    with workers(tmp_path, api, 1) as other:
        assert api.visited.wait(PATIENCE)
        kill_the_worker(other)
        pauses: list[float] = []
        found = CatalogueCache(tmp_path, sleep=pauses.append).get(client)
    assert not pauses
    assert api.asked == 2
    assert len(found.models) == 15
    # It was kept for the others, too.
    assert CatalogueCache(tmp_path).get(client) == found
    assert api.asked == 2


def test_a_holder_of_the_lock_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, api: Api, client: VideoClient, caplog: pytest.LogCaptureFixture
) -> None:
    api.holds_first = True
    with workers(tmp_path, api, 1) as other:
        assert api.visited.wait(PATIENCE)
        pauses: list[float] = []
        found = CatalogueCache(tmp_path, lock_wait=5, sleep=pauses.append).get(client)
        assert len(found.models) == 15
        assert 2 < sum(pauses) < 6
        assert api.asked == 2
        assert "fetched without waiting any longer" in caplog.text
        api.released.set()
        finish(other)


def test_with_an_old_copy_nobody_fetches_beside_one_that_hangs(
    tmp_path: Path, api: Api, client: VideoClient, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1_000_000.0
    old = CatalogueCache(tmp_path, clock=lambda: now).get(client)
    api.asked, api.holds_first = 0, True
    api.visited.clear()
    with workers(tmp_path, api, 1) as other:  # for whose real clock the copy is old
        assert api.visited.wait(PATIENCE)
        late = CatalogueCache(tmp_path, clock=lambda: now + 7200, sleep=lambda _: None)
        assert late.get(client) == old
        assert "a copy of 7200 s ago" in caplog.text
        assert "Another process has been fetching it" in caplog.text
        assert late.get(client) == old  # without waiting again
        assert api.asked == 1
        api.released.set()
        finish(other)

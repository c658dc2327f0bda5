"""Running a simulator: in the foreground for the command line, in a thread for a test."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_orvideo.simulator.app import build_app
from airflow_provider_orvideo.simulator.control import PREFIX as CONTROL_PREFIX
from airflow_provider_orvideo.simulator.control import parse_rules
from airflow_provider_orvideo.simulator.courier import LoggedWebhook
from airflow_provider_orvideo.simulator.jobs import Job
from airflow_provider_orvideo.simulator.log import LoggedRequest
from airflow_provider_orvideo.simulator.records import PREFIX
from airflow_provider_orvideo.simulator.settings import SimulatorSettings
from airflow_provider_orvideo.simulator.state import State
from airflow_provider_orvideo.simulator.storage import build_storage
from airflow_provider_orvideo.simulator.wire import SimulatorProtocol

LOOPBACK = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 10.0


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; with port 0, on a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: asyncio switches Nagle's delay off only on sockets that say they are TCP.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class _Server(uvicorn.Server):
    """uvicorn without its tenths of seconds: it stops when told, and does not wait for clients to hang up."""

    def __init__(self, app: ASGIApp, beside: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=SimulatorProtocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Longer than any client keeps an idle connection: no race between its next request and our close.
                timeout_keep_alive=120,
            )
        )
        self.ready = threading.Event()
        self._beside = beside
        self._companion: asyncio.Task[None] | None = None
        self.on_ready: Callable[[], object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None

    async def main_loop(self) -> None:
        """Serve until `stop` is called, refreshing the Date header as uvicorn does."""
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._companion = asyncio.create_task(self._beside())
        self.ready.set()
        if self.on_ready is not None:
            self.on_ready()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything at once; whoever still waits for an answer gets none."""
        del sockets  # the servers close them
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = [*self.server_state.tasks, *([self._companion] if self._companion else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self.servers:
            await server.wait_closed()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the command line, which exits cleanly instead of raising them again."""
        yield

    def stop(self) -> None:
        """End `main_loop`; may be called from every thread and from a signal handler."""
        self.should_exit = True
        if self._loop is not None and self._wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has stopped already
                self._loop.call_soon_threadsafe(self._wake.set)


class Simulator:
    """A running simulator of the video API.

    Use it in a ``with`` block, or call `start` and `stop`. All methods but `run` may be called from every thread.

    Args:
        settings: How it behaves; the defaults are like the real API, only quicker.
        host: Address to bind; anything but loopback is for container networks. Default: ``127.0.0.1``.
        port: Port to bind; 0, the default, picks a free one.
        log_file: Where finished requests are appended as lines of JSON. Default: nowhere.
        faults: Rules to begin with: one, a list, or ``{"faults": [...]}``. Default: none.

    Raises:
        ValueError: A rule is not understood.
        OSError: The address cannot be bound, or the log file not be opened.
    """

    def __init__(
        self,
        settings: SimulatorSettings | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        log_file: str | Path | None = None,
        faults: object = (),
    ) -> None:
        self.settings = settings or SimulatorSettings()
        # Whatever can be wrong with the arguments comes before there is something to close.
        rules = parse_rules(faults)
        self._sockets = [_listen(host, port)]
        self.host = host
        self.port: int = self._sockets[0].getsockname()[1]
        self.state = State.build(self.settings, None if log_file is None else Path(log_file))
        if self.settings.signed_urls:
            self._sockets.append(_listen(host, 0))
            self.state.storage_port = self._sockets[1].getsockname()[1]
        for rule in rules:
            self.state.faults.add(rule)
        self._server = _Server(self._dispatch(), lambda: self.state.courier.run(self.state.jobs))
        self._thread: threading.Thread | None = None

    # ── running ────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Serve in a thread; returns when requests are answered.

        Returns:
            The simulator itself.

        Raises:
            RuntimeError: It did not come up within 10 seconds.
        """
        self._thread = threading.Thread(target=self.run, name="orvideo-simulator", daemon=True)
        self._thread.start()
        if not self._server.ready.wait(START_SECONDS):
            raise RuntimeError("The simulator did not start")
        return self

    def run(self, on_ready: Callable[[], object] | None = None) -> None:
        """Serve in this thread until `stop` is called from another one or from a signal handler.

        Args:
            on_ready: Called once requests are answered. Default: nothing is.
        """
        self._server.on_ready = on_ready
        try:
            asyncio.run(self._server.serve(sockets=self._sockets))
        finally:
            self.state.close()

    def stop(self) -> None:
        """Stop serving; connections that are still open are cut.

        Raises:
            RuntimeError: Its thread did not end within 10 seconds.
        """
        self._server.stop()
        if self._thread is None:
            return
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("The simulator did not stop")
        self._thread = None

    def _dispatch(self) -> ASGIApp:
        """The API on its port, the stored outputs on theirs."""
        api, storage, port = build_app(self.state), build_storage(self.state), self.state.storage_port

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            on_storage = port is not None and scope["server"][1] == port
            await (storage if on_storage else api)(scope, receive, send)

        return app

    # ── addresses ────────────────────────────────────────────────────────────────────────────────

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)  # noqa: S104 - a comparison, not a binding
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def base_url(self) -> str:
        """Base URL for a client, in place of ``https://openrouter.ai/api/v1``."""
        return self.origin + PREFIX

    @property
    def control_url(self) -> str:
        """Where the control endpoints are."""
        return self.origin + CONTROL_PREFIX

    # ── what a test asks and does ────────────────────────────────────────────────────────────────────────────────

    @property
    def posts(self) -> int:
        """Number of submits that arrived, refused ones included."""
        return self.stats()["posts"]

    def stats(self) -> dict[str, int]:
        """All counts.

        Returns:
            How many requests of each kind arrived, by name; how many were dropped, how many signed URLs were read with
            a key (``leaked_authorizations``), and how many jobs, videos and webhooks were made.
        """
        return self.state.stats()

    def requests(self, **filters: object) -> list[LoggedRequest]:
        """The logged requests whose fields have the given values.

        Args:
            **filters: Fields of a `LoggedRequest` and the values that they must have.

        Returns:
            Copies, oldest first.
        """
        return self.state.log.find(**filters)

    def wait_for_requests(self, count: int = 1, timeout: float = 10.0, **filters: object) -> list[LoggedRequest]:
        """As `requests`, once there are at least that many.

        Args:
            count: How many to wait for. Default: 1.
            timeout: Seconds to wait for them. Default: 10 s.
            **filters: As `requests` takes them.

        Returns:
            Copies, oldest first.

        Raises:
            TimeoutError: They did not come in time.
        """
        return self.state.log.wait(count, timeout, **filters)

    def jobs(self) -> list[Job]:
        """All jobs.

        Returns:
            The jobs as they are now, oldest first.
        """
        return self.state.jobs.all()

    def job(self, job_id: str) -> Job:
        """One job.

        Args:
            job_id: Its id.

        Returns:
            The job as it is now.

        Raises:
            KeyError: There is no such job.
        """
        return self.state.jobs.get(job_id)

    def finish(self, job_id: str, outcome: str = "completed", error: str | None = None) -> Job:
        """End a job now, however long it was meant to take.

        Args:
            job_id: Its id.
            outcome: The status it ends with, of which ``completed`` alone has videos. Default: ``completed``.
            error: The text it ends with. Default: none for ``completed``, the API's usual one for others.

        Returns:
            The job as it ended.

        Raises:
            KeyError: There is no such job.
            ValueError: It is over already.
        """
        return self.state.jobs.finish(job_id, outcome, error)

    def webhooks(self, job_id: str | None = None) -> list[LoggedWebhook]:
        """The webhooks that were sent.

        Args:
            job_id: Only those of this job. Default: of all.

        Returns:
            Copies, oldest first.
        """
        return self.state.courier.find(job_id)

    def wait_for_webhooks(
        self, count: int = 1, timeout: float = 10.0, job_id: str | None = None
    ) -> list[LoggedWebhook]:
        """As ``webhooks``, once at least that many were answered or have failed.

        Args:
            count: How many to wait for. Default: 1.
            timeout: Seconds to wait for them. Default: 10 s.
            job_id: Only those of this job. Default: of all.

        Returns:
            Copies, oldest first.

        Raises:
            TimeoutError: They did not come in time.
        """
        return self.state.courier.wait(count, timeout, job_id)

    def send_webhook(self, job_id: str) -> None:
        """Send the webhook of a job that is over once more, as OpenRouter may.

        Args:
            job_id: The job's id.

        Raises:
            KeyError: There is no such job.
            ValueError: It is not over, or no webhook of it is sent.
        """
        self.state.courier.send(self.state.jobs.get(job_id))

    def add_fault(self, rule: dict[str, Any]) -> str:
        """Add a fault rule.

        Args:
            rule: The rule as JSON.

        Returns:
            Its id, made up where the rule names none.

        Raises:
            ValueError: It is not understood; the message says why.
        """
        (parsed,) = parse_rules(rule)
        return self.state.faults.add(parsed).id

    def faults(self) -> list[dict[str, Any]]:
        """All rules.

        Returns:
            Each as JSON, with ``hits``, the number of requests that it has hit.
        """
        return self.state.faults.describe()

    def clear_faults(self) -> None:
        """Remove all fault rules."""
        self.state.faults.clear()

    def advance(self, seconds: float) -> None:
        """Let time pass at once: for jobs, outputs, signed URLs and generation records.

        Args:
            seconds: How many seconds, at least 0.

        Raises:
            ValueError: It is below 0.
        """
        self.state.advance(seconds)

    def reset(self) -> None:
        """Forget jobs, faults and the log; the clock goes on."""
        self.state.reset()

"""Real Airflow processes and the simulator on loopback, in a folder of their own: for the demo and the tests.

Nothing is written outside the folder. The processes are the ones that a deployment has, started one by one, since
``airflow standalone`` opens its log servers on all interfaces.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REPOSITORY: Final = Path(__file__).resolve().parent.parent
HOST: Final = "127.0.0.1"
API_KEY: Final = "sk-or-test-local"

#: Each process of a deployment and the arguments that start it; log servers cannot be kept on loopback.
COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "api-server": ("api-server", "--host", HOST, "--workers", "1"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(what: str, condition: Callable[[], Any], *, timeout: float, pause: float = 0.25) -> Any:  # noqa: ANN401
    """Ask until the answer is true and return it; raise TimeoutError, which names what was waited for."""
    end = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(pause)


def has_task_state_store() -> bool:
    """Tell whether the installed Airflow keeps state for tasks, where pay-once records lie without being told where.

    Airflow itself is not imported for that: it would write its settings into the caller's home.
    """
    found = find_spec("airflow")
    return bool(found and found.origin and (Path(found.origin).parent / "models" / "task_state_store.py").exists())


def stop_process(process: subprocess.Popen[bytes], *, grace: float = 20.0) -> None:
    """End a process that was started in a session of its own, and whatever it left behind there."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(grace)


@dataclass
class LocalSimulator:
    """The simulator as a process of its own.

    Args:
        folder: where its log and ready file lie.
        arguments: for ``python -m airflow_provider_orvideo.simulator``.
        host: address to listen on.
    """

    folder: Path
    arguments: tuple[str, ...] = ()
    host: str = HOST
    base_url: str = ""
    control_url: str = ""

    @contextmanager
    def running(self) -> Iterator[LocalSimulator]:
        """Start it on a free port, and stop it at the end of the block."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ready = self.folder / "simulator.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "airflow_provider_orvideo.simulator", "--host", self.host]
        command += [
            "--port",
            "0",
            "--ready-file",
            str(ready),
            "--log",
            str(self.folder / "requests.jsonl"),
            *self.arguments,
        ]
        with (self.folder / "simulator.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
            try:
                wait_until("simulator", lambda: process.poll() is not None or ready.exists(), timeout=30, pause=0.05)
                if process.poll() is not None:
                    raise RuntimeError((self.folder / "simulator.log").read_text())
                told = json.loads(ready.read_text())
                self.base_url, self.control_url = told["base_url"], told["control_url"]
                yield self
            finally:
                stop_process(process)

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Read from the control endpoint."""
        return httpx.get(f"{self.control_url}{path}").raise_for_status().json()

    def post(self, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON
        """Write to the control endpoint."""
        return httpx.post(f"{self.control_url}{path}", json=body).raise_for_status().json()

    def delete(self, path: str) -> None:
        """Delete at the control endpoint."""
        httpx.delete(f"{self.control_url}{path}").raise_for_status()

    @property
    def posts(self) -> int:
        """How often a video was ordered: the number that this project is about."""
        count: int = self.get("/stats")["posts"]
        return count


@dataclass
class LocalAirflow:
    """An Airflow deployment in a folder: SQLite, LocalExecutor, every process on loopback.

    Args:
        home: AIRFLOW_HOME; made anew by the caller where that matters.
        dags: folder with DAG files.
        environment: further variables, such as connections.
    """

    home: Path
    dags: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _token: str = ""

    @property
    def url(self) -> str:
        """The UI and the public API."""
        return f"http://{HOST}:{self.port}"

    def env(self) -> dict[str, str]:
        """Return the environment of every process: nothing of the caller's own Airflow settings gets in.

        The caller's PYTHONPATH does: whoever tests a checkout that is not the installed one says so there.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": self._secret(),
            "AIRFLOW__API_AUTH__JWT_SECRET": self._secret(),
            # Seconds to wait for another process's write; on a busy machine, the default of 5 is a refused request.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=20",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__ORVIDEO__CACHE_DIR": f"{self.home}/cache",
            "NO_PROXY": f"{HOST},localhost",
            **({} if has_task_state_store() else {"AIRFLOW__ORVIDEO__STATE_PATH": f"file://{self.home}/state"}),
            **self.environment,
        }

    def _secret(self) -> str:
        """Return one secret for all processes of this folder, made at the first call."""
        path = self.home / "secret"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32))
        return path.read_text()

    def command(self, *arguments: str) -> str:
        """Run one Airflow command to its end and return what it printed."""
        done = subprocess.run(  # noqa: S603
            [str(Path(sys.executable).parent / "airflow"), *arguments],
            env=self.env(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    @contextmanager
    def running(self) -> Iterator[LocalAirflow]:
        """Migrate the database, start every component, wait until all are healthy; stop them at the end."""
        self.command("db", "migrate")
        try:
            for component in COMPONENTS:
                self.start(component)
            self.wait_healthy()
            yield self
        finally:
            for component in reversed(list(self.processes)):
                self.stop(component)

    def start(self, component: str) -> subprocess.Popen[bytes]:
        """Start one component; its output goes to ``<component>.log``."""
        with (self.home / f"{component}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603
                [str(Path(sys.executable).parent / "airflow"), *COMPONENTS[component]],
                env=self.env(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes[component] = process
        return process

    def stop(self, component: str) -> None:
        """Stop one component, as a deployment does."""
        stop_process(self.processes.pop(component))

    def kill(self, component: str) -> None:
        """Kill one component and all its children at once, as a lost machine does."""
        process = self.processes.pop(component)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def wait_healthy(self, timeout: float = 120.0) -> None:
        """Wait until every component reports a heartbeat."""

        def healthy() -> bool:
            for component, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{component} ended:\n{(self.home / f'{component}.log').read_text()[-4000:]}")
            try:
                report = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
            except (httpx.HTTPError, ValueError):
                return False
            return all((report.get(part) or {}).get("status") == "healthy" for part in _HEALTH)

        wait_until("Airflow", healthy, timeout=timeout)

    # ── The public API ───────────────────────────────────────────────────────────────────────────────────────────────

    def api(self, method: str, path: str, **kwargs: Any) -> Any:  # noqa: ANN401 - JSON
        """Call the public API as an administrator."""
        if not self._token:
            self._token = httpx.get(f"{self.url}/auth/token", timeout=30).raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {self._token}"}
        response = httpx.request(method, f"{self.url}/api/v2{path}", headers=headers, timeout=30, **kwargs)
        if response.is_error:
            raise RuntimeError(f"{method} {path}: HTTP {response.status_code} {response.text[:1000]}")
        return response.json() if response.content else None

    def wait_for_dag(self, dag_id: str, timeout: float = 90.0) -> None:
        """Wait until the DAG processor has read the DAG."""

        def known() -> bool:
            dags = self.api("GET", "/dags")["dags"]
            return any(dag["dag_id"] == dag_id for dag in dags)

        wait_until(f"DAG {dag_id}", known, timeout=timeout)

    def trigger(self, dag_id: str, **conf: Any) -> str:  # noqa: ANN401 - JSON
        """Start a run, as the play button does, and return its id."""
        run = self.api("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        run_id: str = run["dag_run_id"]
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        state: str = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
        return state

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return one task instance."""
        instance: dict[str, Any] = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        return instance

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str, state: str, timeout: float = 90.0) -> None:
        """Wait until a task instance is in a state."""
        wait_until(
            f"{task_id} to be {state}",
            lambda: self.task(dag_id, run_id, task_id)["state"] == state,
            timeout=timeout,
        )

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 180.0) -> str:
        """Wait until a run ended and return its state."""
        state: str = wait_until(
            f"run {run_id}",
            lambda: (state := self.run_state(dag_id, run_id)) in {"success", "failed"} and state,
            timeout=timeout,
        )
        return state

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:  # noqa: ANN401 - JSON
        """Return what a task handed on."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}?deserialize=true"
        return self.api("GET", path)["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """Return a task's log as the UI shows it."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}?full_content=true"
        return "\n".join(map(_log_line, self.api("GET", path)["content"]))


def _log_line(entry: Any) -> str:  # noqa: ANN401 - JSON
    """Write one entry of a task's log as text: what is told, and the exception if it tells of one."""
    if isinstance(entry, str):
        return entry
    problems = entry.get("error_detail") or ()
    told = [str(entry.get("event", entry)), *(f"{problem['exc_type']}: {problem['exc_value']}" for problem in problems)]
    return "\n".join(told)


#: Parts of the health report that must be healthy.
_HEALTH: Final = ("metadatabase", "scheduler", "triggerer", "dag_processor")


def connection(base_url: str, **extra: Any) -> dict[str, str]:  # noqa: ANN401 - JSON
    """Return the environment variable that makes ``orvideo_default`` point to a simulator."""
    value = {"conn_type": "orvideo", "host": base_url, "password": API_KEY, "extra": extra}
    return {"AIRFLOW_CONN_ORVIDEO_DEFAULT": json.dumps(value)}

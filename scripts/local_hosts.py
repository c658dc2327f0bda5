"""One Airflow on several hosts of this machine, which share a database, a broker and object storage, and nothing else.

A host is a folder: AIRFLOW_HOME, HOME, TMPDIR, spool, cache, working directory and its own copy of the DAG files. Where
the caller runs in network and mount namespaces of its own, as `make distributed` arranges for root, a host also is a
network namespace with one address, a name, and a file system in which the other hosts' folders do not exist.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local_airflow import API_KEY, HOST, LocalAirflow, LocalSimulator, stop_process, wait_until
from local_services import S3, Postgres, Redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What runs where. The first host is this process's own network.
HOSTS: Final[Mapping[str, tuple[str, ...]]] = {
    "control": ("api-server", "scheduler", "dag-processor"),
    "worker-1": ("celery-worker",),
    "worker-2": ("celery-worker",),
    "triggerer-1": ("triggerer",),
    "triggerer-2": ("triggerer",),
}
BUCKET: Final = "films"
STATE_PATH: Final = f"s3://aws_default@{BUCKET}/state"
WEBHOOK_SECRET: Final = "whsec_local"  # noqa: S105 - of the simulator
#: Seconds without a heartbeat after which a task, and a triggerer, counts as lost.
TASK_SILENCE: Final = 20
TRIGGERER_SILENCE: Final = 12

#: Seconds that all processes have to end by themselves.
_GRACE: Final = 10.0
_NETWORK: Final = "10.77.0"
_BRIDGE: Final = "hosts0"
#: Started in the host's network namespace; `ip netns exec` has given it mounts of its own.
_ENTER: Final = """
set -e
hostname "$1"
mount --bind "$2/$1" "$3"
mount -t tmpfs -o mode=700 none "$2"
cd "$3/cwd"
shift 3
exec "$@"
"""
#: Read by Airflow from the host's AIRFLOW_HOME/config: without namespaces, all hosts have the name of the machine.
_THIS_HOST: Final = "def name() -> str:\n    return {name!r}\n"


def is_isolated() -> bool:
    """Whether this process is in a network of its own, where it may make others."""
    alone = {name for _, name in socket.if_nameindex()} <= {"lo", _BRIDGE}
    return os.environ.get("ORVIDEO_DISTRIBUTED") == "namespaces" and os.geteuid() == 0 and alone


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it, whatever group they are in."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                found += family(int(child))
    return found


@dataclass
class Network:
    """The addresses of the hosts: a bridge and a pair of interfaces for each, or all on loopback.

    Args:
        isolated: whether to make namespaces.
    """

    isolated: bool

    @property
    def address(self) -> str:
        """The address of this process's own host, at which all others find the services."""
        return f"{_NETWORK}.1" if self.isolated else HOST

    def __post_init__(self) -> None:
        """Make it; it ends with the namespace of this process."""
        if not self.isolated:
            return
        Path("/run/netns").mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "none", "/run/netns")
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", _BRIDGE, "type", "bridge")
        _run("ip", "address", "add", f"{self.address}/24", "dev", _BRIDGE)
        _run("ip", "link", "set", _BRIDGE, "up")
        for number, host in enumerate(list(HOSTS)[1:], start=11):
            _run("ip", "netns", "add", host)
            _run("ip", "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", host)
            _run("ip", "link", "set", f"v{number}", "master", _BRIDGE, "up")
            _run("ip", "-n", host, "address", "add", f"{_NETWORK}.{number}/24", "dev", "eth0")
            _run("ip", "-n", host, "link", "set", "eth0", "up")
            _run("ip", "-n", host, "link", "set", "lo", "up")

    def is_apart(self, host: str) -> bool:
        """Whether the host has a namespace of its own."""
        return self.isolated and host != next(iter(HOSTS))

    def processes(self, host: str) -> list[int]:
        """Return all processes in the host's namespace."""
        said = subprocess.run(["ip", "netns", "pids", host], check=True, capture_output=True, text=True)  # noqa: S603, S607
        return [int(pid) for pid in said.stdout.split()]


@dataclass
class Cluster(LocalAirflow):
    """Airflow with CeleryExecutor on the hosts of `HOSTS`. Components are named ``<host>/<component>``.

    Args:
        home: folder of all hosts.
        dags: folder with DAG files, copied to each host.
        environment: further variables of every process.
    """

    network: Network = field(default_factory=lambda: Network(isolated=False))
    postgres: Postgres = field(default_factory=lambda: Postgres(Path()))
    redis: Redis = field(default_factory=lambda: Redis(Path()))
    simulator: LocalSimulator = field(default_factory=lambda: LocalSimulator(Path()))
    s3: S3 = field(default_factory=lambda: S3(Path()))
    fernet_key: str = field(default_factory=lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode(), repr=False)

    @property
    def url(self) -> str:
        """The UI and the public API."""
        return f"http://{self.network.address}:{self.port}"

    def folder(self, host: str) -> Path:
        """Where a host's files lie, seen from here."""
        return self.home / "hosts" / host

    def env_of(self, host: str) -> dict[str, str]:
        """Return the environment of a host's processes; only who needs the database knows its password."""
        here = self.home / "here" if self.network.is_apart(host) else self.folder(host)
        control = host == next(iter(HOSTS))
        private = {
            "HOME": str(here / "home"),
            "TMPDIR": str(here / "tmp"),
            "AIRFLOW_HOME": str(here),
            "AIRFLOW__CORE__DAGS_FOLDER": str(here / "dags"),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "this_host.name",
            "AIRFLOW__ORVIDEO__CACHE_DIR": str(here / "cache"),
            "AIRFLOW__ORVIDEO__SPOOL_DIR": str(here / "spool"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{here}/not-for-workers.db",
        }
        if not host.startswith("worker"):
            private["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self.postgres.url
            # Each AIRFLOW_HOME would make one of its own, with which it cannot read the connections of the others.
            private["AIRFLOW__CORE__FERNET_KEY"] = self.fernet_key
        if control:
            private["AIRFLOW__ORVIDEO__WEBHOOK_SECRET"] = WEBHOOK_SECRET
        return {**super().env(), **_SETTINGS, **self._shared(), **self.environment, **private}

    def env(self) -> dict[str, str]:
        """Return the environment of the host on which commands are run."""
        return self.env_of("control")

    def _shared(self) -> dict[str, str]:
        return {
            "AIRFLOW__CELERY__BROKER_URL": self.redis.url(0),
            "AIRFLOW__CELERY__RESULT_BACKEND": self.redis.url(1),
            "AIRFLOW__ORVIDEO__STATE_PATH": STATE_PATH,
            "AIRFLOW__ORVIDEO__WEBHOOK_URL": "https://airflow.example.com/orvideo/webhook",
            "NO_PROXY": f"{HOST},localhost,{self.network.address}",
        }

    @contextmanager
    def running(self) -> Iterator[Cluster]:
        """Make the hosts, migrate the database, start every component; stop them at the end."""
        (self.home / "here").mkdir()
        for host in HOSTS:
            (self.home / host).mkdir()
            for name in ("home", "tmp", "cache", "spool", "config", "cwd"):
                (self.folder(host) / name).mkdir(parents=True)
            (self.folder(host) / "config" / "this_host.py").write_text(_THIS_HOST.format(name=host))
            shutil.copytree(self.dags, self.folder(host) / "dags", ignore=shutil.ignore_patterns("__pycache__"))
        self.command("db", "migrate")
        self._connect()
        try:
            for host in HOSTS:
                self.start_host(host)
            self.wait_healthy()
            yield self
        finally:
            self._stop_all()

    def _stop_all(self) -> None:
        """Ask all to end at the same time, and kill what takes long: nothing of them is needed any more."""
        others = [pid for process in self.processes.values() for pid in family(process.pid)]
        for process in self.processes.values():
            process.terminate()
        end = time.monotonic() + _GRACE
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(end - time.monotonic(), 0.1))
        _kill(others)
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def _connect(self) -> None:
        """Write the connections into the database, from where each host gets them over the API."""
        orvideo = {
            "conn_type": "orvideo",
            "host": self.simulator.base_url,
            "password": API_KEY,
            # Plain http to another host than this one.
            "extra": {"allow_insecure_http": True},
        }
        for conn_id, connection in (("orvideo_default", orvideo), ("aws_default", self.s3.connection)):
            self.command("connections", "add", conn_id, "--conn-json", json.dumps(connection))

    # ── Hosts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def start_host(self, host: str) -> None:
        """Start all components of a host."""
        for component in HOSTS[host]:
            self.start(f"{host}/{component}")

    def start(self, component: str) -> subprocess.Popen[bytes]:
        """See `LocalAirflow.start`."""
        host, _, name = component.partition("/")
        folder = self.folder(host)
        command = [str(Path(sys.executable).parent / "airflow"), *self._arguments(host, name)]
        if self.network.is_apart(host):
            enter = ["sh", "-c", _ENTER, "sh", host, str(self.home / "hosts"), str(self.home / "here")]
            command = ["ip", "netns", "exec", host, "unshare", "--uts", *enter, *command]
        with (self.home / f"{component}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603
                command, env=self.env_of(host), cwd=folder / "cwd", stdout=log, stderr=log, start_new_session=True
            )
        self.processes[component] = process
        return process

    def _arguments(self, host: str, name: str) -> list[str]:
        if name == "celery-worker":
            return ["celery", "worker", "--skip-serve-logs", "--concurrency", "2", "--celery-hostname", host]
        if name == "api-server":
            # The simulator's webhooks come by loopback.
            return ["api-server", "--host", "0.0.0.0" if self.network.isolated else HOST, "--workers", "1"]  # noqa: S104 - a network of its own
        return [name, *(["--skip-serve-logs"] if name in {"scheduler", "triggerer"} else [])]

    def stop(self, component: str) -> None:
        """See `LocalAirflow.stop`; with all that descends from it."""
        process = self.processes.pop(component)
        others = family(process.pid)
        stop_process(process)
        _kill(others)

    def lose(self, host: str) -> None:
        """Kill every process of a host at once, as a lost machine does."""
        mine = {component: process for component, process in self.processes.items() if component.startswith(f"{host}/")}

        def living() -> list[int]:
            if self.network.is_apart(host):
                return self.network.processes(host)
            return [pid for process in mine.values() if process.poll() is None for pid in family(process.pid)]

        wait_until(f"the end of {host}", lambda: not _kill(living()), timeout=20, pause=0.05)
        for component, process in mine.items():
            process.wait()
            del self.processes[component]

    def wait_healthy(self, timeout: float = 180.0) -> None:
        """Wait for the health report, and until both workers and both triggerers are there."""
        super().wait_healthy(timeout)
        wait_until("the workers", lambda: all(self._is_ready(host) for host in HOSTS if "worker" in host), timeout=90)
        wait_until("the triggerers", lambda: len(self.triggerers()) > 1, timeout=90)

    def wait_back(self, host: str) -> None:
        """Wait until a worker or triggerer that was started again takes work."""
        if host.startswith("worker"):
            wait_until(host, lambda: self._is_ready(host), timeout=90)
        else:
            wait_until(host, lambda: host in {each["hostname"] for each in self.triggerers()}, timeout=90)

    def _is_ready(self, host: str) -> bool:
        said = (self.home / host / "celery-worker.log").read_text(errors="replace")
        # Since its last start.
        return f"celery@{host} ready" in said.rpartition("transport:")[2]

    def triggerers(self) -> list[dict[str, Any]]:
        """Return the triggerers with a fresh heartbeat."""
        return self.postgres.query(
            "select id, hostname from job where job_type = 'TriggererJob' and state = 'running' "  # noqa: S608 - ours
            f"and latest_heartbeat > now() - interval '{TRIGGERER_SILENCE} seconds'"
        )


def _kill(pids: list[int]) -> int:
    """Kill processes; return how many there were to kill."""
    killed = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed


_SETTINGS: Final[Mapping[str, str]] = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__PARALLELISM": "16",
    "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
    # A lost worker's task goes on by a retry, also where its DAG asks for none.
    "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "3",
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "5",
    # How soon a lost host's work goes to another one.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(TASK_SILENCE),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(TRIGGERER_SILENCE),
}


@contextmanager
def cluster(dags: Path, environment: Mapping[str, str], *simulator_settings: str) -> Iterator[Cluster]:
    """Start everything: services, simulator, hosts; nothing of it stays.

    Args:
        dags: folder with DAG files.
        environment: further variables of every Airflow process.
        simulator_settings: ``NAME=VALUE``.
    """
    network = Network(is_isolated())
    with ExitStack() as stack:
        # Not the tests' own folder: PostgreSQL's user must be able to enter it.
        home = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="orvideo-hosts-", ignore_cleanup_errors=True))
        )
        home.chmod(0o711)
        made = Cluster(
            home,
            dags,
            environment,
            network=network,
            postgres=Postgres(home / "postgres", network.address),
            redis=Redis(home / "redis", network.address),
            s3=S3(home / "s3", network.address),
        )
        settings = (
            f"webhook_origin=http://{HOST}:{made.port}",
            f"webhook_secret={WEBHOOK_SECRET}",
            *simulator_settings,
        )
        arguments = tuple(part for setting in settings for part in ("--set", setting))
        made.simulator = LocalSimulator(home / "simulator", arguments, network.address)
        for service in (
            made.postgres.running(),
            made.redis.running(),
            made.s3.running(BUCKET),
            made.simulator.running(),
        ):
            stack.enter_context(service)
        yield stack.enter_context(made.running())

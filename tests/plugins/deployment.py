"""A real Airflow with three people, one landed run of three mapped videos and one run that waits: for UI tests.

``outsider`` has no role, so Airflow lets them log in and read nothing.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import httpx
from local_airflow import HOST, LocalAirflow, LocalSimulator, connection, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: Name, role and password of each person; the role is Airflow's simple auth manager's.
ROLES: Final[Mapping[str, str]] = {"admin": "admin", "viewer": "viewer", "outsider": ""}
USERS: Final[Mapping[str, str]] = {name: f"{name}-test-password" for name in ROLES}

DAG_ID: Final = "films"
DAGS: Final = """
from airflow.sdk import DAG, task

from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

VIDEO = {"model": "x-ai/grok-imagine-video", "duration": 4, "resolution": "720p"}
ORDER = {**VIDEO, "deferrable": True, "poll_interval": 1}
FOLDER = "{{ var.value.orvideo_destination }}"

with DAG("films", schedule=None):
    videos = OrVideoSubmitOperator.partial(task_id="submit", **ORDER).expand(
        prompt=["a boat", "a bridge", "a bird"]
    )
    OrVideoDownloadOperator.partial(
        task_id="download", destination=FOLDER + "{run_id}/film-{map_index}.{ext}", poster=True
    ).expand(job=videos.output)

with DAG("films_waiting", schedule=None):
    video = OrVideoSubmitOperator(task_id="submit", prompt="a held boat", **ORDER)
    OrVideoDownloadOperator(task_id="download", job=video.output, destination=FOLDER)

# Never runs: tests write into its XCom what they like.
with DAG("films_forged", schedule=None, is_paused_upon_creation=True):

    @task
    def download(): ...

    download()
"""
#: A job whose prompt holds "held" ends when the test says so.
FAULTS: Final[list[dict[str, Any]]] = [
    {"match": {"operation": "createVideos", "prompt_contains": "held"}, "job": {"seconds": "manual"}}
]


@dataclass
class PeopledAirflow(LocalAirflow):
    """An Airflow that knows who is who; the tests' own calls are the administrator's."""

    _tokens: dict[str, str] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        """Add the people, and switch off what would make anybody an administrator."""
        passwords = self.home / "passwords.json"
        self.home.mkdir(parents=True, exist_ok=True)
        passwords.write_text(json.dumps(dict(USERS)))
        people = {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in ROLES.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        }
        return {**super().env(), **people, **self.environment}

    def token(self, name: str) -> str:
        """Log in, once, and return the session's token: the value of the cookie ``_token``, or a bearer token."""
        if name not in self._tokens:
            body = {"username": name, "password": USERS[name]}
            answer = httpx.post(f"{self.url}/auth/token", json=body, timeout=30).raise_for_status()
            self._tokens[name] = answer.json()["access_token"]
        return self._tokens[name]

    def api(self, method: str, path: str, **kwargs: Any) -> Any:  # noqa: ANN401 - JSON
        """Call the public API as the administrator."""
        self._token = self.token("admin")
        return super().api(method, path, **kwargs)


@dataclass
class UiDeployment:
    """What UI tests talk to.

    Attributes:
        airflow: the processes, and the public API as the administrator.
        simulator: the other side.
        videos: folder in which videos land; the only one that the preview may read.
        runs: run ids by name: ``landed`` (DAG ``films``, tasks ``submit`` and ``download``, map indexes 0 to 2) and
            ``waiting`` (DAG ``films_waiting``, task ``submit`` deferred) and ``forged`` (DAG ``films_forged``, task
            ``download``, which never runs), each as ``(dag_id, run_id)``.
    """

    airflow: LocalAirflow
    simulator: LocalSimulator
    videos: Path
    runs: dict[str, tuple[str, str]] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=lambda: USERS)

    @property
    def url(self) -> str:
        """Where Airflow is, without a slash at its end."""
        return self.airflow.url

    @contextmanager
    def another_server(self, path: str = "", **options: str) -> Iterator[str]:
        """Start one more API server on the same database, and yield its URL.

        Args:
            path: of ``[api] base_url``, such as ``/team``; part of the yielded URL.
            options: of ``[orvideo]``.
        """
        port = free_port()
        url = f"http://{HOST}:{port}{path}"
        names = {f"AIRFLOW__ORVIDEO__{name.upper()}": value for name, value in options.items()}
        environment = {**self.airflow.environment, **names, "AIRFLOW__API__BASE_URL": url}
        other = replace(self.airflow, port=port, environment=environment, processes={})
        process = other.start("api-server")
        try:
            wait_until("another API server", lambda: process.poll() is not None or _answers(url), timeout=90)
            if process.poll() is not None:
                raise RuntimeError("another API server ended; api-server.log says why")
            yield url
        finally:
            other.stop("api-server")

    def login(self, name: str) -> str:
        """Return a person's session token: the value of the cookie ``_token``, or a bearer token."""
        assert isinstance(self.airflow, PeopledAirflow)
        return self.airflow.token(name)

    def client(self, name: str | None, url: str | None = None) -> httpx.Client:
        """Return an HTTP client with a person's session cookie; None for nobody's."""
        cookies = {"_token": self.login(name)} if name else {}
        return httpx.Client(base_url=url or self.url, cookies=cookies, timeout=60)

    def manifest(self, map_index: int, task_id: str = "download") -> dict[str, Any]:
        """Return what a mapped task of the landed run returned."""
        dag_id, run_id = self.runs["landed"]
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        found: dict[str, Any] = self.airflow.api("GET", f"{path}?map_index={map_index}&deserialize=true")["value"]
        return found


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/version", timeout=5).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def ui_deployment(home: Path, environment: Mapping[str, str] | None = None) -> Iterator[UiDeployment]:
    """Start everything in a folder, bring the runs where they should be, and stop everything at the end.

    Args:
        home: an empty folder.
        environment: further variables for all of Airflow's processes.
    """
    dags, videos = home / "dags", home / "videos"
    dags.mkdir(parents=True)
    videos.mkdir()
    (dags / "films.py").write_text(DAGS)
    with LocalSimulator(home / "simulator").running() as simulator:
        simulator.post("/faults", FAULTS)
        variables = {
            **connection(simulator.base_url),
            "AIRFLOW_VAR_ORVIDEO_DESTINATION": f"file://{videos}/",
            "AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES": f"file://{videos}/",
            "AIRFLOW__ORVIDEO__RESUME_GRACE": "10",
            **(environment or {}),
        }
        airflow = PeopledAirflow(home / "airflow", dags, variables)
        with airflow.running():
            deployment = UiDeployment(airflow, simulator, videos)
            for name, dag_id in (("landed", DAG_ID), ("waiting", "films_waiting"), ("forged", "films_forged")):
                airflow.wait_for_dag(dag_id)
                deployment.runs[name] = (dag_id, airflow.trigger(dag_id))
            airflow.wait_for_task(*deployment.runs["waiting"], "submit", "deferred")
            state = airflow.wait_for_run(*deployment.runs["landed"])
            if state != "success":
                raise RuntimeError(f"the run that should land ended as {state}")
            yield deployment

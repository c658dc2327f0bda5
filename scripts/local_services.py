"""PostgreSQL, Redis and an S3 for one run, with data in a folder of its own: never the services of the system.

``python scripts/local_services.py`` installs what is missing of Debian's packages, if it may.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local_airflow import HOST, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Debian's packages, and a program of each that is needed.
PACKAGES: Final[Mapping[str, str]] = {"postgresql": "initdb", "redis-server": "redis-server"}
#: What keeps Debian's packages from starting the system's own services when they are installed.
POLICY: Final = Path("/usr/sbin/policy-rc.d")
USER: Final = "airflow"
REGION: Final = "us-east-1"
#: Any credentials will do for moto.
S3_KEY: Final = "testing"
S3_SECRET: Final = "testing-secret-key"  # noqa: S105 - of moto


def program(name: str) -> str | None:
    """Return where a program lies, None if it is not installed; Debian has PostgreSQL's outside of PATH."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(newest[-1]) if newest else shutil.which(name)


def missing() -> list[str]:
    """Return the packages that are not installed."""
    return [package for package, needed in PACKAGES.items() if program(needed) is None]


def install(packages: Sequence[str]) -> None:
    """Install Debian packages without starting anything; needs root."""
    made = not POLICY.exists()
    if made:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *command], check=True, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603, S607
    finally:
        if made:
            POLICY.unlink()


def version(*command: str) -> str:
    """Return the version that a program tells about itself: the first word that begins with a digit."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    words = (word.removeprefix("v=") for word in said.split())
    return next(word for word in words if word[:1].isdecimal())


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM, *, grace: float = 20.0) -> None:
    """Ask a process to end, and kill it if it does not."""
    process.send_signal(number)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Postgres:
    """A PostgreSQL server, not made to survive a power cut.

    Args:
        folder: for its data and log; must not exist yet. Other users must be able to enter the folder that it lies in:
            PostgreSQL does not run as root, who starts it as the user ``postgres``.
        host: address to listen on.
    """

    folder: Path
    host: str = HOST
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)

    @property
    def url(self) -> str:
        """SQLAlchemy's address of the database."""
        return f"postgresql+psycopg2://{USER}:{self.password}@{self.host}:{self.port}/{USER}"

    @contextmanager
    def running(self) -> Iterator[Postgres]:
        """Make the cluster and its database, start the server, and stop it at the end of the block."""
        self.folder.mkdir(mode=0o700)
        secret = self.folder / "password"
        secret.write_text(self.password)
        other: dict[str, Any] = {}
        if os.geteuid() == 0:
            who = pwd.getpwnam("postgres")
            other = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
            for path in (self.folder, secret):
                os.chown(path, who.pw_uid, who.pw_gid)
        data = self.folder / "data"
        initdb, server = str(program("initdb")), str(program("postgres"))
        made = subprocess.run(  # noqa: S603
            [
                initdb,
                *("--pgdata", str(data), "--username", USER, "--pwfile", str(secret), "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions"),
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **other,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout}\n{made.stderr}")
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet scram-sha-256\n")
        options = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        command = [
            server,
            "-D",
            str(data),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ]
        with (self.folder / "postgres.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True, **other
            )
        try:
            wait_until("PostgreSQL", lambda: process.poll() is not None or self._answers(), timeout=30)
            if process.poll() is not None:
                raise RuntimeError((self.folder / "postgres.log").read_text())
            yield self
        finally:
            # Fast shutdown: does not wait for those who are still connected.
            end(process, signal.SIGINT)

    def query(self, select: str) -> list[dict[str, Any]]:
        """Return the rows of a SELECT."""
        said = self._psql(f"select coalesce(json_agg(found), '[]') from ({select}) found")  # noqa: S608 - ours
        rows: list[dict[str, Any]] = json.loads(said)
        return rows

    def _answers(self) -> bool:
        """Whether it takes connections, and has the database by now."""
        try:
            if self._psql(f"select 1 from pg_database where datname = '{USER}'", "postgres") == "1":  # noqa: S608 - ours
                return True
            self._psql(f"create database {USER}", "postgres")
        except RuntimeError:
            return False
        return True

    def _psql(self, statement: str, database: str = USER) -> str:
        done = subprocess.run(  # noqa: S603
            [
                *(str(program("psql")), "-XAtq", "-h", self.host, "-p", str(self.port)),
                *("-U", USER, "-d", database, "-c", statement),
            ],
            env={"PGPASSWORD": self.password, "PATH": os.environ.get("PATH", "")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr}")
        return done.stdout.strip()


@dataclass
class Redis:
    """A Redis server that keeps nothing on disk.

    Args:
        folder: for its log; made if it is missing.
        host: address to listen on.
    """

    folder: Path
    host: str = HOST
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)

    def url(self, database: int) -> str:
        """Return the address of one of its databases."""
        return f"redis://:{self.password}@{self.host}:{self.port}/{database}"

    @contextmanager
    def running(self) -> Iterator[Redis]:
        """Start it, and stop it at the end of the block."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # The password comes by standard input, so that no list of processes shows it.
        settings = f'requirepass {self.password}\nbind {self.host}\nport {self.port}\nsave ""\nappendonly no\n'
        with (self.folder / "redis.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                [str(program("redis-server")), "-"],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            if process.stdin:
                process.stdin.write(settings.encode())
                process.stdin.close()
            wait_until("Redis", lambda: process.poll() is not None or self._is_ready(), timeout=20)
            if process.poll() is not None:
                raise RuntimeError((self.folder / "redis.log").read_text())
            yield self
        finally:
            end(process)

    def _is_ready(self) -> bool:
        return "Ready to accept connections" in (self.folder / "redis.log").read_text()


@dataclass
class S3:
    """moto's S3 as a process of its own, in memory.

    Args:
        folder: for its log; made if it is missing.
        host: address to listen on.
    """

    folder: Path
    host: str = HOST
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://{self.host}:{self.port}"

    @property
    def connection(self) -> dict[str, Any]:
        """An Airflow connection to it."""
        extra = {"endpoint_url": self.url, "region_name": REGION}
        return {"conn_type": "aws", "login": S3_KEY, "password": S3_SECRET, "extra": extra}

    @contextmanager
    def running(self, bucket: str) -> Iterator[S3]:
        """Start it with one bucket, and stop it at the end of the block."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Its requests are not logged: there are tens of thousands.
        serve = (
            "import logging, sys; logging.getLogger('werkzeug').setLevel(logging.ERROR); "
            "from moto.server import main; main(sys.argv[1:])"
        )
        with (self.folder / "s3.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", serve, "-H", self.host, "-p", str(self.port)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until("S3", lambda: process.poll() is not None or self._made(bucket), timeout=30)
            if process.poll() is not None:
                raise RuntimeError((self.folder / "s3.log").read_text())
            yield self
        finally:
            self.client.close()
            end(process)

    @cached_property
    def client(self) -> Any:  # noqa: ANN401 - boto3 has no types
        """boto3's client for it; closed with the server."""
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - heavy
        from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=S3_KEY,
            aws_secret_access_key=S3_SECRET,
            config=Config(proxies={}),
        )

    def _made(self, bucket: str) -> bool:
        from botocore.exceptions import EndpointConnectionError  # type: ignore[import-untyped]  # noqa: PLC0415

        with suppress(EndpointConnectionError):
            self.client.create_bucket(Bucket=bucket)
            return True
        return False


def main() -> int:
    """Install what is missing; the exit code says whether all is there then."""
    if not (wanted := missing()):
        return 0
    if os.geteuid() or not shutil.which("apt-get"):
        sys.stderr.write(f"Missing, and to be installed by root: apt-get install {' '.join(wanted)}\n")
        return 1
    sys.stdout.write(f"Installing {' and '.join(wanted)}; no service of the system is started …\n")
    install(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())

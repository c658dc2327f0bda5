"""Four real stores, each behind a door that can refuse, read back through the store's own API instead of fsspec."""

from __future__ import annotations

import asyncio
import base64
import errno
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import uuid
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote, urlsplit

import fsspec.asyn  # type: ignore[import-untyped]
import httpx
import pytest

# gcsfs reads this when it is imported: with it on, it asks Google itself, over gRPC, what kind of bucket this is.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

from local_stores import (
    AZURITE_ACCOUNT,
    AZURITE_KEY,
    Answer,
    Asked,
    Door,
    GcsEmulator,
    all_needed,
    azurite,
    missing_for_azure,
    missing_for_gcs,
)

from airflow_provider_orvideo.landing import upload

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

#: Every password, key and token of these tests holds this, so that a search for one finds all but Azurite's.
SECRET = "c0rrect-h0rse"
#: The same as Azure takes it.
SECRET_KEY = base64.b64encode(SECRET.encode()).decode()

#: A moment at which a worker can die: while the file comes in; while it goes out; when the store has it and that was
#: not heard; when it was heard and the sidecar is not written.
Moment = Literal["download", "upload", "unheard", "sidecar"]


class Store:
    """A place to land in, as its own API sees it."""

    #: What the store is called.
    name: str
    #: An empty folder, as a destination: ``scheme://connection@bucket/prefix``.
    root: str
    #: The same folder where there is no bucket, where that can be.
    nowhere: str | None
    #: The same folder through a connection that the store turns away.
    locked: str
    #: Size in bytes from which a file goes up in at least two pieces.
    in_pieces: int
    #: Whether pieces of a broken-off upload can be taken back; where not, the store throws them away by itself.
    takes_back: bool = True
    #: Whether it keeps a media type.
    is_typed: bool = True
    #: What is left of an upload whose worker was killed between two pieces, once the file was stored anew: whether only
    #: the store itself can throw that away, after a week.
    keeps_dead_uploads: bool = False

    @property
    def asked(self) -> list[Asked]:
        """What the store was asked through `root` and `nowhere` in this test, oldest first."""
        return []

    def read(self, uri: str) -> bytes | None:
        """Return the object at a destination below `root`, None for nothing."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """Return what lies below `root`, relative to it, sorted."""
        raise NotImplementedError

    def content_type(self, uri: str) -> str | None:
        """Return the media type of the object at a destination below `root`."""
        raise NotImplementedError

    def leftovers(self) -> list[str]:
        """Return what unfinished uploads left below `root`, sorted."""
        raise NotImplementedError

    def hanging(self, moment: Moment) -> AbstractContextManager[threading.Event | None]:
        """Have the store leave the worker without an answer at a moment; None where the worker halts by itself."""
        raise NotImplementedError

    def apart(self) -> AbstractContextManager[None]:
        """Have the spool lie on another disk than the destination, where that makes a difference."""
        return nullcontext()

    def refusing(self) -> AbstractContextManager[None]:
        """Refuse whatever is to be stored for a while."""
        raise NotImplementedError

    def breaking_off(self) -> AbstractContextManager[None]:
        """Refuse the second piece of every upload for a while."""
        raise NotImplementedError


# ── This machine ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Local(Store):
    """A folder of this machine."""

    name = "file"
    nowhere = None
    in_pieces = 2 * 2**20
    is_typed = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "videos"
        self.root = self._folder.as_uri()
        # Root may do all, but nobody can make a folder below a file.
        (folder / "wall").write_bytes(b"")
        self.locked = (folder / "wall" / "videos").as_uri()

    def read(self, uri: str) -> bytes | None:
        path = Path(urlsplit(uri).path)
        return path.read_bytes() if path.exists() else None

    def names(self) -> list[str]:
        return sorted(name for name in self._all() if not name.endswith(".part"))

    def leftovers(self) -> list[str]:
        return sorted(name for name in self._all() if name.endswith(".part"))

    def hanging(self, moment: Moment) -> AbstractContextManager[threading.Event | None]:
        del moment
        return nullcontext()

    @contextmanager
    def apart(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", _across_file_systems)
            yield

    @contextmanager
    def refusing(self) -> Iterator[None]:
        def full(_: Path, target: Path) -> None:
            target.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with self.apart(), pytest.MonkeyPatch.context() as patch:
            patch.setattr("shutil.copyfile", full)
            yield

    @contextmanager
    def breaking_off(self) -> Iterator[None]:
        # The system refuses to write beyond this, as a full disk does; moving a file writes nothing.
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.in_pieces // 2, hard))
        try:
            with self.apart():
                yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def _all(self) -> list[str]:
        return [str(path.relative_to(self._folder)) for path in self._folder.rglob("*") if path.is_file()]


def _across_file_systems(path: Path, target: Path) -> None:
    """Rename only what was written beside its final name, as if the spool lay on another disk."""
    if path.suffix != ".part":
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    path.rename(target)


# ── Buckets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Bucket(Store):
    """What the three bucket stores share: addresses, and a door that refuses some requests or lets them hang."""

    scheme: str
    bucket = "films"
    #: What the store says to a piece that it does not take.
    refusal: Answer

    def __init__(self, door: Door) -> None:
        self._door = door
        self._prefix = f"test-{uuid.uuid4().hex[:12]}"
        self.root = f"{self.scheme}://store_{self.name}@{self.bucket}/{self._prefix}"
        self.nowhere = f"{self.scheme}://store_{self.name}@no-such-films/{self._prefix}"
        self.locked = f"{self.scheme}://store_{self.name}_locked@{self.bucket}/{self._prefix}"

    @property
    def asked(self) -> list[Asked]:
        return self._door.asked

    def key(self, uri: str) -> str:
        bucket, _, key = uri.partition("@")[2].partition("/")
        assert (bucket, key.split("/")[0]) == (self.bucket, self._prefix), f"{uri} is not below {self.root}"
        return key

    def relative(self, keys: Iterator[str]) -> list[str]:
        return sorted(key.removeprefix(f"{self._prefix}/") for key in keys)

    def is_film(self, asked: Asked) -> bool:
        """Whether this sends a whole file other than a sidecar."""
        raise NotImplementedError

    def is_second_piece(self, asked: Asked) -> bool:
        """Whether this sends the second piece of a file."""
        raise NotImplementedError

    def is_look(self, asked: Asked) -> bool:
        """Whether this is a question rather than something to do."""
        return asked.method in {"GET", "HEAD"}

    @contextmanager
    def hanging(self, moment: Moment) -> Iterator[threading.Event | None]:
        if moment not in {"upload", "unheard"}:
            yield None
            return
        with self._door.holding(self.is_film, done=moment == "unheard") as hangs:
            yield hangs

    def hanging_between_pieces(self) -> AbstractContextManager[threading.Event]:
        """Leave the worker without an answer to the second piece of its file."""
        return self._door.holding(self.is_second_piece)

    @contextmanager
    def blind(self) -> Iterator[None]:
        """Refuse for a while to tell what there is and to give it out; whatever comes is taken."""
        with self._door.guarded(lambda asked: self.refusal if self.is_look(asked) else None):
            yield

    @contextmanager
    def tight_lipped(self) -> Iterator[None]:
        """Refuse to say what there is for a while, but for objects that are asked for by name and are there."""

        def rule(asked: Asked) -> Answer | None:
            name = unquote(asked.path).rpartition(f"{self._prefix}/")[2]
            return self.refusal if self.is_look(asked) and name not in self.names() else None

        with self._door.guarded(rule):
            yield

    @contextmanager
    def refusing(self) -> Iterator[None]:
        with self._door.guarded(lambda asked: self.refusal if self.is_film(asked) else None):
            yield

    @contextmanager
    def breaking_off(self) -> Iterator[None]:
        with self._door.guarded(lambda asked: self.refusal if self.is_second_piece(asked) else None):
            yield
            # Azure's SDK goes on sending blocks after it raised; they must not slip through the door later on.
            asyncio.run_coroutine_threadsafe(_quiet(), fsspec.asyn.get_loop()).result(30)
            # It forgets their errors, and asyncio complains when those are thrown away: that belongs here.
            gc.collect()


async def _quiet() -> None:
    """Wait for all that runs on fsspec's own event loop."""
    if running := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.gather(*running, return_exceptions=True)


class S3(Bucket):
    """S3, by moto."""

    name, scheme = "s3", "s3"
    in_pieces = upload.S3_ONE_REQUEST + 1
    refusal = Answer(
        403,
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
        "application/xml",
    )

    def __init__(self, door: Door, client: Any) -> None:  # noqa: ANN401 - boto3 has no types
        super().__init__(door)
        self._client = client

    def read(self, uri: str) -> bytes | None:
        try:
            body: bytes = self._client.get_object(Bucket=self.bucket, Key=self.key(uri))["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return None
        return body

    def names(self) -> list[str]:
        found = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self._prefix).get("Contents", [])
        return self.relative(item["Key"] for item in found)

    def leftovers(self) -> list[str]:
        found = self._client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return self.relative(item["Key"] for item in found if item["Key"].startswith(self._prefix))

    def content_type(self, uri: str) -> str | None:
        said: str = self._client.head_object(Bucket=self.bucket, Key=self.key(uri))["ContentType"]
        return said

    def is_film(self, asked: Asked) -> bool:
        return asked.method == "PUT" and "partNumber" not in asked.query and not asked.path.endswith(".json")

    def is_second_piece(self, asked: Asked) -> bool:
        return asked.method == "PUT" and asked.query.get("partNumber") == ["2"]


class Azure(Bucket):
    """Azure Blob Storage, by Azurite."""

    name, scheme = "azure", "abfs"
    # The SDK sends up to 64 MiB in one request, and then blocks of 4 MiB.
    in_pieces = 64 * 2**20 + 1
    # There is no request for it: blocks that were not committed go after a week, or with the blob's next upload.
    takes_back = False
    refusal = Answer(
        403,
        b"<?xml version='1.0'?><Error><Code>AuthorizationFailure</Code><Message>Not authorized.</Message></Error>",
        "application/xml",
    )

    def __init__(self, door: Door, service: Any) -> None:  # noqa: ANN401 - the SDK is there with its extra only
        super().__init__(door)
        self._container = service.get_container_client(self.bucket)

    def read(self, uri: str) -> bytes | None:
        blob = self._container.get_blob_client(self.key(uri))
        data: bytes | None = blob.download_blob().readall() if blob.exists() else None
        return data

    def names(self) -> list[str]:
        return self.relative(blob.name for blob in self._container.list_blobs(self._prefix))

    def leftovers(self) -> list[str]:
        found = self._container.list_blobs(self._prefix, include=["uncommittedblobs"])
        blobs = {blob.name: self._container.get_blob_client(blob.name) for blob in found}
        return self.relative(name for name, blob in blobs.items() if blob.get_block_list("uncommitted")[1])

    def content_type(self, uri: str) -> str | None:
        said: str = self._container.get_blob_client(self.key(uri)).get_blob_properties().content_settings.content_type
        return said

    def is_film(self, asked: Asked) -> bool:
        return asked.method == "PUT" and "comp" not in asked.query and not asked.path.endswith(".json")

    def is_second_piece(self, asked: Asked) -> bool:
        # Blocks go up side by side; the second to arrive is the second piece.
        if asked.method != "PUT" or asked.query.get("comp") != ["block"]:
            return False
        blocks = [each for each in self._door.asked if each.query.get("comp") == ["block"] and each.path == asked.path]
        return len(blocks) > 1


class Gcs(Bucket):
    """Google Cloud Storage, by gcp-storage-emulator."""

    name, scheme = "gcs", "gs"
    in_pieces = upload.GCS_PIECE + 1
    keeps_dead_uploads = True
    refusal = Answer(403, b'{"error": {"code": 403, "message": "The caller does not have storage.objects.create."}}')

    def __init__(self, door: Door, emulator: GcsEmulator) -> None:
        super().__init__(door)
        self._emulator = emulator
        self._objects = f"http://{emulator.address}/storage/v1/b/{self.bucket}/o"

    def read(self, uri: str) -> bytes | None:
        response = httpx.get(f"{self._objects}/{quote(self.key(uri), safe='')}", params={"alt": "media"})
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return response.raise_for_status().content

    def names(self) -> list[str]:
        found = httpx.get(self._objects, params={"prefix": self._prefix}).raise_for_status().json()
        return self.relative(item["name"] for item in found.get("items", []))

    def leftovers(self) -> list[str]:
        return self.relative(name for name in self._emulator.sessions().values() if name.startswith(self._prefix))

    def content_type(self, uri: str) -> str | None:
        response = httpx.get(f"{self._objects}/{quote(self.key(uri), safe='')}").raise_for_status()
        said: str | None = response.json().get("contentType")
        return said

    def is_film(self, asked: Asked) -> bool:
        # Its name is inside; a film is sent before its sidecar.
        return asked.method == "POST" and asked.query.get("uploadType") == ["multipart"]

    def is_second_piece(self, asked: Asked) -> bool:
        if asked.method not in {"POST", "PUT"} or "upload_id" not in asked.query:
            return False
        return sum(each.query.get("upload_id") == asked.query["upload_id"] for each in self._door.asked) > 1


# ── Their servers ────────────────────────────────────────────────────────────────────────────────────────────────────


def _need(missing: str | None) -> None:
    if missing and all_needed():
        pytest.fail(f"ORVIDEO_EXTRAS is 'all', and this store {missing}")
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="session")
def _servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def _s3(s3_endpoint: str, _servers: ExitStack) -> tuple[Door, Door, Any]:
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with an extra

    said = b"<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist in our records.</Message></Error>"
    upstream = urlsplit(s3_endpoint).netloc
    door = _servers.enter_context(Door(upstream, _late_parts()))
    locked = _servers.enter_context(Door(upstream, lambda _: Answer(403, said, "application/xml")))
    client = boto3.client(
        "s3", endpoint_url=s3_endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_bucket(Bucket=S3.bucket)
    return door, locked, client


def _late_parts() -> Callable[[Asked], Answer | None]:
    """Refuse parts of an upload that was given up, as S3 does; moto breaks down over them."""
    given_up: set[str] = set()
    said = b"<Error><Code>NoSuchUpload</Code><Message>The upload does not exist.</Message></Error>"

    def rule(asked: Asked) -> Answer | None:
        upload = asked.query.get("uploadId", [""])[0]
        if upload and asked.method == "DELETE":
            given_up.add(upload)
        late = asked.method == "PUT" and upload in given_up
        return Answer(404, said, "application/xml") if late else None

    return rule


@pytest.fixture(scope="session")
def _azure(_servers: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Door, Door, Any]:
    _need(missing_for_azure())
    from azure.storage.blob import BlobServiceClient  # noqa: PLC0415 - comes with an extra

    address = _servers.enter_context(azurite(tmp_path_factory.mktemp("azurite")))
    # Azurite says "AuthorizationFailure" to a wrong key, which the real service says of rights.
    said = b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the"
    said += b" request. Make sure the value of Authorization header is formed correctly.</Message></Error>"
    door = _servers.enter_context(Door(address))
    locked = _servers.enter_context(Door(address, lambda _: Answer(403, said, "application/xml")))
    service = _servers.enter_context(BlobServiceClient.from_connection_string(_azure_string(f"http://{address}")))
    service.create_container(Azure.bucket)
    return door, locked, service


def _azure_string(url: str, key: str = AZURITE_KEY) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};AccountKey={key};"
        f"BlobEndpoint={url}/{AZURITE_ACCOUNT};"
    )


@pytest.fixture(scope="session")
def _gcs(_servers: ExitStack) -> tuple[Door, Door, GcsEmulator]:
    _need(missing_for_gcs())
    said = b'{"error": {"code": 401, "message": "Anonymous caller does not have storage.objects.get access."}}'
    emulator = _servers.enter_context(GcsEmulator())
    door = _servers.enter_context(Door(emulator.address, emulator.cancel))
    locked = _servers.enter_context(Door(emulator.address, lambda _: Answer(401, said)))
    httpx.post(f"http://{emulator.address}/storage/v1/b", json={"name": Gcs.bucket}).raise_for_status()
    return door, locked, emulator


@pytest.fixture(params=["file", "s3", "azure", "gcs"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty folder of a store, for each store in turn."""
    if request.param == "file":
        yield Local(tmp_path)
        return
    make: Callable[[pytest.FixtureRequest, pytest.MonkeyPatch], Store] = {
        "s3": _connect_s3,
        "azure": _connect_azure,
        "gcs": _connect_gcs,
    }[request.param]
    made = make(request, monkeypatch)
    made.asked.clear()
    yield made


def _connection(**fields: object) -> str:
    """Return a connection as the value of its AIRFLOW_CONN_ variable."""
    return json.dumps(fields)


def _connect_s3(request: pytest.FixtureRequest, environ: pytest.MonkeyPatch) -> Store:
    door, locked, client = request.getfixturevalue("_s3")
    for name, url in (("S3", door.url), ("S3_LOCKED", locked.url)):
        extra = {"endpoint_url": url, "region_name": "us-east-1"}
        made = _connection(conn_type="aws", login="testing", password=f"{SECRET}-aws", extra=extra)
        environ.setenv(f"AIRFLOW_CONN_STORE_{name}", made)
    return S3(door, client)


def _connect_azure(request: pytest.FixtureRequest, environ: pytest.MonkeyPatch) -> Store:
    door, locked, service = request.getfixturevalue("_azure")
    for name, url, key in (("AZURE", door.url, AZURITE_KEY), ("AZURE_LOCKED", locked.url, SECRET_KEY)):
        extra = {"connection_string": _azure_string(url, key)}
        environ.setenv(f"AIRFLOW_CONN_STORE_{name}", _connection(conn_type="wasb", extra=extra))
    return Azure(door, service)


def _connect_gcs(request: pytest.FixtureRequest, environ: pytest.MonkeyPatch) -> Store:
    door, locked, emulator = request.getfixturevalue("_gcs")
    for name, url in (("GCS", door.url), ("GCS_LOCKED", locked.url)):
        extra = {"is_anonymous": True, "project": "films", "gcs.endpoint": url}
        environ.setenv(f"AIRFLOW_CONN_STORE_{name}", _connection(conn_type="google_cloud_platform", extra=extra))
    return Gcs(door, emulator)


# ── A worker to kill ─────────────────────────────────────────────────────────────────────────────────────────────────


class Worker:
    """A process that does one thing after the other, each in a process that can be killed; see ``killed_worker.py``.

    Args:
        folder: for its log.
    """

    def __init__(self, folder: Path) -> None:
        self.log = folder / "killed_worker.log"
        heard, said = os.pipe()
        script = Path(__file__).with_name("killed_worker.py")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own
                [sys.executable, "-W", "ignore", str(script), str(said)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[said],
                # The very package that is tested, wherever the environment has its own.
                env={**os.environ, "PYTHONPATH": str(Path(upload.__file__).parents[2])},
                text=True,
            )
        os.close(said)
        self._said = os.fdopen(heard)
        self._pid: int | None = None

    def begin(self, **task: Any) -> None:  # noqa: ANN401 - JSON
        """Begin a task, with this process's Airflow connections."""
        if self._pid is None:
            self._hear("ready")
        environ = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_")}
        assert self._process.stdin
        print(json.dumps({**task, "environ": environ}), file=self._process.stdin, flush=True)
        self._pid = int(self._hear("began"))

    def halted(self) -> None:
        """Wait until the task has halted by itself."""
        self._hear("halted")

    def kill(self) -> None:
        """Kill it as the system does when memory runs out."""
        assert self._pid
        os.kill(self._pid, signal.SIGKILL)
        assert self._hear("ended") == str(-signal.SIGKILL)

    def close(self) -> None:
        """End the process that makes the others."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def _hear(self, word: str) -> str:
        said, _, rest = self._said.readline().strip().partition(" ")
        assert said == word, f"The worker said {said} {rest} instead of {word}: {self.log.read_text()[-3000:]}"
        return rest


@pytest.fixture(scope="session")
def _worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    made = Worker(tmp_path_factory.mktemp("worker"))
    yield made
    made.close()


@pytest.fixture
def worker(_worker: Worker) -> Worker:
    """A worker that can be killed."""
    return _worker

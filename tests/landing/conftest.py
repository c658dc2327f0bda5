"""What the landing's tests share: real media files, a simulator with clients, and an S3 of our own."""

from __future__ import annotations

import random
import struct
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import av
import httpx
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import RetryPolicy
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.landing.naming import destination
from airflow_provider_orvideo.manifests import JobManifest
from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_orvideo.landing.naming import Destination

KEY = "sk-or-test-7e57ed"


# ── Media ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _render(
    path: Path,
    container: str,
    *,
    video: str | None = "libx264",
    audio: str | None = None,
    options: dict[str, str] | None = None,
    title: str = "",
) -> bytes:
    """Twelve frames of 64x48 at 12 fps, and a second of sound."""
    # A real file: the muxer reads it again to move the index to the front.
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        if title:
            out.metadata["title"] = title
        # Streams come first: the header is written with the first packet.
        pictures = out.add_stream(video, rate=12) if video else None
        sound = out.add_stream(audio, rate=48_000, layout="mono") if audio else None
        if isinstance(pictures, av.VideoStream):
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            for frame in _noise():
                out.mux(pictures.encode(frame))
            out.mux(pictures.encode(None))
        if isinstance(sound, av.AudioStream):
            for silence in _silence():
                out.mux(sound.encode(silence))
            out.mux(sound.encode(None))
    return path.read_bytes()


def _noise() -> Iterator[av.VideoFrame]:
    noise = random.Random(7)  # noqa: S311 - pictures that do not compress to nothing
    for number in range(12):
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(noise.randbytes(plane.buffer_size))
        frame.pts, frame.time_base = number, Fraction(1, 12)
        yield frame


def _silence() -> Iterator[av.AudioFrame]:
    for start in range(0, 48_000, 1000):
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1000)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        yield frame


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Whole files of every kind, by name."""
    folder = tmp_path_factory.mktemp("films")
    return {
        "index first": _render(folder / "1", "mp4", audio="aac", options={"movflags": "+faststart"}),
        "index last": _render(folder / "2", "mp4"),
        "fragmented": _render(folder / "3", "mp4", options={"movflags": "frag_keyframe+empty_moov"}),
        "quicktime": _render(folder / "4", "mov"),
        "webm": _render(folder / "5", "webm", video="libvpx"),
        "titled": _render(folder / "6", "mp4", title="a title"),
        "sound only": _render(folder / "7", "ipod", video=None, audio="aac"),
        "index last with sound": _render(folder / "8", "mp4", audio="aac"),
        "fragments": _render(
            folder / "9",
            "mp4",
            audio="aac",
            options={"movflags": "empty_moov+default_base_moof", "frag_duration": "250000"},
        ),
        "fragments with index": _render(
            folder / "10",
            "mp4",
            options={"movflags": "empty_moov+default_base_moof+global_sidx", "frag_duration": "250000"},
        ),
        "webm with sound": _render(folder / "11", "webm", video="libvpx", audio="libopus"),
        "webm stream": _render(
            folder / "12", "webm", video="libvpx", options={"live": "1", "cluster_time_limit": "200"}
        ),
        "matroska": _render(folder / "13", "matroska", audio="aac"),
        "webm sound only": _render(folder / "14", "webm", video=None, audio="libopus"),
    }


@pytest.fixture(scope="session")
def box() -> Callable[..., bytes]:
    """Write one box of an MP4; ``claim`` is the size that it claims to have."""

    def write(kind: bytes, body: bytes = b"", *, claim: int | None = None, wide: bool = False) -> bytes:
        if wide:
            return struct.pack(">I4sQ", 1, kind, len(body) + 16 if claim is None else claim) + body
        return struct.pack(">I4s", len(body) + 8 if claim is None else claim, kind) + body

    return write


@pytest.fixture(scope="session")
def index(box: Callable[..., bytes]) -> bytes:
    """The smallest index of a video, for byte 12 of a file: one picture of four bytes, 16 bytes behind it."""

    def write(picture_at: int) -> bytes:
        tables = (
            box(b"stsz", struct.pack(">3I", 0, 4, 1)),
            box(b"stsc", struct.pack(">5I", 0, 1, 1, 1, 1)),
            box(b"stco", struct.pack(">3I", 0, 1, picture_at)),
        )
        handler = box(b"hdlr", b"\0" * 8 + b"vide" + b"\0" * 12)
        return box(b"moov", box(b"trak", box(b"mdia", handler + box(b"minf", box(b"stbl", b"".join(tables))))))

    return write(12 + len(write(0)) + 16)


# ── The simulator, and clients of it ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def _running() -> Iterator[Simulator]:
    settings = SimulatorSettings(
        job_seconds=0, signed_urls=True, max_pixels=64 * 48, fps=8, chunk_bytes=1024, outputs=1, output_seconds=3600
    )
    with Simulator(settings) as running:
        yield running


@pytest.fixture
def sim(_running: Simulator) -> Simulator:
    """A simulator whose jobs are completed at once, with signed URLs; without jobs and faults at first."""
    _running.reset()
    return _running


@pytest.fixture
def client(sim: Simulator) -> Iterator[VideoClient]:
    """A client that tries three times and pauses never; no busy machine makes it try more often than a test means."""
    config = ClientConfig(
        api_key=KEY, base_url=sim.base_url, read_timeout=60.0, read_retry=RetryPolicy(attempts=3, base=0.0)
    )
    with VideoClient(config) as made:
        yield made


class Order(Protocol):
    """Orders a video and returns its manifest as the submit operator would."""

    def __call__(self, *, job: dict[str, Any] | None = None, known_outputs: int = 1) -> JobManifest: ...


@pytest.fixture
def order(sim: Simulator, client: VideoClient) -> Order:
    def place(*, job: dict[str, Any] | None = None, known_outputs: int = 1) -> JobManifest:
        if job:
            sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "job": job})
        request = VideoRequest.build(
            model="x-ai/grok-imagine-video", prompt="a private red boat", duration=1, resolution="480p"
        )
        made = client.generate(request)
        return JobManifest(
            job_id=made.id,
            status="completed",
            model=request.model,
            outputs=known_outputs,
            submitted_at="2026-10-02T23:24:17+00:00",
            conn_id="c",
        )

    return place


class Spoil(Protocol):
    """Spoils content reads of the simulator."""

    def __call__(self, **rule: Any) -> object: ...  # noqa: ANN401 - a fault rule's fields


@pytest.fixture
def spoil(sim: Simulator) -> Spoil:
    return lambda **rule: sim.add_fault({"match": {"operation": "listVideosContent"}, **rule})


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def where() -> Callable[..., Destination]:
    """A destination for a job."""

    def make(text: str, job: JobManifest) -> Destination:
        return destination(text, {"job_id": job.job_id, "model": job.model or "unknown", "run_id": "manual__1"})

    return make


@dataclass
class Api:
    """One completed job whose outputs are these bytes, behind no network at all; notes what it is asked.

    Attributes:
        films: the outputs; an httpx response stands for an answer of that kind.
        reads: indexes of the outputs in the order in which they were asked for.
        threads: those that asked.
        polls: looks at the job.
        before: called with the index before an output is sent.
    """

    films: list[bytes | int]
    reads: list[int] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    polls: int = 0
    before: Callable[[int], object] = lambda _: None

    def answer(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/content"):
            self.polls += 1
            urls = [f"https://storage.invalid/{index}" for index in range(len(self.films))]
            return httpx.Response(200, json={"id": "job-1", "status": "completed", "unsigned_urls": urls})
        index = int(request.url.params["index"])
        self.reads.append(index)
        self.threads.add(threading.get_ident())
        self.before(index)
        film = self.films[index]
        if isinstance(film, int):
            return httpx.Response(film, json={"error": {"code": film, "message": "no"}})
        return httpx.Response(200, content=film, headers={"Content-Type": "video/mp4"})

    def job(self, **request: Any) -> JobManifest:  # noqa: ANN401 - a request's fields
        """Return the manifest of the job, with what was ordered."""
        return JobManifest(
            job_id="job-1", status="completed", model="m", outputs=len(self.films), request=request or None
        )


class Serve(Protocol):
    """Makes an `Api` of these outputs, and a client of it that tries once."""

    def __call__(self, *films: bytes | int) -> tuple[Api, VideoClient]: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def make(*films: bytes | int) -> tuple[Api, VideoClient]:
            api = Api(list(films))
            config = ClientConfig(
                api_key=KEY, base_url="http://127.0.0.1:9/api/v1", read_retry=RetryPolicy(attempts=1, base=0.0)
            )
            return api, stack.enter_context(VideoClient(config, transport=httpx.MockTransport(api.answer)))

        yield make


# ── Stores ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["local", "s3"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder to land in: on this machine, and on S3."""
    if request.param == "local":
        return (tmp_path / "videos").as_uri()
    bucket: str = request.getfixturevalue("bucket")
    return f"{bucket}/videos"


@pytest.fixture
def look() -> Callable[[str], dict[str, bytes]]:
    """Everything that lies below a folder, by its name relative to it."""

    def read(folder: str) -> dict[str, bytes]:
        path = ObjectStoragePath(folder)
        path.fs.invalidate_cache()
        found = path.fs.find(path.path)
        root = path.path.rstrip("/") + "/"
        return {name.split(root, 1)[-1]: path.fs.cat_file(name) for name in found}

    return read

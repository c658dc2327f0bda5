"""The two ends of a landing by themselves: bytes in from the wire, a file out to its place."""

from __future__ import annotations

import errno
import gzip
import hashlib
import random
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import RetryPolicy
from airflow_provider_orvideo.exceptions import DestinationError, DownloadIncompleteError
from airflow_provider_orvideo.landing.publish import Publisher, publish_bytes, read_bytes, sidecar_uri, size_of
from airflow_provider_orvideo.landing.spool import Spooled, download

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Fetch = Callable[..., Spooled]

VIDEO = bytes(range(256)) * 400
#: More than a download holds in memory at once, and no two parts of it alike.
LONG_VIDEO = random.Random(7).randbytes(5_000_000)  # noqa: S311 - no secret


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """Download from a server that answers with these responses in turn, the last one forever."""

    def run(*answers: Callable[[], httpx.Response]) -> Spooled:
        script = list(answers)

        def serve(request: httpx.Request) -> httpx.Response:
            assert request.url.path.endswith("/videos/job-1/content")
            assert request.url.params["index"] == "2"
            return (script.pop(0) if len(script) > 1 else script[0])()

        config = ClientConfig(
            api_key="sk-or-test-1", base_url="http://127.0.0.1:9/api/v1", read_retry=RetryPolicy(attempts=3, base=0.0)
        )
        with VideoClient(config, transport=httpx.MockTransport(serve)) as client:
            return download(client, "job-1", 2, tmp_path / "video")

    return run


def sent(content: bytes, **headers: str) -> Callable[[], httpx.Response]:
    """A response in pieces, whose headers say what they like."""

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: httpx.Response(200, headers={"content-type": "video/mp4", **named}, content=pieces())


def test_what_arrives_is_kept_byte_by_byte_and_counted(fetch: Fetch) -> None:
    spooled = fetch(sent(VIDEO, content_type="Video/WebM; codecs=vp9"))
    assert spooled.path.read_bytes() == VIDEO
    assert (spooled.size, spooled.content_type) == (len(VIDEO), "video/webm")
    assert spooled.sha256 == hashlib.sha256(VIDEO).hexdigest()


def test_a_long_video_is_kept_byte_by_byte(fetch: Fetch) -> None:
    spooled = fetch(sent(LONG_VIDEO))
    assert hashlib.sha256(spooled.path.read_bytes()).hexdigest() == hashlib.sha256(LONG_VIDEO).hexdigest()
    assert (spooled.size, spooled.sha256) == (len(LONG_VIDEO), hashlib.sha256(LONG_VIDEO).hexdigest())


@pytest.mark.parametrize(
    ("video", "room"), [(VIDEO, 50_000), (LONG_VIDEO, 50_000), (LONG_VIDEO, 4_999_999)], ids=["short", "long", "end"]
)
def test_a_disk_that_takes_only_a_part_is_told(fetch: Fetch, video: bytes, room: int) -> None:
    # The system's own limit: the write that meets it is short, and only the next one fails.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(DestinationError, match=r"File too large.*\[orvideo\] spool_dir"):
            fetch(sent(video))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_length_that_is_told_must_be_met(fetch: Fetch) -> None:
    told = str(len(VIDEO))
    assert fetch(sent(VIDEO, content_length=told)).size == len(VIDEO)
    with pytest.raises(DownloadIncompleteError, match=f"1000 of {told} bytes arrived"):
        fetch(sent(VIDEO[:1000], content_length=told))


def test_a_second_try_keeps_nothing_of_the_first(fetch: Fetch) -> None:
    longer = sent(b"x" * (len(VIDEO) + 5000), content_length="1")
    spooled = fetch(longer, sent(VIDEO))
    assert spooled.path.read_bytes() == VIDEO
    assert spooled.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert spooled.size == len(VIDEO)


def test_the_length_of_a_compressed_answer_is_not_the_videos(fetch: Fetch) -> None:
    packed = gzip.compress(VIDEO)
    spooled = fetch(sent(packed, content_encoding="gzip", content_length=str(len(packed))))
    assert spooled.path.read_bytes() == VIDEO


# ── Publishing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_and_its_sidecar_are_read_back(home: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(VIDEO)
    uri = f"{home}/deep/er/film.mp4"
    assert (read_bytes(uri), size_of(uri)) == (None, None)
    Publisher(uri).publish_file(source, uri, "video/mp4")
    publish_bytes(b"{}", sidecar_uri(uri))
    assert (read_bytes(uri), size_of(uri)) == (VIDEO, len(VIDEO))
    assert read_bytes(f"{uri}.json") == b"{}"
    publish_bytes(b"", f"{uri}.json")
    assert size_of(f"{uri}.json") == 0


def test_the_size_is_the_stores_not_one_remembered(bucket: str, s3_endpoint: str) -> None:
    uri = f"{bucket}/film.mp4"
    publish_bytes(b"1", uri)
    path = ObjectStoragePath(uri)
    path.fs.ls(ObjectStoragePath(bucket).path)  # remembers sizes
    somebody = {"key": "testing", "secret": "another", "client_kwargs": {"endpoint_url": s3_endpoint}}
    type(path.fs)(**somebody, skip_instance_cache=True).pipe_file(path.path, b"another's")
    assert path.fs.info(path.path)["size"] == 1, "the file system remembers nothing: this test shows nothing"
    assert size_of(uri) == 9


def test_a_store_that_cannot_tell_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DestinationError):
        read_bytes((tmp_path / "folder").as_uri())


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "kill"])
def test_a_copy_that_breaks_off_leaves_the_older_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
) -> None:
    source, target = tmp_path / "source", tmp_path / "videos" / "film.mp4"
    source.write_bytes(VIDEO)
    target.parent.mkdir()
    target.write_bytes(b"older")

    def half(_: Path, part: Path) -> None:
        part.write_bytes(VIDEO[:100])
        raise trouble

    def elsewhere(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("shutil.copyfile", half)
    monkeypatch.setattr(Path, "replace", elsewhere)
    with pytest.raises((DestinationError, KeyboardInterrupt)):
        Publisher(target.as_uri()).publish_file(source, target.as_uri(), "video/mp4")
    assert {path.name: path.read_bytes() for path in target.parent.iterdir()} == {"film.mp4": b"older"}

"""What the preview opens in a real object store, an S3 of our own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.manifests import LandedFile, LandedManifest
from airflow_provider_orvideo.plugins.allowed import NotAllowedError, Prefixes
from airflow_provider_orvideo.plugins.source import ChangedError, open_video, read_poster, signed_url

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(256)) * 100
JPEG = b"\xff\xd8\xff\xe0 and so on"


def landed(folder: str, *, dag_id: str | None = "films", poster: bytes = JPEG) -> LandedFile:
    """Put a video, its still image and its manifest into a folder, as a landing does."""
    file = LandedFile(
        uri=f"{folder}/film.mp4",
        index=0,
        bytes=len(DATA),
        sha256="0" * 64,
        content_type="video/mp4",
        poster_uri=f"{folder}/film.jpg",
    )
    manifest = LandedManifest(job_id="gen-vid-1", status="completed", outputs=1, dag_id=dag_id, files=(file,))
    ObjectStoragePath(file.uri).write_bytes(DATA)
    ObjectStoragePath(f"{folder}/film.jpg").write_bytes(poster)
    ObjectStoragePath(f"{file.uri}.json").write_bytes(manifest.model_dump_json().encode())
    return file


@pytest.fixture(params=["s3", "file"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder in an object store, and one of this machine."""
    if request.param == "file":
        return f"file://{tmp_path}"
    bucket: str = request.getfixturevalue("bucket")
    return f"{bucket}/videos"


def test_a_landed_video_is_read_in_parts(folder: str) -> None:
    file = landed(folder)
    source = open_video(Prefixes.parse(folder).find(file.uri), file, "films")
    assert source.size == len(DATA)
    assert source.read(0, 10) == DATA[:10]
    assert source.read(100, 1000) == DATA[100:1100]
    assert source.read(len(DATA) - 5, 100) == DATA[-5:]
    source.close()


def test_its_still_image_is_read(folder: str) -> None:
    file = landed(folder)
    prefixes = Prefixes.parse(folder)
    assert read_poster(prefixes.find(file.uri), prefixes.find(f"{folder}/film.jpg"), file, "films") == JPEG


def test_a_still_image_that_is_none_is_refused(folder: str) -> None:
    file = landed(folder, poster=b"<svg>")
    prefixes = Prefixes.parse(folder)
    with pytest.raises(ChangedError):
        read_poster(prefixes.find(file.uri), prefixes.find(f"{folder}/film.jpg"), file, "films")


def test_a_manifest_of_an_earlier_version_that_names_no_dag_counts(folder: str) -> None:
    file = landed(folder, dag_id=None)
    open_video(Prefixes.parse(folder).find(file.uri), file, "films").close()


def test_a_video_of_another_dag_is_refused(folder: str) -> None:
    file = landed(folder, dag_id="others")
    with pytest.raises(NotAllowedError, match="another DAG"):
        open_video(Prefixes.parse(folder).find(file.uri), file, "films")


def test_a_video_without_its_manifest_is_refused(folder: str) -> None:
    file = landed(folder)
    ObjectStoragePath(f"{file.uri}.json").unlink()
    with pytest.raises(NotAllowedError, match="no manifest beside it"):
        open_video(Prefixes.parse(folder).find(file.uri), file, "films")


@pytest.mark.parametrize("text", ["", "{}", "[]", "x" * (1024 * 1024 + 1)])
def test_a_video_beside_something_else_is_refused(folder: str, text: str) -> None:
    file = landed(folder)
    ObjectStoragePath(f"{file.uri}.json").write_bytes(text.encode())
    with pytest.raises(NotAllowedError, match="no manifest of a landed video"):
        open_video(Prefixes.parse(folder).find(file.uri), file, "films")


def test_a_video_of_another_size_is_refused(folder: str) -> None:
    file = landed(folder)
    ObjectStoragePath(file.uri).write_bytes(DATA + b"x")
    with pytest.raises(ChangedError, match="25601 bytes"):
        open_video(Prefixes.parse(folder).find(file.uri), file, "films")


def test_a_video_that_is_gone_is_not_found(folder: str) -> None:
    file = landed(folder)
    ObjectStoragePath(file.uri).unlink()
    with pytest.raises(FileNotFoundError):
        open_video(Prefixes.parse(folder).find(file.uri), file, "films")


def test_a_store_signs_a_url_that_needs_https(monkeypatch: pytest.MonkeyPatch) -> None:
    # Signing is arithmetic: nobody has to answer at this address.
    for name, endpoint in (("aws_tls", "https://s3.example"), ("aws_plain", "http://s3.example")):
        extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        value = {"conn_type": "aws", "login": "testing", "password": "testing-secret-key", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(value))

    def sign(conn_id: str) -> str | None:
        return signed_url(Prefixes.parse(f"s3://{conn_id}@bucket/").find(f"s3://{conn_id}@bucket/film.mp4"))

    url = sign("aws_tls")
    assert url is not None
    assert url.startswith("https://s3.example/bucket/film.mp4?")
    assert "testing-secret-key" not in url
    assert sign("aws_plain") is None


def test_a_local_file_has_no_signed_url(tmp_path: Path) -> None:
    folder = f"file://{tmp_path}"
    assert signed_url(Prefixes.parse(folder).find(f"{folder}/film.mp4")) is None


@pytest.mark.parametrize("link", ["film.mp4", "folder"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, link: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    if link == "folder":
        (inside / "folder").symlink_to(outside)
        file = landed(f"file://{inside}/folder")
    else:
        file = landed(f"file://{inside}")
        (inside / link).rename(outside / link)
        (inside / link).symlink_to(outside / link)
    with pytest.raises(NotAllowedError, match="by a link"):
        open_video(Prefixes.parse(f"file://{inside}").find(file.uri), file, "films")


def test_an_allowed_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    real, name = tmp_path / "real", tmp_path / "name"
    real.mkdir()
    name.symlink_to(real)
    file = landed(f"file://{name}")
    open_video(Prefixes.parse(f"file://{name}").find(file.uri), file, "films").close()


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    file = landed(f"file://{tmp_path}")
    path = tmp_path / "film.mp4"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(NotAllowedError, match="no regular file"):
        open_video(Prefixes.parse(f"file://{tmp_path}").find(file.uri), file, "films")

"""Posters: beside the video, after it and before the manifest, and never without it."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.exceptions import DestinationError, LandingError
from airflow_provider_orvideo.landing import publish
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.landing.publish import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.manifests import JobManifest
    from tests.landing.conftest import Serve

    Where = Callable[[str, JobManifest], Destination]
    Look = Callable[[str], dict[str, bytes]]

POSTER = LandingOptions(poster=True)


def test_a_poster_lies_beside_its_video_and_is_named_in_the_manifest(
    serve: Serve, where: Where, home: str, look: Look, films: dict[str, bytes]
) -> None:
    api, client = serve(films["index first"])
    (file,) = land(client, api.job(), where(f"{home}/film.mp4", api.job()), POSTER).files
    there = look(home)
    assert set(there) == {"film.mp4", "film.jpg", "film.mp4.json"}
    assert file.poster_uri == f"{home}/film.jpg"
    assert json.loads(there["film.mp4.json"])["files"][0]["poster_uri"] == file.poster_uri
    assert there["film.jpg"].startswith(b"\xff\xd8\xff")
    with av.open(io.BytesIO(there["film.jpg"]), "r", format="jpeg_pipe") as picture:
        (still,) = picture.decode(video=0)
    assert (still.width, still.height) == (64, 48)
    assert there["film.mp4"] == films["index first"]
    # It is known, poster and all, when nothing is downloaded any more.
    assert land(client, api.job(), where(f"{home}/film.mp4", api.job()), POSTER).files == (file,)
    assert api.reads == [0]


def test_a_store_is_told_that_a_poster_is_a_jpeg(
    serve: Serve, where: Where, bucket: str, films: dict[str, bytes]
) -> None:
    api, client = serve(films["index first"])
    (file,) = land(client, api.job(), where(f"{bucket}/film.mp4", api.job()), POSTER).files
    types = {}
    for uri in (file.uri, file.poster_uri, f"{file.uri}.json"):
        path = ObjectStoragePath(uri or "")
        types[path.name] = path.fs.info(path.path)["ContentType"]
    assert types == {"film.mp4": "video/mp4", "film.jpg": "image/jpeg", "film.mp4.json": "application/json"}


def test_no_poster_is_made_where_none_is_wanted(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], look: Look
) -> None:
    api, client = serve(films["index first"])
    (file,) = land(client, api.job(), where(f"{tmp_path}/film.mp4", api.job())).files
    assert file.poster_uri is None
    assert set(look(tmp_path.as_uri())) == {"film.mp4", "film.mp4.json"}


def test_a_poster_that_cannot_be_made_keeps_no_video_from_landing(
    serve: Serve,
    where: Where,
    tmp_path: Path,
    films: dict[str, bytes],
    look: Look,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    api, client = serve(films["index first"])
    with caplog.at_level(logging.WARNING):
        (file,) = land(client, api.job(), where(f"{tmp_path}/film.mp4", api.job()), POSTER).files
    assert file.poster_uri is None
    assert "No poster could be made for" in caplog.text
    assert set(look(tmp_path.as_uri())) == {"film.mp4", "film.mp4.json"}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", {"job-1-0.mp4": "job-1-0.jpg", "job-1-1.mp4": "job-1-1.jpg"}),
        ("film.mp4", {"film.mp4": "film.jpg", "film-1.mp4": "film-1.jpg"}),
        ("film", {"film": "film.jpg", "film-1": "film-1.jpg"}),
        ("{index}", {"0": "0.jpg", "1": "1.jpg"}),
        ("{index}/film.{ext}", {"0/film.mp4": "0/film.jpg", "1/film.mp4": "1/film.jpg"}),
        ("v1.{index}", {"v1.0": "v1.0.jpg", "v1.1": "v1.1.jpg"}),
        ("v1.2/film", {"v1.2/film": "v1.2/film.jpg", "v1.2/film-1": "v1.2/film-1.jpg"}),
        ("film.jpg", {"film.jpg": "film.jpg.jpg", "film-1.jpg": "film-1.jpg.jpg"}),
        ("film.m4v", {"film.m4v": "film.m4v.jpg", "film-1.m4v": "film-1.m4v.jpg"}),
        (".mp4", {".mp4": ".mp4.jpg", "-1.mp4": "-1.jpg"}),
    ],
)
def test_each_output_has_a_poster_of_its_own_and_none_takes_a_videos_place(
    serve: Serve,
    where: Where,
    tmp_path: Path,
    films: dict[str, bytes],
    look: Look,
    pattern: str,
    names: dict[str, str],
) -> None:
    both = (films["index first"], films["fragmented"])
    api, client = serve(*both)
    landed = land(client, api.job(), where(f"{tmp_path}/{pattern}", api.job()), POSTER)
    there = look(tmp_path.as_uri())
    assert set(there) == {*names, *names.values(), *(f"{name}.json" for name in names)}
    assert [there[name] for name in names] == list(both)
    assert {file.uri: file.poster_uri for file in landed.files} == {
        f"file://{tmp_path}/{video}": f"file://{tmp_path}/{poster}" for video, poster in names.items()
    }
    assert all(there[name].startswith(b"\xff\xd8\xff") for name in names.values())


def test_the_video_comes_first_then_the_poster_and_the_manifest_last(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[str] = []
    real = Path.replace

    def noted(self: Path, target: Path) -> Path:
        came.append(target.name)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    api, client = serve(films["index first"])
    land(client, api.job(), where(f"{tmp_path}/film.mp4", api.job()), POSTER)
    assert came == ["film.mp4", "film.jpg", "film.mp4.json"]


def test_a_poster_that_cannot_be_stored_leaves_a_whole_video_that_is_not_vouched_for(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]
) -> None:
    api, client = serve(films["index first"])
    (tmp_path / "film.jpg").mkdir()
    with pytest.raises(DestinationError, match=r"film\.jpg cannot be used"):
        land(client, api.job(), where(f"{tmp_path}/film.mp4", api.job()), POSTER)
    assert (tmp_path / "film.mp4").read_bytes() == films["index first"]
    assert not (tmp_path / "film.mp4.json").exists()
    (tmp_path / "film.jpg").rmdir()
    (file,) = land(client, api.job(), where(f"{tmp_path}/film.mp4", api.job()), POSTER).files
    assert file.poster_uri == f"file://{tmp_path}/film.jpg"


@pytest.mark.parametrize("trouble", ["no video", "gone", "store"])
def test_no_poster_is_left_without_its_video(
    serve: Serve,
    where: Where,
    home: str,
    look: Look,
    films: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    answers: dict[str, bytes | int] = {"no video": b"<html>", "gone": 410, "store": films["index first"]}
    api, client = serve(answers[trouble])

    def refuse(*_: object) -> None:
        raise DestinationError("full")

    if trouble == "store":
        monkeypatch.setattr(Publisher, "publish_file", refuse)
    with pytest.raises(LandingError):
        land(client, api.job(), where(f"{home}/film.mp4", api.job()), POSTER)
    assert look(home) == {}


def test_a_new_video_brings_its_new_poster(serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]) -> None:
    publish.publish_bytes(b"older", (tmp_path / "film.jpg").as_uri(), "image/jpeg")
    api, client = serve(films["index first"])
    land(client, api.job(), where(f"{tmp_path}/film.mp4", api.job()), POSTER)
    assert (tmp_path / "film.jpg").read_bytes().startswith(b"\xff\xd8\xff")

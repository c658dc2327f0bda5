"""Landings of files that are not what was ordered, of every kind of file, and what their manifests say."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.exceptions import MediaUnexpectedError
from airflow_provider_orvideo.landing.land import LandingOptions, land

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.manifests import JobManifest
    from tests.landing.conftest import Serve

    Where = Callable[[str, JobManifest], Destination]
    Look = Callable[[str], dict[str, bytes]]

#: Of a film of one second, 64x48, with sound.
DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "duration": ({"duration": 8}, "The duration is 1 s, 8 s were ordered."),
    "size": ({"size": "1280x720"}, "The size is 64x48, 1280x720 was ordered."),
    "resolution": ({"resolution": "720p"}, "The size is 64x48, the resolution 720p was ordered."),
    "aspect ratio": ({"aspect_ratio": "16:9"}, "The aspect ratio is 1.33:1 (64x48), 16:9 was ordered."),
    "sound": ({"generate_audio": False}, "There is an audio track (aac), a film without sound was ordered."),
}
ALL_DIFFERENT: dict[str, Any] = {"duration": 8, "size": "1280x720", "generate_audio": False}


@pytest.fixture
def _no_av(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment without the ``media`` extra: an import of PyAV fails."""
    monkeypatch.setitem(sys.modules, "av", None)


# ── Was it what was ordered? ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", DIFFERENT)
def test_a_difference_is_told_to_log_manifest_and_sidecar_and_the_video_lands(
    serve: Serve,
    where: Where,
    tmp_path: Path,
    films: dict[str, bytes],
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    request, sentence = DIFFERENT[what]
    api, client = serve(films["index first"])
    job = api.job(**request)
    with caplog.at_level(logging.WARNING):
        (file,) = land(client, job, where(f"{tmp_path}/film.mp4", job)).files
    assert file.unexpected == (sentence,)
    assert f"Output 0 of job job-1 is not what was ordered: {sentence}" in caplog.text
    sidecar = json.loads((tmp_path / "film.mp4.json").read_text())
    assert sidecar["files"][0]["unexpected"] == [sentence]
    assert sidecar["request"] == request
    assert (tmp_path / "film.mp4").read_bytes() == films["index first"]
    # What was found once is still known when nothing is downloaded any more.
    assert land(client, job, where(f"{tmp_path}/film.mp4", job)).files == (file,)
    assert api.reads == [0]


@pytest.mark.parametrize("older", [True, False], ids=["an older file there", "nothing there"])
def test_where_a_difference_is_a_failure_the_destination_is_untouched(
    serve: Serve, where: Where, home: str, look: Look, spool_dir: Path, films: dict[str, bytes], *, older: bool
) -> None:
    api, client = serve(films["index first"])
    if older:
        previous = serve(films["index last"])
        land(
            previous[1], previous[0].job().model_copy(update={"job_id": "job-0"}), where(f"{home}/film.mp4", api.job())
        )
    before = look(home)
    job = api.job(**ALL_DIFFERENT)
    options = LandingOptions(expect="fail", poster=True, spool_dir=str(spool_dir))
    with pytest.raises(MediaUnexpectedError) as caught:
        land(client, job, where(f"{home}/film.mp4", job), options)
    for part in ("Output 0", "job-1", "8 s were ordered", "1280x720 was ordered", "without sound", "set it to 'warn'"):
        assert part in str(caught.value)
    assert "paid for" in str(caught.value)
    assert look(home) == before
    assert len(before) == (2 if older else 0)
    assert list(spool_dir.iterdir()) == []
    # As the message says.
    (file,) = land(client, job, where(f"{home}/film.mp4", job), LandingOptions(expect="warn")).files
    assert len(file.unexpected) == 3
    assert look(home)["film.mp4"] == films["index first"]


@pytest.mark.parametrize("expect", ["warn", "fail", "off"])
def test_what_was_ordered_lands_without_a_word(
    serve: Serve,
    where: Where,
    tmp_path: Path,
    films: dict[str, bytes],
    caplog: pytest.LogCaptureFixture,
    expect: Any,  # noqa: ANN401 - one of the choices
) -> None:
    api, client = serve(films["index first"])
    job = api.job(duration=1, size="64x48", generate_audio=True, model="m", prompt="a boat")
    with caplog.at_level(logging.WARNING):
        (file,) = land(client, job, where(f"{tmp_path}/", job), LandingOptions(expect=expect)).files
    assert file.unexpected == ()
    assert caplog.text == ""


@pytest.mark.parametrize("expect", ["warn", "fail"])
@pytest.mark.parametrize("request_", [None, {}, {"duration": "eight", "size": 5, "generate_audio": "no"}])
def test_an_order_that_says_nothing_is_not_judged(
    serve: Serve,
    where: Where,
    tmp_path: Path,
    films: dict[str, bytes],
    expect: Any,  # noqa: ANN401 - one of the choices
    request_: dict[str, Any] | None,
) -> None:
    api, client = serve(films["index first"])
    job = api.job().model_copy(update={"request": request_})
    (file,) = land(client, job, where(f"{tmp_path}/", job), LandingOptions(expect=expect)).files
    assert file.unexpected == ()


def test_nobody_looks_where_nobody_is_to_look(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    api, client = serve(films["index first"])
    job = api.job(**ALL_DIFFERENT)
    with caplog.at_level(logging.WARNING):
        (file,) = land(client, job, where(f"{tmp_path}/", job), LandingOptions(expect="off")).files
    assert (file.unexpected, file.duration_s, caplog.text) == ((), 1.0, "")


@pytest.mark.usefixtures("_no_av")
def test_without_the_media_extra_nothing_is_judged(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]
) -> None:
    api, client = serve(films["index first"])
    job = api.job(**ALL_DIFFERENT)
    (file,) = land(client, job, where(f"{tmp_path}/", job), LandingOptions(expect="fail", poster=True)).files
    assert (file.unexpected, file.duration_s, file.video_codec, file.poster_uri) == ((), None, None, None)
    # The container itself tells, without a decoder.
    assert (file.content_type, file.has_c2pa) == ("video/mp4", False)


def test_the_outputs_that_are_what_was_ordered_land_beside_one_that_is_not(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], look: Look
) -> None:
    api, client = serve(films["index first"], films["index last"], films["index last with sound"])
    job = api.job(generate_audio=True)
    with pytest.raises(MediaUnexpectedError, match=r"Output 1 .* There is no audio track, sound was ordered\."):
        land(client, job, where(f"{tmp_path}/", job), LandingOptions(expect="fail"))
    assert sorted(api.reads) == [0, 1, 2]
    videos = {"job-1-0.mp4", "job-1-2.mp4"}
    assert set(look(tmp_path.as_uri())) == videos | {f"{name}.json" for name in videos}


def test_a_file_that_landed_before_stays_landed_whatever_is_expected_now(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]
) -> None:
    api, client = serve(films["index first"])
    job = api.job(**ALL_DIFFERENT)
    first = land(client, job, where(f"{tmp_path}/", job))
    assert land(client, job, where(f"{tmp_path}/", job), LandingOptions(expect="fail")).files == first.files
    assert api.reads == [0]


# ── What it is ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "extension", "content_type", "codecs"),
    [
        ("index first", "mp4", "video/mp4", ("h264", "aac")),
        ("index last", "mp4", "video/mp4", ("h264", None)),
        ("fragments", "mp4", "video/mp4", ("h264", "aac")),
        ("quicktime", "mov", "video/quicktime", ("h264", None)),
        ("webm", "webm", "video/webm", ("vp8", None)),
        ("webm with sound", "webm", "video/webm", ("vp8", "opus")),
        ("matroska", "mkv", "video/matroska", ("h264", "aac")),
    ],
)
def test_every_kind_of_file_lands_byte_by_byte_under_its_own_extension(
    serve: Serve,
    where: Where,
    tmp_path: Path,
    films: dict[str, bytes],
    name: str,
    extension: str,
    content_type: str,
    codecs: tuple[str, str | None],
) -> None:
    api, client = serve(films[name])  # which calls everything video/mp4
    job = api.job()
    (file,) = land(client, job, where(f"{tmp_path}/", job)).files
    assert file.uri == f"file://{tmp_path}/job-1-0.{extension}"
    data = (tmp_path / f"job-1-0.{extension}").read_bytes()
    assert data == films[name]
    assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert file.content_type == content_type
    assert (file.video_codec, file.audio_codec, file.has_audio) == (*codecs, codecs[1] is not None)
    assert (file.width, file.height, file.fps) == (64, 48, 12.0)
    assert file.has_c2pa is False
    again = land(client, job, where(f"{tmp_path}/", job))
    assert again.files == (file,)
    assert api.reads == [0]


def test_outputs_of_different_kinds_lie_beside_each_other(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], look: Look
) -> None:
    api, client = serve(films["webm"], films["matroska"], films["quicktime"])
    job = api.job()
    landed = land(client, job, where(f"{tmp_path}/{{job_id}}.{{ext}}", job))
    assert [file.uri.rpartition("/")[2] for file in landed.files] == ["job-1.webm", "job-1-1.mkv", "job-1-2.mov"]
    assert len(look(tmp_path.as_uri())) == 6
    assert land(client, job, where(f"{tmp_path}/{{job_id}}.{{ext}}", job)).files == landed.files


#: The user type of a box that carries a C2PA manifest store, by the C2PA specification ("Embedding manifests into
#: BMFF-based assets").
C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


@pytest.mark.parametrize("name", ["index last", "fragmented", "quicktime"])
def test_content_credentials_are_reported_and_stay(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], box: Callable[..., bytes], name: str
) -> None:
    film = films[name] + box(b"uuid", C2PA + b"\0\0\0\0manifest\0" + bytes(8) + b"a store")
    api, client = serve(film)
    job = api.job()
    (file,) = land(client, job, where(f"{tmp_path}/film", job)).files
    assert file.has_c2pa is True
    assert json.loads((tmp_path / "film.json").read_text())["files"][0]["has_c2pa"] is True
    assert (tmp_path / "film").read_bytes() == film


def test_another_box_of_ones_own_is_no_content_credential(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], box: Callable[..., bytes]
) -> None:
    api, client = serve(films["index last"] + box(b"uuid", bytes(16) + b"\0\0\0\0manifest\0"))
    (file,) = land(client, api.job(), where(f"{tmp_path}/", api.job())).files
    assert file.has_c2pa is False

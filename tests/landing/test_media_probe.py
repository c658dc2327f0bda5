"""What a decoder sees of a file, and the still that it gives."""

from __future__ import annotations

import io
import logging
import struct
import sys
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import pytest

from airflow_provider_orvideo.landing import probe as probing
from airflow_provider_orvideo.landing.media import poster, probe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Films = dict[str, bytes]
    Shoot = Callable[..., Path]

#: Brightness of black and white in video.
BLACK, WHITE = 16, 235
#: Of a display matrix (a, b, u, c, d, v, x, y, w), by the degrees that it turns clockwise.
MATRICES = {90: (0, 1, 0, -1, 0, 0), 180: (-1, 0, 0, 0, -1, 0), 270: (0, -1, 0, 1, 0, 0)}


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    """Make a film whose left and right halves have these brightnesses, frame by frame, at 10 frames a second."""

    def make(
        frames: Sequence[tuple[int, int]], *, width: int = 96, height: int = 64, codec: str = "libx264", turn: int = 0
    ) -> Path:
        path = tmp_path / f"{codec}-{turn}.mp4"
        with av.open(str(path), "w") as out:
            stream = out.add_stream(codec, rate=10)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number, (left, right) in enumerate(frames):
                frame = av.VideoFrame(width, height, "yuv420p")
                luma, *colours = frame.planes
                row = bytes([left] * (width // 2) + [right] * (luma.line_size - width // 2))
                luma.update(row * height)
                for plane in colours:
                    plane.update(b"\x80" * plane.buffer_size)
                frame.pts, frame.time_base = number, Fraction(1, 10)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        if turn:
            content = bytearray(path.read_bytes())
            at = content.index(b"tkhd") + 4 + 40
            struct.pack_into(">8i", content, at, *(value << 16 for value in MATRICES[turn]), 0, 0)
            path.write_bytes(content)
        return path

    return make


def looked_at(jpeg: bytes) -> tuple[int, int, list[list[int]]]:
    """Width and height of a JPEG, and the brightness of its four quarters, row by row."""
    assert jpeg.startswith(b"\xff\xd8\xff")
    assert jpeg.endswith(b"\xff\xd9")
    with av.open(io.BytesIO(jpeg), "r") as file:
        picture = next(file.decode(video=0))
    assert isinstance(picture, av.VideoFrame)
    width, height = picture.width, picture.height
    plane = picture.reformat(format="gray").planes[0]
    data, stride = bytes(plane), plane.line_size
    quarters = [[data[height * y // 4 * stride + width * x // 4] for x in (1, 3)] for y in (1, 3)]
    return width, height, quarters


# ── The probe ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("index first", ("h264", "aac")),
        ("index last", ("h264", None)),
        ("fragments", ("h264", "aac")),
        ("webm with sound", ("vp8", "opus")),
        ("matroska", ("h264", "aac")),
    ],
)
def test_the_probe_names_the_codecs(tmp_path: Path, films: Films, name: str, codecs: tuple[str, str | None]) -> None:
    path = tmp_path / "video"
    path.write_bytes(films[name])
    seen = probe(path)
    assert seen is not None
    assert (seen.video_codec, seen.audio_codec) == codecs
    assert seen.has_audio is (codecs[1] is not None)


@pytest.mark.parametrize(("turn", "size"), [(0, (96, 64)), (90, (64, 96)), (180, (96, 64)), (270, (64, 96))])
def test_the_size_is_that_of_the_picture_as_shown(shoot: Shoot, turn: int, size: tuple[int, int]) -> None:
    seen = probe(shoot([(BLACK, WHITE)] * 3, turn=turn))
    assert seen is not None
    assert (seen.width, seen.height) == size


def test_a_film_whose_pictures_no_decoder_reads_still_has_a_size(tmp_path: Path, films: Films) -> None:
    film = films["index last"]
    at, end = film.index(b"mdat") + 4, film.index(b"moov") - 4
    path = tmp_path / "video"
    path.write_bytes(film[:at] + bytes(end - at) + film[end:])
    seen = probe(path)
    assert seen is not None
    assert (seen.width, seen.height, seen.duration_s) == (64, 48, 1.0)
    assert poster(path) is None


def test_a_playlist_is_not_followed(tmp_path: Path, films: Films) -> None:
    """FFmpeg, left to guess, would open what it names."""
    (tmp_path / "other.mp4").write_bytes(films["index first"])
    path = tmp_path / "video.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n")
    assert probe(path) is None
    assert poster(path) is None


@pytest.mark.parametrize("content", [b"", b"\0", b"<html>", b"\x1a\x45\xdf\xa3", b"\0\0\0\x14ftypisom" + b"\xff" * 999])
def test_what_cannot_be_read_is_unknown_not_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "video"
    path.write_bytes(content)
    assert probe(path) is None
    assert poster(path) is None
    assert "could not be probed" in caplog.text


def test_a_file_that_is_not_there_is_unknown_not_an_error(tmp_path: Path) -> None:
    assert probe(tmp_path / "none") is None
    assert poster(tmp_path / "none") is None


def test_without_the_extra_a_hint_is_logged_once(
    tmp_path: Path, films: Films, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "video"
    path.write_bytes(films["index last"])
    monkeypatch.setitem(sys.modules, "av", None)
    probing._say_what_is_missing.cache_clear()  # once in a process: another test may have been first
    with caplog.at_level(logging.INFO, logger=probing.__name__):
        assert [probe(path), probe(path), poster(path)] == [None, None, None]
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "airflow-provider-orvideo[media]" in record.message


# ── The poster ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_poster_is_the_first_picture_that_is_not_black(shoot: Shoot) -> None:
    path = shoot([(BLACK, BLACK)] * 4 + [(WHITE, BLACK)] + [(WHITE, WHITE)] * 5)
    jpeg = poster(path)
    assert jpeg is not None
    width, height, ((left, right), _) = looked_at(jpeg)
    assert (width, height) == (96, 64)
    assert left > 200
    assert right < 40


def test_the_poster_of_a_film_that_begins_bright_is_its_first_picture(shoot: Shoot) -> None:
    jpeg = poster(shoot([(BLACK, WHITE)] + [(WHITE, WHITE)] * 5))
    assert jpeg is not None
    _, _, ((left, right), _) = looked_at(jpeg)
    assert (left < 40, right > 200) == (True, True)


def test_the_poster_of_a_black_film_is_black(shoot: Shoot) -> None:
    jpeg = poster(shoot([(BLACK, BLACK)] * 8))
    assert jpeg is not None
    assert max(max(row) for row in looked_at(jpeg)[2]) < 20


def test_only_the_beginning_is_searched_for_a_poster(shoot: Shoot, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shoot([(BLACK, BLACK)] * 5 + [(WHITE, WHITE)] * 3)
    monkeypatch.setattr(probing, "_MAX_PICTURES", 5)
    jpeg = poster(path)
    assert jpeg is not None
    assert max(max(row) for row in looked_at(jpeg)[2]) < 20


@pytest.mark.parametrize(
    ("max_width", "size"), [(1000, (96, 64)), (96, (96, 64)), (48, (48, 32)), (33, (32, 22)), (16, (16, 10))]
)
def test_the_poster_is_no_wider_than_asked_for(shoot: Shoot, max_width: int, size: tuple[int, int]) -> None:
    jpeg = poster(shoot([(WHITE, BLACK)] * 2), max_width=max_width)
    assert jpeg is not None
    width, height, _ = looked_at(jpeg)
    assert (width, height) == size


def test_a_poster_narrower_than_it_can_be_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'max_width' is 15; at least 16"):
        poster(tmp_path / "video", max_width=15)


@pytest.mark.parametrize(
    ("turn", "bright"),
    [
        pytest.param(90, [[True, True], [False, False]], id="left goes up"),
        pytest.param(180, [[False, True], [False, True]], id="left goes right"),
        pytest.param(270, [[False, False], [True, True]], id="left goes down"),
    ],
)
def test_the_poster_stands_upright(shoot: Shoot, turn: int, bright: list[list[bool]]) -> None:
    jpeg = poster(shoot([(WHITE, BLACK)] * 3, turn=turn))
    assert jpeg is not None
    width, height, quarters = looked_at(jpeg)
    assert (width, height) == ((96, 64) if turn == 180 else (64, 96))
    assert [[value > 128 for value in row] for row in quarters] == bright


def test_pictures_that_are_too_large_are_not_decoded(shoot: Shoot, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shoot([(WHITE, WHITE)] * 3)
    monkeypatch.setattr(probing, "_MAX_PIXELS", 96 * 64 - 1)
    assert poster(path) is None
    seen = probe(path)
    assert seen is not None
    assert (seen.width, seen.height) == (96, 64)


@pytest.mark.parametrize("name", ["index first", "fragments", "quicktime", "webm", "webm stream", "matroska"])
def test_every_container_gives_a_poster(tmp_path: Path, films: Films, name: str) -> None:
    path = tmp_path / "video"
    path.write_bytes(films[name])
    jpeg = poster(path)
    assert jpeg is not None
    assert looked_at(jpeg)[:2] == (64, 48)
    assert poster(path) == jpeg

"""What a file is, by its first bytes: real files of every format, and things that only look like media."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.inputs import kinds
from airflow_provider_orvideo.inputs.kinds import HEAD, Kind, describe, recognise

if TYPE_CHECKING:
    from tests.inputs.conftest import Media

REAL = {
    "png": Kind("image", "image/png"),
    "jpg": Kind("image", "image/jpeg"),
    "webp": Kind("image", "image/webp"),
    "gif": Kind("image", "image/gif"),
    "avif": Kind("image", "image/avif"),
    "mp4": Kind("video", "video/mp4"),
    "mov": Kind("video", "video/quicktime"),
    "webm": Kind("video", "video/webm"),
    "mkv": Kind("video", "video/matroska"),
    "mp3": Kind("audio", "audio/mpeg"),
    "mp3 without tags": Kind("audio", "audio/mpeg"),
    "wav": Kind("audio", "audio/wav"),
    "ogg": Kind("audio", "audio/ogg"),
    "flac": Kind("audio", "audio/flac"),
    "m4a": Kind("audio", "audio/mp4"),
    "aac": Kind("audio", "audio/aac"),
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_is_recognised_by_its_head(name: str, media: Media) -> None:
    if name not in media:
        pytest.skip(f"this Pillow writes no {name.upper()}; 11.3 and later do")
    assert recognise(media[name][:HEAD]) == REAL[name]


def test_each_real_file_was_looked_at(media: Media) -> None:
    assert set(REAL) - {"avif"} <= set(media) <= set(REAL)


def box(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (box(b"heic", b"mif1", b"heic"), kinds.HEIC),
        (box(b"mif1", b"mif1", b"heic"), kinds.HEIC),
        (box(b"mif1", b"avif", b"miaf"), kinds.AVIF),
        (box(b"mif1", b"miaf"), kinds.HEIF),
        # Compatible brands of a film say nothing about what it is.
        (box(b"isom", b"M4A ", b"mp42"), kinds.MP4),
        (box(b"mp42"), kinds.MP4),
        (box(b"mif1") + b"heic", kinds.HEIF),
        (b"\0\0\0\x08wide\0\0\0\0mdat", kinds.QUICKTIME),
        (b"RF64\xff\xff\xff\xffWAVE", kinds.WAV),
        (b"OggS\0\x02" + bytes(22) + b"\x80theora", kinds.OGG_VIDEO),
        (b"\xff\xf3\x84\xc4", kinds.MP3),
        (b"\xff\xf9\x50\x80", kinds.AAC),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x01\0\0\0\0\0\0\x04webm", kinds.WEBM),
    ],
)
def test_what_no_encoder_here_makes_is_recognised_too(head: bytes, kind: Kind) -> None:
    assert recognise(head) == kind


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\n <!DOCTYPE html><html><body>Sign in</body>", "an HTML page"),
        (b"\xef\xbb\xbf<HTML>", "an HTML page"),
        (b"<?xml version='1.0'?><Error/>", "XML"),
        (b"<svg xmlns=''/>", "an SVG drawing"),
        (b"%PDF-1.7", "a PDF"),
        (b'{"error": 1}', "JSON or other text"),
        (b"data:image/png;base64,iVBORw0KGgo", "text that is a URL"),
        (b"iVBORw0KGgoAAAANSUhEUg", "text"),
        (b"RIFF\0\0\0\0AVI LIST", "bytes that begin with 52 49 46 46 00 00 00 00"),
        # UTF-16 begins with bits like those of a frame of sound.
        (b"\xff\xfeh\0i\0", "bytes that begin with ff fe 68 00 69 00"),
        (b"\xff\xfb", "bytes that begin with ff fb"),
        (b"\xff\xeb\x90\x44", "bytes that begin with ff eb 90 44"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x84junk", "bytes that begin with 1a 45 df a3 93 42 82 84"),
        (b"\0", "bytes that begin with 00"),
    ],
)
def test_what_is_no_medium_is_described_without_its_content(head: bytes, words: str) -> None:
    assert recognise(head) is None
    assert describe(head) == words


@pytest.mark.parametrize("length", range(16))
def test_a_head_of_any_length_is_no_trouble(length: int, media: Media) -> None:
    for content in media.values():
        assert recognise(content[:length]) in {None, *REAL.values()}

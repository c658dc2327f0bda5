"""What the tests of inputs share: real media, in every format, made here by Pillow and FFmpeg."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Media = dict[str, bytes]
    Put = Callable[[str, bytes], str]

#: Name of the format, FFmpeg's container, codec.
_FILMS = (
    ("mp4", "mp4", "mpeg4"),
    ("mov", "mov", "mpeg4"),
    ("webm", "webm", "libvpx"),
    ("mkv", "matroska", "mpeg4"),
)
_SOUNDS = (
    ("mp3", "mp3", "libmp3lame"),
    ("wav", "wav", "pcm_s16le"),
    ("ogg", "ogg", "libopus"),
    ("flac", "flac", "flac"),
    ("m4a", "ipod", "aac"),
    ("aac", "adts", "aac"),
)


@pytest.fixture(scope="session")
def media() -> Media:
    """A small real file of each format, by its usual extension."""
    made = {}
    picture = Image.new("RGB", (16, 16), "red")
    Image.init()
    for name, kind in (("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("gif", "GIF"), ("avif", "AVIF")):
        if kind not in Image.SAVE:
            continue  # AVIF came with Pillow 11.3; what no encoder makes is tested by its bytes
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        made[name] = buffer.getvalue()
    made |= {name: _film(container, codec) for name, container, codec in _FILMS}
    made |= {name: _sound(container, codec) for name, container, codec in _SOUNDS}
    made["mp3 without tags"] = made["mp3"][made["mp3"].index(b"\xff\xfb") :]
    return made


def _film(container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=8)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(4):
            file.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def _sound(container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=48000)
        assert isinstance(stream, av.AudioStream)
        # By the encoder's own wishes, as FFmpeg's command line does.
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=48000, frame_size=0)
        frame = av.AudioFrame(format="s16", layout="stereo", samples=9600)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), 0
        for part in resampler.resample(frame):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.fixture
def put(bucket: str) -> Put:
    """Store an object in the S3 of this test, and return its address."""
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - not before AIRFLOW_HOME is set

    def store(key: str, content: bytes) -> str:
        path = ObjectStoragePath(f"{bucket}/{key}")
        path.fs.pipe_file(path.path, content)
        return f"{bucket}/{key}"

    return store


@pytest.fixture
def local(tmp_path: Path) -> Put:
    """Write a file on this machine, and return its path."""

    def write(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write

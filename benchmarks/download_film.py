"""Whole MP4 files of any size, for the benchmark of downloads: a second of real video, and filler behind its pictures.

The pictures are found through offsets from the beginning of the file, so media data that grows at its end, with the
index behind it, stays as whole a file as before.
"""

from __future__ import annotations

import io
import os
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av

if TYPE_CHECKING:
    from pathlib import Path

MB: Final = 1024 * 1024
#: Media data of a file whose sizes have 32 bits.
MOST_MB: Final = 4095

_WIDTH, _HEIGHT, _FPS = 320, 240, 12
_HEADER: Final = struct.Struct(">I4s")


def write_film(path: Path, megabytes: int) -> int:
    """Write a whole MP4 of H.264, its index at the end.

    Args:
        path: where to.
        megabytes: its size, from 1 to 4095.

    Returns:
        Its size in bytes: exactly that many.

    Raises:
        ValueError: such a file cannot be made.
    """
    if not 1 <= megabytes <= MOST_MB:
        raise ValueError(f"'megabytes' is {megabytes}; it must be from 1 to {MOST_MB}.")
    small = _render()
    boxes = _boxes(small)
    if [kind for kind, _, _ in boxes][-2:] != [b"mdat", b"moov"]:
        raise ValueError(f"The muxer wrote {[kind for kind, _, _ in boxes]}; media data and index should come last.")
    (_, data_at, data_end), (_, index_at, _) = boxes[-2:]
    left = megabytes * MB - len(small)
    block = os.urandom(MB)
    with path.open("wb") as file:
        file.write(small[:data_at])
        file.write(_HEADER.pack(data_end - data_at + left, b"mdat"))
        file.write(small[data_at + _HEADER.size : data_end])
        while left:
            left -= file.write(block[:left])
        file.write(small[index_at:])
        # What is still on its way to the disk would be paid for by whoever is measured first.
        file.flush()
        os.fsync(file.fileno())
    return megabytes * MB


def _render() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        pictures = out.add_stream("libx264", rate=_FPS)
        pictures.width, pictures.height, pictures.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for number in range(_FPS):
            frame = av.VideoFrame(_WIDTH, _HEIGHT, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([16 + 16 * number]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, _FPS)
            out.mux(pictures.encode(frame))
        out.mux(pictures.encode(None))
    return buffer.getvalue()


def _boxes(data: bytes) -> list[tuple[bytes, int, int]]:
    """Return kind, begin and end of each box of the top level."""
    found, at = [], 0
    while at < len(data):
        length, kind = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            raise ValueError(f"The muxer wrote a box {kind!r} of {length} bytes, which is not expected.")
        found.append((kind, at, at + length))
        at += length
    return found

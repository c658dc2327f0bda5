"""Is this file a whole video, and what is in it? Integrity needs nothing, the probe PyAV (the ``media`` extra)."""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_provider_orvideo.exceptions import MediaInvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

_HEADER: Final = 8
_LONG_HEADER: Final = 16
#: A ``moov`` box holds indexes, not pictures; one of this size would index days of video.
_MAX_INDEX: Final = 64 * 1024 * 1024
_EBML: Final = b"\x1a\x45\xdf\xa3"
#: Boxes that an old QuickTime file, which has no ``ftyp``, may begin with.
_QUICKTIME_STARTS: Final = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip"})


@dataclass(frozen=True)
class Container:
    """What a file really is, by its first bytes.

    Attributes:
        extension: usual file name extension, without the dot.
        content_type: media type.
    """

    extension: str
    content_type: str


MP4: Final = Container("mp4", "video/mp4")
QUICKTIME: Final = Container("mov", "video/quicktime")
WEBM: Final = Container("webm", "video/webm")
CONTAINERS: Final = (MP4, QUICKTIME, WEBM)


@dataclass(frozen=True)
class Probe:
    """What a decoder sees.

    Attributes:
        duration_s: seconds.
        width: pixels.
        height: pixels.
        fps: frames a second.
        has_audio: whether there is an audio track.
    """

    duration_s: float | None
    width: int
    height: int
    fps: float | None
    has_audio: bool


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int  # of the payload
    end: int


def identify(path: Path) -> Container:
    """Say what the file is, by its first bytes.

    Raises:
        MediaInvalidError: it is no video container that is known here; the message shows how it begins.
    """
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(_EBML):
        return WEBM
    if head[4:8] == b"ftyp":
        return QUICKTIME if head[8:12] == b"qt  " else MP4
    if head[4:8] in _QUICKTIME_STARTS:
        return QUICKTIME
    raise MediaInvalidError(f"What arrived is not a video: it begins with {head!r}.")


def check(path: Path) -> Container:
    """Check that the file is whole: its boxes add up to its size, and there is a video track and its data.

    A WebM file is only recognised: its last cluster may have any length.

    Raises:
        MediaInvalidError: the message says what is missing.
    """
    container = identify(path)
    if container is WEBM:
        return container
    size = path.stat().st_size
    with path.open("rb") as file:
        boxes = list(_boxes(file, 0, size, size))
        kinds = [box.kind for box in boxes]
        index = next((box for box in boxes if box.kind == b"moov"), None)
        if index is None or not {b"mdat", b"moof"} & set(kinds):
            found = ", ".join(kind.decode("latin-1") for kind in kinds)
            raise MediaInvalidError(f"The file of {size} bytes has no index or no media data; its boxes are: {found}.")
        if index.end - index.start > _MAX_INDEX:
            raise MediaInvalidError(f"The file's index takes {index.end - index.start} bytes; that is no video's.")
        if not _has_video_track(file, index, size):
            raise MediaInvalidError(f"The file of {size} bytes is whole but has no video track.")
    return container


def _boxes(file: BinaryIO, start: int, end: int, size: int) -> Iterator[_Box]:
    """Walk the boxes between two offsets; each must lie inside."""
    while start < end:
        file.seek(start)
        header = file.read(_HEADER)
        if len(header) < _HEADER or start + _HEADER > end:
            raise MediaInvalidError(f"The file is cut off: it ends inside a box header, at byte {size}.")
        length, kind = struct.unpack(">I4s", header)
        body = start + _HEADER
        if length == 1:
            wide = file.read(_LONG_HEADER - _HEADER)
            if len(wide) < _LONG_HEADER - _HEADER:
                raise MediaInvalidError(f"The file is cut off: it ends inside a box header, at byte {size}.")
            (length,) = struct.unpack(">Q", wide)
            body = start + _LONG_HEADER
        elif length == 0:  # "to the end of the file"
            length = end - start
        if start + length < body or start + length > end:
            name = kind.decode("latin-1")
            raise MediaInvalidError(
                f"The file is cut off or damaged: box {name!r} at byte {start} claims {length} bytes, "
                f"{end - start} are there."
            )
        yield _Box(kind, body, start + length)
        start += length


def _has_video_track(file: BinaryIO, index: _Box, size: int) -> bool:
    for track in _children(file, index, b"trak", size):
        for media in _children(file, track, b"mdia", size):
            for handler in _children(file, media, b"hdlr", size):
                file.seek(handler.start + 8)  # version, flags and a reserved word come first
                if file.read(4) == b"vide":
                    return True
    return False


def _children(file: BinaryIO, parent: _Box, kind: bytes, size: int) -> Iterator[_Box]:
    return (box for box in _boxes(file, parent.start, parent.end, size) if box.kind == kind)


def probe(path: Path) -> Probe | None:
    """Open the file with a decoder and say what is in it; None where PyAV is missing or cannot read it."""
    try:
        import av  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        return None
    try:
        # Titles and comments may be in any encoding, and are not looked at.
        with av.open(str(path), metadata_errors="replace") as file:
            video = file.streams.video[0]
            duration = file.duration / av.time_base if file.duration else None
            if video.duration and video.time_base:
                duration = float(video.duration * video.time_base)
            return Probe(
                duration_s=None if duration is None else round(duration, 3),
                width=video.width,
                height=video.height,
                fps=float(video.average_rate) if video.average_rate else None,
                has_audio=bool(file.streams.audio),
            )
    except Exception as error:  # noqa: BLE001 - whatever a decoder makes of foreign bytes, a whole video is to land
        log.warning("The file is whole but could not be probed: %s", error)
        return None

"""What a decoder sees in a file, and a still of it. Needs PyAV, the ``media`` extra; without it the answer is None."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import av
    from av.container import InputContainer

log = logging.getLogger(__name__)

#: Which demuxers a file may be given to. Left to guess by content, FFmpeg would also take a file for a playlist, and
#: read what that names.
_DEMUXERS: Final = {b"ftyp": "mp4", b"\x1a\x45\xdf\xa3": "matroska"}
#: A picture of 8192x8192, four times 4K: what is larger is not decoded.
_MAX_PIXELS: Final = 64 * 1024 * 1024
#: A decoder may want that many packets before its first picture.
_MAX_PACKETS: Final = 200
#: Pictures that a poster may be chosen from: a second at 30 a second. Generated films often fade in from black.
_MAX_PICTURES: Final = 30
#: Mean brightness, of 255, from which a picture shows something: black in video is 16, and 20 leaves room for noise.
_DARK: Final = 24
#: Side of the small picture that the brightness is taken from.
_SAMPLE: Final = 16
#: JPEG quantiser of the poster; 2 is the best, 31 the worst.
_QUALITY: Final = "3"
#: FFmpeg's filters for turning counterclockwise.
_TURNS: Final = {90: ("transpose=cclock",), 180: ("hflip", "vflip"), 270: ("transpose=clock",)}


@dataclass(frozen=True)
class Probe:
    """What a decoder sees.

    Attributes:
        duration_s: seconds, None for unknown.
        width: pixels, as shown: a turned picture counts turned.
        height: pixels, as shown.
        fps: frames a second on average, None for unknown.
        has_audio: whether there is an audio track.
        video_codec: FFmpeg's name of the video's format: ``h264``, ``hevc``, ``av1``, ``vp9``, ….
        audio_codec: FFmpeg's name of the sound's format: ``aac``, ``opus``, …; None without sound, and for a format
            that FFmpeg does not know.
    """

    duration_s: float | None
    width: int
    height: int
    fps: float | None
    has_audio: bool
    video_codec: str | None = None
    audio_codec: str | None = None


def probe(path: Path) -> Probe | None:
    """Say what is in a file; at most its first picture is decoded.

    Args:
        path: a file that passed `media.check`.

    Returns:
        None where PyAV is missing or cannot read the file. Nothing is raised: a whole video is to land, whatever a
        decoder makes of it.
    """
    if not _has_av():
        return None
    try:
        with _opened(path) as file:
            return _seen(file)
    except Exception as error:  # noqa: BLE001 - foreign bytes make decoders raise anything
        log.warning("The file is whole but could not be probed: %s", error)
        return None


def poster(path: Path, *, max_width: int = 640) -> bytes | None:
    """Make a still of a file: the first picture of its first second that is not black, else the very first.

    Args:
        path: a file that passed `media.check`.
        max_width: pixels; a larger picture is made smaller.

    Returns:
        A JPEG; None where PyAV is missing or cannot make one. Nothing is raised but for `max_width`.

    Raises:
        ValueError: ``max_width`` is less than 16.
    """
    if max_width < _SAMPLE:
        raise ValueError(f"'max_width' is {max_width}; at least {_SAMPLE} pixels are needed.")
    if not _has_av():
        return None
    try:
        with _opened(path) as file:
            picture = _representative(_pictures(file))
            return None if picture is None else _jpeg(_upright(picture), max_width)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("No poster could be made: %s", error)
        return None


def _has_av() -> bool:
    try:
        import av  # noqa: F401, PLC0415 - an extra, and heavy
    except ImportError:
        _say_what_is_missing()
        return False
    return True


@cache  # once in a process
def _say_what_is_missing() -> None:
    log.info(
        "PyAV is not installed: length, size and codecs of videos stay unknown, and no posters are made. Install "
        "airflow-provider-orvideo[media] for them."
    )


def _opened(path: Path) -> InputContainer:
    import av  # noqa: PLC0415

    with path.open("rb") as file:
        head = file.read(8)
    demuxer = _DEMUXERS.get(head[:4]) or _DEMUXERS.get(head[4:], "mov")
    # Titles and comments may be in any encoding, and are not looked at.
    try:
        return av.open(str(path), format=demuxer, metadata_errors="replace")
    except TypeError:  # PyAV 19 takes no such argument, and replaces by itself
        return av.open(str(path), format=demuxer)


def _seen(file: InputContainer) -> Probe:
    import av  # noqa: PLC0415

    video = _video(file)
    duration = file.duration / av.time_base if file.duration else None
    if video.duration and video.time_base:
        duration = float(video.duration * video.time_base)
    sounds = file.streams.audio
    width, height = video.width, video.height
    first = next(_pictures(file), None)
    if first is not None and _turn(first) in {90, 270}:
        width, height = height, width
    return Probe(
        duration_s=None if duration is None else round(duration, 3),
        width=width,
        height=height,
        fps=float(video.average_rate) if video.average_rate else None,
        has_audio=bool(sounds),
        video_codec=_codec(video),
        audio_codec=_codec(sounds[0]) if sounds else None,
    )


def _video(file: InputContainer) -> av.VideoStream:
    # The best one: a cover picture is a video stream, too.
    video: Any = file.streams.best("video")
    if video is None:
        raise ValueError("it has no video track that a decoder knows")
    return video  # type: ignore[no-any-return]


def _codec(stream: av.VideoStream | av.AudioStream) -> str | None:
    context: Any = stream.codec_context  # None for a format that FFmpeg does not know
    if context is None:
        return None
    # Before PyAV 15, only the decoder's own name: the same but for a few, such as libdav1d.
    return str(getattr(context.codec, "canonical_name", context.codec.name))


def _pictures(file: InputContainer) -> Iterator[av.VideoFrame]:
    """Decode the first pictures; none where they are too large, or where no decoder can."""
    import av  # noqa: PLC0415

    video = _video(file)
    if not 0 < video.width * video.height <= _MAX_PIXELS:
        return
    video.codec_context.thread_count = 1  # the machine is the worker's
    try:
        for packet in islice(file.demux(video), _MAX_PACKETS):
            for picture in packet.decode():
                if picture.width * picture.height <= _MAX_PIXELS:
                    yield picture
    except av.error.FFmpegError as error:
        log.info("A picture could not be decoded: %s", error)


def _turn(picture: av.VideoFrame) -> int:
    """By how many degrees the picture is to be turned counterclockwise; PyAV 14.0 does not tell."""
    return round(getattr(picture, "rotation", 0)) % 360


def _representative(pictures: Iterator[av.VideoFrame]) -> av.VideoFrame | None:
    first = None
    for picture in islice(pictures, _MAX_PICTURES):
        if first is None:
            first = picture
        if _brightness(picture) >= _DARK:
            return picture
    return first


def _brightness(picture: av.VideoFrame) -> float:
    plane = picture.reformat(width=_SAMPLE, height=_SAMPLE, format="gray").planes[0]
    data, stride = bytes(plane), plane.line_size
    rows = [data[row * stride : row * stride + _SAMPLE] for row in range(_SAMPLE)]
    return sum(map(sum, rows)) / _SAMPLE**2


def _upright(picture: av.VideoFrame) -> av.VideoFrame:
    turn = _turn(picture)
    if turn not in _TURNS:
        return picture
    from av.filter import Graph  # noqa: PLC0415

    graph = Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
    )
    turns = [graph.add(*text.split("=")) for text in _TURNS[turn]]
    graph.link_nodes(source, *turns, graph.add("buffersink")).configure()
    graph.push(picture)
    return graph.pull()  # type: ignore[return-value]


def _jpeg(picture: av.VideoFrame, max_width: int) -> bytes:
    from fractions import Fraction  # noqa: PLC0415

    import av  # noqa: PLC0415

    scale = min(1.0, max_width / picture.width)
    # Colours are stored for two pixels each way, so both sides are even.
    width, height = (max(2, round(side * scale) // 2 * 2) for side in (picture.width, picture.height))
    small = picture.reformat(width=width, height=height, format="yuvj420p", dst_color_range="JPEG")
    small.pts = 0
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)  # an encoder wants one, a still has none
    encoder.options = {"qmin": _QUALITY, "qmax": _QUALITY}
    encoder.thread_count = 1
    return b"".join(bytes(packet) for packet in (*encoder.encode(small), *encoder.encode(None)))

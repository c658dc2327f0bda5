"""Is this WebM or Matroska file whole? Walks its EBML elements (RFC 8794, RFC 9559), never reads the media data."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

from airflow_provider_orvideo.exceptions import MediaInvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"\x1a\x45\xdf\xa3"
_EBML: Final = 0x1A45DFA3
_DOC_TYPE: Final = 0x4282
_SEGMENT: Final = 0x18538067
_INFO: Final = 0x1549A966
_TIMESTAMP_SCALE: Final = 0x2AD7B1
_DURATION: Final = 0x4489
_TRACKS: Final = 0x1654AE6B
_TRACK_ENTRY: Final = 0xAE
_TRACK_NUMBER: Final = 0xD7
_TRACK_TYPE: Final = 0x83
_VIDEO: Final = 1
_CLUSTER: Final = 0x1F43B675
_TIMESTAMP: Final = 0xE7
_SIMPLE_BLOCK: Final = 0xA3
_BLOCK_GROUP: Final = 0xA0
_BLOCK: Final = 0xA1
_VOID: Final = 0xEC
_CRC: Final = 0xBF
#: What a Segment holds directly: SeekHead, Cues, Chapters, Attachments, Tags and those above.
_SEGMENT_PARTS: Final = frozenset(
    {_INFO, _TRACKS, _CLUSTER, _VOID, _CRC, 0x114D9B74, 0x1C53BB6B, 0x1043A770, 0x1941A469, 0x1254C367}
)
#: What a Cluster holds directly: also Position, PrevSize, SilentTracks and EncryptedBlock.
_CLUSTER_PARTS: Final = frozenset({_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK_GROUP, _VOID, _CRC, 0xA7, 0xAB, 0x5854, 0xAF})
#: The EBML header holds six small values.
_MAX_HEADER: Final = 4096
#: A film of three hours has about that many frames and pieces of sound; more is no film.
_MAX_ELEMENTS: Final = 2_000_000
_MAX_ID: Final = 4
_MAX_SIZE: Final = 8
_MAX_NUMBER: Final = 8
#: By how much the last block may start before the end that a file of unknown size announces: it lasts itself.
_END_TOLERANCE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Element:
    id: int
    at: int
    start: int
    end: int | None  # None for "unknown": it ends where the next one of its level begins


@dataclass
class _Seen:
    """What a Segment turned out to hold."""

    video_tracks: set[int] = field(default_factory=set)
    has_tracks: bool = False
    pictures: int = 0
    last_tick: int = 0
    scale_ns: int = 1_000_000
    duration: float | None = None  # in ticks


def doc_type(file: BinaryIO, size: int) -> str | None:
    """Return what an EBML file says it is (``webm``, ``matroska``), None where its header does not say.

    Args:
        file: the file.
        size: its bytes.
    """
    reader = _Reader(file, size)
    try:
        header = reader.element(0, size)
        if header.id != _EBML or header.end is None or header.end - header.start > _MAX_HEADER:
            return None
        for element in reader.children(header, header.end):
            if element.id == _DOC_TYPE:
                return reader.read(element, 32).rstrip(b"\0").decode("latin-1")
    except MediaInvalidError:
        pass
    return None


def check(file: BinaryIO, size: int) -> None:
    """Check that the file is whole.

    That is: its Segment ends where the file ends, every element lies inside of its parent, and there is a video track
    with pictures. A file that was written as a live stream has a Segment of unknown size: then its last element must
    be whole, and where it announces a duration its pictures must reach it.

    What cannot be known: whether a live stream that announces no duration was cut exactly between two elements, and
    whether the pictures are what was encoded.

    Args:
        file: the file.
        size: its bytes.

    Raises:
        MediaInvalidError: the message says what is missing.
    """
    reader = _Reader(file, size)
    segment = reader.segment()
    seen = _Seen()
    _walk_segment(reader, segment, seen)
    if not seen.has_tracks:
        raise MediaInvalidError(f"The file of {size} bytes has no index of its tracks.")
    if not seen.video_tracks:
        raise MediaInvalidError(f"The file of {size} bytes is whole but has no video track.")
    if not seen.pictures:
        raise MediaInvalidError(f"The video track of the file of {size} bytes has no pictures.")
    if segment.end is None and seen.duration is not None:
        announced, reached = (ticks * seen.scale_ns / 1e9 for ticks in (seen.duration, seen.last_tick))
        if reached < announced - _END_TOLERANCE_S:
            raise MediaInvalidError(
                f"The file is cut off: it announces {announced:.2f} s, its last picture comes at {reached:.2f} s."
            )


class _Reader:
    """Reads the elements of one file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        self._walked = 0

    def segment(self) -> _Element:
        """Return the Segment; it must reach to the end of the file."""
        header = self.element(0, self.size)
        if header.id != _EBML or header.end is None or header.end > self.size:
            self.cut_off()
        at = header.end
        while True:
            if at >= self.size:
                raise MediaInvalidError(f"The file is cut off: it ends at byte {self.size}, before its first element.")
            element = self.element(at, self.size)
            if element.id == _SEGMENT:
                break
            at = self.inside(element, self.size)
        if element.end is None:
            return element
        at = self.inside(element, self.size)
        while at < self.size:
            padding = self.element(at, self.size)
            if padding.id != _VOID:
                raise MediaInvalidError(
                    f"The file is damaged: it should end at byte {at}, {self.size - at} bytes of something else follow."
                )
            at = self.inside(padding, self.size)
        return element

    def element(self, at: int, end: int) -> _Element:
        """Read the head of the element at an offset."""
        self._walked += 1
        if self._walked > _MAX_ELEMENTS:
            raise MediaInvalidError(f"The file has more than {_MAX_ELEMENTS} elements; that is no video's.")
        self._file.seek(at)
        head = self._file.read(min(_MAX_ID + _MAX_SIZE, end - at))
        id_length = _length(head[:1])
        size_length = _length(head[id_length : id_length + 1])
        if not head or not id_length or id_length > _MAX_ID or (len(head) > id_length and not size_length):
            raise MediaInvalidError(f"The file is damaged: at byte {at} stands no element.")
        start = at + id_length + size_length
        if not size_length or len(head) < id_length + size_length:
            self.cut_off()
        size = _value(head[id_length : id_length + size_length])
        unknown = size == (1 << 7 * size_length) - 1
        return _Element(int.from_bytes(head[:id_length]), at, start, None if unknown else start + size)

    def inside(self, element: _Element, end: int) -> int:
        """Return where an element ends; it must have a size, and lie inside of its parent."""
        if element.end is None or element.end > end:
            claim = "a size that is unknown" if element.end is None else f"{element.end - element.at} bytes"
            raise MediaInvalidError(
                f"The file is cut off or damaged: element {element.id:X} at byte {element.at} claims {claim}, "
                f"{end - element.at} are there."
            )
        return element.end

    def children(self, parent: _Element, end: int) -> Iterator[_Element]:
        """Walk the elements inside of one whose end is known; each must have a size."""
        at = parent.start
        while at < end:
            element = self.element(at, end)
            at = self.inside(element, end)
            yield element

    def read(self, element: _Element, most: int) -> bytes:
        """Read the first bytes of an element's payload."""
        wanted = min(most, (element.end or self.size) - element.start)
        self._file.seek(element.start)
        return self._file.read(wanted)

    def number(self, element: _Element) -> int:
        """Read an unsigned number."""
        return int.from_bytes(self.read(element, _MAX_NUMBER))

    def cut_off(self) -> NoReturn:
        """Refuse a file that ends too early."""
        raise MediaInvalidError(f"The file is cut off: it ends inside an element, at byte {self.size}.")


def _walk_segment(reader: _Reader, segment: _Element, seen: _Seen) -> None:
    at, end = segment.start, segment.end or reader.size
    while at < end:
        element = reader.element(at, end)
        if segment.end is None and element.id not in _SEGMENT_PARTS:
            raise MediaInvalidError(f"The file is cut off or damaged: at byte {at} stands nothing that belongs there.")
        if element.id == _CLUSTER:
            at = _walk_cluster(reader, element, end, seen)
            continue
        at = reader.inside(element, end)
        if element.id == _TRACKS:
            _read_tracks(reader, element, at, seen)
        elif element.id == _INFO:
            _read_info(reader, element, at, seen)


def _read_tracks(reader: _Reader, tracks: _Element, end: int, seen: _Seen) -> None:
    seen.has_tracks = True
    for entry in reader.children(tracks, end):
        if entry.id == _TRACK_ENTRY:
            values = {
                element.id: reader.number(element)
                for element in reader.children(entry, entry.end or end)
                if element.id in {_TRACK_NUMBER, _TRACK_TYPE}
            }
            if values.get(_TRACK_TYPE) == _VIDEO:
                seen.video_tracks.add(values.get(_TRACK_NUMBER, 0))


def _read_info(reader: _Reader, info: _Element, end: int, seen: _Seen) -> None:
    for element in reader.children(info, end):
        if element.id == _TIMESTAMP_SCALE:
            seen.scale_ns = reader.number(element) or seen.scale_ns
        elif element.id == _DURATION:
            data = reader.read(element, _MAX_NUMBER)
            form = {4: ">f", 8: ">d"}.get(len(data))
            seen.duration = struct.unpack(form, data)[0] if form else None


def _walk_cluster(reader: _Reader, cluster: _Element, end: int, seen: _Seen) -> int:
    """Note the pictures of a cluster; return where it ends, which is where another part begins if it does not say."""
    limit = end if cluster.end is None else reader.inside(cluster, end)
    at, time = cluster.start, 0
    while at < limit:
        element = reader.element(at, limit)
        if cluster.end is None and element.id not in _CLUSTER_PARTS:
            break
        at = reader.inside(element, limit)
        if element.id == _TIMESTAMP:
            time = reader.number(element)
        elif element.id == _SIMPLE_BLOCK:
            _note_block(reader, element, time, seen)
        elif element.id == _BLOCK_GROUP:
            for part in reader.children(element, at):
                if part.id == _BLOCK:
                    _note_block(reader, part, time, seen)
    return at


def _note_block(reader: _Reader, block: _Element, time: int, seen: _Seen) -> None:
    """A block begins with the number of its track and its time relative to the cluster's."""
    head = reader.read(block, _MAX_NUMBER + 2)
    length = _length(head[:1])
    if not length or len(head) < length + 2:
        raise MediaInvalidError(f"The file is damaged: the block at byte {block.at} is of no track.")
    seen.pictures += _value(head[:length]) in seen.video_tracks
    seen.last_tick = max(seen.last_tick, time + int.from_bytes(head[length : length + 2], signed=True))


def _length(first: bytes) -> int:
    """How many bytes a number of variable length has, by its first; 0 for none."""
    return 9 - first[0].bit_length() if first and first[0] else 0


def _value(data: bytes) -> int:
    """The number of variable length itself: without the bit that marks its length."""
    return int.from_bytes(data) & (1 << 7 * len(data)) - 1

"""Is this MP4 or QuickTime file whole? Reads boxes and tables only, never the media data."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_provider_orvideo.exceptions import MediaInvalidError
from airflow_provider_orvideo.landing.boxes import Box, BoxReader
from airflow_provider_orvideo.landing.samples import Defaults, Extent, Run, chunks, runs

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A ``moov`` box holds indexes, not pictures; one of this size would index days of video.
_MAX_INDEX: Final = 64 * 1024 * 1024
#: How many boxes an error lists.
_MAX_LISTED: Final = 12
#: By how much the last fragment may end before the length that the header announces: lengths are rounded, and a track
#: may begin with a pause that no sample fills.
_END_TOLERANCE_S: Final = 0.5
#: User type of the ``uuid`` boxes that hold content credentials (C2PA specification, "Embedding manifests into
#: BMFF-based assets").
_C2PA: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
#: Purpose of a C2PA box that only helps to check parts of the file against a manifest which lies elsewhere.
_C2PA_HELP: Final = b"merkle\0"


@dataclass
class _Layout:
    """What the top level of a file holds; offsets only, for a long film has hundreds of thousands of fragments."""

    index: Box | None = None
    fragments: array[int] = field(default_factory=lambda: array("Q"))
    fragment_ends: array[int] = field(default_factory=lambda: array("Q"))
    data: array[int] = field(default_factory=lambda: array("Q"))
    data_ends: array[int] = field(default_factory=lambda: array("Q"))
    random_access: Box | None = None
    listed: list[str] = field(default_factory=list)

    def holds(self, extent: Extent) -> bool:
        """Whether these bytes lie in one box of media data."""
        position = bisect_right(self.data, extent.start) - 1
        return position >= 0 and extent.start + extent.length <= self.data_ends[position]


@dataclass(frozen=True, slots=True)
class _Track:
    number: int
    is_video: bool
    time_scale: int
    table: Box | None


def check(file: BinaryIO, size: int) -> None:
    """Check that the file is whole.

    That is: its boxes add up to its size; there is a video track with pictures; every chunk and every fragment's run
    lies inside of media data that is there; nothing that the file says about its own length (segment index, fragment
    index, announced duration) points beyond its end.

    What cannot be known: whether the media data is what was encoded (damage inside of ``mdat`` shows only when it is
    decoded), and whether a fragmented file that announces no length anywhere was cut exactly between two fragments.
    For the latter the download's own end mark must vouch.

    Args:
        file: the file.
        size: its bytes.

    Raises:
        MediaInvalidError: the message says what is missing.
    """
    reader = BoxReader(file, size)
    layout = _walk(reader)
    index = layout.index
    if index is None or not (layout.data or layout.fragments):
        found = ", ".join(layout.listed)
        raise MediaInvalidError(f"The file of {size} bytes has no index or no media data; its boxes are: {found}.")
    if index.end - index.start > _MAX_INDEX:
        raise MediaInvalidError(f"The file's index takes {index.end - index.start} bytes; that is no video's.")
    tracks = _tracks(reader, index)
    if not any(track.is_video for track in tracks):
        raise MediaInvalidError(f"The file of {size} bytes is whole but has no video track.")
    pictures = _check_tables(reader, layout, tracks) + _check_fragments(reader, layout, index, tracks)
    if not pictures:
        raise MediaInvalidError(f"The video track of the file of {size} bytes has no pictures.")


def has_c2pa(file: BinaryIO, size: int) -> bool:
    """Whether a top-level box holds a C2PA manifest. Its signature is not checked.

    Raises:
        MediaInvalidError: the boxes do not add up.
    """
    reader = BoxReader(file, size)
    for box in reader.boxes(0, size):
        if box.kind == b"uuid" and box.end - box.start >= len(_C2PA):
            file.seek(box.start)
            # Behind the user type: version and flags, four bytes, then the purpose as text.
            head = file.read(min(box.end - box.start, len(_C2PA) + 4 + len(_C2PA_HELP)))
            if head.startswith(_C2PA) and not head.endswith(_C2PA_HELP):
                return True
    return False


def _walk(reader: BoxReader) -> _Layout:
    layout = _Layout()
    for box in reader.boxes(0, reader.size):
        if len(layout.listed) < _MAX_LISTED:
            layout.listed.append(box.name)
        if box.kind == b"moov":
            layout.index = layout.index or box
        elif box.kind == b"mdat":
            layout.data.append(box.start)
            layout.data_ends.append(box.end)
        elif box.kind == b"moof":
            layout.fragments.append(box.at)
            layout.fragment_ends.append(box.end)
        elif box.kind == b"sidx":
            _check_segment_index(reader, box)
        elif box.kind == b"mfra":
            layout.random_access = box
    return layout


def _tracks(reader: BoxReader, index: Box) -> list[_Track]:
    """Return the tracks that matter: those that are video, or may list data."""
    found = (_track(reader, box) for box in reader.children(index, b"trak"))
    return [track for track in found if track.is_video or track.table]


def _track(reader: BoxReader, box: Box) -> _Track:
    header = reader.child(box, b"tkhd")
    media_header = reader.child(box, b"mdia", b"mdhd")
    handlers = (
        reader.numbers(handler, "4B", skip=8)  # version, flags and a reserved word come first
        for media in reader.children(box, b"mdia")
        for handler in reader.children(media, b"hdlr")
        if handler.end - handler.start >= 12  # noqa: PLR2004 - as far as the kind of media
    )
    return _Track(
        number=_behind_dates(reader, header) if header else 0,
        is_video=any(bytes(kind) == b"vide" for kind in handlers),
        time_scale=_behind_dates(reader, media_header) if media_header else 0,
        table=reader.child(box, b"mdia", b"minf", b"stbl"),
    )


def _behind_dates(reader: BoxReader, box: Box) -> int:
    """Return the number behind two dates, which version 1 of a header writes with 8 bytes each."""
    (version,) = reader.numbers(box, "B")
    return reader.numbers(box, "I", skip=20 if version else 12)[0]


def _check_tables(reader: BoxReader, layout: _Layout, tracks: list[_Track]) -> int:
    """Return how many pictures the sample tables list."""
    pictures = 0
    for track in tracks:
        for chunk in chunks(reader, track.table) if track.table else ():
            _require(reader, layout, chunk, "a chunk")
            pictures += chunk.samples if track.is_video else 0
    return pictures


def _check_fragments(reader: BoxReader, layout: _Layout, index: Box, tracks: list[_Track]) -> int:
    """Return how many pictures the fragments list."""
    if layout.random_access:
        _check_random_access(reader, layout, layout.random_access)
    known = {track.number: track for track in tracks}
    extends = reader.child(index, b"mvex")
    defaults = {}
    for box in reader.children(extends, b"trex") if extends else ():
        number, _, duration, size = reader.numbers(box, "4I", skip=4)
        defaults[number] = Defaults(duration, size)
    pictures = 0
    ends: dict[int, int | None] = {}
    for at, end in zip(layout.fragments, layout.fragment_ends, strict=True):
        for run in runs(reader, next(reader.boxes(at, end)), defaults):
            _require(reader, layout, run.extent, "a fragment")
            pictures += run.extent.samples if run.track in known and known[run.track].is_video else 0
            _note_end(ends, run)
    if extends and layout.fragments:
        _check_announced_end(reader, index, extends, known, ends)
    return pictures


def _note_end(ends: dict[int, int | None], run: Run) -> None:
    before = ends.get(run.track, 0)
    ends[run.track] = None if run.ends_at is None or before is None else max(before, run.ends_at)


def _check_announced_end(
    reader: BoxReader, index: Box, extends: Box, tracks: Mapping[int, _Track], ends: Mapping[int, int | None]
) -> None:
    """Compare the duration that a fragmented file announces with the end of its last fragment, where both are known."""
    announced, header = reader.child(extends, b"mehd"), reader.child(index, b"mvhd")
    if announced is None or header is None:
        return
    (version,) = reader.numbers(announced, "B")
    (duration,) = reader.numbers(announced, "Q" if version else "I", skip=4)
    scale = _behind_dates(reader, header)
    unknown = 2**64 - 1 if version else 2**32 - 1
    if not scale or duration == unknown:
        return
    seconds = []
    for number, end in ends.items():
        track = tracks.get(number)
        if end is None or track is None or not track.time_scale:
            return
        seconds.append(end / track.time_scale)
    if seconds and max(seconds) < duration / scale - _END_TOLERANCE_S:
        raise MediaInvalidError(
            f"The file is cut off: it announces {duration / scale:.2f} s, its last fragment ends at "
            f"{max(seconds):.2f} s."
        )


def _check_segment_index(reader: BoxReader, box: Box) -> None:
    """A segment index says how many bytes follow it."""
    (version,) = reader.numbers(box, "B")
    skip = 28 if version else 20
    (first,) = reader.numbers(box, "Q" if version else "I", skip=skip - (8 if version else 4))
    (count,) = reader.numbers(box, "H", skip=skip + 2)
    skip += 4
    end, position = box.end + first, 0
    for block in reader.table(box, "I", 3 * count, skip=skip):
        # Of three words the first is the size; its highest bit says what it is the size of.
        end += sum(word & 0x7FFFFFFF for word in block[-position % 3 :: 3])
        position += len(block)
    if end > reader.size:
        raise MediaInvalidError(f"The file is cut off: its index reaches to byte {end}, it ends at byte {reader.size}.")


def _check_random_access(reader: BoxReader, layout: _Layout, box: Box) -> None:
    """A fragment index at the end of the file must not point behind the last fragment: then some are missing."""
    last = layout.fragments[-1] if layout.fragments else -1
    for table in reader.children(box, b"tfra"):
        (version,) = reader.numbers(table, "B")
        lengths, count = reader.numbers(table, "II", skip=8)
        if not count:
            continue
        code, width = ("Q", 8) if version else ("I", 4)
        entry = 2 * width + sum((lengths >> shift & 3) + 1 for shift in (0, 2, 4))
        (at,) = reader.numbers(table, code, skip=16 + (count - 1) * entry + width)
        if at > last:
            raise MediaInvalidError(
                f"The file is damaged: its index names a fragment at byte {at}, the last one lies at byte {last}."
            )


def _require(reader: BoxReader, layout: _Layout, extent: Extent, what: str) -> None:
    if extent.length and not layout.holds(extent):
        raise MediaInvalidError(
            f"The file is cut off or damaged: {what} of {extent.length} bytes at byte {extent.start} lies outside of "
            f"the media data; the file has {reader.size} bytes."
        )

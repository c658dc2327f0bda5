"""Where the pictures and sounds of an MP4 lie in the file: by the sample tables of its tracks, and by its fragments."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.exceptions import MediaInvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_orvideo.landing.boxes import Box, BoxReader

#: Entries of one table, or of one run: pictures of a day at 50 a second.
_MAX_ENTRIES: Final = 4_320_000

# Flags of the boxes "tfhd" and "trun".
_BASE_GIVEN: Final = 0x1
_DESCRIPTION_GIVEN: Final = 0x2
_DEFAULT_DURATION_GIVEN: Final = 0x8
_DEFAULT_SIZE_GIVEN: Final = 0x10
_BASE_IS_MOOF: Final = 0x20000
_OFFSET_GIVEN: Final = 0x1
_FIRST_FLAGS_GIVEN: Final = 0x4
_DURATIONS_GIVEN: Final = 0x100
_SIZES_GIVEN: Final = 0x200
_PER_SAMPLE: Final = (_DURATIONS_GIVEN, _SIZES_GIVEN, 0x400, 0x800)


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes that belong together.

    Attributes:
        start: offset in the file.
        length: bytes.
        samples: how many pictures, or pieces of sound.
    """

    start: int
    length: int
    samples: int


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for the samples of a track's fragments unless they say otherwise.

    Attributes:
        duration: in the track's time scale.
        size: bytes.
    """

    duration: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of samples in a fragment.

    Attributes:
        track: the track's number.
        extent: where it lies.
        ends_at: its end in the track's time scale, None where the fragment does not say when it begins.
    """

    track: int
    extent: Extent
    ends_at: int | None


def chunks(reader: BoxReader, table: Box) -> Iterator[Extent]:
    """Say where each chunk of a track lies.

    Args:
        reader: of the file.
        table: the track's box ``stbl``.

    Raises:
        MediaInvalidError: a table is too small, too large or at odds with another.
    """
    offsets = _offsets(reader, table)
    if offsets is None:
        return
    count, take = _sizes(reader, table)
    runs = _samples_per_chunk(reader, table)
    each, following, used = 0, next(runs, None), 0
    for number, start in enumerate(offsets, 1):
        while following is not None and following[0] <= number:
            each, following = following[1], next(runs, None)
        used += each
        if used > count:
            raise MediaInvalidError(f"The file is damaged: a track has {count} samples, its chunks hold more.")
        yield Extent(start, take(each), each)
    if used < count:
        raise MediaInvalidError(f"The file is damaged: a track has {count} samples, its chunks hold {used} of them.")


def _offsets(reader: BoxReader, table: Box) -> Iterator[int] | None:
    for kind, code in ((b"stco", "I"), (b"co64", "Q")):
        box = reader.child(table, kind)
        if box is not None:
            return chain.from_iterable(reader.table(box, code, _count(reader, box, skip=4), skip=8))
    return None


def _sizes(reader: BoxReader, table: Box) -> tuple[int, Callable[[int], int]]:
    """Return how many samples there are, and what gives the bytes of the next so many of them."""
    box = reader.child(table, b"stsz")
    if box is not None:
        (size,) = reader.numbers(box, "I", skip=4)
        if size:
            (count,) = reader.numbers(box, "I", skip=8)  # no table: any number of them is one multiplication
            return count, lambda samples: samples * size
        count = _count(reader, box, skip=8)
        sizes = chain.from_iterable(reader.table(box, "I", count, skip=12))
        return count, lambda samples: sum(islice(sizes, samples))
    box = reader.child(table, b"stz2")
    if box is None:
        return 0, lambda _: 0
    (bits,) = reader.numbers(box, "B", skip=7)
    count = _count(reader, box, skip=8)
    if bits == 4:  # noqa: PLR2004 - two in a byte
        pairs = chain.from_iterable(reader.table(box, "B", (count + 1) // 2, skip=12))
        halves = (half for pair in pairs for half in (pair >> 4, pair & 15))
        return count, lambda samples: sum(islice(halves, samples))
    code = {8: "B", 16: "H"}.get(bits)
    if code is None:
        raise MediaInvalidError(f"The file is damaged: its sample sizes have {bits} bits; 4, 8 and 16 are possible.")
    small = chain.from_iterable(reader.table(box, code, count, skip=12))
    return count, lambda samples: sum(islice(small, samples))


def _samples_per_chunk(reader: BoxReader, table: Box) -> Iterator[tuple[int, int]]:
    """First chunk of each run of chunks, and how many samples each of them has."""
    box = reader.child(table, b"stsc")
    if box is None:
        return
    values = chain.from_iterable(reader.table(box, "I", 3 * _count(reader, box, skip=4), skip=8))
    while (first := next(values, None)) is not None:
        each = next(values)
        next(values)  # which description; of no matter here
        yield first, each


def _count(reader: BoxReader, box: Box, *, skip: int) -> int:
    (count,) = reader.numbers(box, "I", skip=skip)
    if count > _MAX_ENTRIES:
        raise MediaInvalidError(f"The file's box '{box.name}' lists {count} entries; that is no video's.")
    return count


def runs(reader: BoxReader, fragment: Box, defaults: Mapping[int, Defaults]) -> Iterator[Run]:
    """Say where each run of samples of a fragment lies.

    Args:
        reader: of the file.
        fragment: a box ``moof``.
        defaults: of each track.

    Raises:
        MediaInvalidError: a box is too small or too large.
    """
    free = fragment.at  # where data begins if nothing says otherwise: behind the data of the track before
    for part in reader.children(fragment, b"traf"):
        header = reader.child(part, b"tfhd")
        if header is None:
            raise MediaInvalidError(f"The file is damaged: the fragment at byte {fragment.at} names no track.")
        track, base, each = _track_header(reader, header, defaults)
        free = base if base is not None else fragment.at if _flags(reader, header) & _BASE_IS_MOOF else free
        base, time = free, _begins_at(reader, part)
        for box in reader.children(part, b"trun"):
            start, length, count, lasts = _run(reader, box, each)
            free = free if start is None else base + start
            time = None if time is None else time + lasts
            yield Run(track, Extent(free, length, count), time)
            free += length


def _flags(reader: BoxReader, box: Box) -> int:
    return reader.numbers(box, "I")[0] & 0xFFFFFF


def _track_header(reader: BoxReader, box: Box, defaults: Mapping[int, Defaults]) -> tuple[int, int | None, Defaults]:
    """Return the track's number, where its data is counted from if given, and what holds for its samples."""
    flags = _flags(reader, box)
    (track,) = reader.numbers(box, "I", skip=4)
    skip, base = 8, None
    if flags & _BASE_GIVEN:
        (base,) = reader.numbers(box, "Q", skip=skip)
        skip += 8
    skip += 4 if flags & _DESCRIPTION_GIVEN else 0
    known = defaults.get(track, Defaults())
    duration, size = known.duration, known.size
    if flags & _DEFAULT_DURATION_GIVEN:
        (duration,) = reader.numbers(box, "I", skip=skip)
        skip += 4
    if flags & _DEFAULT_SIZE_GIVEN:
        (size,) = reader.numbers(box, "I", skip=skip)
    return track, base, Defaults(duration, size)


def _begins_at(reader: BoxReader, part: Box) -> int | None:
    box = reader.child(part, b"tfdt")
    if box is None:
        return None
    (version,) = reader.numbers(box, "B")
    return reader.numbers(box, "Q" if version else "I", skip=4)[0]


def _run(reader: BoxReader, box: Box, each: Defaults) -> tuple[int | None, int, int, int]:
    """Return where a run starts if given, its bytes, its samples and how long it lasts."""
    flags = _flags(reader, box)
    count = _count(reader, box, skip=4)
    skip, start = 8, None
    if flags & _OFFSET_GIVEN:
        (start,) = reader.numbers(box, "i", skip=skip)
        skip += 4
    skip += 4 if flags & _FIRST_FLAGS_GIVEN else 0
    given = [flag for flag in _PER_SAMPLE if flags & flag]
    totals, at = [0] * len(given), 0
    for block in reader.table(box, "I", count * len(given), skip=skip):
        for column in range(len(given)):
            totals[column] += sum(block[(column - at) % len(given) :: len(given)])
        at += len(block)
    seen = dict(zip(given, totals, strict=True))
    length, lasts = seen.get(_SIZES_GIVEN, count * each.size), seen.get(_DURATIONS_GIVEN, count * each.duration)
    return start, length, count, lasts

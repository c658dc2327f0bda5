"""Walks the boxes of an MP4 or QuickTime file (ISO/IEC 14496-12), in bounded memory whatever they claim."""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

from airflow_provider_orvideo.exceptions import MediaInvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER: Final = 8
_LONG_HEADER: Final = 16
#: A film of an hour whose every frame is a fragment of its own has about that many; more is no film.
_MAX_BOXES: Final = 2_000_000
#: Bytes of a table that are read at once.
_BLOCK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Box:
    """One box.

    Attributes:
        kind: its four characters.
        at: offset of its header.
        start: offset of its payload.
        end: offset behind it.
    """

    kind: bytes
    at: int
    start: int
    end: int

    @property
    def name(self) -> str:
        """Its four characters, printable."""
        return ascii(self.kind.decode("latin-1"))[1:-1]


class BoxReader:
    """Reads the boxes of one file.

    Args:
        file: the file; its position is this reader's.
        size: bytes of the file.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        self._walked = 0

    def boxes(self, start: int, end: int) -> Iterator[Box]:
        """Walk the boxes between two offsets.

        Raises:
            MediaInvalidError: one does not lie inside, or there are too many.
        """
        while start < end:
            box = self._box(start, end)
            yield box
            start = box.end

    def children(self, parent: Box, kind: bytes) -> Iterator[Box]:
        """Walk the boxes of one kind directly inside another box."""
        return (box for box in self.boxes(parent.start, parent.end) if box.kind == kind)

    def child(self, parent: Box, *path: bytes) -> Box | None:
        """Return the first box at the end of a path of kinds, None for none."""
        for kind in path:
            found = next(self.children(parent, kind), None)
            if found is None:
                return None
            parent = found
        return parent

    def numbers(self, box: Box, layout: str, *, skip: int = 0) -> tuple[int, ...]:
        """Unpack big-endian numbers from a box.

        Args:
            box: the box.
            layout: as `struct` has it, without the byte order.
            skip: bytes of its payload before them.

        Raises:
            MediaInvalidError: the box is too small.
        """
        form = struct.Struct(f">{layout}")
        self._require(box, skip + form.size)
        self._file.seek(box.start + skip)
        data = self._file.read(form.size)
        if len(data) < form.size:
            self.cut_off()
        return form.unpack(data)

    def table(self, box: Box, code: str, count: int, *, skip: int) -> Iterator[array[int]]:
        """Read a table of equal big-endian numbers, block by block.

        Args:
            box: the box.
            code: ``B``, ``H``, ``I`` or ``Q`` for 1, 2, 4 or 8 bytes each.
            count: how many.
            skip: bytes of its payload before them.

        Raises:
            MediaInvalidError: the box is too small for that many.
        """
        width = struct.calcsize(f">{code}")
        self._require(box, skip + count * width)
        at = box.start + skip
        left = count * width
        while left:
            self._file.seek(at)
            data = self._file.read(min(left, _BLOCK))
            if len(data) < min(left, _BLOCK):
                self.cut_off()
            block = array(code, data)
            if sys.byteorder == "little":
                block.byteswap()
            yield block
            at += len(data)
            left -= len(data)

    def cut_off(self) -> NoReturn:
        """Refuse a file that ends too early."""
        raise MediaInvalidError(f"The file is cut off: it ends inside a box, at byte {self.size}.")

    def _box(self, start: int, end: int) -> Box:
        self._walked += 1
        if self._walked > _MAX_BOXES:
            raise MediaInvalidError(f"The file has more than {_MAX_BOXES} boxes; that is no video's.")
        self._file.seek(start)
        header = self._file.read(_HEADER)
        if len(header) < _HEADER or start + _HEADER > end:
            self.cut_off()
        length, kind = struct.unpack(">I4s", header)
        body = start + _HEADER
        if length == 1:
            wide = self._file.read(_LONG_HEADER - _HEADER)
            if len(wide) < _LONG_HEADER - _HEADER:
                self.cut_off()
            (length,) = struct.unpack(">Q", wide)
            body = start + _LONG_HEADER
        elif length == 0:  # "to the end of the file"
            length = end - start
        box = Box(kind, start, body, start + length)
        if box.end < body or box.end > end:
            raise MediaInvalidError(
                f"The file is cut off or damaged: box '{box.name}' at byte {start} claims {length} bytes, "
                f"{end - start} are there."
            )
        return box

    def _require(self, box: Box, wanted: int) -> None:
        if box.end - box.start < wanted:
            raise MediaInvalidError(
                f"The file is damaged: box '{box.name}' at byte {box.at} needs {wanted} bytes for what it says it "
                f"holds, and has {box.end - box.start}."
            )

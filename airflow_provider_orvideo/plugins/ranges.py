"""HTTP's conditional and range requests for one file that does not change. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: More digits than any size has; `int` refuses thousands of them with an error of its own.
_DIGITS: Final = 19
_RANGE: Final = re.compile(r"\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII)


class RangeError(ValueError):
    """The Range header cannot be answered with 206 (RFC 9110, 15.5.17); the message says why."""


@dataclass(frozen=True)
class Span:
    """Bytes of a file.

    Attributes:
        start: offset of the first byte.
        length: how many, at least one except for an empty file.
        partial: whether the client asked for a part.
    """

    start: int
    length: int
    partial: bool

    def content_range(self, size: int) -> str:
        """Write the Content-Range header."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def span_of(headers: Mapping[str, str], *, size: int, etag: str) -> Span:
    """Return what a GET asks for.

    Args:
        headers: the request's, lower case or case-insensitive.
        size: of the file, in bytes.
        etag: of the file, with its quotes.

    Raises:
        RangeError: the range is malformed, lies behind the end, or there are several.
    """
    whole = Span(0, size, partial=False)
    header = headers.get("range", "")
    unit, _, wanted = header.partition("=")
    if not header or unit.strip().lower() != "bytes":
        return whole  # an unknown unit is ignored (RFC 9110, 14.2)
    if (condition := headers.get("if-range", "").strip()) and condition != etag:
        return whole  # the client's part is of another file, or it asks by date, and there is none
    if "," in wanted:
        raise RangeError("asks for several parts; ask for one")
    match = _RANGE.fullmatch(wanted)
    if match is None or not any(match.groups()):
        raise RangeError("is not of the form bytes=first-last")
    first, last = match.groups()
    if not first:
        length = min(_number(last), size)
        start = size - length
    else:
        start = _number(first)
        end = _number(last) if last else size - 1
        if end < start and last:
            raise RangeError("ends before it begins")
        length = min(end, size - 1) - start + 1
    if length <= 0:
        raise RangeError(f"lies behind the end of {size} bytes")
    return Span(start, length, partial=True)


def is_unmodified(headers: Mapping[str, str], etag: str) -> bool:
    """Whether If-None-Match says that the client has this file already (compared weakly, as RFC 9110 has it)."""
    tags = {tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")}
    return etag in tags or "*" in tags


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS

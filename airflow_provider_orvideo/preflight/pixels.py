"""Resolutions, aspect ratios and sizes: how many pixels a video has. Pure.

A resolution is the length of the short side, an `int`: 720 for ``720p``, 2160 for ``4K``. Two layouts are known. Most
models keep that short side at every aspect ratio. Seedance keeps the area instead: its 480p square was 640x640 when it
was measured (live API, autumn 2026), although the catalogue of June 2026 listed 480x480.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Short sides of the names that do not say them. 1K, 2K and 4K are inferred from the sizes that the API lists.
_NAMED: Final = {"1k": 1024, "2k": 1440, "4k": 2160, "8k": 4320}
_NAMES: Final = {side: name.upper() for name, side in _NAMED.items()}
#: Short sides of the API's resolutions; a size names a resolution only through one of these.
_SIDES: Final = (360, 480, 720, 768, 1024, 1080, 1440, 2160)
#: Aspect ratios of the API.
ASPECT_RATIOS: Final = ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21")
#: How far a listed size may be from its aspect ratio: 864x496 is a 16:9.
_TOLERANCE: Final = 0.03


@dataclass(frozen=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        """Return ``1280x720``."""
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """The area."""
        return self.width * self.height

    @property
    def short_side(self) -> int:
        """The shorter side."""
        return min(self.width, self.height)

    def has_ratio(self, ratio: Fraction) -> bool:
        """Whether this is a size of that aspect ratio, give or take what encoders round to."""
        return math.isclose(self.width / self.height, ratio, rel_tol=_TOLERANCE)


#: Sizes of the layout that keeps the area, where they are not just the square root; landscape.
_SAME_AREA: Final = {
    (480, Fraction(16, 9)): Size(864, 496),
    (480, Fraction(4, 3)): Size(752, 560),
    (480, Fraction(21, 9)): Size(992, 432),
    (720, Fraction(4, 3)): Size(1112, 834),
    (720, Fraction(21, 9)): Size(1470, 630),
}


def read_resolution(name: str) -> int | None:
    """Return the short side in pixels that ``720p`` or ``4K`` stands for; None for any other text."""
    named = _NAMED.get(name.lower())
    if named is None and (match := re.fullmatch(r"([1-9][0-9]{2,3})p", name, re.IGNORECASE)):
        named = int(match[1])
    return named


def resolution_name(side: int) -> str:
    """Return the API's name of a resolution."""
    return _NAMES.get(side, f"{side}p")


def read_aspect_ratio(text: str) -> Fraction | None:
    """Return width over height of ``16:9``; None for any other text."""
    match = re.fullmatch(r"([1-9][0-9]?):([1-9][0-9]?)", text)
    return Fraction(int(match[1]), int(match[2])) if match else None


def read_size(text: str) -> Size | None:
    """Return the two numbers of ``1280x720``; None for any other text, and for sides of six digits and more."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    return Size(int(match[1]), int(match[2])) if match else None


def sizes_of(resolution: int, ratio: Fraction, listed: Iterable[Size] = ()) -> tuple[Size, ...]:
    """Return the sizes that a video of this resolution and aspect ratio may have.

    Args:
        resolution: short side in pixels.
        ratio: width over height.
        listed: the sizes that the model lists. A model that lists the size of the layout which keeps the area is taken
            at its word; of any other, both layouts are possible.
    """
    kept = [size for size in listed if size.has_ratio(ratio)]
    sides = tuple(size for size in kept if size.short_side == resolution)
    area = _same_area(resolution, ratio)
    if area in kept:
        return tuple(dict.fromkeys((area, *sides)))
    return tuple(dict.fromkeys((*(sides or (_same_side(resolution, ratio),)), area)))


def resolutions_of(size: Size) -> tuple[int, ...]:
    """Return the resolutions that may have this size, in either layout; none for a size that belongs to no name."""
    ratio = next(
        (ratio for ratio in map(read_aspect_ratio, ASPECT_RATIOS) if ratio is not None and size.has_ratio(ratio)), None
    )
    by_area = (side for side in _SIDES if ratio is not None and _same_area(side, ratio) == size)
    return tuple(sorted({side for side in _SIDES if side == size.short_side} | set(by_area)))


def _same_side(resolution: int, ratio: Fraction) -> Size:
    longer = _even(resolution * float(max(ratio, 1 / ratio)))
    return Size(longer, resolution) if ratio >= 1 else Size(resolution, longer)


def _same_area(resolution: int, ratio: Fraction) -> Size:
    if ratio < 1:
        turned = _same_area(resolution, 1 / ratio)
        return Size(turned.height, turned.width)
    area = resolution * resolution * 16 / 9
    return _SAME_AREA.get(
        (resolution, ratio), Size(_even(math.sqrt(area * float(ratio))), _even(math.sqrt(area / float(ratio))))
    )


def _even(length: float) -> int:
    """Return the nearest even number: encoders halve both sides."""
    return max(2, round(length / 2) * 2)

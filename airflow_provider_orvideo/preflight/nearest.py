"""Which allowed value is nearest to one that is not. Pure; where two are equally near, the cheaper or smaller one is.

None means that no allowed value can be called near, and a person has to choose.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Number = TypeVar("Number", int, float)

#: Names of resolutions that are not their number of lines. ``1K`` to ``4K`` are values of the API.
_LINES: Final = {"1k": 1024, "2k": 1440, "4k": 2160, "8k": 4320, "hd": 720, "fhd": 1080, "qhd": 1440, "uhd": 2160}
_RATIO = re.compile(r"\s*(\d{1,6}(?:\.\d{1,6})?)\s*[:x/]\s*(\d{1,6}(?:\.\d{1,6})?)\s*", re.IGNORECASE | re.ASCII)
#: How much alike two names must be, 0 to 1, for one to be taken for a misspelling of the other.
_SAME_NAME: Final = 0.85


def nearest_number(value: Number, allowed: Iterable[Number]) -> Number | None:
    """Return the number with the smallest distance; of two, the smaller."""
    return min(allowed, key=lambda each: (abs(each - value), each), default=None)


def nearest_resolution(value: str, allowed: Sequence[str]) -> str | None:
    """Return the resolution whose number of lines is nearest; of two, the smaller."""
    wanted = _lines(value)
    known = {each: lines for each in allowed if (lines := _lines(each)) is not None}
    if wanted is None:
        return None
    return min(known, key=lambda each: (abs(known[each] - wanted), known[each]), default=None)


def nearest_ratio(value: str, allowed: Sequence[str]) -> str | None:
    """Return the aspect ratio that differs by the smallest factor; of two, the one listed first."""
    wanted = _sides(value)
    if wanted is None:
        return None
    width, height = wanted
    known = {each: sides for each in allowed if (sides := _sides(each)) is not None}

    def distance(each: str) -> float:
        # Rounded, since 16:9 and 9:16 are equally far from 1:1, whatever floating point says.
        return round(abs(math.log(known[each][0] / known[each][1]) - math.log(width / height)), 9)

    return min(known, key=distance, default=None)


def nearest_size(value: str, allowed: Sequence[str]) -> str | None:
    """Return the size that is most alike in shape and scale; of two, the one with fewer pixels."""
    wanted = _sides(value)
    if wanted is None:
        return None
    width, height = wanted
    known = {each: sides for each in allowed if (sides := _sides(each)) is not None}

    def distance(each: str) -> tuple[float, float]:
        wide, high = known[each]
        across, down = math.log(wide / width), math.log(high / height)
        return round(abs(across - down) + abs(across + down) / 2, 9), wide * high

    return min(known, key=distance, default=None)


def nearest_name(value: str, allowed: Iterable[str]) -> str | None:
    """Return the name that this one misspells: other case or separators, or a slip of the hand."""
    plain = {_plain(each): each for each in allowed}
    near = difflib.get_close_matches(_plain(value[:SEARCHED]), plain, n=1, cutoff=_SAME_NAME)
    return plain[near[0]] if near else None


#: Of a name that is not known, this many characters are compared: comparing costs their square.
SEARCHED: Final = 200


def _plain(name: str) -> str:
    return re.sub(r"[\s_./-]", "", name.casefold())


def _lines(resolution: str) -> int | None:
    text = resolution.strip().lower()
    digits = text.removesuffix("p")
    return int(digits) if re.fullmatch(r"[1-9]\d{1,4}", digits, re.ASCII) else _LINES.get(text)


def _sides(text: str) -> tuple[float, float] | None:
    found = _RATIO.fullmatch(text)
    sides = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    return sides if min(sides) > 0 else None

"""Is what came what was ordered? Compares a request with what a decoder saw. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_orvideo.landing.probe import Probe

T = TypeVar("T")

#: A second is what is ordered and paid for, so half of one tells orders apart. Models deliver whole groups of frames:
#: 4.04 s for 4 s were seen.
DURATION_TOLERANCE_S: Final = 0.5
#: Of a long film, more: 20 s may end a second early or late.
DURATION_TOLERANCE: Final = 0.05
#: Pixels of one side. Encoders work in blocks of 16, and some models round to them: 1080 becomes 1088, 854 becomes 848.
SIDE_TOLERANCE_PX: Final = 16
#: Part of the number of pixels. Rounding both sides to blocks moves it by up to 5 % at 480p.
AREA_TOLERANCE: Final = 0.08
#: Part of width:height. 16:9 at 480p in blocks of 16 is 864x496, which is 2.02 % off; 4:3 and 3:2 are 12 % apart.
ASPECT_TOLERANCE: Final = 0.03

#: Short side of a ``4K`` film: the models that list the word list the sizes 3840x2160 and 2160x3840 with it. What
#: ``1K`` and ``2K`` stand for in pixels, no source says: they are not judged.
_NAMED: Final = {"4K": 2160}
_LINES: Final = re.compile(r"([1-9]\d{2,3})p")
_ASPECT: Final = re.compile(r"([1-9]\d{0,3}):([1-9]\d{0,3})")
_SIZE: Final = re.compile(r"([1-9]\d{0,5})x([1-9]\d{0,5})")


@dataclass(frozen=True)
class Expected:
    """What was ordered, as far as a decoder can see it. None is "not ordered": the model was free to choose.

    Attributes:
        duration_s: seconds.
        width: pixels; together with the height.
        height: pixels.
        resolution: a word of the API such as ``720p`` or ``4K``.
        aspect_ratio: ``16:9`` and the like.
        audio: whether there is to be an audio track.
    """

    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    audio: bool | None = None


def expected_from(request: Mapping[str, Any]) -> Expected:
    """Return what a request orders, as far as a decoder can see it.

    A size stands instead of resolution and aspect ratio, which are then not judged. Nor is the duration of a job that
    continues another one: whether the new file holds the old seconds, too, is the model's choice.

    Args:
        request: as it goes over the wire (`VideoRequest.to_wire`), or as a manifest keeps it. A value of another kind
            than the API takes says nothing.
    """
    size = _SIZE.fullmatch(_given(request, "size", str) or "")
    width, height = map(int, size.groups()) if size else (None, None)
    return Expected(
        duration_s=None if request.get("previous_job_id") else _given(request, "duration", int),
        width=width,
        height=height,
        resolution=None if size else _given(request, "resolution", str),
        aspect_ratio=None if size else _given(request, "aspect_ratio", str),
        audio=_given(request, "generate_audio", bool),
    )


def _given(request: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    value = request.get(name)
    return value if type(value) is kind else None


def differences(expected: Expected, probe: Probe | None) -> tuple[str, ...]:
    """Return one sentence for each thing that came otherwise than ordered, with both values; empty for none.

    What was not ordered is not judged, nor what no decoder saw.

    Args:
        expected: the order.
        probe: what came, None where it could not be probed.
    """
    return () if probe is None else tuple(_differences(expected, probe))


def _differences(expected: Expected, probe: Probe) -> Iterator[str]:
    if expected.duration_s is not None and probe.duration_s is not None:
        allowed = max(DURATION_TOLERANCE_S, DURATION_TOLERANCE * expected.duration_s)
        # Rounded: 4.5 - 4.0 must not be more than 0.5.
        if round(abs(probe.duration_s - expected.duration_s), 3) > allowed:
            yield f"The duration is {probe.duration_s:g} s, {expected.duration_s:g} s were ordered."
    came = f"{probe.width}x{probe.height}"
    if expected.width is not None and expected.height is not None:
        off = max(abs(probe.width - expected.width), abs(probe.height - expected.height))
        if off > SIDE_TOLERANCE_PX:
            yield f"The size is {came}, {expected.width}x{expected.height} was ordered."
    if expected.resolution is not None and not _has_resolution(probe, expected.resolution):
        yield f"The size is {came}, the resolution {expected.resolution} was ordered."
    if expected.aspect_ratio is not None and not _has_aspect(probe, expected.aspect_ratio):
        yield (f"The aspect ratio is {probe.width / probe.height:.3g}:1 ({came}), {expected.aspect_ratio} was ordered.")
    if expected.audio is True and not probe.has_audio:
        yield "There is no audio track, sound was ordered."
    if expected.audio is False and probe.has_audio:
        codec = f" ({probe.audio_codec})" if probe.audio_codec else ""
        yield f"There is an audio track{codec}, a film without sound was ordered."


def _has_resolution(probe: Probe, word: str) -> bool:
    """Whether the picture fits a resolution's name; True for a name that says nothing certain.

    Models read ``480p`` in two ways: as the short side (854x480, 480x480), or as a number of pixels that any aspect
    ratio shares (640x640, seen from Seedance). Either will do.
    """
    lines = _LINES.fullmatch(word)
    side = int(lines[1]) if lines else _NAMED.get(word)
    if side is None:
        return True
    if abs(min(probe.width, probe.height) - side) <= SIDE_TOLERANCE_PX:
        return True
    area = side * side * 16 / 9
    return abs(probe.width * probe.height - area) <= AREA_TOLERANCE * area


def _has_aspect(probe: Probe, word: str) -> bool:
    """Whether the picture has an aspect ratio; True for a word that is none."""
    parts = _ASPECT.fullmatch(word)
    if parts is None or not probe.height:
        return True
    wanted = int(parts[1]) / int(parts[2])
    return abs(probe.width / probe.height - wanted) <= ASPECT_TOLERANCE * wanted

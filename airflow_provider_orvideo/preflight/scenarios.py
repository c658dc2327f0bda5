"""What a request orders, as far as its price goes: one scenario, or several where something is open. Pure.

Only one default is documented: an unset ``generate_audio`` follows the model's own flag. Length, resolution and aspect
ratio that are not set are whatever the model supports, from the least to the most. Dimensions that no SKU of the model
depends on are not varied.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.api.schema import ImageReference, VideoReference
from airflow_provider_orvideo.preflight.pixels import (
    ASPECT_RATIOS,
    Size,
    read_aspect_ratio,
    read_resolution,
    read_size,
    resolution_name,
    resolutions_of,
    sizes_of,
)
from airflow_provider_orvideo.preflight.skus import AUDIO, MODES, STYLES, Condition, PriceList, Qualifier, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from fractions import Fraction

    from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest

_PIXEL_UNITS = (Unit.TOKEN, Unit.MEGAPIXEL_SECOND)


class UnknownPriceError(Exception):
    """The price cannot be told; the text says why. Stays inside the preflight: an estimate carries it as its reason."""


@dataclass(frozen=True)
class Scenario:
    """One reading of a request.

    Attributes:
        seconds: length of the video.
        facts: what is true of the job; its resolution among them, where prices depend on it.
        size: width and height; None where no price depends on them, or where nothing tells them.
        extra_frames: frames made beyond the ordered length.
        images: input images, frames included.
        references: input references that count as such.
    """

    seconds: Decimal
    facts: frozenset[Qualifier]
    size: Size | None = None
    extra_frames: int = 0
    images: int = 0
    references: int = 0

    def __str__(self) -> str:
        """Return the facts, for example ``1080p with_audio``."""
        facts = sorted(self.facts, key=lambda fact: (isinstance(fact, Condition), str(fact)))
        words = (fact.value if isinstance(fact, Condition) else resolution_name(fact) for fact in facts)
        return " ".join(words) or "such a job"


@dataclass(frozen=True)
class Reading:
    """All that a request may mean.

    Attributes:
        scenarios: at least one.
        open: what the request leaves open, in sentences; these make an estimate a range.
        notes: what holds for all scenarios and is worth knowing.
    """

    scenarios: tuple[Scenario, ...]
    open: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(request: VideoRequest, model: VideoModel, prices: PriceList) -> Reading:
    """Return what the request may mean for this model, as far as these prices tell it apart.

    Raises:
        UnknownPriceError: something that the price depends on is neither in the request nor in the catalogue.
    """
    return _Reader(request, model, prices).read()


class _Reader:
    """Collects what is open and what to note on the way."""

    def __init__(self, request: VideoRequest, model: VideoModel, prices: PriceList) -> None:
        self._request = request
        self._model = model
        self._prices = prices
        self._open: list[str] = []
        self._notes: list[str] = []
        # The API ignores references where frame images are given too.
        self._references = () if request.frame_images else request.input_references or ()
        self._continues = request.previous_job_id is not None

    def read(self) -> Reading:
        seconds = self._seconds()
        fixed = frozenset(self._fixed_facts())
        dimensions = (self._audio(), self._modes(), self._styles())
        pictures = self._pictures()
        extra_frames = self._extra_frames()
        references = self._reference_counts()
        self._note_options()
        images = len(self._request.frame_images or ()) + self._image_references
        scenarios = tuple(
            Scenario(length, fixed.union(*chosen, facts), size, extra, images, counted)
            for length, *chosen, (facts, size), extra, counted in product(
                seconds, *dimensions, pictures, extra_frames, references
            )
        )
        return Reading(scenarios, tuple(self._open), tuple(self._notes))

    @property
    def _image_references(self) -> int:
        return sum(isinstance(reference, ImageReference) for reference in self._references)

    @property
    def _has_video_input(self) -> bool:
        return any(isinstance(reference, VideoReference) for reference in self._references)

    # ── Length ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _seconds(self) -> tuple[Decimal, ...]:
        if self._model.upscale_factor is not None or self._request.upscale_factor is not None:
            raise UnknownPriceError(
                "an upscaled video is as long as the input video and its size a multiple of it, and the request says "
                "neither length nor size of the input"
            )
        ordered = self._request.duration
        offered = tuple(seconds for seconds in self._model.supported_durations or () if seconds > 0)
        if not offered and (self._continues or len(self._references) > self._image_references):
            # Editors and avatars list none: what they make is as long as what they are given.
            raise UnknownPriceError(
                "the model lists no supported durations, so the video may be as long as the input, whose length is not "
                "in the request"
            )
        if ordered is not None:
            return (Decimal(ordered),)
        if self._continues:
            raise UnknownPriceError("'duration' is not set, and how long the continued job's video is, is not known")
        if not offered:
            raise UnknownPriceError("'duration' is not set, and the model lists no supported durations")
        shortest, longest = min(offered), max(offered)
        if shortest != longest:
            self._open.append(f"'duration' is not set: {shortest} to {longest} s")
        return tuple(map(Decimal, dict.fromkeys((shortest, longest))))

    # ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fixed_facts(self) -> Iterator[Qualifier]:
        if self._continues:
            yield Condition.CONTINUATION
            if not self._prices.tells_apart({Condition.CONTINUATION}):
                self._notes.append("the model lists no price of its own for continuing a job")
        if self._has_video_input:
            yield Condition.WITH_VIDEO_INPUT
            if not self._prices.tells_apart({Condition.WITH_VIDEO_INPUT, Condition.REFERENCE}):
                self._notes.append("the model lists no price of its own for an input video")

    def _audio(self) -> tuple[frozenset[Condition], ...]:
        if not self._prices.tells_apart(AUDIO):
            return (frozenset(),)
        sound = self._request.generate_audio
        if sound is None:
            sound = self._model.generate_audio
            if sound is None:
                self._open.append("'generate_audio' is not set, and whether the model makes sound is not known")
                return tuple(frozenset({condition}) for condition in sorted(AUDIO))
            self._notes.append(f"'generate_audio' is not set: the model's default is {'on' if sound else 'off'}")
        return (frozenset({Condition.WITH_AUDIO if sound else Condition.WITHOUT_AUDIO}),)

    def _modes(self) -> tuple[frozenset[Condition], ...]:
        if not self._prices.tells_apart(MODES):
            return (frozenset(),)
        if self._request.frame_images:
            return (frozenset({Condition.IMAGE_TO_VIDEO}),)
        if self._references and self._prices.tells_apart({Condition.REFERENCE}):
            return (frozenset({Condition.REFERENCE}),)
        if self._references or self._continues:
            cause = "'input_references' are" if self._references else "'previous_job_id' is"
            self._open.append(f"{cause} given: whether that bills as text-to-video or image-to-video is not documented")
            return (frozenset({Condition.TEXT_TO_VIDEO}), frozenset({Condition.IMAGE_TO_VIDEO}))
        return (frozenset({Condition.TEXT_TO_VIDEO}),)

    def _styles(self) -> tuple[frozenset[Condition], ...]:
        if not self._prices.tells_apart(STYLES):
            return (frozenset(),)
        creativity = self._request.creativity
        if creativity is None:
            self._open.append("'creativity' is not set")
            return (frozenset({Condition.PRECISE}), frozenset({Condition.CREATIVE}))
        return (frozenset({Condition.CREATIVE if creativity else Condition.PRECISE}),)

    # ── Pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pictures(self) -> tuple[tuple[frozenset[Qualifier], Size | None], ...]:
        """Return resolution and size, as far as prices depend on them."""
        by_pixel = self._prices.has_unit(*_PIXEL_UNITS)
        if not by_pixel and not self._prices.resolutions:
            return ((frozenset(), None),)
        resolutions = self._resolutions()
        if not by_pixel:
            return tuple((_fact(resolution), None) for resolution in resolutions)
        ordered = read_size(self._request.size or "")
        # A size that belongs to no resolution can only be meant as it stands.
        as_it_stands = ordered is not None and self._request.resolution is None and not resolutions_of(ordered)
        ratios = () if as_it_stands else self._ratios(ordered)
        found: list[tuple[frozenset[Qualifier], Size | None]] = []
        for resolution in resolutions:
            sizes = {ordered} if ordered else set()
            if resolution is not None:
                sizes.update(*(sizes_of(resolution, ratio, self._listed_sizes) for ratio in ratios))
            in_order = sorted(sizes, key=lambda size: (size.pixels, size.width))
            if sizes and in_order[0].pixels != in_order[-1].pixels:
                self._open.append(f"{_named(resolution)} may be {in_order[0]} to {in_order[-1]}")
            found += [(_fact(resolution), size) for size in dict.fromkeys((*in_order[:1], *in_order[-1:]))]
            if not sizes:
                found.append((_fact(resolution), None))
        return tuple(found)

    @property
    def _listed_sizes(self) -> tuple[Size, ...]:
        return tuple(filter(None, map(read_size, self._model.supported_sizes or ())))

    def _resolutions(self) -> tuple[int | None, ...]:
        """Return the resolutions that the video may have; None is one that no price depends on."""
        offered = _resolutions(self._model.supported_resolutions or ())
        if not offered:
            offered = tuple(sorted({side for size in self._listed_sizes for side in resolutions_of(size)}))
        asked = self._asked_resolutions(offered)
        if asked:
            return asked
        possible: tuple[int | None, ...] = offered or self._priced_resolutions()
        if len(possible) > 1:
            cause = "'size' names no resolution" if self._request.size else "'resolution' is not set"
            self._open.append(f"{cause}: {', '.join(map(_named, possible))}")
        return possible

    def _priced_resolutions(self) -> tuple[int | None, ...]:
        """Return those that have prices of their own, and any other one if there is a price for it."""
        own = tuple(sorted(self._prices.resolutions))
        return (*own, None) if self._prices.has_price_for_any_resolution else own

    def _asked_resolutions(self, offered: tuple[int, ...]) -> tuple[int, ...]:
        """Return what ``resolution`` and ``size`` say; normally one of them is set."""
        asked: list[int] = []
        if self._request.resolution is not None:
            side = read_resolution(self._request.resolution)
            if side is None:
                raise UnknownPriceError(
                    f"'resolution' is {redact(repr(self._request.resolution), limit=40)}, which names no known size"
                )
            asked.append(side)
        if self._request.size is not None:
            size = read_size(self._request.size)
            if size is None:
                raise UnknownPriceError(f"'size' is {redact(repr(self._request.size), limit=40)}, which cannot be read")
            named = resolutions_of(size)
            asked += [side for side in named if side in offered] or named
        found = tuple(dict.fromkeys(asked))
        if len(found) > 1:
            self._open.append(f"'size' and 'resolution' may mean {' or '.join(map(_named, found))}")
        return found

    def _ratios(self, size: Size | None) -> tuple[Fraction, ...]:
        if self._request.aspect_ratio is not None:
            ratio = read_aspect_ratio(self._request.aspect_ratio)
            if ratio is not None:
                return (ratio,)
        known = _ratios(ASPECT_RATIOS)
        if size is not None:
            return tuple(ratio for ratio in known if size.has_ratio(ratio))
        possible = _ratios(self._model.supported_aspect_ratios or ()) or known
        cause = "not set" if self._request.aspect_ratio is None else "none that says a size"
        if len(possible) > 1:
            self._open.append(f"'aspect_ratio' is {cause}: any that the model supports")
        return possible

    def _extra_frames(self) -> tuple[int, ...]:
        """Return how many frames beyond the ordered length may be billed.

        Seen live once: Seedance made and billed 97 frames for an ordered 4 seconds, which are 96.
        """
        if not self._prices.has_unit(Unit.TOKEN):
            return (0,)
        self._open.append("one frame more than ordered may be made and billed")
        return (0, 1)

    # ── Inputs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _reference_counts(self) -> tuple[int, ...]:
        if not self._prices.has_unit(Unit.REFERENCE):
            return (0,)
        images, every = self._image_references, len(self._references)
        if images != every:
            self._open.append("whether audio and video references bill as reference_images do is not documented")
        return tuple(dict.fromkeys((images, every)))

    def _note_options(self) -> None:
        if self._request.provider is not None and any(self._request.provider.options.values()):
            self._notes.append("'provider.options' are not considered: some change length, size or sound")


def _fact(resolution: int | None) -> frozenset[Qualifier]:
    return frozenset() if resolution is None else frozenset({resolution})


def _named(resolution: int | None) -> str:
    return "another" if resolution is None else resolution_name(resolution)


def _resolutions(names: Iterable[str]) -> tuple[int, ...]:
    return tuple(sorted({side for side in map(read_resolution, names) if side is not None}))


def _ratios(texts: Iterable[str]) -> tuple[Fraction, ...]:
    return tuple(dict.fromkeys(ratio for ratio in map(read_aspect_ratio, texts) if ratio is not None))

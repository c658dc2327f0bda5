"""What a job costs, computed from the price SKUs of its model as the live API bills it.

A SKU's name is a family and conditions: ``text_to_video_duration_seconds_720p`` is the family ``duration_seconds`` for
a job that is text-to-video and 720p. Of the SKUs whose conditions a job meets, those win that no other one refines.
Where two are left that say nothing about each other (``…_with_audio`` and ``…_720p``), the dearer one is billed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

CENTS = Decimal("0.01")
PIXELS_PER_TOKEN = 1024
TOKEN_FPS = 24

_RESOLUTION = r"(?:_(?P<res>\d+p|[124]k))?"
_DURATION = re.compile(
    rf"(?:(?P<mode>text_to_video|image_to_video|reference)_)?duration_seconds(?:_(?P<audio>with|without)_audio)?{_RESOLUTION}"
)
_TOKENS = re.compile(rf"video_tokens(?:_(?P<audio>with|without)_audio)?{_RESOLUTION}(?P<video>_with_video_input)?")
_CENTS_SECOND = re.compile(
    rf"cents_per_(?:video_output_second|second_output|second_video_(?P<continuation>continuation)){_RESOLUTION}"
)
_MEGAPIXEL = re.compile(r"cents_per_megapixel_second_(?P<style>precise|creative)")
_OUTPUT_FAMILIES = (_DURATION, _TOKENS, _CENTS_SECOND, _MEGAPIXEL)
_EXTRAS = frozenset({"cents_per_image_input", "minimum_cents_per_generation", "reference_images"})


@dataclass(frozen=True, slots=True)
class Billable:
    """The facts of a job that its price depends on.

    Args:
        seconds: Length of the output.
        width: Pixels across.
        height: Pixels down.
        extra_frames: Frames beyond that length which the model makes and bills by the token.
        resolution: The resolution's name, ``720p`` or ``4K``; None for a size that has none.
        audio: Whether the output has sound.
        mode: ``text_to_video``, ``image_to_video`` or ``reference``.
        images: Input images of every kind.
        references: Input references of every kind.
        video_input: Whether a video is among the references.
        continuation: Whether the job continues an earlier one.
        creative: Whether an upscaler may invent details.
    """

    seconds: Decimal
    width: int
    height: int
    extra_frames: int = 0
    resolution: str | None = None
    audio: bool = False
    mode: str = "text_to_video"
    images: int = 0
    references: int = 0
    video_input: bool = False
    continuation: bool = False
    creative: bool = False

    def conditions(self) -> frozenset[str]:
        """Every condition that a SKU may make and that this job meets."""
        met = {
            self.mode,
            "with" if self.audio else "without",
            "creative" if self.creative else "precise",
            (self.resolution or "").lower(),
        }
        if self.mode == "reference":
            # A model without a reference price bills references as images.
            met.add("image_to_video")
        if self.video_input:
            met.add("_with_video_input")
        if self.continuation:
            met.add("continuation")
        return frozenset(met)

    def amount(self, family: re.Pattern[str]) -> Decimal:
        """What a price of one is worth in this job, in dollars: its seconds, tokens or megapixel seconds."""
        if family is _TOKENS:
            return Decimal(self.width * self.height) * (self.seconds * TOKEN_FPS + self.extra_frames) / PIXELS_PER_TOKEN
        if family is _MEGAPIXEL:
            return Decimal(self.width * self.height) / 1_000_000 * self.seconds * CENTS
        return self.seconds * CENTS if family is _CENTS_SECOND else self.seconds


def cost(skus: Mapping[str, str] | None, job: Billable) -> Decimal | None:
    """The price of a job in US dollars; None where the SKUs do not tell."""
    met = job.conditions()
    candidates: list[tuple[frozenset[str], Decimal]] = []
    for name, price in (skus or {}).items():
        if name in _EXTRAS:
            continue
        for family in _OUTPUT_FAMILIES:
            if match := family.fullmatch(name):
                wanted = frozenset(value for value in match.groupdict().values() if value)
                if wanted <= met:
                    candidates.append((wanted, Decimal(price) * job.amount(family)))
                break
        else:
            # A price that cannot be understood is not a price of nothing.
            return None
    if not skus or not candidates:
        return None
    total = max(price for wanted, price in candidates if not any(wanted < other for other, _ in candidates))
    total += Decimal(skus.get("cents_per_image_input", 0)) * CENTS * job.images
    total += Decimal(skus.get("reference_images", 0)) * job.references
    return max(total, Decimal(skus.get("minimum_cents_per_generation", 0)) * CENTS)

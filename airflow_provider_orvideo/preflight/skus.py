"""A model's price list, read: what each SKU's name says, and which SKU a job goes by. Pure.

A name is a family and its qualifiers: ``text_to_video_duration_seconds_720p`` is a price per output second, for a video
made from text alone, in 720p. The families and their units are those seen in the live catalogue from June to October
2026; what else a list holds is kept as unreadable, never passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.preflight.money import Cents, Dollars, Price
from airflow_provider_orvideo.preflight.pixels import read_resolution

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet


class Unit(StrEnum):
    """What one price is paid for."""

    SECOND = "second of output"
    TOKEN = "video token"  # noqa: S105 - a unit, no credential
    MEGAPIXEL_SECOND = "megapixel second"
    IMAGE = "input image"
    REFERENCE = "input reference"
    #: Not added: the least that a job costs.
    MINIMUM = "job at least"


class Condition(StrEnum):
    """What a job must be like for a SKU to hold, resolution aside."""

    WITH_AUDIO = "with_audio"
    WITHOUT_AUDIO = "without_audio"
    TEXT_TO_VIDEO = "text_to_video"
    IMAGE_TO_VIDEO = "image_to_video"
    REFERENCE = "reference"
    WITH_VIDEO_INPUT = "with_video_input"
    CONTINUATION = "continuation"
    PRECISE = "precise"
    CREATIVE = "creative"


#: A condition, or the resolution as the length of its short side.
Qualifier = Condition | int

AUDIO: Final = frozenset({Condition.WITH_AUDIO, Condition.WITHOUT_AUDIO})
MODES: Final = frozenset({Condition.TEXT_TO_VIDEO, Condition.IMAGE_TO_VIDEO, Condition.REFERENCE})
STYLES: Final = frozenset({Condition.PRECISE, Condition.CREATIVE})
_EXCLUSIVE: Final = (AUDIO, MODES, STYLES)

#: Families that price the output; names begin with them, after the mode.
_OUTPUTS: Final[Mapping[str, tuple[Unit, type[Price], frozenset[Qualifier]]]] = {
    "duration_seconds": (Unit.SECOND, Dollars, frozenset()),
    "video_tokens": (Unit.TOKEN, Dollars, frozenset()),
    "cents_per_second_output": (Unit.SECOND, Cents, frozenset()),
    "cents_per_video_output_second": (Unit.SECOND, Cents, frozenset()),
    "cents_per_second_video_continuation": (Unit.SECOND, Cents, frozenset({Condition.CONTINUATION})),
    "cents_per_megapixel_second": (Unit.MEGAPIXEL_SECOND, Cents, frozenset()),
}
#: Families that come on top, or bound the sum; they are whole names.
_EXTRAS: Final[Mapping[str, tuple[Unit, type[Price]]]] = {
    "cents_per_image_input": (Unit.IMAGE, Cents),
    "reference_images": (Unit.REFERENCE, Dollars),
    "minimum_cents_per_generation": (Unit.MINIMUM, Cents),
}
_SUFFIX: Final = r"with_audio|without_audio|with_video_input|precise|creative|[0-9]{3,4}p|[1248]k"
_NAME: Final = re.compile(
    rf"(?:(?P<mode>{'|'.join(sorted(MODES))})_)?(?P<family>{'|'.join(_OUTPUTS)})(?P<suffixes>(?:_(?:{_SUFFIX}))*)"
)
#: The API writes decimals; a number that was made a text on the way may have an exponent.
_PRICE: Final = re.compile(r"(?:[0-9]{1,6}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE]-[0-9]{1,2})?")


@dataclass(frozen=True)
class Sku:
    """One price that could be read.

    Attributes:
        name: as the API lists it.
        unit: what one price is paid for.
        price: dollars or cents, as the family says; not negative.
        qualifiers: what a job must be like; none for a price that holds for all.
    """

    name: str
    unit: Unit
    price: Price
    qualifiers: frozenset[Qualifier] = frozenset()

    def __str__(self) -> str:
        """Return price and name, as derivations show them."""
        return f"{self.price} {self.name}"

    @property
    def is_free(self) -> bool:
        """Whether it is listed at 0."""
        return not self.price.amount


@dataclass(frozen=True)
class UnreadableSku:
    """One price that could not be read.

    Attributes:
        name: as the API lists it, shortened, secrets removed.
        price: as the API lists it, shortened, secrets removed.
        why: what is wrong with it.
    """

    name: str
    price: str
    why: str

    def __str__(self) -> str:
        """Return name, price and what is wrong."""
        return f"{self.name} at {self.price} ({self.why})"


def parse_sku(name: str, price: str) -> Sku | UnreadableSku:
    """Read one entry of ``pricing_skus``."""
    parsed = _parse_name(name)
    why = "no known kind of price" if parsed is None else "no decimal number"
    if parsed is not None and _PRICE.fullmatch(price):
        unit, money, qualifiers = parsed
        return Sku(name, unit, money(Decimal(price)), qualifiers)
    return UnreadableSku(redact(repr(name), limit=80), redact(repr(price), limit=40), why)


def _parse_name(name: str) -> tuple[Unit, type[Price], frozenset[Qualifier]] | None:
    if extra := _EXTRAS.get(name):
        return *extra, frozenset()
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    words = re.findall(_SUFFIX, match["suffixes"])
    found: list[Qualifier] = [read_resolution(word) or Condition(word) for word in words]
    if match["mode"]:
        found.append(Condition(match["mode"]))
    unit, money, implied = _OUTPUTS[match["family"]]
    qualifiers = implied.union(found)
    resolutions = [qualifier for qualifier in found if not isinstance(qualifier, Condition)]
    contradicts = len(resolutions) > 1 or any(len(qualifiers & group) > 1 for group in _EXCLUSIVE)
    return None if contradicts else (unit, money, qualifiers)


@dataclass(frozen=True)
class PriceList:
    """All SKUs of a model.

    Attributes:
        outputs: prices of the output; a job goes by the most specific.
        extras: prices of inputs, and the minimum.
        unreadable: the rest, so that outputs, extras and these are the whole list.
    """

    outputs: tuple[Sku, ...] = ()
    extras: tuple[Sku, ...] = ()
    unreadable: tuple[UnreadableSku, ...] = ()

    @classmethod
    def parse(cls, skus: Mapping[str, str] | None) -> PriceList:
        """Read ``pricing_skus`` of a model."""
        parsed = [parse_sku(name, price) for name, price in (skus or {}).items()]
        readable = [sku for sku in parsed if isinstance(sku, Sku)]
        return cls(
            outputs=tuple(sku for sku in readable if sku.name not in _EXTRAS),
            extras=tuple(sku for sku in readable if sku.name in _EXTRAS),
            unreadable=tuple(sku for sku in parsed if isinstance(sku, UnreadableSku)),
        )

    @property
    def resolutions(self) -> frozenset[int]:
        """The resolutions that have prices of their own, as short sides."""
        return frozenset(
            qualifier for sku in self.outputs for qualifier in sku.qualifiers if not isinstance(qualifier, Condition)
        )

    @property
    def has_price_for_any_resolution(self) -> bool:
        """Whether some output price does not depend on the resolution."""
        return any(sku.qualifiers.issubset(Condition) for sku in self.outputs)

    def tells_apart(self, conditions: AbstractSet[Condition]) -> bool:
        """Whether any price depends on one of these conditions."""
        return any(conditions & sku.qualifiers for sku in self.outputs)

    def has_unit(self, *units: Unit) -> bool:
        """Whether anything is priced by one of these units."""
        return any(sku.unit in units for sku in (*self.outputs, *self.extras))

    def extra_sku(self, unit: Unit) -> Sku | None:
        """Return the price that comes on top per ``unit``, if there is one."""
        return next((sku for sku in self.extras if sku.unit is unit), None)

    def most_specific(self, facts: AbstractSet[Qualifier]) -> tuple[Sku, ...]:
        """Return the output prices that hold for such a job and that no other one refines.

        More than one is left where two say nothing about each other, as ``…_with_audio`` and ``…_720p`` do.
        """
        holding = [sku for sku in self.outputs if sku.qualifiers <= facts]
        return tuple(sku for sku in holding if not any(sku.qualifiers < other.qualifiers for other in holding))

"""What a request will cost, from the price list of its model: a sum with its derivation, a range, or unknown. Pure.

An estimate is not a cap: the live API was seen to bill 2.1 times the listed price once. And unknown is never 0.

Source of the rules: bills of the live API recorded in September and October 2026, and the catalogue of those months.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.preflight.money import Dollars
from airflow_provider_orvideo.preflight.scenarios import Reading, Scenario, UnknownPriceError, read
from airflow_provider_orvideo.preflight.skus import Condition, PriceList, Sku, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest

#: Tokens of a video: width x height x frames / 1024, at 24 frames per second.
_FRAMES_PER_SECOND: Final = 24
_PIXELS_PER_TOKEN: Final = 1024
#: Inferred: the API does not say whether a megapixel is 10^6 or 2^20 pixels.
_PIXELS_PER_MEGAPIXEL: Final = 1_000_000
#: Enough digits for any price times any length; the caller's own context must not round money.
_EXACT: Final = Context(prec=60)
_TIMES: Final = "\N{MULTIPLICATION SIGN}"
#: Decimals of a sum in a text.
_SHOWN: Final = 6


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a request is expected to cost. The bill may be higher.

    Attributes:
        low: US dollars, greater than 0, not rounded; None for unknown.
        high: US dollars, at least ``low``; equal to it where all is known, and None for unknown.
        derivation: how the sum came about, with SKU names and figures; empty for unknown.
        reason: why it is unknown; None where it is known.
        notes: what the estimate rests on, in sentences; why it is a range is among them.

    Raises:
        ValueError: neither 0 < ``low`` <= ``high``, nor unknown with a reason.
    """

    low: Decimal | None = None
    high: Decimal | None = None
    derivation: str = ""
    reason: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an estimate that could pass for a free one.

        Raises:
            ValueError: see `Estimate`.
        """
        known = self.low is not None and self.high is not None and 0 < self.low <= self.high
        unknown = self.low is None and self.high is None and bool(self.reason)
        if not (unknown or (known and self.reason is None)):
            raise ValueError(f"an estimate is 0 < low <= high, or neither and a reason; not {vars(self)}")

    @property
    def is_known(self) -> bool:
        """Whether there is a sum."""
        return self.high is not None

    @property
    def usd(self) -> Decimal | None:
        """The sum to hold against a limit, in US dollars, which is the high end; None for unknown."""
        return self.high

    def __str__(self) -> str:
        """Return one line for a log."""
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        if self.low is None or self.high is None:
            return f"unknown: {self.reason}{notes}"
        low, high = _shown(self.low), _shown(self.high)
        return f"{low if self.low == self.high else f'{low} to {high}'} = {self.derivation}{notes}"


@dataclass(frozen=True)
class _Sum:
    """A total and how it came about."""

    total: Dollars
    derivation: str


def estimate(request: VideoRequest, model: VideoModel) -> Estimate:
    """Estimate what a request costs.

    Args:
        request: what is to be ordered.
        model: the entry of its model in the catalogue of ``GET /videos/models``; ``request.model`` is not compared.

    Returns:
        The sum in US dollars, or why it is unknown; never an error.

    Source: bills of the live API recorded in September and October 2026, and the catalogue of those months. They match
    to the cent but for one, which was 2.1 times the listed price.
    """
    prices = PriceList.parse(model.pricing_skus)
    with localcontext(_EXACT):
        try:
            found = _readable(request, model, prices)
        except UnknownPriceError as error:
            found = Estimate(reason=str(error))
    if not prices.unreadable:
        return found
    # It may come on top, take the place of another, or have nothing to do with this request: nobody can tell.
    odd = ", ".join(map(str, prices.unreadable[:3])) + (", …" if len(prices.unreadable) > 3 else "")  # noqa: PLR2004
    others = f"; without them it would be {found}" if found.is_known else ""
    return Estimate(reason=f"prices of the model that cannot be read: {odd}{others}")


def _readable(request: VideoRequest, model: VideoModel, prices: PriceList) -> Estimate:
    """Estimate by the prices that can be read."""
    if not prices.outputs:
        raise UnknownPriceError("the model lists no price of its output")
    try:
        reading = read(request, model, prices)
    except UnknownPriceError as error:
        raise UnknownPriceError(f"{error}; its prices: {_listed(prices)}") from None
    sums = [found for scenario in reading.scenarios for found in _sums(scenario, prices)]
    low = min(sums, key=lambda found: found.total)
    high = max(sums, key=lambda found: found.total)
    return Estimate(
        low=low.total.amount,
        high=high.total.amount,
        derivation=low.derivation if low.total == high.total else f"{low.derivation} to {high.derivation}",
        notes=_notes(reading, sums),
    )


def _notes(reading: Reading, sums: list[_Sum]) -> tuple[str, ...]:
    if all(found.total == sums[0].total for found in sums):
        return reading.notes
    rivals = ("more than one price fits, and which one bills is not documented",)
    return (*reading.open, *(rivals if len(sums) > len(reading.scenarios) else ()), *reading.notes)


def _sums(scenario: Scenario, prices: PriceList) -> Iterator[_Sum]:
    """Yield what a scenario costs: once for each price that may be the one."""
    chosen = prices.most_specific(scenario.facts)
    if not chosen:
        raise UnknownPriceError(f"no price of the model is for {scenario}; its prices: {_listed(prices)}")
    if len({sku.unit for sku in chosen}) > 1:
        raise UnknownPriceError(f"prices by different units fit: {', '.join(map(str, chosen))}")
    for sku in chosen:
        if sku.is_free:
            raise UnknownPriceError(f"{sku.name} is listed at 0: free of charge, or not priced yet")
        yield _bounded(_with_inputs(_output(sku, scenario), scenario, prices), prices)


def _output(sku: Sku, scenario: Scenario) -> _Sum:
    """Price the output alone."""
    if sku.unit is Unit.SECOND:
        return _times(scenario.seconds, f"{scenario.seconds:f} s", sku)
    if scenario.size is None:
        raise UnknownPriceError(f"{sku.name} goes by the pixel, and neither the request nor the model says how many")
    pixels = Decimal(scenario.size.pixels)
    if sku.unit is Unit.MEGAPIXEL_SECOND:
        megapixels = pixels / _PIXELS_PER_MEGAPIXEL
        return _times(
            megapixels * scenario.seconds, f"{scenario.size} = {megapixels:f} MP {_TIMES} {scenario.seconds:f} s", sku
        )
    frames = scenario.seconds * _FRAMES_PER_SECOND + scenario.extra_frames
    tokens = pixels * frames / _PIXELS_PER_TOKEN
    amount = f"{tokens.normalize():f} tokens ({scenario.size}, {frames:f} frames)"
    found = _times(tokens, amount, sku)
    if scenario.facts & {Condition.WITH_VIDEO_INPUT, Condition.CONTINUATION}:
        raise UnknownPriceError(
            "the length of the input video is not in the request and may be billed in tokens too; the output alone "
            f"would be {_shown(found.total.amount)} = {found.derivation}"
        )
    return found


def _with_inputs(output: _Sum, scenario: Scenario, prices: PriceList) -> _Sum:
    """Add what inputs cost."""
    for unit, count in ((Unit.IMAGE, scenario.images), (Unit.REFERENCE, scenario.references)):
        sku = prices.extra_sku(unit)
        if sku is not None and count:
            extra = _times(Decimal(count), f"{count} {unit}{'s' if count > 1 else ''}", sku)
            output = _Sum(output.total + extra.total, f"{output.derivation} + {extra.derivation}")
    return output


def _bounded(found: _Sum, prices: PriceList) -> _Sum:
    """Apply the minimum."""
    minimum = prices.extra_sku(Unit.MINIMUM)
    if minimum is None or minimum.price.to_dollars() <= found.total:
        return found
    return _Sum(minimum.price.to_dollars(), f"{minimum}, more than {found.derivation}")


def _times(amount: Decimal, text: str, sku: Sku) -> _Sum:
    return _Sum(sku.price.to_dollars() * amount, f"{text} {_TIMES} {sku}")


def _listed(prices: PriceList) -> str:
    return ", ".join(map(str, (*prices.outputs, *prices.extras)))


def _shown(amount: Decimal) -> Dollars:
    """Round for a text, but never to nothing."""
    return Dollars(Decimal(f"{amount:.{_SHOWN}f}") or amount)

"""US dollars and US cents as two types: a price list has both, and a sum that mixes them is off by a hundred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal


def _plain(amount: Decimal, *, places: int) -> str:
    """Write without an exponent, with at least ``places`` decimals and no zeros beyond them."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return whole + (f".{decimals.rstrip('0').ljust(places, '0')}" if places or decimals.strip("0") else "")


@dataclass(frozen=True, order=True)
class Dollars:
    """An amount of US dollars. Adds to dollars only.

    Attributes:
        amount: US dollars, not rounded.
    """

    amount: Decimal

    def __add__(self, other: Dollars) -> Dollars:
        """Return the sum; anything but dollars is a `TypeError`, cents too."""
        if not isinstance(other, Dollars):
            return NotImplemented
        return Dollars(self.amount + other.amount)

    def __mul__(self, factor: Decimal) -> Dollars:
        """Return so many times the amount."""
        return Dollars(self.amount * factor)

    def __str__(self) -> str:
        """Return for example ``$0.40``, or ``$0.0000035`` for the price of a token."""
        return f"${_plain(self.amount, places=2)}"

    def to_dollars(self) -> Dollars:
        """Return this very amount."""
        return self


@dataclass(frozen=True, order=True)
class Cents:
    """An amount of US cents. Has no arithmetic: convert it first.

    Attributes:
        amount: US cents; may be a fraction of one.
    """

    amount: Decimal

    def __str__(self) -> str:
        """Return for example ``0.2¢``."""
        return f"{_plain(self.amount, places=0)}¢"

    def to_dollars(self) -> Dollars:
        """Return the same amount in dollars."""
        return Dollars(self.amount / 100)


Price = Dollars | Cents

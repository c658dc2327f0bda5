"""What a budget knows: who has spent and who has reserved how much of it. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA_VERSION: Final = 1
_ZERO: Final = Decimal(0)
#: Enough digits for any sum; the caller's own context must not round money.
_EXACT: Final = Context(prec=60)

#: US dollars, never negative, and never "not a number".
Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class Event(StrEnum):
    """What an entry of the log tells."""

    #: A video is about to be ordered.
    RESERVED = "reserved"
    #: What was reserved is spent, at the actual cost where that is known.
    SETTLED = "settled"
    #: Nothing was accepted; the money is free again.
    RELEASED = "released"


class Line(BaseModel):
    """What one task instance holds of a budget.

    Attributes:
        spent: US dollars of its orders that are over, or that nobody follows any more.
        reserved: US dollars of its latest order; 0 for none.
        order: tells that order from earlier ones of the task instance; None for none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    spent: Amount = _ZERO
    reserved: Amount = _ZERO
    order: str | None = None


class Entry(BaseModel):
    """One step in the life of a budget, with all that it led to: the newest entry alone tells how things stand.

    Attributes:
        schema_version: version of this schema.
        number: 1 for the first; also the file's name.
        at: when it was written, ISO 8601 in UTC.
        event: what happened.
        holder: the task instance, as task id, dot, map index.
        amount_usd: US dollars that it happened to.
        budget_usd: US dollars that the writer's task allows; only with a reservation.
        spent_usd: US dollars spent after this entry; for people.
        reserved_usd: US dollars reserved after this entry; for people.
        lines: what each task instance holds after this entry.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    number: int = Field(ge=1)
    at: str
    event: Event
    holder: str
    amount_usd: Amount
    budget_usd: Amount | None = None
    spent_usd: Amount
    reserved_usd: Amount
    lines: dict[str, Line]


@dataclass(frozen=True)
class Account:
    """How a budget stands.

    Attributes:
        lines: what each task instance holds, by its name.
    """

    lines: Mapping[str, Line] = field(default_factory=dict)

    @property
    def spent(self) -> Decimal:
        """US dollars of orders that are over."""
        return _sum(line.spent for line in self.lines.values())

    @property
    def reserved(self) -> Decimal:
        """US dollars of orders that may be under way."""
        return _sum(line.reserved for line in self.lines.values())

    @property
    def committed(self) -> Decimal:
        """US dollars that are no longer free."""
        return _sum((self.spent, self.reserved))

    def line(self, holder: str) -> Line:
        """Return what a task instance holds, an empty line for nothing."""
        return self.lines.get(holder, Line())

    def reserve(self, holder: str, order: str, amount: Decimal) -> Account:
        """Return the account with ``amount`` reserved for an order.

        The same order's earlier reservation is replaced. Another order's counts as spent from now on: it may bill, and
        nothing will tell of it any more.

        Args:
            holder: the task instance.
            order: tells the orders of the task instance apart; the same for each attempt at one of them.
            amount: US dollars.
        """
        line = self.line(holder)
        spent = line.spent if line.order == order else _sum((line.spent, line.reserved))
        return self._with(holder, Line(spent=spent, reserved=amount, order=order))

    def settle(self, holder: str, actual: Decimal | None) -> Account:
        """Return the account with a task instance's reservation spent: at its actual cost, None for what it was."""
        line = self.line(holder)
        if line.order is None:
            return self
        cost = line.reserved if actual is None else actual
        return self._with(holder, Line(spent=_sum((line.spent, cost))))

    def release(self, holder: str, order: str) -> Account:
        """Return the account without the reservation of an order; of another order, it stays."""
        line = self.line(holder)
        return self._with(holder, Line(spent=line.spent)) if line.order == order else self

    def _with(self, holder: str, line: Line) -> Account:
        others = {name: other for name, other in self.lines.items() if name != holder}
        return Account(others if line == Line() else {**others, holder: line})


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(_EXACT):
        return sum(amounts, _ZERO)

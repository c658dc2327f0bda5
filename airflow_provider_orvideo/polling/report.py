"""What a hub tells whoever measures it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Observer = Callable[[str, "Report"], None]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Report:
    """What a hub did since its last report.

    Attributes:
        jobs: jobs in flight now.
        polls: requests made.
        throttled: answers 429 and 503.
        latency: mean seconds for a request; until it is sent, their sum.
        lateness: greatest seconds by which a poll came later than planned.
        rate: requests per second allowed now, None for no limit.
    """

    jobs: int = 0
    polls: int = 0
    throttled: int = 0
    latency: float = 0.0
    lateness: float = 0.0
    rate: float | None = None

    def send(self, conn_id: str, observer: Observer, *, jobs: int, rate: float | None) -> None:
        """Complete the report and hand it over; an observer that fails stops nothing."""
        self.jobs, self.rate = jobs, rate
        self.latency /= max(1, self.polls)
        try:
            observer(conn_id, self)
        except Exception:
            log.exception("Metrics of connection '%s' could not be sent.", conn_id)

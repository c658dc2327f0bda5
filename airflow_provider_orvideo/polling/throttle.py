"""How fast one hub may ask: the user's limit, and what the server bears. Pure: each clock reading is an argument."""

from __future__ import annotations

from typing import Final

#: On "too many", the rate falls to this share of itself, once for each window.
DECREASE: Final = 0.85
#: On the first "too many", to this share of what the server bore in the last window.
FIRST_DECREASE: Final = 0.95
#: Requests per second gained with each second without complaint, as a share of the rate.
INCREASE: Final = 0.02
#: Seconds after which a further complaint counts as a new one: those of requests that were under way do not.
WINDOW: Final = 1.0
#: Lowest rate in requests per second.
LOWEST: Final = 0.5
#: Seconds without complaint after which the server's limit is forgotten.
FORGIVEN: Final = 300.0
#: Longest pause in seconds that a server can ask for.
LONGEST_PAUSE: Final = 120.0


class Throttle:
    """A token bucket whose rate falls by multiplication and recovers by addition.

    Args:
        limit: most requests per second, None for no limit of the user's.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit
        #: Requests per second that the server bears, as far as is known; None while it never complained.
        self.learned: float | None = None
        self._tokens = 1.0
        self._filled_at = 0.0
        self._paused_until = 0.0
        self._complained_at = float("-inf")
        self._window_at = 0.0
        self._answered = 0
        self._bore = 0.0

    @property
    def rate(self) -> float | None:
        """Requests per second allowed now, None for no limit."""
        known = [rate for rate in (self.limit, self.learned) if rate is not None]
        return min(known, default=None)

    def take(self, now: float) -> float:
        """Take leave for one request.

        Returns:
            0 where it may go now, else the seconds to wait before asking again; then nothing was taken.
        """
        if now < self._paused_until:
            return self._paused_until - now
        rate = self.rate
        if rate is None:
            return 0.0
        # A bucket of a tenth of a second: bursts are what a server's limit counts.
        depth = max(1.0, rate * 0.1)
        self._tokens = min(depth, self._tokens + max(0.0, now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens < 1.0 - 1e-9:  # rounding must not make a pause too short to move a clock
            return (1.0 - self._tokens) / rate
        self._tokens -= 1.0
        return 0.0

    def answered(self, now: float) -> None:
        """Note an answer that was no complaint."""
        if now - self._window_at >= WINDOW:
            seconds = now - self._window_at
            self._bore = self._answered / seconds if seconds < 2 * WINDOW else 0.0
            self._window_at, self._answered = now, 0
            if self.learned is not None:
                self.learned += max(self.learned * INCREASE, 0.1)
                if now - self._complained_at > FORGIVEN:
                    self.learned = None
        self._answered += 1

    def complained(self, now: float, retry_after: float | None = None) -> None:
        """Note a 429 or 503, and the seconds that the server asks to wait."""
        if retry_after:
            self._paused_until = max(self._paused_until, now + min(retry_after, LONGEST_PAUSE))
        if now - self._complained_at < WINDOW:
            return
        self._complained_at = now
        if self.learned is None:
            bore = max(self._bore, float(self._answered), LOWEST)
            known = bore * FIRST_DECREASE
            self.learned = known if self.limit is None else min(known, self.limit)
        else:
            self.learned = max(self.learned * DECREASE, LOWEST)

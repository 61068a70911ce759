"""Reads the newest signals once a loop while a bot trades, and lets the loop live on while MongoDB is away."""

import logging
import time
from collections.abc import Callable, Sequence

from schemas.errors import StoreError
from schemas.signal_actions import Signals
from schemas.signal_feed import SignalFeed
from schemas.signal_rule import SignalWindow

logger = logging.getLogger(__name__)


class LiveFeed:
    """The newest signals of some pairs, by one query a loop; none while MongoDB does not answer.

    A failed read costs up to the feed's timeout. The next is tried `retry_after_s` later, so that a server that is
    away does not slow down every loop; until one succeeds there are no signals: old ones must not act unseen.

    Parameters
    ----------
    feed : SignalFeed
    window : SignalWindow
        Which signals can be usable at all at a time.
    retry_after_s : float
    clock : callable
        Seconds that only go up.
    """

    def __init__(
        self,
        feed: SignalFeed,
        window: SignalWindow,
        retry_after_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._feed = feed
        self._window = window
        self._retry_after_s = retry_after_s
        self._clock = clock
        self._failed_at: float | None = None
        self._away_since: float | None = None

    def read(self, pairs: Sequence[str], now_ms: int) -> dict[str, Signals]:
        """Return, by pair, the signals that may be usable at `now_ms`; nothing where they can not be read."""
        if self._failed_at is not None and self._clock() - self._failed_at < self._retry_after_s:
            return {}
        closed_ms = now_ms - self._window.timeframe_ms
        try:
            found = self._feed.newest(pairs, closed_ms - self._window.max_delay_ms, closed_ms + self._window.skew_ms)
        except StoreError as error:
            self._failed_at = self._clock()
            if self._away_since is None:
                self._away_since = self._failed_at
                logger.warning(f"No signals until MongoDB answers; tried every {self._retry_after_s:g} s. {error}")
            return {}
        if self._away_since is not None:
            logger.warning(f"MongoDB gives signals again, after {self._clock() - self._away_since:.0f} s.")
        self._failed_at = self._away_since = None
        return found

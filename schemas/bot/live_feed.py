"""Reads the newest signals once a loop while a bot trades, and lets the loop live on while MongoDB is away."""

import logging
import time
from collections.abc import Callable, Sequence

import pymongo

from schemas.bot.bounded_call import BoundedCalls
from schemas.errors import StoreError
from schemas.signal_actions import Signals
from schemas.signal_feed import SignalFeed
from schemas.signal_rule import SignalWindow

logger = logging.getLogger(__name__)

_REMEMBERED_ABSENCES = 100
_DRIVER_FIRST = 1.1  # the driver's own sentence says more than ours: it gets a little more time than it was promised


class LiveFeed:
    """The newest signals of some pairs, by one query a loop; none while MongoDB does not answer.

    A failed read costs up to `timeout_s`. The next is tried `retry_after_s` later, so that a server that is away does
    not slow down every loop; until one succeeds there are no signals: old ones must not act unseen.

    Parameters
    ----------
    feed : SignalFeed
    window : SignalWindow
        Which signals can be usable at all at a time.
    calls : BoundedCalls
        The loop's patience.
    timeout_s, retry_after_s : float
    wants_exports : bool
        Whether the newest export is read too, which tells that research is alive though it has nothing to say.
    clock : callable
        Seconds that only go up.
    """

    def __init__(
        self,
        feed: SignalFeed,
        window: SignalWindow,
        calls: BoundedCalls,
        *,
        timeout_s: float,
        retry_after_s: float,
        wants_exports: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._feed, self._window, self._calls, self._clock = feed, window, calls, clock
        self._timeout_s, self._retry_after_s = timeout_s, retry_after_s
        self._wants_exports = wants_exports
        self._failed_at: float | None = None
        self._away_since: float | None = None
        self._away_from_ms = 0
        self._absences: list[tuple[int, int]] = []
        self._may_have_missed = True
        self.newest_ts: int | None = None

    def read(self, pairs: Sequence[str], now_ms: int) -> dict[str, Signals]:
        """Return, by pair, the signals that may be usable at `now_ms`; nothing where they can not be read."""
        if self._failed_at is not None and self._clock() - self._failed_at < self._retry_after_s:
            return {}
        try:
            found, exported = self._calls.call(lambda: self._ask(pairs, now_ms), self._timeout_s * _DRIVER_FIRST)
        except StoreError as error:
            self._failed_at = self._clock()
            if self._away_since is None:
                self._away_since, self._away_from_ms = self._failed_at, now_ms
                logger.warning(f"No signals until MongoDB answers; tried every {self._retry_after_s:g} s. {error}")
            return {}
        if self._away_since is not None:
            logger.warning(f"MongoDB gives signals again, after {self._clock() - self._away_since:.0f} s.")
            self._may_have_missed = True
            self._absences = [*self._absences[-_REMEMBERED_ABSENCES:], (self._away_from_ms, now_ms)]
        self._failed_at = self._away_since = None
        lives = [int(signals.ts[-1]) for signals in found.values() if signals.ts.size]
        known = [ts for ts in (self.newest_ts, exported, *lives) if ts is not None]
        self.newest_ts = max(known, default=None)
        return found

    def missed(self, pairs: Sequence[str], now_ms: int) -> dict[str, Signals]:
        """Return the last signal of each of some pairs, once after the start and after each absence; else nothing."""
        if not self._may_have_missed or self._failed_at is not None:
            return {}
        closed_ms = now_ms - self._window.timeframe_ms
        try:
            found = self._calls.call(lambda: self._feed.last(pairs, closed_ms), self._timeout_s * _DRIVER_FIRST)
        except StoreError:
            return {}  # asked again in the next loop; if this goes on, the read of signals says so
        self._may_have_missed = False
        return found

    def was_away(self, from_ms: int, until_ms: int) -> bool:
        """Whether MongoDB did not answer at some time between the two, both included."""
        if self._away_since is not None and self._away_from_ms <= until_ms:
            return True
        return any(began <= until_ms and ended >= from_ms for began, ended in self._absences)

    def _ask(self, pairs: Sequence[str], now_ms: int) -> tuple[dict[str, Signals], int | None]:
        closed_ms = now_ms - self._window.timeframe_ms
        with pymongo.timeout(self._timeout_s):
            found = self._feed.newest(pairs, closed_ms - self._window.max_delay_ms, closed_ms + self._window.skew_ms)
            return found, self._feed.newest_export() if self._wants_exports else None

"""Knows which bars should be there after each close, which of them have come, and when to wait no longer."""

from datetime import datetime

from quantflow_nodes.live.bar_history import time_of
from quantflow_nodes.live.live_plan import LivePlan

Expected = tuple[str, str]


class BarCalendar:
    """The closes of a graph's bars, and the bars that have come for each.

    Parameters
    ----------
    live : LivePlan
    patience_ms : int
        How long after a close bars are waited for.
    """

    def __init__(self, live: LivePlan, patience_ms: int) -> None:
        self._sources = list(live.sources.values())
        self._shortest = live.timeframes[0]
        self.bar_ms = self._shortest.seconds * 1000
        self.patience_ms = patience_ms
        self._came: dict[int, dict[Expected, datetime]] = {}
        self.version = 0

    def arrived(self, collection: str, symbol: str, close_ms: int, at: datetime) -> None:
        """Note that a bar is stored."""
        came = self._came.setdefault(close_ms, {})
        if (collection, symbol) not in came:
            came[collection, symbol] = at
            self.version += 1

    def expected(self, close_ms: int) -> set[Expected]:
        """Return the bars that close at a time, as collection and symbol."""
        close = time_of(close_ms)
        return {
            (source.collection, symbol)
            for source in self._sources
            if source.timeframe.is_on_grid(close) and source.start < close
            for symbol in source.symbols
        }

    def missing(self, close_ms: int) -> set[Expected]:
        """Return the bars that should be there after a close and have not come."""
        return self.expected(close_ms) - self._came.get(close_ms, {}).keys()

    def seen_at(self, close_ms: int) -> datetime | None:
        """Return when the last bar of a close came, or None where none has."""
        return max(self._came.get(close_ms, {}).values(), default=None)

    def due(self, through_ms: int, now_ms: int) -> int | None:
        """Return the newest close to run at: with all its bars, or with some of them and no patience left.

        Parameters
        ----------
        through_ms : int
            What closed until then is done.
        now_ms : int
            The time; bars that close later are left for later.
        """
        came = sorted(close for close in self._came if through_ms < close <= now_ms)
        while came:
            newest = came.pop()
            if now_ms >= newest + self.patience_ms or not self.missing(newest):
                return newest
        return None

    def next_due(self, through_ms: int) -> int | None:
        """Return when patience ends for the oldest close for which bars have come; None while none have."""
        waiting = [close for close in self._came if close > through_ms]
        return min(waiting) + self.patience_ms if waiting else None

    def forget(self, through_ms: int) -> None:
        """Forget the closes that are done."""
        self._came = {close: came for close, came in self._came.items() if close > through_ms}

"""A market that is seen through a fault: it seems to stand still, or its klines come late."""

from collections.abc import Mapping
from typing import Protocol

from paper_exchange.market.klines import Bar
from paper_exchange.market.market import DayStatistics, Market, Trade


class View(Protocol):
    """What is in the way between a market and who looks at it. All times are the venue's, in ms."""

    def seen_ms(self, symbol: str, at_ms: int) -> int:
        """Return which time's market shows at `at_ms`: that very time, or the begin of the freeze that lies there.

        It never falls as `at_ms` rises.
        """
        ...

    def kline_lag_ms(self, symbol: str) -> int:
        """Return how late klines are told."""
        ...

    def thaw_ms(self, symbol: str, at_ms: int) -> int | None:
        """Return when the freeze ends that lies at `at_ms`; None where there is none."""
        ...


class DisturbedMarket(Market):
    """A market as `view` lets it be seen; what was hidden by a freeze is all there after it.

    Parameters
    ----------
    market
        What is looked at.
    view
        What is in the way.
    """

    def __init__(self, market: Market, view: View) -> None:
        super().__init__(market.instrument, market.tape, market.source, market.book)
        self._view = view

    def klines(
        self, now_ms: int, interval: str, limit: int, start: int | None, end: int | None, offset: int = 0
    ) -> bytes:
        """Return a page of klines as they stand for the view."""
        return super().klines(self.kline_time_ms(now_ms), interval, limit, start, end, offset)

    def kline_time_ms(self, now_ms: int) -> int:
        """Return up to when klines are told: late, or as of the begin of a freeze."""
        return min(self._seen(now_ms), now_ms - self._view.kline_lag_ms(self.instrument.symbol))

    def minute(self, now_ms: int) -> Bar | None:
        """Return the newest minute that can be seen."""
        return super().minute(self._seen(now_ms))

    def next_trade_id(self, now_ms: int) -> int:
        """Return the id after the newest trade that can be seen."""
        return super().next_trade_id(self._seen(now_ms))

    def last_trade(self, now_ms: int) -> Trade | None:
        """Return the newest trade that can be seen."""
        return super().last_trade(self._seen(now_ms))

    def update_id(self, now_ms: int) -> int:
        """Return the number of the book that can be seen."""
        return super().update_id(self._seen(now_ms))

    def day(self, now_ms: int) -> DayStatistics:
        """Return the 24 hours up to what can be seen."""
        return super().day(self._seen(now_ms))

    def average_price(self, now_ms: int, minutes: int) -> int | None:
        """Return the average of the last minutes that can be seen."""
        return super().average_price(self._seen(now_ms), minutes)

    def next_change_ms(self, now_ms: int) -> int | None:
        """Return when something else can be seen: at the end of the freeze, where there is one."""
        thaw = self._view.thaw_ms(self.instrument.symbol, now_ms)
        return super().next_change_ms(now_ms) if thaw is None else thaw

    def _seen(self, now_ms: int) -> int:
        return self._view.seen_ms(self.instrument.symbol, now_ms)


def disturbed(markets: Mapping[str, Market], view: View) -> dict[str, Market]:
    """Return `markets` as `view` lets them be seen."""
    return {symbol: DisturbedMarket(market, view) for symbol, market in markets.items()}

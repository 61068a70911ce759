"""The house's liquidity as it follows from the replayed bars: the ladder round the last price, and the price path."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from paper_exchange.market.filters import AVERAGE_MINUTES
from paper_exchange.market.market import Market
from paper_exchange.market.trade_path import steps
from paper_exchange.trading.liquidity import Level, Step
from paper_exchange.trading.order import BUY, Side

_CHUNK_BARS = 256  # a long stretch is read in pieces, so that it may be left early and costs little memory
_MINUTE_MS = 60_000


@dataclass(slots=True)
class _Bar:
    """The path of the bar that is newest at some time, and until when it is the newest."""

    index: int
    begin_ms: int
    end_ms: int
    times: list[int]
    prices: list[int]
    quantities: list[int]


@dataclass(slots=True)
class _Seen:
    """What was read last of one symbol, since most questions are about the same instant."""

    bar: _Bar | None = None
    ladder_id: int = -1
    ladder_limit: int = 0
    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()
    average_key: tuple[int, int] = (-1, -1)
    average: int | None = None


class MarketLiquidity:
    """A `Liquidity` that is the market's: users meet the same ladder and trades that the market data show.

    Parameters
    ----------
    markets
        The listed markets by symbol.
    """

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self._markets = dict(markets)
        self._seen = {symbol: _Seen() for symbol in markets}

    def quote_id(self, symbol: str, now_ms: int) -> int:
        """Return the number of the path's newest step, counted over all bars; 0 before the first."""
        bar = self._bar(symbol, now_ms)
        return (bar.index + 1) * 100 + bisect_right(bar.times, now_ms) if bar.index >= 0 else 0

    def levels(self, symbol: str, side: Side, now_ms: int, limit: int) -> Sequence[Level]:
        """Return the best levels of the market's book."""
        seen = self._seen[symbol]
        quote_id = self.quote_id(symbol, now_ms)
        if seen.ladder_id != quote_id or seen.ladder_limit < limit:
            self._read_ladder(symbol, now_ms, limit)
            seen.ladder_id, seen.ladder_limit = quote_id, limit
        return (seen.bids if side is BUY else seen.asks)[:limit]

    def steps(self, symbol: str, after_ms: int, upto_ms: int) -> Iterator[Step]:
        """Return the price path between two times; within one bar, which is usual, nothing has to be read."""
        bar = self._bar(symbol, upto_ms)
        if after_ms < bar.begin_ms:
            return self._long_path(symbol, after_ms, upto_ms)
        part = slice(bisect_right(bar.times, after_ms), bisect_right(bar.times, upto_ms))
        return map(Step, bar.times[part], bar.prices[part], bar.quantities[part])

    def _long_path(self, symbol: str, after_ms: int, upto_ms: int) -> Iterator[Step]:
        """Read the path from the tape in pieces."""
        tape = self._markets[symbol].tape
        to_price, to_quantity = self._scales(symbol)
        index, stop = max(tape.opened(after_ms) - 1, 0), tape.opened(upto_ms)
        while index < stop:
            end = min(index + _CHUNK_BARS, stop)
            path = steps(tape, index, end)
            wanted = path.real & (path.time_ms > after_ms) & (path.time_ms <= upto_ms)
            columns = path.time_ms[wanted], path.price[wanted], path.quantity[wanted]
            for time_ms, price, quantity in zip(*(column.tolist() for column in columns), strict=True):
                yield Step(time_ms, price * to_price, quantity * to_quantity)
            index = end

    def next_step_ms(self, symbol: str, now_ms: int) -> int | None:
        """Return when the path's next step comes: in this bar, or the next bar's open."""
        bar = self._bar(symbol, now_ms)
        place = bisect_right(bar.times, now_ms)
        if place < len(bar.times):
            return bar.times[place]
        tape = self._markets[symbol].tape
        following = bar.index + 1
        return int(tape.open_ms[following]) if following < len(tape) else None

    def last_price(self, symbol: str, now_ms: int) -> int | None:
        """Return the price of the path's newest step."""
        bar = self._bar(symbol, now_ms)
        return bar.prices[bisect_right(bar.times, now_ms) - 1] if bar.index >= 0 else None

    def average_price(self, symbol: str, now_ms: int) -> int | None:
        """Return what the venue's avgPrice says."""
        seen = self._seen[symbol]
        key = (self.quote_id(symbol, now_ms), now_ms // _MINUTE_MS)
        if seen.average_key != key:
            seen.average = self._markets[symbol].average_price(now_ms, AVERAGE_MINUTES)
            seen.average_key = key
        return seen.average

    def _scales(self, symbol: str) -> tuple[int, int]:
        instrument = self._markets[symbol].instrument
        return instrument.tick, instrument.lot

    def _bar(self, symbol: str, now_ms: int) -> _Bar:
        seen = self._seen[symbol]
        bar = seen.bar
        if bar is None or not bar.begin_ms <= now_ms < bar.end_ms:
            bar = seen.bar = self._read_bar(symbol, now_ms)
        return bar

    def _read_bar(self, symbol: str, now_ms: int) -> _Bar:
        tape = self._markets[symbol].tape
        index = tape.opened(now_ms) - 1
        end_ms = int(tape.open_ms[index + 1]) if index + 1 < len(tape) else 2**63
        if index < 0:
            return _Bar(index, -(2**63), end_ms, [], [], [])
        path = steps(tape, index, index + 1)
        real, (to_price, to_quantity) = path.real[0], self._scales(symbol)
        times, prices, quantities = (
            (column[0][real] * scale).tolist()
            for column, scale in ((path.time_ms, 1), (path.price.astype(object), to_price),
                                  (path.quantity.astype(object), to_quantity))
        )  # fmt: skip
        return _Bar(index, int(tape.open_ms[index]), end_ms, times, prices, quantities)

    def _read_ladder(self, symbol: str, now_ms: int, limit: int) -> None:
        seen = self._seen[symbol]
        book = self._markets[symbol].ladder(now_ms, limit)
        if book is None:
            seen.bids = seen.asks = ()
            return
        to_price, to_quantity = self._scales(symbol)
        sides = ((book.bid_price, book.bid_quantity), (book.ask_price, book.ask_quantity))
        seen.bids, seen.asks = (
            [(p * to_price, q * to_quantity) for p, q in zip(ps.tolist(), qs.tolist(), strict=True)] for ps, qs in sides
        )

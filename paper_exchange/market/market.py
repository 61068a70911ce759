"""One symbol at one instant: what the venue knows of it then, and nothing of what comes later."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from paper_exchange.market.book import BookShape, Ladder, ladder
from paper_exchange.market.instrument import Instrument
from paper_exchange.market.intervals import grid_offset
from paper_exchange.market.klines import Bar, KlineTable, forming_minute, merged, minute_bar, row, table
from paper_exchange.market.tape import MINUTE_MS, Tape
from paper_exchange.market.trade_path import BarPath, Flows, bar_path, flows, quote_decimals, steps, trade_counts
from paper_exchange.units import VENUE_DECIMALS, Ints, total

DAY_MS = 86_400_000
FIRST_TRADE_ID = 1
_TABLES_KEPT = 48  # 15 intervals in a few time zones
_PATHS_KEPT = 4  # the bar of now, the one before, and those at which a late reader looks


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade, in the tape's units."""

    id: int
    time_ms: int
    price: int
    quantity: int
    buyer_is_maker: bool


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """The 24 hours up to an instant; None in `bar` where nothing was traded in them."""

    bar: Bar | None
    first_id: int
    last_id: int
    previous_close: int | None


class Market:
    """A symbol's tape with everything derived from it.

    Every method takes the venue's time and sees only what has happened by then.

    Parameters
    ----------
    instrument
        Names and rules.
    tape
        The bars.
    source
        Where they come from, for people: a file's name, or that they are synthetic.
    book
        How the order book is built.
    """

    def __init__(self, instrument: Instrument, tape: Tape, source: str, book: BookShape | None = None) -> None:
        self.instrument = instrument
        self.tape = tape
        self.source = source
        self.book = book or BookShape()
        self.quote_decimals = quote_decimals(tape)
        self._tables: OrderedDict[tuple[str, int], KlineTable] = OrderedDict()
        self._paths: OrderedDict[int, BarPath] = OrderedDict()

    @cached_property
    def flows(self) -> Flows:
        """Quote volume, trade count and taker-buy amounts of every minute."""
        return flows(self.tape)

    @cached_property
    def _id_ends(self) -> Ints:
        return np.cumsum(trade_counts(self.tape)) + FIRST_TRADE_ID

    @cached_property
    def _mean_minute_volume(self) -> int:
        return total(self.tape.volume) // len(self.tape)

    def klines(
        self, now_ms: int, interval: str, limit: int, start: int | None, end: int | None, offset: int = 0
    ) -> bytes:
        """Return a page of klines as JSON, oldest first, the one still forming (if asked for) last.

        A kline belongs to the page where ``start <= its open <= end``. With `start` the page holds the
        oldest such klines, without it the newest. A kline that opens at `now_ms` is there already.
        """
        rows = self._table(interval, offset)
        # A kline is there from its first bar on, which may be later than its own open: the bars can have gaps.
        seen = int(np.searchsorted(rows.first_bar[:-1], self.tape.opened(now_ms), side="left"))
        complete = int(np.searchsorted(rows.next_ms, now_ms, side="right"))
        last = seen if end is None else min(seen, int(np.searchsorted(rows.open_ms, end, side="right")))
        if start is None:
            first = max(0, last - limit)
        else:
            first = int(np.searchsorted(rows.open_ms, start, side="left"))
            last = min(last, first + limit)
        parts = [rows.rows(first, min(last, complete))]
        if first < last and last > complete:
            parts.append(self._forming(now_ms, rows, last - 1))
        return b"[" + b",".join(part for part in parts if part) + b"]"

    def kline_time_ms(self, now_ms: int) -> int:
        """Return up to when klines are told at `now_ms`: that very time, unless something holds them back."""
        return now_ms

    def minute(self, now_ms: int) -> Bar | None:
        """Return the newest minute as it stands at `now_ms`; None before the first bar opens."""
        index = self.tape.opened(now_ms) - 1
        if index < 0:
            return None
        if now_ms >= int(self.tape.open_ms[index]) + MINUTE_MS:
            return minute_bar(self.tape, self.flows, index)
        return forming_minute(self.tape, self._path(index), now_ms)

    def next_trade_id(self, now_ms: int) -> int:
        """Return the id that the next trade after `now_ms` will have."""
        index = self.tape.opened(now_ms) - 1
        if index < 0:
            return FIRST_TRADE_ID
        path = self._path(index)
        later = path.traded(path.seen(now_ms), len(path.time_ms))
        return int(self._id_ends[index]) - later

    def first_trade_id(self, at_ms: int) -> int:
        """Return the id of the first trade at or after `at_ms`, should there be one."""
        return self.next_trade_id(at_ms - 1)

    def trades(self, begin_id: int, end_id: int) -> list[Trade]:
        """Return the trades with `begin_id` <= id < `end_id`, oldest first."""
        begin_id = max(begin_id, FIRST_TRADE_ID)
        end_id = min(end_id, int(self._id_ends[-1]))
        if begin_id >= end_id:
            return []
        first = int(np.searchsorted(self._id_ends, begin_id, side="right"))
        last = int(np.searchsorted(self._id_ends, end_id - 1, side="right"))
        path = steps(self.tape, first, last + 1)
        traded = path.quantity > 0
        first_id = int(self._id_ends[first]) - int(np.count_nonzero(traded[0]))
        chosen = slice(begin_id - first_id, end_id - first_id)
        columns = (path.time_ms, path.price, path.quantity, path.buyer_is_maker)
        times, prices, quantities, makers = (column[traded][chosen].tolist() for column in columns)
        ids = range(begin_id, end_id)
        return list(map(Trade, ids, times, prices, quantities, makers))

    def last_trade(self, now_ms: int) -> Trade | None:
        """Return the newest trade at `now_ms`, if there was any."""
        index = self.tape.opened(now_ms) - 1
        end = self.next_trade_id(now_ms)
        if index >= 0:
            path = self._path(index)
            for step in range(path.seen(now_ms) - 1, -1, -1):
                if path.quantity[step] > 0:
                    return Trade(
                        end - 1, path.time_ms[step], path.price[step], path.quantity[step], path.buyer_is_maker[step]
                    )
        found = self.trades(end - 1, end)
        return found[0] if found else None

    def ladder(self, now_ms: int, limit: int) -> Ladder | None:
        """Return the order book at `now_ms`; None before the first bar opens."""
        minute = self.minute(now_ms)
        if minute is None:
            return None
        trade = self.last_trade(now_ms)
        sold = trade is not None and trade.buyer_is_maker
        volume, seed = self._mean_minute_volume, self.update_id(now_ms)
        return ladder(self.book, minute.close, sold, volume, seed, limit)

    def update_id(self, now_ms: int) -> int:
        """Return a number that rises whenever the book may have changed."""
        index = self.tape.opened(now_ms) - 1
        if index < 0:
            return 0
        return (index + 1) * 100 + self._path(index).seen(now_ms)

    def next_change_ms(self, now_ms: int) -> int | None:
        """Return the first time after `now_ms` at which anything of the market is another; None at the end of its bars.

        That is the price path's next step, or the close of a minute that no other follows.
        """
        index = self.tape.opened(now_ms) - 1
        if index >= 0:
            path = self._path(index)
            seen = path.seen(now_ms)
            if seen < len(path.time_ms):
                return path.time_ms[seen]
            close = int(self.tape.open_ms[index]) + MINUTE_MS
            if now_ms < close:
                return close
        return int(self.tape.open_ms[index + 1]) if index + 1 < len(self.tape) else None

    def day(self, now_ms: int) -> DayStatistics:
        """Return the rolling 24 hours: the minutes that opened in them, the newest as it stands now."""
        index = self.tape.opened(now_ms) - 1
        begin = int(np.searchsorted(self.tape.open_ms, now_ms - DAY_MS, side="left"))
        previous = int(self.tape.close[begin - 1]) if 0 < begin <= index + 1 else None
        last = self.minute(now_ms)
        if last is None or begin > index:
            return DayStatistics(None, -1, -1, previous)
        bar = merged(self.tape, self.flows, begin, last, index)
        end_id = self.next_trade_id(now_ms)
        if bar.count == 0:
            return DayStatistics(bar, -1, -1, previous)
        return DayStatistics(bar, end_id - bar.count, end_id - 1, previous)

    def average_price(self, now_ms: int, minutes: int) -> int | None:
        """Return the volume-weighted price of the last `minutes` in units of 1e-8, or the last price."""
        last = self.minute(now_ms)
        if last is None:
            return None
        index = self.tape.opened(now_ms) - 1
        begin = int(np.searchsorted(self.tape.open_ms, now_ms - minutes * MINUTE_MS, side="left"))
        bar = merged(self.tape, self.flows, begin, last, index) if begin <= index else last
        if begin <= index and bar.volume:
            return self.mean_price(bar)
        return last.close * int(10 ** (VENUE_DECIMALS - self.tape.price_decimals))

    def mean_price(self, bar: Bar) -> int:
        """Return what was paid for one unit on average in `bar`, in units of 1e-8, rounded down."""
        up = VENUE_DECIMALS + self.tape.quantity_decimals - self.quote_decimals
        return bar.quote * int(10**up) // bar.volume

    def _path(self, index: int) -> BarPath:
        found = self._paths.get(index)
        if found is None:
            found = self._paths[index] = bar_path(self.tape, index)
            if len(self._paths) > _PATHS_KEPT:
                self._paths.popitem(last=False)
        return found

    def _forming(self, now_ms: int, rows: KlineTable, index: int) -> bytes:
        last_index = self.tape.opened(now_ms) - 1
        last = self.minute(now_ms)
        if last is None:
            raise RuntimeError("A kline can not be forming before the first bar opens.")
        bar = merged(self.tape, self.flows, int(rows.first_bar[index]), last, last_index)
        return row(self.tape, int(rows.open_ms[index]), int(rows.next_ms[index]), bar)

    def _table(self, interval: str, offset: int) -> KlineTable:
        key = (interval, grid_offset(interval, offset))
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = table(self.tape, self.flows, *key)
            if len(self._tables) > _TABLES_KEPT:
                self._tables.popitem(last=False)
        self._tables.move_to_end(key)
        return found

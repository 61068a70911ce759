"""Klines of every interval, written once as the bytes the venue sends, so that a page is a slice."""

from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from paper_exchange.market.intervals import next_opens, opens
from paper_exchange.market.tape import Tape
from paper_exchange.market.trade_path import BarPath, Flows, quote_decimals
from paper_exchange.units import VENUE_DECIMALS, Amounts, Ints, summable, text, total


@dataclass(frozen=True, slots=True)
class Bar:
    """One kline in exact integers: a closed minute, or what has traded so far."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    count: int
    taker_base: int
    taker_quote: int


@dataclass(frozen=True, eq=False, slots=True)
class KlineTable:
    """All klines of one interval over the whole tape, and where their minutes are.

    Parameters
    ----------
    open_ms, next_ms
        When each kline opens and when the next one does.
    first_bar
        Index of the kline's first minute in the tape; one more entry marks the end.
    body, ends
        The rows as JSON, each followed by a comma, and where each row ends in `body`.
    """

    open_ms: Ints
    next_ms: Ints
    first_bar: Ints
    body: bytes
    ends: Ints

    def rows(self, begin: int, end: int) -> bytes:
        """Return rows `begin` to `end` (exclusive) as JSON, with commas between them and none behind."""
        if begin >= end:
            return b""
        start = int(self.ends[begin - 1]) if begin else 0
        return self.body[start : int(self.ends[end - 1]) - 1]


def minute_bar(tape: Tape, flows: Flows, index: int) -> Bar:
    """Return the closed minute `index`."""
    return Bar(
        int(tape.open[index]),
        int(tape.high[index]),
        int(tape.low[index]),
        int(tape.close[index]),
        int(tape.volume[index]),
        int(flows.quote[index]),
        int(flows.count[index]),
        int(flows.taker_base[index]),
        int(flows.taker_quote[index]),
    )


def forming_minute(tape: Tape, path: BarPath, now_ms: int) -> Bar:
    """Return a minute as far as its `path` has come at `now_ms`, its first step always included."""
    seen = max(1, path.seen(now_ms))
    price, quantity = path.price[:seen], path.quantity[:seen]
    drop = 10 ** (tape.price_decimals + tape.quantity_decimals - quote_decimals(tape))
    quote = [p * q // drop for p, q in zip(price, quantity, strict=True)]
    bought = [not is_maker for is_maker in path.buyer_is_maker[:seen]]
    return Bar(
        price[0],
        max(price),
        min(price),
        price[-1],
        sum(quantity),
        sum(quote),
        path.traded(0, seen),
        sum(compress(quantity, bought)),
        sum(compress(quote, bought)),
    )


def merged(tape: Tape, flows: Flows, begin: int, last: Bar, last_index: int) -> Bar:
    """Return one kline of the minutes `begin` to `last_index`, the last of them as `last` says."""
    if begin == last_index:
        return last
    part = slice(begin, last_index)
    return Bar(
        int(tape.open[begin]),
        max(int(tape.high[part].max()), last.high),
        min(int(tape.low[part].min()), last.low),
        last.close,
        total(tape.volume[part]) + last.volume,
        total(flows.quote[part]) + last.quote,
        total(flows.count[part]) + last.count,
        total(flows.taker_base[part]) + last.taker_base,
        total(flows.taker_quote[part]) + last.taker_quote,
    )


def row(tape: Tape, open_ms: int, next_ms: int, bar: Bar) -> bytes:
    """Return one kline as the venue writes it; `table` writes the same bytes, many rows at once."""
    price, quantity, quote = tape.price_decimals, tape.quantity_decimals, quote_decimals(tape)
    return (
        f'[{open_ms},"{text(bar.open, price)}","{text(bar.high, price)}","{text(bar.low, price)}",'
        f'"{text(bar.close, price)}","{text(bar.volume, quantity)}",{next_ms - 1},'
        f'"{text(bar.quote, quote)}",{bar.count},"{text(bar.taker_base, quantity)}",'
        f'"{text(bar.taker_quote, quote)}","0"]'
    ).encode()


def table(tape: Tape, flows: Flows, interval: str, offset: int = 0) -> KlineTable:
    """Return every kline of `interval`, each from the minutes that the tape has in it.

    A kline exists where at least one of its minutes does; missing minutes are left out, not invented.
    """
    owner = opens(tape.open_ms, interval, offset)
    first = np.flatnonzero(np.diff(owner, prepend=owner[0] - 1))
    last = np.append(first[1:], len(tape)) - 1
    open_ms = owner[first]
    next_ms = next_opens(open_ms, interval, offset)
    quote = quote_decimals(tape)
    columns = [
        _integers(open_ms),
        _decimals(tape.open[first], tape.price_decimals),
        _decimals(np.maximum.reduceat(tape.high, first), tape.price_decimals),
        _decimals(np.minimum.reduceat(tape.low, first), tape.price_decimals),
        _decimals(tape.close[last], tape.price_decimals),
        _decimals(_summed(tape.volume, first), tape.quantity_decimals),
        _integers(next_ms - 1),
        _decimals(_summed(flows.quote, first), quote),
        _integers(_summed(flows.count, first)),
        _decimals(_summed(flows.taker_base, first), tape.quantity_decimals),
        _decimals(_summed(flows.taker_quote, first), quote),
    ]
    body, ends = _joined(columns)
    return KlineTable(open_ms, next_ms, np.append(first, len(tape)), body, ends)


def _summed(values: Amounts, first: Ints) -> Amounts:
    return values if len(first) == len(values) else np.add.reduceat(summable(values), first)


def _integers(values: Amounts) -> Any:
    if values.dtype == object and int(values.max()) > np.iinfo(np.int64).max:
        return pa.array([str(value) for value in values.tolist()])
    return pc.cast(pa.array(values.astype(np.int64)), pa.string())


def _decimals(values: Amounts, decimals: int) -> Any:
    """Return `values` (not negative) as quoted texts with eight decimals."""
    unit = 10**decimals
    whole = values // unit
    # A leading 1 keeps the fraction's zeros; it is cut off again.
    fraction = (values % unit).astype(np.int64) * 10 ** (VENUE_DECIMALS - decimals) + 10**VENUE_DECIMALS
    digits = pc.utf8_slice_codeunits(_integers(fraction), 1)
    return pc.binary_join_element_wise('"', _integers(whole), ".", digits, '"', "")


def _joined(columns: list[Any]) -> tuple[bytes, Ints]:
    cells = [part for column in columns for part in (column, ",")][:-1]
    rows = pc.binary_join_element_wise("[", *cells, ',"0"],', "").cast(pa.large_string())
    _, offsets, data = rows.buffers()
    return data.to_pybytes(), np.frombuffer(offsets, dtype=np.int64)[1 : len(rows) + 1].copy()

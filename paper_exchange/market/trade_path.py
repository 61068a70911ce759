"""Derives each bar's trades from the bar alone, so that trades, klines and the forming bar always agree."""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paper_exchange.market.tape import MINUTE_MS, Tape
from paper_exchange.units import VENUE_DECIMALS, Amounts, Ints, product

MAX_STEPS = 16
_FEWEST, _USUAL_FEWEST, _SPREAD = 4, 6, 11
_WEIGHTS = 63
_CHUNK_BARS = 32_768
_Hash = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Steps:
    """The price path of some bars: one row a bar, one column a step, `real` where the step exists.

    A step with a quantity is a trade. In a bar without volume the price moves and nothing trades.

    Parameters
    ----------
    time_ms, price, quantity
        When, at what price and how much, in the tape's units.
    buyer_is_maker
        True where the taker sold: the price fell, or a fixed toss where it did not move.
    real
        False for the columns behind a bar's last step.
    """

    time_ms: Ints
    price: Ints
    quantity: Ints
    buyer_is_maker: npt.NDArray[np.bool_]
    real: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BarPath:
    """One bar's steps as plain lists: the bar of now is looked at many times, and it has 16 steps at most."""

    index: int
    time_ms: list[int]
    price: list[int]
    quantity: list[int]
    buyer_is_maker: list[bool]

    def seen(self, now_ms: int) -> int:
        """Return how many steps have come at `now_ms`."""
        return bisect_right(self.time_ms, now_ms)

    def traded(self, begin: int, end: int) -> int:
        """Return how many of the steps `begin` to `end` (exclusive) are trades."""
        return sum(quantity > 0 for quantity in self.quantity[begin:end])


@dataclass(frozen=True, slots=True)
class Flows:
    """What each bar's trades add up to: the kline fields that a bars file does not hold."""

    quote: Amounts
    count: Ints
    taker_base: Amounts
    taker_quote: Amounts


def mix(values: _Hash) -> _Hash:
    """Return well-spread 64-bit hashes of `values` (the finaliser of Vigna's SplitMix64)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def quote_decimals(tape: Tape) -> int:
    """Return the decimals of price times quantity, cut to the venue's eight."""
    return min(VENUE_DECIMALS, tape.price_decimals + tape.quantity_decimals)


def quote_amounts(tape: Tape, price: Ints, quantity: Ints) -> Amounts:
    """Return price times quantity in units of ``10 ** -quote_decimals``; what is finer is cut off."""
    drop = tape.price_decimals + tape.quantity_decimals - quote_decimals(tape)
    return product(price, quantity, drop)


def step_counts(open_ms: Ints, volume: Ints) -> Ints:
    """Return how many steps bars have: 6 to 16 by their open time, fewer where fewer lots were traded."""
    usual = _USUAL_FEWEST + (mix(open_ms.astype(np.uint64)) % np.uint64(_SPREAD)).astype(np.int64)
    return np.minimum(usual, np.maximum(volume, _FEWEST))


def trade_counts(tape: Tape) -> Ints:
    """Return how many trades each bar has: its steps, or its lots where those are fewer (none without volume)."""
    return np.minimum(step_counts(tape.open_ms, tape.volume), tape.volume)


def steps(tape: Tape, begin: int, end: int) -> Steps:
    """Return the price path of the bars with index `begin` to `end` (exclusive).

    The path goes open, low, high, close in a bar that rises or stays, open, high, low, close in one that
    falls, in straight lines on the tick. The first step comes at the bar's open, to the millisecond; the
    others are spread over the minute. Each step trades at least one lot where the volume allows, the rest
    by weights that depend on the open time only. So a bar has the same trades in every run and symbol
    file, and its trades have exactly the bar's open, high, low, close and volume.
    """
    part = slice(begin, end)
    open_ms, volume = tape.open_ms[part, None], tape.volume[part, None]
    count = step_counts(open_ms, volume)
    column = np.arange(MAX_STEPS, dtype=np.int64)[None, :]
    real = column < count
    noise = mix(mix(open_ms.astype(np.uint64)) + column.astype(np.uint64))
    price = _prices(tape, part, count, column)
    quantity = _quantities(volume, count, column, noise, real)
    stride = MINUTE_MS // count
    jitter = np.where(column > 0, (noise >> np.uint64(32)).astype(np.int64) % stride, 0)
    change = np.diff(price, axis=1, prepend=price[:, :1])
    toss = (noise & np.uint64(1)).astype(np.bool_)
    buyer_is_maker = np.where(change == 0, toss, change < 0)
    return Steps(open_ms + column * stride + jitter, price, quantity, buyer_is_maker, real)


def bar_path(tape: Tape, index: int) -> BarPath:
    """Return the price path of the bar `index`."""
    path = steps(tape, index, index + 1)
    real = path.real[0]
    columns = (path.time_ms, path.price, path.quantity, path.buyer_is_maker)
    times, prices, quantities, makers = (column[0][real].tolist() for column in columns)
    return BarPath(index, times, prices, quantities, makers)


def flows(tape: Tape) -> Flows:
    """Return every bar's quote volume, trade count and taker-buy amounts, added up from its trades."""
    parts = [_flows(tape, begin) for begin in range(0, len(tape), _CHUNK_BARS)]
    quote, taker_base, taker_quote = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Flows(quote, trade_counts(tape), taker_base, taker_quote)


def _flows(tape: Tape, begin: int) -> tuple[Amounts, Amounts, Amounts]:
    path = steps(tape, begin, min(begin + _CHUNK_BARS, len(tape)))
    quote = quote_amounts(tape, path.price, path.quantity)
    if quote.dtype != object and int(quote.max()) * MAX_STEPS > np.iinfo(np.int64).max:
        quote = quote.astype(object)
    bought = ~path.buyer_is_maker
    taker_quote = np.where(bought, quote, 0)
    return (
        quote.sum(axis=1),
        np.where(bought, path.quantity, 0).sum(axis=1),
        taker_quote.sum(axis=1),
    )


def _prices(tape: Tape, part: slice, count: Ints, column: Ints) -> Ints:
    start, stop = tape.open[part, None], tape.close[part, None]
    high, low = tape.high[part, None], tape.low[part, None]
    rises = stop >= start
    first, second = np.where(rises, low, high), np.where(rises, high, low)
    turn_1, last = count // 3, count - 1
    turn_2 = last - turn_1
    # Floor division keeps every point between its two ends, which are whole ticks themselves.
    leg_1 = start + (first - start) * column // turn_1
    leg_2 = first + (second - first) * (column - turn_1) // (turn_2 - turn_1)
    leg_3 = second + (stop - second) * (column - turn_2) // (last - turn_2)
    path = np.where(column <= turn_1, leg_1, np.where(column <= turn_2, leg_2, leg_3))
    return np.where(column <= last, path, stop)


def _quantities(volume: Ints, count: Ints, column: Ints, noise: _Hash, real: npt.NDArray[np.bool_]) -> Ints:
    weight = 1 + ((noise >> np.uint64(8)) % np.uint64(_WEIGHTS)).astype(np.int64)
    running = np.cumsum(np.where(real, weight, 0), axis=1)
    whole, rest = np.divmod(np.maximum(volume - count, 0), running[:, -1:])
    shared = whole * running + rest * running // running[:, -1:]  # volume * running could overflow
    share = np.diff(shared, axis=1, prepend=0)
    few = (column < volume).astype(np.int64)
    return np.where(real, np.where(volume >= count, share + 1, few), 0)

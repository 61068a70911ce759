"""Makes bars out of a seed where there is no file: invented, reproducible, and shaped like a real market."""

import math
import zlib
from dataclasses import dataclass

import numpy as np

from paper_exchange.market.tape import MINUTE_MS, Tape
from paper_exchange.units import Floats

MINUTES_PER_DAY = 1440
DEFAULT_END_MS = 1_643_673_600_000  # 2022-02-01 00:00 UTC, so that 31 days are January 2022
DEFAULT_DAYS = 31
_MINUTE_SIGMA = 0.0007  # about 51 % a year, as BTC in quiet months
_SIGMA_SCALES = ((30, 0.35), (240, 0.35), (MINUTES_PER_DAY, 0.30))  # knots every n minutes, log-sigma each
_DAY_SWING = 0.25
_MINUTE_TURNOVER = 500_000.0  # quote units that a mean minute trades


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a symbol's prices begin and how finely they are written."""

    price: float
    price_decimals: int
    quantity_decimals: int


_KNOWN = {
    "BTCUSDT": Scale(46_300.0, 2, 5),
    "ETHUSDT": Scale(3_700.0, 2, 4),
    "BNBUSDT": Scale(515.0, 1, 3),
    "SOLUSDT": Scale(170.0, 2, 3),
    "XRPUSDT": Scale(0.83, 4, 0),
    "ADAUSDT": Scale(1.31, 4, 1),
}


def synthetic_tape(symbol: str, seed: int, days: int = DEFAULT_DAYS, end_ms: int = DEFAULT_END_MS) -> Tape:
    """Return `days` of invented one-minute bars that end at `end_ms`; no minute is missing.

    The same arguments give the same bars on every machine. Returns are normal with a volatility that
    itself wanders on scales of half an hour, four hours and a day and follows the time of day, so calm
    and wild hours cluster and tails are heavy; volume rises with volatility and with the bar's move.

    Parameters
    ----------
    symbol, seed
        Together they choose the random numbers; another symbol of the same seed moves independently.
    days
        Whole days, 1 or more.
    end_ms
        The close of the last bar, on a whole minute.
    """
    count = days * MINUTES_PER_DAY
    shape = _scale(symbol)
    random = np.random.Generator(np.random.PCG64([seed, zlib.crc32(symbol.encode())]))
    open_ms = end_ms - (count - np.arange(count, dtype=np.int64)) * MINUTE_MS
    sigma = _sigma(random, open_ms)
    moves = sigma * random.standard_normal(count)
    moves -= moves.mean() * 0.8  # a month may drift, but not by an order of magnitude
    tick = 10.0**-shape.price_decimals
    closes = _ticks(shape.price * np.exp(np.cumsum(moves)), tick)
    opens = np.concatenate([[max(1, round(shape.price / tick))], closes[:-1]]).astype(np.int64)
    reach = sigma * np.abs(random.standard_normal((2, count))) * 0.6
    top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    highs = np.maximum(top, np.floor(top * (1 + reach[0])).astype(np.int64))
    lows = np.maximum(1, np.minimum(bottom, np.ceil(bottom * (1 - reach[1])).astype(np.int64)))
    heat = sigma / _MINUTE_SIGMA
    turnover = _MINUTE_TURNOVER * heat * (0.5 + np.abs(moves) / sigma) * np.exp(random.normal(-0.32, 0.8, count))
    lots = np.rint(turnover / (closes * tick) * 10.0**shape.quantity_decimals).astype(np.int64)
    return Tape(open_ms, opens, highs, lows, closes, lots, shape.price_decimals, shape.quantity_decimals)


def _sigma(random: np.random.Generator, open_ms: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Floats:
    minutes = np.arange(len(open_ms), dtype=np.float64)
    log_sigma = np.zeros(len(open_ms))
    for spacing, weight in _SIGMA_SCALES:
        knots = random.standard_normal(len(open_ms) // spacing + 2) * weight
        log_sigma += np.interp(minutes, np.arange(len(knots)) * float(spacing), knots)
    # The day's wave peaks at 15:30 UTC, when American hours open, and is lowest twelve hours away.
    hours = (open_ms // MINUTE_MS % MINUTES_PER_DAY) / 60.0
    log_sigma += _DAY_SWING * np.cos((hours - 15.5) * (2 * math.pi / 24))
    return np.asarray(_MINUTE_SIGMA * np.exp(log_sigma - 0.2), dtype=np.float64)


def _ticks(prices: Floats, tick: float) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.maximum(1, np.rint(prices / tick)).astype(np.int64)


def _scale(symbol: str) -> Scale:
    """Return the symbol's scale; an unknown symbol gets one from its name, with five or six digits of price."""
    if symbol in _KNOWN:
        return _KNOWN[symbol]
    exponent = (zlib.crc32(b"price " + symbol.encode()) % 5000) / 1000 - 1  # 0.1 to 10,000
    price = round(10.0**exponent, 4)
    decimals = max(2, 5 - math.ceil(exponent))
    return Scale(price, min(decimals, 6), 2 if price < 100 else 4)

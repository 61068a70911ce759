"""The order book: a ladder round the last price, the same at every look at the same instant."""

from dataclasses import dataclass

import numpy as np

from paper_exchange.market.trade_path import mix
from paper_exchange.units import Ints

_BPS = 10_000


@dataclass(frozen=True, slots=True)
class BookShape:
    """How the ladder is built.

    Parameters
    ----------
    spread_bps
        Best ask minus best bid, in basis points of the price; one tick at least.
    step_bps
        Price between two levels of a side, in basis points; one tick at least.
    levels
        How many levels each side has.
    share_pct
        The best level's mean quantity, in percent of what a mean minute trades. Deeper levels hold more.
    """

    spread_bps: float = 0.0
    step_bps: float = 0.1
    levels: int = 1000
    share_pct: float = 2.0


@dataclass(frozen=True, slots=True)
class Ladder:
    """Bids from the highest down and asks from the lowest up, in the tape's units."""

    bid_price: Ints
    bid_quantity: Ints
    ask_price: Ints
    ask_quantity: Ints


def ladder(shape: BookShape, last: int, buyer_is_maker: bool, minute_volume: int, seed: int, limit: int) -> Ladder:
    """Return the `limit` best levels of each side.

    Parameters
    ----------
    last, buyer_is_maker
        The last trade, which lies at the best bid where the taker sold and at the best ask where it bought.
    minute_volume
        What a mean minute trades, in lots.
    seed
        Names the instant; the same seed gives the same quantities.
    """
    spread = max(1, round(last * shape.spread_bps / _BPS))
    step = max(1, round(last * shape.step_bps / _BPS))
    best_bid = last if buyer_is_maker else max(last - spread, 1)
    level = np.arange(min(limit, shape.levels), dtype=np.int64)
    bid = best_bid - level * step
    ask = best_bid + spread + level * step
    size = max(1, int(minute_volume * shape.share_pct / 100))
    bid, bid_size = bid[bid > 0], _sizes(size, level, seed * 2)
    return Ladder(bid, bid_size[: len(bid)], ask, _sizes(size, level, seed * 2 + 1))


def _sizes(size: int, level: Ints, seed: int) -> Ints:
    toss = mix(level.astype(np.uint64) + (mix(np.array([seed], dtype=np.uint64))))
    factor = 0.5 + (toss >> np.uint64(11)).astype(np.float64) / 2**53
    return np.maximum(1, (size * factor * (1 + level / 20)).astype(np.int64))

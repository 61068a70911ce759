"""Reads the names of market streams, such as ``btcusdt@kline_1m``."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from paper_exchange.market.intervals import LENGTH_MS, MONTH

_EAST_8_MS = 8 * 3_600_000
_WELL_FORMED = re.compile(r"![^\s@]+@\S+|[^\s@!]+@\S+")
_INTERVALS = "|".join([*LENGTH_MS, MONTH])
_SPEED = "(?:@1000ms|@100ms)?"
_FORM = re.compile(
    rf"(?P<symbol>[a-z0-9]+)@(?:(?P<plain>trade|aggTrade|ticker|miniTicker|bookTicker|avgPrice)"
    rf"|kline_(?P<interval>{_INTERVALS})(?P<east>@\+08:00)?"
    rf"|(?P<depth>depth){_SPEED}|depth(?P<levels>5|10|20){_SPEED})"
)


class Kind(Enum):
    """What a stream tells."""

    TRADE = auto()
    AGGREGATE_TRADE = auto()
    KLINE = auto()
    TICKER = auto()
    MINI_TICKER = auto()
    BOOK_TICKER = auto()
    AVERAGE_PRICE = auto()
    DEPTH = auto()
    PARTIAL_DEPTH = auto()
    ALL_TICKERS = auto()
    ALL_MINI_TICKERS = auto()


_PLAIN = {
    "trade": Kind.TRADE,
    "aggTrade": Kind.AGGREGATE_TRADE,
    "ticker": Kind.TICKER,
    "miniTicker": Kind.MINI_TICKER,
    "bookTicker": Kind.BOOK_TICKER,
    "avgPrice": Kind.AVERAGE_PRICE,
}
_ALL = {"!ticker@arr": Kind.ALL_TICKERS, "!miniTicker@arr": Kind.ALL_MINI_TICKERS}


@dataclass(frozen=True, slots=True)
class Stream:
    """One market stream.

    Parameters
    ----------
    name
        As it is written in subscriptions.
    symbol
        The venue's spelling, in capitals; '' for a stream of all symbols.
    kind
        What it tells.
    interval, offset_ms
        Of klines: their interval, and how far east of UTC their days begin.
    levels
        Of a partial book: how many on each side.
    """

    name: str
    symbol: str
    kind: Kind
    interval: str = ""
    offset_ms: int = 0
    levels: int = 0


def is_well_formed(name: str) -> bool:
    """Return whether `name` has the form of a stream's name, be there such a stream or not."""
    return _WELL_FORMED.fullmatch(name) is not None


def stream_of(name: str) -> Stream | None:
    """Return the stream of that name; None where the venue has none of the kind. The symbol may be unknown."""
    if name in _ALL:
        return Stream(name, "", _ALL[name])
    match = _FORM.fullmatch(name)
    if match is None:
        return None
    symbol = match["symbol"].upper()
    if match["plain"]:
        return Stream(name, symbol, _PLAIN[match["plain"]])
    if match["interval"]:
        return Stream(name, symbol, Kind.KLINE, match["interval"], _EAST_8_MS if match["east"] else 0)
    if match["depth"]:
        return Stream(name, symbol, Kind.DEPTH)
    return Stream(name, symbol, Kind.PARTIAL_DEPTH, levels=int(match["levels"]))

"""Closed candles from a venue's websockets, for as long as one connection lasts."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from importers.ccxt_exchange import BINANCE_LIKE
from importers.venue import Market, reason_of

# A socket whose other end has gone (a sleeping laptop, a pulled cable) looks alive until something is sent.
_PING_EVERY_MS = 10_000
_PRICES_AND_VOLUME = ("o", "h", "l", "c", "v")
_log = structlog.get_logger()

Row = list[float]  # open in ms, open, high, low, close, volume


@dataclass(frozen=True, slots=True)
class Hearer:
    """What is called with what a stream brings.

    Attributes
    ----------
    connected : callable
        The first candle of a connection has come.
    time : callable
        The venue's time has been at least this, in ms.
    closed : callable
        A candle of a pair is closed.
    """

    connected: Callable[[], None]
    time: Callable[[int], None]
    closed: Callable[[str, Row], None]


class StreamLostError(Exception):
    """The connection has ended, or never came about; the message is the reason."""


class CandleStream:
    """The candles of several markets over one connection.

    At Binance's venues a candle says itself whether it is closed (`x`), which ccxt leaves out of what it gives; so its
    messages are read here. At other venues a candle is closed when a later one has come.

    Parameters
    ----------
    exchange : ccxt exchange
        With websockets, of its own for each connection, and the markets set; closed at the end.
    markets : sequence of Market
        All spot or all perpetual.
    timeframe : str
    hearer : Hearer
    silence_s : float
        A connection that brings no candle for so long is given up.
    """

    def __init__(
        self, exchange: Any, markets: Sequence[Market], timeframe: str, hearer: Hearer, silence_s: float
    ) -> None:
        self._exchange, self._hearer, self._silence_s = exchange, hearer, silence_s
        self._pairs = [market.pair for market in markets]
        self._timeframe = timeframe
        self._pair_of = {exchange.market(pair)["id"]: pair for pair in self._pairs}
        self._following_ms: dict[str, float] = {}
        self._heard_at = time.monotonic()
        self.has_heard = False

    async def run(self, is_marked: bool | None = None) -> None:
        """Listen until the connection is lost.

        Parameters
        ----------
        is_marked : bool or None
            Whether candles say that they are closed, in Binance's form. None: where the exchange is one of Binance's.

        Raises
        ------
        StreamLostError
            Always, in the end.
        """
        import ccxt

        marked = self._exchange.id in BINANCE_LIKE if is_marked is None else is_marked
        watching = asyncio.create_task(self._watch_marked() if marked else self._watch_unmarked())
        try:
            while not watching.done():
                left_s = self._heard_at + self._silence_s - time.monotonic()
                if left_s <= 0:
                    raise StreamLostError(f"no candle came for {self._silence_s:g} s")
                await asyncio.wait({watching}, timeout=left_s)
            error = None if watching.cancelled() else watching.exception()
            if error is not None and not isinstance(error, ccxt.BaseError | OSError):
                raise error
            raise StreamLostError("the connection was closed" if error is None else reason_of(error))
        finally:
            watching.cancel()
            await self._exchange.close()
            await asyncio.wait({watching})

    async def _watch_marked(self) -> None:
        self._exchange.streaming["keepAlive"] = _PING_EVERY_MS
        # Since this takes the messages, the future below ends with an error only.
        self._exchange.handle_ohlcv = self._read_kline
        await self._exchange.watch_ohlcv_for_symbols([[pair, self._timeframe] for pair in self._pairs])

    def _read_kline(self, _client: object, message: dict[str, Any]) -> None:
        try:
            kline, venue_ms = message["k"], int(message["E"])
            pair = self._pair_of.get(kline["s"])
            is_closed, row = kline["x"], [int(kline["t"]), *(float(kline[name]) for name in _PRICES_AND_VOLUME)]
        except (KeyError, TypeError, ValueError) as error:
            # Nothing is lost: what the stream does not bring is asked for over REST.
            _log.warning("candle_unreadable", error=reason_of(error), message=str(message)[:300])
            return
        if pair is None or kline.get("i") != self._timeframe:
            return
        self._heard(venue_ms)
        if is_closed is True:
            self._hearer.closed(pair, row)

    async def _watch_unmarked(self) -> None:
        exchange = self._exchange
        exchange.newUpdates = False  # a result holds all candles so far: none is missed between two results
        if exchange.has.get("watchOHLCVForSymbols"):
            wanted = [[pair, self._timeframe] for pair in self._pairs]
            while True:
                for pair, candles in (await exchange.watch_ohlcv_for_symbols(wanted)).items():
                    self._read_candles(pair, candles.get(self._timeframe, []))
        await asyncio.gather(*(self._watch_one(pair) for pair in self._pairs))

    async def _watch_one(self, pair: str) -> None:
        while True:
            self._read_candles(pair, await self._exchange.watch_ohlcv(pair, self._timeframe))

    def _read_candles(self, pair: str, candles: Sequence[Row]) -> None:
        if not candles:
            return
        newest_ms = candles[-1][0]
        self._heard(int(newest_ms))
        # The first candle was there before we were: where a venue makes candles of trades, ours would be a part of it.
        following_ms = self._following_ms.setdefault(pair, newest_ms + 1)
        for candle in candles:
            if following_ms <= candle[0] < newest_ms:
                self._hearer.closed(pair, list(candle[:6]))
        self._following_ms[pair] = max(following_ms, newest_ms)

    def _heard(self, venue_ms: int) -> None:
        self._heard_at = time.monotonic()
        self._hearer.time(venue_ms)
        if not self.has_heard:
            self.has_heard = True
            self._hearer.connected()

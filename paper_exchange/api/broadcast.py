"""Decides what is to be told of the markets at an instant, and tells it to whoever listens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from paper_exchange.api import market_events
from paper_exchange.api.books import Book, Books
from paper_exchange.api.hub import Hub
from paper_exchange.api.stream_names import Kind, Stream, stream_of
from paper_exchange.market.market import Market
from paper_exchange.market.tape import MINUTE_MS

_TRADE_EVENTS = {
    Kind.TRADE: market_events.trade_event,
    Kind.AGGREGATE_TRADE: market_events.aggregate_trade_event,
}
_STATE_EVENTS = {
    Kind.TICKER: market_events.ticker_event,
    Kind.MINI_TICKER: market_events.mini_ticker_event,
    Kind.AVERAGE_PRICE: market_events.average_price_event,
}
_ALL_EVENTS = {
    Kind.ALL_TICKERS: market_events.ticker_event,
    Kind.ALL_MINI_TICKERS: market_events.mini_ticker_event,
}
_BOOK_KINDS = (Kind.BOOK_TICKER, Kind.DEPTH, Kind.PARTIAL_DEPTH)
_TELLING_EACH_SECOND = (*_STATE_EVENTS, *_ALL_EVENTS, Kind.PARTIAL_DEPTH, Kind.KLINE)

Told = tuple[int, int, str, dict[str, Any]]  # of when, trades behind klines, stream, event


@dataclass(frozen=True, slots=True)
class Beats:
    """Which of the real seconds, on which the venue repeats what has not changed, have come."""

    second: bool = False
    two_seconds: bool = False


@dataclass(slots=True)
class _Feed:
    """What has been told of one symbol, and to which streams.

    Trades and closed klines are history: each is told once, however late. All else is a state: only the newest counts.
    """

    market: Market
    streams: list[Stream]
    next_trade_id: int
    kline_since_ms: dict[str, int] = field(default_factory=dict)  # by stream: the open of the first not yet closed
    market_id: int = -1
    book_id: int = -1
    depth: Book | None = None
    best: tuple[object, ...] = ()


class Broadcast:
    """Publishes the events of all markets that anybody listens to; a symbol without listeners costs nothing.

    Parameters
    ----------
    markets
        What is listed, by symbol.
    books
        Their order books.
    hub
        Who listens.
    """

    def __init__(self, markets: Mapping[str, Market], books: Books, hub: Hub) -> None:
        self._markets = markets
        self._books = books
        self._hub = hub
        self._feeds: dict[str, _Feed] = {}
        self._all: list[Stream] = []
        self._all_ids: dict[str, int] = {}
        books.before_look = self._tell_depth

    @property
    def is_silent(self) -> bool:
        """Whether nobody listens."""
        return not self._feeds and not self._all

    @property
    def shows_books(self) -> bool:
        """Whether anybody listens to a book, which users may change between the market's steps."""
        return any(stream.kind in _BOOK_KINDS for feed in self._feeds.values() for stream in feed.streams)

    @property
    def has_beats(self) -> bool:
        """Whether anybody listens to what is repeated each second."""
        streams = (stream for feed in self._feeds.values() for stream in feed.streams)
        return bool(self._all) or any(stream.kind in _TELLING_EACH_SECOND for stream in streams)

    def follow(self, now_ms: int) -> None:
        """Take up the streams that have found listeners and drop those that have lost them, as of `now_ms`."""
        streams = [stream for name in self._hub.streams if (stream := stream_of(name)) is not None]
        self._all = [stream for stream in streams if stream.kind in _ALL_EVENTS]
        by_symbol: dict[str, list[Stream]] = {}
        for stream in streams:
            if stream.symbol in self._markets:
                by_symbol.setdefault(stream.symbol, []).append(stream)
        for symbol in self._feeds.keys() - by_symbol.keys():
            del self._feeds[symbol]
        for symbol, wanted in by_symbol.items():
            self._follow_symbol(symbol, wanted, now_ms)

    def next_ms(self, now_ms: int) -> int | None:
        """Return the venue's time after `now_ms` at which something new is to be told; None where nothing will be."""
        markets = self._markets.values() if self._all else [feed.market for feed in self._feeds.values()]
        times = [market.next_change_ms(now_ms) for market in markets]
        for feed in self._feeds.values():
            if feed.kline_since_ms:
                told_ms = feed.market.kline_time_ms(now_ms)
                times.append(now_ms + MINUTE_MS - told_ms % MINUTE_MS)
        return min((time_ms for time_ms in times if time_ms is not None), default=None)

    def publish(self, now_ms: int, beats: Beats) -> None:
        """Tell what has happened up to `now_ms` and has not been told, then how things stand."""
        self.publish_history(now_ms)
        for feed in self._feeds.values():
            self._publish_state(feed, now_ms, beats)
        if self._all:
            self._publish_all(now_ms, beats)

    def publish_history(self, upto_ms: int) -> None:
        """Tell the trades and closed klines up to a time, which may lie before now, in order."""
        history = [told for feed in self._feeds.values() for told in self._history(feed, upto_ms)]
        history.sort(key=lambda told: told[:2])
        for _, _, name, event in history:
            self._hub.publish(name, _json(event))

    def _follow_symbol(self, symbol: str, wanted: list[Stream], now_ms: int) -> None:
        feed = self._feeds.get(symbol)
        if feed is None:
            market = self._markets[symbol]
            feed = self._feeds[symbol] = _Feed(market, [], market.next_trade_id(now_ms))
        feed.streams = wanted
        klines = [stream for stream in wanted if stream.kind is Kind.KLINE]
        feed.kline_since_ms = {
            stream.name: feed.kline_since_ms.get(stream.name, _open_of_now(feed.market, stream, now_ms))
            for stream in klines
        }
        if not any(stream.kind is Kind.DEPTH for stream in wanted):
            feed.depth = None
        elif feed.depth is None:
            feed.depth = self._books.read(symbol, now_ms)

    def _history(self, feed: _Feed, now_ms: int) -> list[Told]:
        told: list[Told] = []
        end = feed.market.next_trade_id(now_ms)
        kinds = [(stream.name, _TRADE_EVENTS[stream.kind]) for stream in feed.streams if stream.kind in _TRADE_EVENTS]
        if kinds and end > feed.next_trade_id:
            for trade in feed.market.trades(feed.next_trade_id, end):
                told += [(trade.time_ms, 1, name, event(feed.market, trade, now_ms)) for name, event in kinds]
        feed.next_trade_id = max(feed.next_trade_id, end)
        for stream in feed.streams:
            if stream.kind is Kind.KLINE:
                told += self._closed_klines(feed, stream, now_ms)
        return told

    def _closed_klines(self, feed: _Feed, stream: Stream, now_ms: int) -> list[Told]:
        told: list[Told] = []
        while True:
            since_ms = feed.kline_since_ms[stream.name]
            events = market_events.kline_events(feed.market, stream, since_ms, now_ms)
            closed = [event for event in events if event["k"]["x"]]
            told += [(event["k"]["T"] + 1, 0, stream.name, event) for event in closed]
            if not closed:
                return told
            feed.kline_since_ms[stream.name] = closed[-1]["k"]["T"] + 1

    def _publish_state(self, feed: _Feed, now_ms: int, beats: Beats) -> None:
        symbol = feed.market.instrument.symbol
        market_id, book_id = feed.market.update_id(now_ms), self._books.update_id(symbol, now_ms)
        moved, book_moved = market_id != feed.market_id, book_id != feed.book_id
        feed.market_id, feed.book_id = market_id, book_id
        for stream in feed.streams:
            if stream.kind is Kind.KLINE and (moved or beats.two_seconds):
                self._publish_forming(feed, stream, now_ms)
            elif stream.kind in _STATE_EVENTS and (moved or beats.second):
                self._hub.publish(stream.name, _json(_STATE_EVENTS[stream.kind](feed.market, self._books, now_ms)))
        if book_moved or beats.second:
            self._publish_book(feed, symbol, now_ms)

    def _publish_forming(self, feed: _Feed, stream: Stream, now_ms: int) -> None:
        for event in market_events.kline_events(feed.market, stream, feed.kline_since_ms[stream.name], now_ms):
            self._hub.publish(stream.name, _json(event))

    def _publish_book(self, feed: _Feed, symbol: str, now_ms: int) -> None:
        if not any(stream.kind in _BOOK_KINDS for stream in feed.streams):
            return
        book = self._books.read(symbol, now_ms, max(1, *(stream.levels for stream in feed.streams)))
        best = (*book.bids[:1], None, *book.asks[:1])
        for stream in feed.streams:
            if stream.kind is Kind.PARTIAL_DEPTH:
                self._hub.publish(stream.name, _json(market_events.partial_depth_event(book, stream.levels)))
            elif stream.kind is Kind.BOOK_TICKER and best != feed.best:
                self._hub.publish(stream.name, _json(market_events.book_ticker_event(symbol, book)))
        feed.best = best
        self._tell_depth(symbol, now_ms)

    def _tell_depth(self, symbol: str, now_ms: int) -> None:
        """Tell how the book has changed since it was told last.

        It is also told before REST shows a book that is newer: a change that leaps over what a client has seen would
        leave levels in its book that came and went in between.
        """
        feed = self._feeds.get(symbol)
        if feed is None or feed.depth is None or feed.depth.update_id == self._books.update_id(symbol, now_ms):
            return
        book = self._books.read(symbol, now_ms)
        if book.update_id == feed.depth.update_id:
            return
        event = _json(market_events.depth_event(symbol, feed.depth, book, now_ms))
        for stream in feed.streams:
            if stream.kind is Kind.DEPTH:
                self._hub.publish(stream.name, event)
        feed.depth = book

    def _publish_all(self, now_ms: int, beats: Beats) -> None:
        """Tell the tickers that have changed, as one array; the venue does so each second."""
        if not beats.second:
            return
        ids = {symbol: market.update_id(now_ms) for symbol, market in self._markets.items()}
        changed = [self._markets[symbol] for symbol, moved in ids.items() if moved != self._all_ids.get(symbol)]
        self._all_ids = ids
        for stream in self._all:
            if changed:
                event = _ALL_EVENTS[stream.kind]
                self._hub.publish(stream.name, _json([event(market, self._books, now_ms) for market in changed]))


def _open_of_now(market: Market, stream: Stream, now_ms: int) -> int:
    """Return the open of the kline that is forming; where none is, a time at which the next one is not open yet."""
    told_ms = market.kline_time_ms(now_ms)
    page = orjson.loads(market.klines(now_ms, stream.interval, 1, None, None, stream.offset_ms))
    forming = page and page[-1][6] >= told_ms
    return int(page[-1][0]) if forming else told_ms


def _json(event: object) -> str:
    return orjson.dumps(event).decode()

"""Writes what a market shows as the venue's stream events, out of the same documents that REST answers with."""

from collections.abc import Mapping
from typing import Any

import orjson

from paper_exchange.api.books import Book, Books, best_texts, changes, depth_document, level_texts
from paper_exchange.api.stream_names import Stream
from paper_exchange.market import tickers
from paper_exchange.market.market import Market, Trade

_KLINES_A_PAGE = 1000
_TICKER = {
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "x": "prevClosePrice",
    "c": "lastPrice",
    "Q": "lastQty",
    "b": "bidPrice",
    "B": "bidQty",
    "a": "askPrice",
    "A": "askQty",
    "o": "openPrice",
    "h": "highPrice",
    "l": "lowPrice",
    "v": "volume",
    "q": "quoteVolume",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}
_MINI_TICKER = {"c": "lastPrice", "o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume",
                "q": "quoteVolume"}  # fmt: skip


def trade_event(market: Market, trade: Trade, now_ms: int) -> dict[str, Any]:
    """Return the event of one trade."""
    document = tickers.aggregate_document(market, trade)
    return _event("trade", market, now_ms) | {
        "t": trade.id,
        "p": document["p"],
        "q": document["q"],
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def aggregate_trade_event(market: Market, trade: Trade, now_ms: int) -> dict[str, Any]:
    """Return the event of one aggregate trade."""
    return _event("aggTrade", market, now_ms) | tickers.aggregate_document(market, trade)


def kline_events(market: Market, stream: Stream, since_ms: int, now_ms: int) -> list[dict[str, Any]]:
    """Return an event for each kline that opened from `since_ms` on, oldest first, as it stands now.

    All are closed but the last, which is still forming unless the bars have a gap there or end. There are no more than
    1000; who wants all goes on from the close of the last.
    """
    told_ms = market.kline_time_ms(now_ms)
    page = market.klines(now_ms, stream.interval, _KLINES_A_PAGE, since_ms, None, stream.offset_ms)
    return [_kline_event(market, stream, row, told_ms, now_ms) for row in orjson.loads(page)]


def _kline_event(market: Market, stream: Stream, row: list[Any], told_ms: int, now_ms: int) -> dict[str, Any]:
    open_ms, opened, high, low, close, volume, close_ms, quote, count, taker_base, taker_quote, ignored = row
    next_id = market.next_trade_id(min(close_ms, told_ms))
    return _event("kline", market, now_ms) | {
        "k": {
            "t": open_ms,
            "T": close_ms,
            "s": market.instrument.symbol,
            "i": stream.interval,
            "f": next_id - count if count else -1,
            "L": next_id - 1 if count else -1,
            "o": opened,
            "c": close,
            "h": high,
            "l": low,
            "v": volume,
            "n": count,
            "x": close_ms < told_ms,
            "q": quote,
            "V": taker_base,
            "Q": taker_quote,
            "B": ignored,
        }
    }


def ticker_event(market: Market, books: Books, now_ms: int) -> dict[str, Any]:
    """Return the event of the 24 hours' statistics."""
    document = tickers.day_ticker(market, now_ms, books.best(market.instrument.symbol, now_ms))
    return _event("24hrTicker", market, now_ms) | _renamed(document, _TICKER)


def mini_ticker_event(market: Market, _: Books, now_ms: int) -> dict[str, Any]:
    """Return the event of the 24 hours' statistics in few fields."""
    document = tickers.day_ticker(market, now_ms, None)
    return _event("24hrMiniTicker", market, now_ms) | _renamed(document, _MINI_TICKER)


def average_price_event(market: Market, _: Books, now_ms: int) -> dict[str, Any]:
    """Return the event of the average price."""
    document = tickers.average_price(market, now_ms)
    return _event("avgPrice", market, now_ms) | {
        "i": f"{document['mins']}m",
        "w": document["price"],
        "T": document["closeTime"],
    }


def book_ticker_event(symbol: str, book: Book) -> dict[str, Any]:
    """Return the event of the best bid and ask; zeros where a side is empty."""
    (bid, bid_quantity), (ask, ask_quantity) = best_texts(book)
    return {"u": book.update_id, "s": symbol, "b": bid, "B": bid_quantity, "a": ask, "A": ask_quantity}


def partial_depth_event(book: Book, levels: int) -> dict[str, Any]:
    """Return the event of the best levels; it names no symbol, as at the venue."""
    return depth_document(Book(book.update_id, book.bids[:levels], book.asks[:levels]))


def depth_event(symbol: str, before: Book, after: Book, now_ms: int) -> dict[str, Any]:
    """Return the event that leads from one book to another."""
    return {
        "e": "depthUpdate",
        "E": now_ms,
        "s": symbol,
        "U": before.update_id + 1,
        "u": after.update_id,
        "b": level_texts(changes(before.bids, after.bids)),
        "a": level_texts(changes(before.asks, after.asks)),
    }


def _event(name: str, market: Market, now_ms: int) -> dict[str, Any]:
    return {"e": name, "E": now_ms, "s": market.instrument.symbol}


def _renamed(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {short: document[long] for short, long in names.items()}

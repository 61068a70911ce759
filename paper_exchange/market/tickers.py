"""Writes tickers and trades as the venue's documents."""

from collections.abc import Mapping
from typing import Any

from paper_exchange.market.klines import Bar
from paper_exchange.market.market import DAY_MS, Market, Trade
from paper_exchange.units import VENUE_DECIMALS, text

_AVERAGE_MINUTES = 5

Best = Mapping[str, str]


def price_ticker(market: Market, now_ms: int) -> dict[str, Any]:
    """Return the last price; zero before the first bar opens."""
    minute = market.minute(now_ms)
    return {"symbol": market.instrument.symbol, "price": _price(market, minute.close if minute else 0)}


def average_price(market: Market, now_ms: int) -> dict[str, Any]:
    """Return the volume-weighted price of the last five minutes."""
    average = market.average_price(now_ms, _AVERAGE_MINUTES)
    trade = market.last_trade(now_ms)
    return {
        "mins": _AVERAGE_MINUTES,
        "price": text(average or 0, VENUE_DECIMALS),
        "closeTime": trade.time_ms if trade else 0,
    }


def day_ticker(market: Market, now_ms: int, best: Best | None) -> dict[str, Any]:
    """Return the statistics of the last 24 hours, in few fields, or with changes and averages where `best` is given.

    Where nothing was traded in them, volumes are zero and the prices hold the last one.

    Parameters
    ----------
    best
        The best bid and ask, as `bidPrice`, `bidQty`, `askPrice` and `askQty`.
    """
    day = market.day(now_ms)
    bar = day.bar
    if bar is None:
        last = market.minute(now_ms)
        price = last.close if last else 0
        bar = Bar(price, price, price, price, 0, 0, 0, 0, 0)
    window = {
        "volume": _quantity(market, bar.volume),
        "quoteVolume": text(bar.quote, market.quote_decimals),
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": day.first_id,
        "lastId": day.last_id,
        "count": bar.count,
    }
    prices = {
        "openPrice": _price(market, bar.open),
        "highPrice": _price(market, bar.high),
        "lowPrice": _price(market, bar.low),
    }
    name = {"symbol": market.instrument.symbol}
    close = {"lastPrice": _price(market, bar.close)}
    if best is None:
        return name | prices | close | window
    return name | _changes(market, now_ms, bar, day.previous_close, best) | prices | window


def trade_document(market: Market, trade: Trade) -> dict[str, Any]:
    """Return one trade as ``trades`` and ``historicalTrades`` write it."""
    return {
        "id": trade.id,
        "price": _price(market, trade.price),
        "qty": _quantity(market, trade.quantity),
        "quoteQty": _quote(market, trade),
        "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def aggregate_document(market: Market, trade: Trade) -> dict[str, Any]:
    """Return one trade as ``aggTrades`` writes it; here each trade is an aggregate of itself alone."""
    return {
        "a": trade.id,
        "p": _price(market, trade.price),
        "q": _quantity(market, trade.quantity),
        "f": trade.id,
        "l": trade.id,
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def _changes(market: Market, now_ms: int, bar: Bar, previous_close: int | None, best: Best) -> dict[str, Any]:
    change = bar.close - bar.open
    average = market.mean_price(bar) if bar.volume else 0
    trade = market.last_trade(now_ms)
    return {
        "priceChange": _price(market, change),
        "priceChangePercent": _percent(change, bar.open),
        "weightedAvgPrice": text(average, VENUE_DECIMALS),
        "prevClosePrice": _price(market, previous_close if previous_close is not None else bar.open),
        "lastPrice": _price(market, bar.close),
        "lastQty": _quantity(market, trade.quantity if trade else 0),
        **best,
    }


def _percent(change: int, of: int) -> str:
    """Return ``100 * change / of`` with three decimals, rounded half away from zero."""
    if of == 0:
        return "0.000"
    thousandths = (abs(change) * 200_000 + of) // (2 * of)
    sign = "-" if change < 0 and thousandths else ""
    return f"{sign}{thousandths // 1000}.{thousandths % 1000:03d}"


def _price(market: Market, ticks: int) -> str:
    return text(ticks, market.tape.price_decimals)


def _quantity(market: Market, lots: int) -> str:
    return text(lots, market.tape.quantity_decimals)


def _quote(market: Market, trade: Trade) -> str:
    finer = market.tape.price_decimals + market.tape.quantity_decimals - market.quote_decimals
    return text(trade.price * trade.quantity // 10**finer, market.quote_decimals)

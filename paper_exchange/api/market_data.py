"""The public market-data endpoints: each reads its parameters and answers for one instant of the venue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paper_exchange.api.books import Books
from paper_exchange.api.order_count import Interval
from paper_exchange.api.query import Query
from paper_exchange.errors import ApiError, bad_combination, illegal
from paper_exchange.market import tickers
from paper_exchange.market.intervals import check_interval, offset_ms
from paper_exchange.market.market import FIRST_TRADE_ID, Market

_STATUSES = ("TRADING", "HALT", "BREAK")
_TICKER_TYPES = ("FULL", "MINI")
_PERMISSION = '"[A-Z0-9_]{1,20}"'
_LEGAL_PERMISSIONS = rf"^\[({_PERMISSION}(,{_PERMISSION}){{0,}}){{0,1}}\]$"
_DEFAULT_LIMIT, _MAX_LIMIT = 500, 1000
_DEPTH_DEFAULT, _DEPTH_MAX = 100, 5000


@dataclass(frozen=True, slots=True)
class Moment:
    """What an endpoint may look at: markets and books, the venue's time, and the limits it declares (0: none)."""

    books: Books
    now_ms: int
    weight_limit: int
    order_limits: Sequence[Interval] = ()

    @property
    def markets(self) -> Mapping[str, Market]:
        """What is listed, by symbol."""
        return self.books.markets


Answer = bytes | dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path, what answers it, and the weight of a request to it."""

    path: str
    answer: Callable[[Moment, Query], Answer]
    weight: Callable[[Query], int]


def ping(_: Moment, query: Query) -> Answer:
    """Answer that the venue is there."""
    query.finish()
    return {}


def server_time(moment: Moment, query: Query) -> Answer:
    """Answer with the venue's time."""
    query.finish()
    return {"serverTime": moment.now_ms}


def exchange_info(moment: Moment, query: Query) -> Answer:
    """Answer with the rules of all symbols or of those that are named."""
    named = query.peek("symbol") or query.peek("symbols")
    markets, _ = query.markets(moment.markets)
    permissions = query.text("permissions")
    status = query.choice("symbolStatus", _STATUSES, _bad_status())
    show_sets = query.choice("showPermissionSets", ("true", "false"), illegal("showPermissionSets", "^(true|false)$"))
    query.finish()
    if named and (permissions is not None or status is not None):
        raise bad_combination()
    if permissions is not None and "SPOT" not in _permissions(permissions):
        markets = []
    if status not in (None, "TRADING"):
        markets = []
    symbols = [market.instrument.document() for market in markets]
    if show_sets == "false":
        symbols = [symbol | {"permissionSets": []} for symbol in symbols]
    return {
        "timezone": "UTC",
        "serverTime": moment.now_ms,
        "rateLimits": _limits(moment),
        "exchangeFilters": [],
        "symbols": symbols,
    }


def klines(moment: Moment, query: Query) -> Answer:
    """Answer with a page of klines; the one still forming comes last, as it stands now."""
    market = query.market(moment.markets)
    interval = check_interval(query.text("interval"))
    start, end = query.time_ms("startTime"), query.time_ms("endTime")
    offset = offset_ms(query.text("timeZone"))
    limit = query.limit(_DEFAULT_LIMIT, _MAX_LIMIT)
    query.finish()
    return market.klines(moment.now_ms, interval, limit, start, end, offset)


def depth(moment: Moment, query: Query) -> Answer:
    """Answer with the order book."""
    market = query.market(moment.markets)
    limit = query.limit(_DEPTH_DEFAULT, _DEPTH_MAX)
    _check_status(query)
    query.finish()
    return moment.books.depth(market.instrument.symbol, moment.now_ms, limit)


def recent_trades(moment: Moment, query: Query) -> Answer:
    """Answer with the newest trades, oldest of them first."""
    market = query.market(moment.markets)
    limit = query.limit(_DEFAULT_LIMIT, _MAX_LIMIT)
    query.finish()
    end = market.next_trade_id(moment.now_ms)
    return [tickers.trade_document(market, trade) for trade in market.trades(end - limit, end)]


def historical_trades(moment: Moment, query: Query) -> Answer:
    """Answer with trades from an id on, or the newest."""
    market = query.market(moment.markets)
    limit = query.limit(_DEFAULT_LIMIT, _MAX_LIMIT)
    from_id = query.integer("fromId")
    query.finish()
    end = market.next_trade_id(moment.now_ms)
    begin = end - limit if from_id is None else max(from_id, FIRST_TRADE_ID)
    return [tickers.trade_document(market, trade) for trade in market.trades(begin, min(end, begin + limit))]


def aggregate_trades(moment: Moment, query: Query) -> Answer:
    """Answer with aggregate trades from an id on, of a time range, or the newest."""
    market = query.market(moment.markets)
    from_id = query.integer("fromId")
    start, end = query.time_ms("startTime"), query.time_ms("endTime")
    limit = query.limit(_DEFAULT_LIMIT, _MAX_LIMIT)
    query.finish()
    if from_id is not None and (start is not None or end is not None):
        raise bad_combination()
    stop = market.next_trade_id(moment.now_ms if end is None else min(end, moment.now_ms))
    if from_id is not None:
        begin = max(from_id, FIRST_TRADE_ID)
    elif start is not None:
        begin = market.first_trade_id(start)
    else:
        begin = stop - limit
    chosen = market.trades(begin, min(stop, begin + limit))
    return [tickers.aggregate_document(market, trade) for trade in chosen]


def average_price(moment: Moment, query: Query) -> Answer:
    """Answer with the average price of the last minutes."""
    market = query.market(moment.markets)
    query.finish()
    return tickers.average_price(market, moment.now_ms)


def day_ticker(moment: Moment, query: Query) -> Answer:
    """Answer with the statistics of 24 hours."""
    bad_type = ApiError(-1139, "Invalid ticker type.")
    full = query.choice("type", _TICKER_TYPES, bad_type) != "MINI"

    def document(market: Market, now_ms: int) -> dict[str, Any]:
        best = moment.books.best(market.instrument.symbol, now_ms) if full else None
        return tickers.day_ticker(market, now_ms, best)

    return _tickers(moment, query, document)


def price_ticker(moment: Moment, query: Query) -> Answer:
    """Answer with last prices."""
    return _tickers(moment, query, tickers.price_ticker)


def book_ticker(moment: Moment, query: Query) -> Answer:
    """Answer with best bids and asks."""

    def document(market: Market, now_ms: int) -> dict[str, Any]:
        symbol = market.instrument.symbol
        return {"symbol": symbol, **moment.books.best(symbol, now_ms)}

    return _tickers(moment, query, document)


def _tickers(moment: Moment, query: Query, document: Callable[[Market, int], dict[str, Any]]) -> Answer:
    markets, single = query.markets(moment.markets)
    status = query.choice("symbolStatus", _STATUSES, _bad_status())
    query.finish()
    if status not in (None, "TRADING"):
        if single:
            raise _status_mismatch()
        markets = []
    documents = [document(market, moment.now_ms) for market in markets]
    return documents[0] if single else documents


def _check_status(query: Query) -> None:
    if query.choice("symbolStatus", _STATUSES, _bad_status()) not in (None, "TRADING"):
        raise _status_mismatch()


def _bad_status() -> ApiError:
    return ApiError(
        -1122, "Invalid symbolStatus."
    )  # a new one for each request: raising an error adds to its traceback


def _status_mismatch() -> ApiError:
    return ApiError(-1220, "The symbol's status does not match the requested symbolStatus.")


def _permissions(value: str) -> list[str]:
    names = value.strip("[]").replace('"', "").split(",")
    if not all(name.isascii() and name.replace("_", "").isalnum() and name == name.upper() for name in names):
        raise illegal("permissions", _LEGAL_PERMISSIONS)
    return names


def _limits(moment: Moment) -> list[dict[str, Any]]:
    weight = {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": moment.weight_limit,
    }
    orders = [interval.document() for interval in moment.order_limits]
    return [limit for limit in (weight, *orders) if limit["limit"]]


def _flat(weight: int) -> Callable[[Query], int]:
    return lambda _: weight


def _depth_weight(query: Query) -> int:
    given = query.peek("limit")
    well_formed = given.isascii() and given.isdigit() and len(given) <= 20
    limit = int(given) if well_formed else _DEPTH_DEFAULT
    return next((weight for most, weight in ((100, 5), (500, 25), (1000, 50)) if limit <= most), 250)


def _day_weight(query: Query) -> int:
    if query.peek("symbol"):
        return 2
    named = query.peek("symbols").count(",") + 1 if query.peek("symbols") else 101
    return next((weight for most, weight in ((20, 2), (100, 40)) if named <= most), 80)


def _price_weight(query: Query) -> int:
    return 2 if query.peek("symbol") else 4


ENDPOINTS = (
    Endpoint("/api/v3/ping", ping, _flat(1)),
    Endpoint("/api/v3/time", server_time, _flat(1)),
    Endpoint("/api/v3/exchangeInfo", exchange_info, _flat(20)),
    Endpoint("/api/v3/klines", klines, _flat(2)),
    Endpoint("/api/v3/uiKlines", klines, _flat(2)),
    Endpoint("/api/v3/depth", depth, _depth_weight),
    Endpoint("/api/v3/trades", recent_trades, _flat(25)),
    Endpoint("/api/v3/historicalTrades", historical_trades, _flat(25)),
    Endpoint("/api/v3/aggTrades", aggregate_trades, _flat(4)),
    Endpoint("/api/v3/avgPrice", average_price, _flat(2)),
    Endpoint("/api/v3/ticker/24hr", day_ticker, _day_weight),
    Endpoint("/api/v3/ticker/price", price_ticker, _price_weight),
    Endpoint("/api/v3/ticker/bookTicker", book_ticker, _price_weight),
)

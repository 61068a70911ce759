"""The endpoints answer in the forms, with the codes and at the weights that the venue documents.

Field names, weights and messages: binance-spot-api-docs, rest-api.md and errors.md, as of July 2026.
"""

import json
from typing import Any

import httpx
import pytest
from venue_tools import MINUTE_MS, Ask, asker

from paper_exchange.api.books import Books
from paper_exchange.api.market_data import ENDPOINTS, Moment, exchange_info
from paper_exchange.api.query import Query
from paper_exchange.api.request_weight import RequestWeights
from paper_exchange.clock import RunningClock, StandingClock
from paper_exchange.errors import ApiError
from paper_exchange.market.market import Market

FULL_TICKER = [
    *("symbol", "priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastPrice", "lastQty"),
    *("bidPrice", "bidQty", "askPrice", "askQty", "openPrice", "highPrice", "lowPrice", "volume", "quoteVolume"),
    *("openTime", "closeTime", "firstId", "lastId", "count"),
]
MINI_TICKER = [
    *("symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume"),
    *("openTime", "closeTime", "firstId", "lastId", "count"),
]
BOOK_TICKER = ["symbol", "bidPrice", "bidQty", "askPrice", "askQty"]
TRADE = ["id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"]
SYMBOL_PATTERN = r"^[\w\-._&&[^a-z]]{1,50}$"
LIST_PATTERN = r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'


def body(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    return response.json()


def test_ping_and_time(ask: Ask, clock: StandingClock) -> None:
    """An empty object, and the venue's time."""
    assert body(ask("ping")) == {}
    assert body(ask("time")) == {"serverTime": clock.at_ms}


def test_exchange_info_declares_rules_that_every_bar_keeps(ask: Ask, month: Market) -> None:
    """Prices lie on the tick and volumes on the step; the fields are the documented ones."""
    info = body(ask("exchangeInfo", symbol="BTCUSDT"))
    assert list(info) == ["timezone", "serverTime", "rateLimits", "exchangeFilters", "symbols"]
    (symbol,) = info["symbols"]
    assert (symbol["status"], symbol["baseAsset"], symbol["quoteAsset"]) == ("TRADING", "BTC", "USDT")
    assert symbol["permissionSets"] == [["SPOT"]]
    filters = {rule["filterType"]: rule for rule in symbol["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == filters["LOT_SIZE"]["minQty"] == "0.00001000"
    assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
    assert {"MARKET_LOT_SIZE", "PERCENT_PRICE_BY_SIDE", "MAX_NUM_ORDERS"} <= filters.keys()
    assert (month.tape.price_decimals, month.tape.quantity_decimals) == (2, 5)


@pytest.mark.parametrize(
    ("params", "symbols"),
    [
        ({}, ["BTCUSDT", "ETHUSDT"]),
        ({"symbols": '["ETHUSDT"]'}, ["ETHUSDT"]),
        ({"symbols": '["ETHUSDT","BTCUSDT"]'}, ["ETHUSDT", "BTCUSDT"]),
        ({"permissions": "SPOT"}, ["BTCUSDT", "ETHUSDT"]),
        ({"permissions": '["MARGIN","SPOT"]'}, ["BTCUSDT", "ETHUSDT"]),
        ({"permissions": "LEVERAGED"}, []),
        ({"symbolStatus": "HALT"}, []),
    ],
)
def test_exchange_info_lists_what_is_asked_for(ask: Ask, params: dict[str, str], symbols: list[str]) -> None:
    """All, those that are named, or those with a permission or status."""
    assert [symbol["symbol"] for symbol in body(ask("exchangeInfo", **params))["symbols"]] == symbols


def test_klines_default_to_500_and_give_1000_at_most(ask: Ask, clock: StandingClock) -> None:
    """A larger limit is not refused but lowered, as the spot venue does."""
    assert len(body(ask("klines", symbol="BTCUSDT", interval="1m"))) == 500
    rows = body(ask("klines", symbol="BTCUSDT", interval="1m", limit=5000))
    assert len(rows) == 1000
    assert rows[-1][0] == clock.at_ms // MINUTE_MS * MINUTE_MS
    assert body(ask("uiKlines", symbol="BTCUSDT", interval="1m", limit=1000)) == rows


def test_times_may_be_sent_in_microseconds(ask: Ask, clock: StandingClock) -> None:
    """As documented for startTime and endTime."""
    start = clock.at_ms - 600_000
    in_ms = body(ask("klines", symbol="BTCUSDT", interval="1m", startTime=start))
    assert body(ask("klines", symbol="BTCUSDT", interval="1m", startTime=start * 1000)) == in_ms


def test_documents_have_the_documented_fields(ask: Ask) -> None:
    """Names and order of every market-data answer."""
    one = {"symbol": "BTCUSDT"}
    assert list(body(ask("ticker/24hr", **one))) == FULL_TICKER
    assert list(body(ask("ticker/24hr", type="MINI", **one))) == MINI_TICKER
    assert list(body(ask("ticker/price", **one))) == ["symbol", "price"]
    assert list(body(ask("ticker/bookTicker", **one))) == BOOK_TICKER
    assert list(body(ask("avgPrice", **one))) == ["mins", "price", "closeTime"]
    assert list(body(ask("trades", limit=1, **one))[0]) == TRADE
    assert list(body(ask("historicalTrades", fromId=1, limit=1, **one))[0]) == TRADE
    assert list(body(ask("aggTrades", limit=1, **one))[0]) == ["a", "p", "q", "f", "l", "T", "m", "M"]
    depth = body(ask("depth", limit=5, **one))
    assert list(depth) == ["lastUpdateId", "bids", "asks"]
    assert [len(depth["bids"]), len(depth["asks"])] == [5, 5]


@pytest.mark.parametrize("path", ["ticker/24hr", "ticker/price", "ticker/bookTicker"])
def test_tickers_come_alone_or_in_lists(ask: Ask, path: str) -> None:
    """One object for `symbol`, a list for `symbols` or for none."""
    assert body(ask(path, symbol="ETHUSDT"))["symbol"] == "ETHUSDT"
    assert [one["symbol"] for one in body(ask(path, symbols='["ETHUSDT"]'))] == ["ETHUSDT"]
    assert [one["symbol"] for one in body(ask(path))] == ["BTCUSDT", "ETHUSDT"]
    assert body(ask(path, symbolStatus="BREAK")) == []


def test_the_tickers_agree_with_the_klines(ask: Ask) -> None:
    """The last price is the forming minute's close, in every document that has one."""
    close = body(ask("klines", symbol="BTCUSDT", interval="1m", limit=1))[0][4]
    day = body(ask("ticker/24hr", symbol="BTCUSDT"))
    assert close == day["lastPrice"] == body(ask("ticker/price", symbol="BTCUSDT"))["price"]
    trades = body(ask("trades", symbol="BTCUSDT"))
    assert trades[-1]["price"] == close
    assert (trades[-1]["id"], trades[-1]["qty"]) == (day["lastId"], day["lastQty"])
    book = body(ask("ticker/bookTicker", symbol="BTCUSDT"))
    depth = body(ask("depth", symbol="BTCUSDT", limit=1))
    assert depth["bids"] == [[book["bidPrice"], book["bidQty"]]] == [[day["bidPrice"], day["bidQty"]]]
    change = float(day["lastPrice"]) - float(day["openPrice"])
    assert float(day["priceChange"]) == pytest.approx(change, abs=1e-8)
    assert float(day["priceChangePercent"]) == pytest.approx(100 * change / float(day["openPrice"]), abs=5e-4)
    mean = float(day["quoteVolume"]) / float(day["volume"])
    assert float(day["weightedAvgPrice"]) == pytest.approx(mean, rel=1e-12)


def test_aggregate_trades_of_a_minute_are_its_kline(ask: Ask, clock: StandingClock) -> None:
    """Asked for a closed minute, both ends inclusive, they add up to it exactly."""
    start = clock.at_ms // MINUTE_MS * MINUTE_MS - 5 * MINUTE_MS
    trades = body(ask("aggTrades", symbol="BTCUSDT", startTime=start, endTime=start + MINUTE_MS - 1))
    row = body(ask("klines", symbol="BTCUSDT", interval="1m", startTime=start, limit=1))[0]
    prices = [trade["p"] for trade in trades]
    assert row[1:5] == [prices[0], max(prices, key=float), min(prices, key=float), prices[-1]]
    assert sum(round(float(trade["q"]) * 1e5) for trade in trades) == round(float(row[5]) * 1e5)
    assert (len(trades), trades[0]["T"]) == (row[8], start)


def test_aggregate_trades_page_by_id(ask: Ask) -> None:
    """From an id on, inclusive; the newest without one."""
    newest = body(ask("aggTrades", symbol="BTCUSDT", limit=3))
    again = body(ask("aggTrades", symbol="BTCUSDT", fromId=newest[1]["a"], limit=10))
    assert again == newest[1:]
    assert [trade["a"] for trade in body(ask("aggTrades", symbol="BTCUSDT", fromId=0, limit=2))] == [1, 2]


@pytest.mark.parametrize(
    ("path", "params", "code", "msg"),
    [
        (
            "klines",
            {"interval": "1m"},
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        ),
        (
            "klines",
            {"symbol": "BTCUSDT"},
            -1102,
            "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.",
        ),
        ("klines", {"symbol": "", "interval": "1m"}, -1105, "Parameter 'symbol' was empty."),
        ("klines", {"symbol": "NOPEUSDT", "interval": "1m"}, -1121, "Invalid symbol."),
        ("klines", {"symbol": "BTCUSDT", "interval": "2m"}, -1120, "Invalid interval."),
        ("klines", {"symbol": "BTCUSDT", "interval": "1s"}, -1120, "Invalid interval."),
        (
            "klines",
            {"symbol": "btcusdt", "interval": "1m"},
            -1100,
            f"Illegal characters found in parameter 'symbol'; legal range is '{SYMBOL_PATTERN}'.",
        ),
        (
            "klines",
            {"symbol": "BTCUSDT", "interval": "1m", "limit": "-5"},
            -1100,
            "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.",
        ),
        (
            "klines",
            {"symbol": "BTCUSDT", "interval": "1m", "startTime": "20x"},
            -1100,
            "Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'.",
        ),
        (
            "klines",
            {"symbol": "BTCUSDT", "interval": "1m", "startTime": "9" * 20},
            -1108,
            "Parameter 'startTime' overflowed.",
        ),
        (
            "klines",
            {"symbol": "BTCUSDT", "interval": "1m", "limit": 0},
            -1130,
            "Data sent for parameter 'limit' is not valid.",
        ),
        (
            "klines",
            {"symbol": "BTCUSDT", "interval": "1d", "timeZone": "15"},
            -1130,
            "Data sent for parameter 'timeZone' is not valid.",
        ),
        (
            "klines",
            {"symbol": "BTCUSDT", "interval": "1m", "foo": 1},
            -1104,
            "Not all sent parameters were read; read '2' parameter(s) but was sent '3'.",
        ),
        ("ping", {"foo": 1}, -1101, "Too many parameters; expected '0' and received '1'."),
        ("depth", {"symbol": ["BTCUSDT", "ETHUSDT"]}, -1101, "Duplicate values for a parameter detected."),
        (
            "ticker/price",
            {"symbol": "BTCUSDT", "symbols": '["ETHUSDT"]'},
            -1128,
            "Combination of optional parameters invalid.",
        ),
        (
            "ticker/price",
            {"symbols": "BTCUSDT"},
            -1100,
            f"Illegal characters found in parameter 'symbols'; legal range is '{LIST_PATTERN}'.",
        ),
        ("ticker/price", {"symbols": '["BTCUSDT","NOPE"]'}, -1121, "Invalid symbol."),
        (
            "ticker/24hr",
            {"symbols": '["BTCUSDT","BTCUSDT"]'},
            -1151,
            "Symbol is present multiple times in the list.",
        ),
        ("ticker/24hr", {"type": "HUGE"}, -1139, "Invalid ticker type."),
        ("ticker/price", {"symbolStatus": "OPEN"}, -1122, "Invalid symbolStatus."),
        (
            "exchangeInfo",
            {"symbol": "BTCUSDT", "permissions": "SPOT"},
            -1128,
            "Combination of optional parameters invalid.",
        ),
        ("exchangeInfo", {"symbol": "NOPE"}, -1121, "Invalid symbol."),
        (
            "aggTrades",
            {"symbol": "BTCUSDT", "fromId": 5, "startTime": 5},
            -1128,
            "Combination of optional parameters invalid.",
        ),
    ],
)
def test_a_bad_request_gets_the_venues_code(ask: Ask, path: str, params: dict[str, Any], code: int, msg: str) -> None:
    """HTTP 400, and a body with code and message."""
    response = ask(path, **params)
    assert response.status_code == 400
    assert response.json() == {"code": code, "msg": msg}


def test_a_status_that_does_not_match_is_refused(ask: Ask) -> None:
    """For a single symbol, with the code documented for it."""
    assert ask("ticker/price", symbol="BTCUSDT", symbolStatus="HALT").json()["code"] == -1220
    assert ask("depth", symbol="BTCUSDT", symbolStatus="HALT").json()["code"] == -1220


def test_each_refusal_is_an_error_of_its_own(month: Market) -> None:
    """One that is raised again and again would keep every request's traceback for as long as the venue runs."""
    moment = Moment(Books({"BTCUSDT": month}), month.tape.end_ms, weight_limit=0)
    refusals = []
    for _ in range(2):
        with pytest.raises(ApiError, match="Invalid symbolStatus") as refused:
            exchange_info(moment, Query(b"symbolStatus=OPEN"))
        refusals.append(refused.value)
    assert refusals[0] is not refusals[1]


def test_an_unknown_path_is_404_without_a_body(ask: Ask) -> None:
    """So is an endpoint that this venue does not have."""
    for path in ("nope", "userDataStream", "orderList"):
        response = ask(path)
        assert (response.status_code, response.content) == (404, b"")


@pytest.mark.parametrize(
    ("path", "params", "weight"),
    [
        ("ping", {}, 1),
        ("exchangeInfo", {}, 20),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m"}, 2),
        ("depth", {"symbol": "BTCUSDT"}, 5),
        ("depth", {"symbol": "BTCUSDT", "limit": 101}, 25),
        ("depth", {"symbol": "BTCUSDT", "limit": 1000}, 50),
        ("depth", {"symbol": "BTCUSDT", "limit": 5000}, 250),
        ("trades", {"symbol": "BTCUSDT"}, 25),
        ("aggTrades", {"symbol": "BTCUSDT"}, 4),
        ("ticker/24hr", {"symbol": "BTCUSDT"}, 2),
        ("ticker/24hr", {"symbols": '["BTCUSDT","ETHUSDT"]'}, 2),
        ("ticker/24hr", {}, 80),
        ("ticker/price", {"symbol": "BTCUSDT"}, 2),
        ("ticker/bookTicker", {}, 4),
        ("klines", {"symbol": "NOPE", "interval": "1m"}, 2),
    ],
)
def test_requests_weigh_what_is_documented(ask: Ask, path: str, params: dict[str, Any], weight: int) -> None:
    """The used weight is in the headers, refused requests included."""
    assert ask(path, **params).headers["x-mbx-used-weight-1m"] == str(weight)


def test_past_the_limit_the_venue_says_when_to_come_back(month: Market) -> None:
    """429 with -1003 and Retry-After; the next minute is a new one."""
    now = [1_700_000_040.0]  # 0 s into a minute
    ask = asker({"BTCUSDT": month}, StandingClock(month.tape.end_ms), RequestWeights(limit=3, time_s=lambda: now[0]))
    assert [ask("ping").status_code for _ in range(4)] == [200, 200, 200, 429]
    now[0] += 18.5
    refused = ask("ping")
    assert refused.headers["retry-after"] == "42"
    assert refused.json()["code"] == -1003
    now[0] += 41.5
    assert ask("ping").status_code == 200


def test_answers_follow_the_clock(month: Market) -> None:
    """The same question half a minute later has a later answer."""
    ticks = [0]  # of the machine's clock, in ns
    clock = RunningClock(month.tape.first_ms + 90_000, speed=1, time_ns=lambda: ticks[0])
    ask = asker({"BTCUSDT": month}, clock)
    before = json.loads(ask("klines", symbol="BTCUSDT", interval="1m").content)
    ticks[0] += 30 * 10**9
    after = json.loads(ask("klines", symbol="BTCUSDT", interval="1m").content)
    assert (len(before), len(after)) == (2, 3)
    assert before[0] == after[0]
    assert before[1][5] < after[1][5]


def test_before_the_first_bar_everything_is_empty_and_nothing_fails(month: Market) -> None:
    """A venue whose clock starts before its data answers zeros and empty lists."""
    ask = asker({"BTCUSDT": month}, StandingClock(month.tape.first_ms - 1))
    for endpoint in ENDPOINTS:
        path = endpoint.path.removeprefix("/api/v3/")
        params = {} if path in ("ping", "time", "exchangeInfo") else {"symbol": "BTCUSDT"}
        if "lines" in path:
            params["interval"] = "1m"
        assert ask(path, **params).status_code == 200
    assert body(ask("ticker/price", symbol="BTCUSDT"))["price"] == "0.00000000"
    assert body(ask("depth", symbol="BTCUSDT")) == {"lastUpdateId": 0, "bids": [], "asks": []}

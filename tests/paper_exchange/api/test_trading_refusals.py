"""What is wrong with an order is said with the venue's codes and words, and what is asked weighs what is documented.

errors.md, "Filter failures" and "Messages for -1010, -2010, -2011", and the weights of rest-api.md, as of July 2026.
The market stands at 100.00; Ann has 10,000 USDT and 10 BTC.
"""

import resource
from pathlib import Path
from typing import Any

import pytest
from signed_tools import BOB, EVE, NOW_MS, Client, flat_markets, flat_venue, refusal

from paper_exchange.api.order_count import OrderCounts
from paper_exchange.api.request_weight import RequestWeights
from paper_exchange.api.trading import ENDPOINTS
from paper_exchange.clock import StandingClock
from paper_exchange.options.journal import open_journal

MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}


@pytest.fixture
def ann() -> Client:
    """A client of a venue of her own."""
    return Client(flat_venue())


def legal(name: str, pattern: str) -> str:
    return f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'."


def missing(name: str) -> str:
    return f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"


@pytest.mark.parametrize(
    ("change", "code", "msg"),
    [
        ({"quantity": "200"}, -2010, "Account has insufficient balance for requested action."),
        ({"price": "99.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.0001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.01"}, -1013, "Filter failure: NOTIONAL"),
        ({"price": "9"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "0"}, -1013, "Invalid quantity."),
        ({"price": "0"}, -1013, "Invalid price."),
        ({"symbol": None}, -1102, missing("symbol")),
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"symbol": "btcusdt"}, -1100, legal("symbol", r"^[\w\-._&&[^a-z]]{1,50}$")),
        ({"side": None}, -1102, missing("side")),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"side": "buy"}, -1117, "Invalid side."),
        ({"type": None}, -1102, missing("type")),
        ({"type": "ICEBERG"}, -1116, "Invalid orderType."),
        ({"timeInForce": None}, -1102, missing("timeInForce")),
        ({"timeInForce": "GTD"}, -1115, "Invalid timeInForce."),
        ({"quantity": None}, -1102, missing("quantity")),
        ({"price": None}, -1102, missing("price")),
        ({"price": ""}, -1105, "Parameter 'price' was empty."),
        ({"price": "1e2"}, -1100, legal("price", DECIMAL)),
        ({"quantity": "-1"}, -1100, legal("quantity", DECIMAL)),
        ({"quantity": "1."}, -1100, legal("quantity", DECIMAL)),
        ({"quantity": "1.123456789"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"stopPrice": "98"}, -1106, "Parameter 'stopPrice' sent when not required."),
        ({"quoteOrderQty": "98"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        ({"newClientOrderId": "with space"}, -1100, legal("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$")),
        ({"newClientOrderId": "x" * 37}, -1100, legal("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$")),
        ({"newOrderRespType": "LONG"}, -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
        ({"icebergQty": "0.5"}, -2010, "Iceberg orders are not supported for this symbol."),
        ({"pegPriceType": "PRIMARY_PEG"}, -2010, "Pegged orders are not supported for this symbol."),
        (
            {"selfTradePreventionMode": "EXPIRE_BOTH"},
            -1013,
            "This symbol does not allow the specified self-trade prevention mode.",
        ),
        ({"strategyId": "1"}, -1104, "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."),
    ],
)
def test_what_is_wrong_with_an_order_is_named(ann: Client, change: dict[str, str | None], code: int, msg: str) -> None:
    """One change to a good LIMIT order; nothing is placed."""
    good = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "99"}
    params = {name: value for name, value in (good | change).items() if value is not None}
    assert refusal(ann.ask("POST", "order", **params)) == (400, code, msg)
    assert ann.get("allOrders", symbol="BTCUSDT") == []


@pytest.mark.parametrize(
    ("params", "code", "msg"),
    [
        (
            {"type": "MARKET"},
            -1102,
            "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!",
        ),
        (
            {"type": "MARKET", "quantity": "1", "quoteOrderQty": "100"},
            -1106,
            "Parameter 'quoteOrderQty' sent when not required.",
        ),
        ({"type": "MARKET", "quantity": "1", "price": "100"}, -1106, "Parameter 'price' sent when not required."),
        (
            {"type": "MARKET", "quantity": "1", "timeInForce": "GTC"},
            -1106,
            "Parameter 'timeInForce' sent when not required.",
        ),
        (
            {"type": "LIMIT_MAKER", "quantity": "1", "price": "99", "timeInForce": "GTC"},
            -1106,
            "Parameter 'timeInForce' sent when not required.",
        ),
        ({"type": "LIMIT_MAKER", "quantity": "1", "price": "100.01"}, -2010, "Order would immediately match and take."),
        (
            {"type": "STOP_LOSS", "quantity": "1"},
            -1102,
            "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!",
        ),
        (
            {"type": "STOP_LOSS", "quantity": "1", "trailingDelta": "100"},
            -2010,
            "Trailing stop orders are not supported for this symbol.",
        ),
        ({"type": "STOP_LOSS", "quantity": "1", "stopPrice": "110", "price": "1"}, -1106,
         "Parameter 'price' sent when not required."),
    ],
)  # fmt: skip
def test_each_type_takes_what_it_takes(ann: Client, params: dict[str, str], code: int, msg: str) -> None:
    """The table "Additional mandatory parameters" of rest-api.md, "New order"."""
    assert refusal(ann.ask("POST", "order", symbol="BTCUSDT", side="BUY", **params)) == (400, code, msg)


@pytest.mark.parametrize(
    ("method", "path", "params", "code", "msg"),
    [
        ("DELETE", "order", {"orderId": 7}, -2011, "Unknown order sent."),
        ("GET", "order", {"orderId": 7}, -2013, "Order does not exist."),
        ("GET", "order", {"origClientOrderId": "x"}, -2013, "Order does not exist."),
        ("GET", "order", {}, -1102,
         "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"),
        ("GET", "order", {"orderId": "x"}, -1100, legal("orderId", "^[0-9]{1,20}$")),
        ("GET", "allOrders", {"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ("GET", "openOrders", {"symbol": ""}, -1105, "Parameter 'symbol' was empty."),
        ("GET", "account", {"symbol": None, "omitZeroBalances": "maybe"}, -1100,
         legal("omitZeroBalances", "^(true|false)$")),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_question_is_named(
    ann: Client, method: str, path: str, params: dict[str, Any], code: int, msg: str
) -> None:
    """Unknown orders and malformed parameters."""
    sent = {name: value for name, value in ({"symbol": "BTCUSDT"} | params).items() if value is not None}
    assert refusal(ann.ask(method, path, **sent)) == (400, code, msg)


def test_a_name_is_taken_once_among_open_orders(ann: Client) -> None:
    """A duplicate is -2010; once the first has ended its name is free."""
    ann.limit("BUY", "1", "99", newClientOrderId="once")
    again = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "99"}
    assert refusal(ann.ask("POST", "order", newClientOrderId="once", **again)) == (400, -2010, "Duplicate order sent.")
    ann.delete("order", symbol="BTCUSDT", origClientOrderId="once")
    assert ann.limit("BUY", "1", "99", newClientOrderId="once")["orderId"] == 2


def test_an_account_that_may_not_trade_can_look(ann: Client) -> None:
    """Orders and cancels are refused, as the documents say it for an account whose trading is disabled."""
    eve = Client(ann.venue, EVE)
    order = {"quantity": "0.1", **MARKET}
    words = "This account may not place or cancel orders."
    assert refusal(eve.ask("POST", "order", **order)) == (400, -2010, words)
    assert refusal(eve.ask("DELETE", "order", symbol="BTCUSDT", orderId=1)) == (400, -2011, words)
    assert eve.get("account")["canTrade"] is False


def test_accounts_do_not_see_each_other(ann: Client) -> None:
    """Neither an order's number nor its name opens another's order."""
    ann.limit("BUY", "1", "99", newClientOrderId="private")
    bob = Client(ann.venue, BOB)
    for names in ({"orderId": 1}, {"origClientOrderId": "private"}):
        assert refusal(bob.ask("GET", "order", symbol="BTCUSDT", **names))[1] == -2013
        assert refusal(bob.ask("DELETE", "order", symbol="BTCUSDT", **names))[1] == -2011
    assert bob.get("openOrders") == []


@pytest.mark.parametrize(
    ("method", "path", "params", "weight"),
    [
        ("POST", "order/test", {"quantity": "1", **MARKET}, 1),
        ("POST", "order/test", {"quantity": "1", "computeCommissionRates": "true", **MARKET}, 20),
        ("POST", "order", {"quantity": "1", **MARKET}, 1),
        ("DELETE", "order", {"symbol": "BTCUSDT", "orderId": 1}, 1),
        ("DELETE", "openOrders", {"symbol": "BTCUSDT"}, 1),
        ("GET", "order", {"symbol": "BTCUSDT", "orderId": 1}, 4),
        ("GET", "openOrders", {"symbol": "BTCUSDT"}, 6),
        ("GET", "openOrders", {}, 80),
        ("GET", "allOrders", {"symbol": "BTCUSDT"}, 20),
        ("GET", "myTrades", {"symbol": "BTCUSDT"}, 20),
        ("GET", "myTrades", {"symbol": "BTCUSDT", "orderId": 1}, 5),
        ("GET", "account", {}, 20),
        ("GET", "account/commission", {"symbol": "BTCUSDT"}, 20),
        ("GET", "rateLimit/order", {}, 40),
    ],
)
def test_signed_requests_weigh_what_is_documented(
    ann: Client, method: str, path: str, params: dict[str, Any], weight: int
) -> None:
    """Answered or refused."""
    assert ann.ask(method, path, **params).headers["x-mbx-used-weight-1m"] == str(weight)


def test_a_venue_that_can_not_write_takes_no_orders(tmp_path: Path) -> None:
    """Its disk is full: the order is refused with 503 and nothing of it is left, then or after a new start."""
    journal = open_journal(tmp_path / "journal", flat_markets(), StandingClock(NOW_MS), fsync=False)
    assert journal is not None
    ann = Client(flat_venue(journal=journal))
    ann.limit("BUY", "1", "99")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size, before[1]))
    try:
        responses = [ann.ask("POST", "order", quantity="1", **MARKET) for _ in range(2)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [refusal(one) for one in responses] == [(503, -1016, "This service is no longer available.")] * 2
    journal.close()
    again = open_journal(tmp_path / "journal", flat_markets(), StandingClock(NOW_MS), fsync=False)
    ann = Client(flat_venue(journal=again))
    assert [order["orderId"] for order in ann.get("allOrders", symbol="BTCUSDT")] == [1]
    assert again is not None
    again.close()


def test_every_endpoint_is_weighed_above() -> None:
    """So that a new one brings its weight."""
    assert len(ENDPOINTS) == 11


def test_orders_are_counted_and_their_number_is_limited() -> None:
    """X-MBX-ORDER-COUNT counts those that do not trade; one too many is 429 with -1015 and Retry-After."""
    ann = Client(flat_venue(counts=OrderCounts(2, time_s=lambda: 1_000_003.0), weights=RequestWeights()))
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "99"}
    first = ann.ask("POST", "order", **order)
    assert (first.headers["x-mbx-order-count-10s"], first.headers["x-mbx-order-count-1d"]) == ("1", "1")
    traded = ann.ask("POST", "order", quantity="1", **MARKET)
    assert traded.headers["x-mbx-order-count-10s"] == "1"
    assert ann.ask("POST", "order", **order).headers["x-mbx-order-count-10s"] == "2"
    response = ann.ask("POST", "order", **order)
    assert refusal(response) == (429, -1015, "Too many new orders; current limit is 2 orders per 10 SECOND.")
    assert response.headers["retry-after"] == "7"
    limits = ann.get("rateLimit/order")
    assert limits == [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 2, "count": 2},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 4000, "count": 2},
    ]
    declared = ann.send("GET", "/api/v3/exchangeInfo").json()["rateLimits"]
    assert [limit["rateLimitType"] for limit in declared] == ["REQUEST_WEIGHT", "ORDERS", "ORDERS"]

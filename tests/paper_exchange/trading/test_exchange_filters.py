"""The rules that exchangeInfo declares are the rules that orders meet: each is tried at its declared bounds."""

from decimal import Decimal
from typing import Any

import pytest
from trading_tools import BTC, Desk, ScriptedMarket, u

from paper_exchange.market.instrument import Instrument
from paper_exchange.trading.errors import Rejected
from paper_exchange.trading.order import OrderRequest, OrderType, Side

DECLARED: dict[str, dict[str, Any]] = {rule["filterType"]: rule for rule in BTC.document()["filters"]}


def refusal(desk: Desk, *arguments: str, **named: str) -> str:
    """What the venue's filters say to an order; '' where it is taken."""
    try:
        desk.place(*arguments, **named)
    except Rejected as refused:
        return str(refused) if refused.code == -1013 else f"not a filter's refusal: {refused.code}"
    return ""


def test_the_venue_declares_what_it_enforces() -> None:
    """Tick and lot are those of the bars; rules that nobody checks are not declared."""
    assert DECLARED == {
        "PRICE_FILTER": {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.01000000",
            "maxPrice": "1000000000.00000000",
            "tickSize": "0.01000000",
        },
        "LOT_SIZE": {
            "filterType": "LOT_SIZE",
            "minQty": "0.00100000",
            "maxQty": "9000000000.00000000",
            "stepSize": "0.00100000",
        },
        "MARKET_LOT_SIZE": {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": "9000000000.00000000",
            "stepSize": "0.00000000",
        },
        "PERCENT_PRICE_BY_SIDE": {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        "NOTIONAL": {
            "filterType": "NOTIONAL",
            "minNotional": "5.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        "MAX_NUM_ORDERS": {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        "MAX_NUM_ALGO_ORDERS": {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    }


def test_prices_must_lie_on_the_tick() -> None:
    """Of the limit and of the stop."""
    desk = Desk()
    assert refusal(desk, "ann", "BUY", "1", "99.01") == ""
    assert refusal(desk, "ann", "BUY", "1", "99.005") == "Filter failure: PRICE_FILTER"
    stop = {"kind": "STOP_LOSS_LIMIT", "stop": "95.001"}
    assert refusal(desk, "ann", "SELL", "1", "95", **stop) == "Filter failure: PRICE_FILTER"


def test_quantities_must_lie_on_the_lot_and_within_bounds() -> None:
    """0.001 is the lot and the least."""
    desk = Desk(ScriptedMarket("10000"))
    for quantity, message in (
        ("0.001", ""),
        ("0.0015", "LOT_SIZE"),
        ("0.0009", "LOT_SIZE"),
        ("9000000001", "LOT_SIZE"),
    ):
        assert refusal(desk, "ann", "BUY", quantity, "9000") == (message and f"Filter failure: {message}")
    assert refusal(desk, "ann", "BUY", "0.0015") == "Filter failure: LOT_SIZE"


def test_limits_must_be_near_the_average_price() -> None:
    """From a fifth to five times 100, bounds included."""
    desk = Desk()
    desk.exchange.deposit("ann", "USDT", u(10**6), 0)
    for price, fits in (("20", True), ("19.99", False), ("500", True), ("500.01", False)):
        message = "" if fits else "Filter failure: PERCENT_PRICE_BY_SIDE"
        assert refusal(desk, "ann", "SELL", "1", price) == message
        assert refusal(desk, "bob", "BUY", "1", price) == message


def test_an_order_is_worth_at_least_the_least_notional() -> None:
    """0.05 at 100 is worth 5; MARKET orders count at the average price, or at the amount they spend."""
    desk = Desk()
    assert refusal(desk, "ann", "BUY", "0.05", "100") == ""
    assert refusal(desk, "ann", "BUY", "0.05", "99.99") == "Filter failure: NOTIONAL"
    assert refusal(desk, "ann", "BUY", "0.05") == ""
    assert refusal(desk, "ann", "BUY", "0.049") == "Filter failure: NOTIONAL"
    assert refusal(desk, "ann", "BUY", spend="5") == ""
    assert refusal(desk, "ann", "BUY", spend="4.99999999") == "Filter failure: NOTIONAL"


def test_a_limit_is_worth_at_most_the_largest_notional() -> None:
    """90,000 at 100 are 9 million; a MARKET order is not bound by it."""
    desk = Desk()
    desk.exchange.deposit("ann", "BTC", u(10**6), 0)
    assert refusal(desk, "ann", "SELL", "90000", "100") == ""
    assert refusal(desk, "ann", "SELL", "90000.001", "100") == "Filter failure: NOTIONAL"
    assert refusal(desk, "ann", "SELL", "90000.001") == ""


def test_at_most_200_orders_are_open_in_a_symbol() -> None:
    """MARKET orders and other symbols still go."""
    desk = Desk()
    for _ in range(200):
        desk.place("ann", "BUY", "0.1", "99.5")
    assert refusal(desk, "ann", "BUY", "0.1", "99.5") == "Filter failure: MAX_NUM_ORDERS"
    assert refusal(desk, "ann", "BUY", "0.1") == ""
    assert refusal(desk, "ann", "BUY", "0.1", "99.5", symbol="ETHUSDT") == ""
    assert refusal(desk, "bob", "BUY", "0.1", "99.5") == ""


def test_at_most_five_stops_wait_in_a_symbol() -> None:
    """One that has woken counts no more."""
    desk = Desk(ScriptedMarket("100", (10, "95", "1")))
    for stop in ("95", "90", "90", "90", "90"):
        desk.place("ann", "SELL", "0.1", "99", kind="STOP_LOSS_LIMIT", stop=stop)
    waiting = {"kind": "STOP_LOSS_LIMIT", "stop": "90"}
    assert refusal(desk, "ann", "SELL", "0.1", "90", **waiting) == "Filter failure: MAX_NUM_ALGO_ORDERS"
    desk.exchange.advance(10)
    assert refusal(desk, "ann", "SELL", "0.1", "90", **waiting) == ""


@pytest.mark.parametrize(
    ("arguments", "named", "code", "message"),
    [
        (("BUY", "0", "100"), {}, -1013, "Invalid quantity."),
        (("BUY", "-1", "100"), {}, -1013, "Invalid quantity."),
        (("BUY", "1", "-100"), {}, -1013, "Invalid price."),
        (("BUY", "1"), {"kind": "LIMIT"}, -1013, "Invalid price."),
        (("BUY", "1", "100"), {"kind": "STOP_LOSS_LIMIT"}, -1013, "Invalid stopPrice."),
        (("BUY", "1", "100"), {"kind": "MARKET"}, -1106, "Parameter 'price' sent when not required."),
        (("BUY", "1", "100"), {"stop": "90"}, -1106, "Parameter 'stopPrice' sent when not required."),
        (("BUY", "1", "100"), {"spend": "90"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        (("BUY", "1"), {"spend": "90"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        (("BUY", "1", "100"), {"symbol": "XYZUSDT"}, -1121, "Invalid symbol."),
        (("BUY", "1000", "100.5"), {}, -2010, "Account has insufficient balance for requested action."),
        (("SELL", "100.001"), {}, -2010, "Account has insufficient balance for requested action."),
        (("BUY",), {"spend": "100000.00000001"}, -2010, "Account has insufficient balance for requested action."),
    ],
)
def test_a_refused_order_changes_nothing(
    arguments: tuple[str, ...], named: dict[str, str], code: int, message: str
) -> None:
    """The venue answers with its code and words; balances, books and history stay as they were. A test order too."""
    desk = Desk()
    before = desk.exchange.state()
    with pytest.raises(Rejected) as refused:
        desk.place("ann", *arguments, **named)
    assert (refused.value.code, refused.value.msg) == (code, message)
    assert desk.exchange.state() == before
    assert desk.events == []


def test_a_test_order_is_checked_and_never_placed() -> None:
    """What `place` would take passes in silence, and what it would refuse is refused."""
    desk = Desk()
    before = desk.exchange.state()
    request = OrderRequest("BTCUSDT", Side.BUY, OrderType.MARKET, quantity=u(1))
    desk.exchange.check("ann", request, 0)
    with pytest.raises(Rejected, match="Filter failure: NOTIONAL"):
        desk.exchange.check("ann", request._replace(quantity=u("0.001")), 0)
    assert desk.exchange.state() == before


def test_before_the_first_bar_the_market_is_closed() -> None:
    """There is no price yet."""
    desk = Desk(ScriptedMarket("100", opens_ms=50))
    with pytest.raises(Rejected, match=r"Market is closed\.") as refused:
        desk.place("ann", "BUY", "1", at=49)
    assert refused.value.code == -2010


def test_a_name_of_an_open_order_is_taken() -> None:
    """Once that order has ended, or in another symbol or account, the name is free."""
    desk = Desk()
    desk.place("ann", "BUY", "1", "99.5", name="one")
    with pytest.raises(Rejected, match="Duplicate order sent") as refused:
        desk.place("ann", "BUY", "1", name="one")
    assert refused.value.code == -2010
    desk.place("bob", "BUY", "1", "99.5", name="one")
    desk.place("ann", "BUY", "1", "99.5", name="one", symbol="ETHUSDT")
    desk.exchange.cancel("ann", "BTCUSDT", client_order_id="one", now_ms=0)
    again, _ = desk.place("ann", "BUY", "1", "99.5", name="one")
    assert desk.exchange.order("ann", "BTCUSDT", client_order_id="one") is again


@pytest.mark.parametrize(("quote", "least"), [("USDT", "5"), ("BTC", "0.0001"), ("JPY", "100")])
def test_the_least_notional_fits_the_quote_asset(quote: str, least: str) -> None:
    """Five bitcoin would be no least worth."""
    rules = Instrument(f"ETH{quote}", "ETH", quote, 2, 3).document()["filters"]
    (notional,) = [rule for rule in rules if rule["filterType"] == "NOTIONAL"]
    assert Decimal(notional["minNotional"]) == Decimal(least)

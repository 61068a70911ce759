"""Orders, fills and accounts over signed REST, field by field as rest-api.md documents them.

"Trading endpoints" and "Account Endpoints" of binance-spot-api-docs, as of July 2026. Amounts are computed by hand: the
market stands at 100.00, its best bid is 100.00 for 1.115, its asks are 100.01 for 2.6 and 100.02 for 1.384.
"""

from typing import Any

import pytest
from signed_tools import BOB, NOW_MS, Client, flat_venue, refusal

from paper_exchange.clock import RunningClock
from paper_exchange.trading.fees import FeeSchedule

ACK = ["symbol", "orderId", "orderListId", "clientOrderId", "transactTime"]
RESULT = [
    *ACK,
    *("price", "origQty", "executedQty", "origQuoteOrderQty", "cummulativeQuoteQty", "status", "timeInForce"),
    *("type", "side", "workingTime", "selfTradePreventionMode"),
]
FILL = ["price", "qty", "commission", "commissionAsset", "tradeId"]
ORDER = [
    *("symbol", "orderId", "orderListId", "clientOrderId", "price", "origQty", "executedQty", "cummulativeQuoteQty"),
    *("status", "timeInForce", "type", "side", "stopPrice", "icebergQty", "time", "updateTime", "isWorking"),
    *("workingTime", "origQuoteOrderQty", "selfTradePreventionMode"),
]
CANCEL = [
    *("symbol", "origClientOrderId", "orderId", "orderListId", "clientOrderId", "transactTime", "price", "origQty"),
    *("executedQty", "origQuoteOrderQty", "cummulativeQuoteQty", "status", "timeInForce", "type", "side"),
    "selfTradePreventionMode",
]
TRADE = [
    *("symbol", "id", "orderId", "orderListId", "price", "qty", "quoteQty", "commission", "commissionAsset", "time"),
    *("isBuyer", "isMaker", "isBestMatch"),
]
ACCOUNT = [
    *("makerCommission", "takerCommission", "buyerCommission", "sellerCommission", "commissionRates", "canTrade"),
    *("canWithdraw", "canDeposit", "brokered", "requireSelfTradePrevention", "preventSor", "updateTime"),
    *("accountType", "balances", "permissions", "uid"),
]
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}


@pytest.fixture
def ann() -> Client:
    """A client of a venue of her own, with 10,000 USDT and 10 BTC."""
    return Client(flat_venue())


def test_a_market_order_tells_all_that_it_traded(ann: Client) -> None:
    """3 BTC: 2.6 at 100.01 and 0.4 at 100.02 are 300.034 USDT; 0.1 % is taken from the BTC that are bought."""
    answer = ann.post("order", quantity="3", newClientOrderId="mine-1", **MARKET)
    assert list(answer) == [*RESULT, "fills"]
    assert answer == {
        "symbol": "BTCUSDT",
        "orderId": 1,
        "orderListId": -1,
        "clientOrderId": "mine-1",
        "transactTime": NOW_MS,
        "price": "0.00000000",
        "origQty": "3.00000000",
        "executedQty": "3.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "300.03400000",
        "status": "FILLED",
        "timeInForce": "GTC",
        "type": "MARKET",
        "side": "BUY",
        "workingTime": NOW_MS,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "fills": [
            {
                "price": "100.01000000",
                "qty": "2.60000000",
                "commission": "0.00260000",
                "commissionAsset": "BTC",
                "tradeId": 1,
            },
            {
                "price": "100.02000000",
                "qty": "0.40000000",
                "commission": "0.00040000",
                "commissionAsset": "BTC",
                "tradeId": 2,
            },
        ],
    }
    assert ann.balance("BTC") == ("12.99700000", "0.00000000")
    assert ann.balance("USDT") == ("9699.96600000", "0.00000000")


def test_a_market_order_by_its_amount_buys_whole_lots(ann: Client) -> None:
    """100 USDT at 100.01 pay for 0.999 BTC, which cost 99.90999."""
    answer = ann.post("order", quoteOrderQty="100", **MARKET)
    assert (answer["status"], answer["executedQty"], answer["cummulativeQuoteQty"], answer["origQuoteOrderQty"]) == (
        "FILLED",
        "0.99900000",
        "99.90999000",
        "100.00000000",
    )


def test_the_answer_is_as_long_as_asked_for(ann: Client) -> None:
    """FULL for LIMIT and MARKET, ACK for the others, unless newOrderRespType says otherwise."""
    assert list(ann.limit("BUY", "1", "99")) == [*RESULT, "fills"]
    assert list(ann.limit("BUY", "1", "99", newOrderRespType="RESULT")) == RESULT
    assert list(ann.limit("BUY", "1", "99", newOrderRespType="ACK")) == ACK
    maker = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "1", "price": "99"}
    assert list(ann.post("order", **maker)) == ACK
    stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "quantity": "1"}
    answer = ann.post("order", price="90", stopPrice="95", newOrderRespType="RESULT", **stop)
    assert (answer["stopPrice"], answer["workingTime"]) == ("95.00000000", -1)


def test_a_limit_order_rests_is_found_and_cancelled(ann: Client) -> None:
    """By its number or its name; the cancel has a name of its own and gives back what was locked."""
    ann.limit("BUY", "1.5", "99.5", newClientOrderId="rest")
    assert ann.balance("USDT") == ("9850.75000000", "149.25000000")
    order = ann.get("order", symbol="BTCUSDT", origClientOrderId="rest")
    assert list(order) == ORDER
    assert order == {
        "symbol": "BTCUSDT",
        "orderId": 1,
        "orderListId": -1,
        "clientOrderId": "rest",
        "price": "99.50000000",
        "origQty": "1.50000000",
        "executedQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "stopPrice": "0.00000000",
        "icebergQty": "0.00000000",
        "time": NOW_MS,
        "updateTime": NOW_MS,
        "isWorking": True,
        "workingTime": NOW_MS,
        "origQuoteOrderQty": "0.00000000",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    assert ann.get("openOrders") == ann.get("openOrders", symbol="BTCUSDT") == [order]
    assert ann.get("order", symbol="BTCUSDT", orderId=1, origClientOrderId="rest") == order
    cancelled = ann.delete("order", symbol="BTCUSDT", orderId=1, newClientOrderId="enough")
    assert list(cancelled) == CANCEL
    names = ("origClientOrderId", "clientOrderId", "status", "origQty", "executedQty")
    assert [cancelled[name] for name in names] == ["rest", "enough", "CANCELED", "1.50000000", "0.00000000"]
    assert ann.get("openOrders") == []
    assert ann.get("order", symbol="BTCUSDT", orderId=1)["status"] == "CANCELED"
    assert ann.balance("USDT") == ("10000.00000000", "0.00000000")


def test_all_orders_of_a_symbol_are_cancelled_at_once(ann: Client) -> None:
    """Each with a report; a second time there is nothing to cancel."""
    ann.limit("BUY", "1", "99")
    ann.limit("SELL", "1", "101")
    reports = ann.delete("openOrders", symbol="BTCUSDT")
    assert [(report["orderId"], report["status"]) for report in reports] == [(1, "CANCELED"), (2, "CANCELED")]
    assert list(reports[0]) == CANCEL
    assert refusal(ann.ask("DELETE", "openOrders", symbol="BTCUSDT")) == (400, -2011, "Unknown order sent.")


def test_a_cancel_may_be_restricted(ann: Client) -> None:
    """ONLY_PARTIALLY_FILLED leaves an order alone that has not traded; rest-api.md, "Regarding cancelRestrictions"."""
    ann.limit("BUY", "1", "99")
    one = {"symbol": "BTCUSDT", "orderId": 1}
    assert refusal(ann.ask("DELETE", "order", cancelRestrictions="ONLY_PARTIALLY_FILLED", **one)) == (
        400,
        -2011,
        "Order was not canceled due to cancel restrictions.",
    )
    assert refusal(ann.ask("DELETE", "order", cancelRestrictions="X", **one)) == (
        400,
        -1145,
        "Invalid cancelRestrictions",
    )
    assert ann.delete("order", cancelRestrictions="ONLY_NEW", **one)["status"] == "CANCELED"


def test_an_expired_order_says_why(ann: Client) -> None:
    """The house bids 1.115 at 100.00: the rest of an IOC expires, an FOK as a whole, with its documented reason."""
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "quantity": "2", "price": "100"}
    some = ann.post("order", timeInForce="IOC", **order)
    assert (some["status"], some["executedQty"]) == ("EXPIRED", "1.11500000")
    assert some["expiryReason"] == "UNFILLED_IOC_QUANTITY_EXPIRED"
    none = ann.post("order", timeInForce="FOK", **order)
    assert (none["status"], none["executedQty"]) == ("EXPIRED", "0.00000000")
    assert none["expiryReason"] == "UNFILLED_FOK_ORDER_EXPIRED"
    assert ann.get("order", symbol="BTCUSDT", orderId=2)["expiryReason"] == "UNFILLED_FOK_ORDER_EXPIRED"


def test_a_test_order_changes_nothing(ann: Client) -> None:
    """It is checked as an order is, and tells its rates where asked to."""
    assert ann.post("order/test", quantity="3", **MARKET) == {}
    rates = ann.post("order/test", quantity="3", computeCommissionRates="true", **MARKET)
    assert rates == {
        "standardCommissionForOrder": {"maker": "0.00100000", "taker": "0.00100000"},
        "specialCommissionForOrder": {"maker": "0.00000000", "taker": "0.00000000"},
        "taxCommissionForOrder": {"maker": "0.00000000", "taker": "0.00000000"},
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": "0.00000000",
        },
    }
    assert ann.get("allOrders", symbol="BTCUSDT") == []
    assert refusal(ann.ask("POST", "order/test", quantity="300", **MARKET))[1] == -2010


def test_trades_have_the_documented_fields(ann: Client) -> None:
    """A sale of 1 BTC at 100.00; the fee is taken from the USDT that are earned."""
    ann.post("order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="1")
    (trade,) = ann.get("myTrades", symbol="BTCUSDT")
    assert list(trade) == TRADE
    assert trade == {
        "symbol": "BTCUSDT",
        "id": 1,
        "orderId": 1,
        "orderListId": -1,
        "price": "100.00000000",
        "qty": "1.00000000",
        "quoteQty": "100.00000000",
        "commission": "0.10000000",
        "commissionAsset": "USDT",
        "time": NOW_MS,
        "isBuyer": False,
        "isMaker": False,
        "isBestMatch": True,
    }


def test_orders_and_trades_come_in_pages(ann: Client) -> None:
    """From a number on, of a time range, or the newest; never the other account's."""
    for _ in range(3):
        ann.post("order", quantity="0.1", **MARKET)
    Client(ann.venue, BOB).post("order", quantity="0.1", **MARKET)
    one = {"symbol": "BTCUSDT"}
    assert [order["orderId"] for order in ann.get("allOrders", **one)] == [1, 2, 3]
    assert [order["orderId"] for order in ann.get("allOrders", limit=2, **one)] == [2, 3]
    assert [order["orderId"] for order in ann.get("allOrders", orderId=2, limit=1, **one)] == [2]
    assert [order["orderId"] for order in ann.get("allOrders", startTime=NOW_MS, limit=2, **one)] == [1, 2]
    assert ann.get("allOrders", startTime=NOW_MS + 1, **one) == []
    assert [trade["id"] for trade in ann.get("myTrades", **one)] == [1, 2, 3]
    assert [trade["id"] for trade in ann.get("myTrades", orderId=2, **one)] == [2]
    assert [trade["id"] for trade in ann.get("myTrades", fromId=2, **one)] == [2, 3]
    assert [trade["id"] for trade in ann.get("myTrades", endTime=NOW_MS, limit=1, **one)] == [3]
    assert ann.get("myTrades", endTime=NOW_MS - 1, **one) == []


@pytest.mark.parametrize(
    "params",
    [
        {"fromId": 1, "startTime": NOW_MS},
        {"orderId": 1, "startTime": NOW_MS},
        {"orderId": 1, "endTime": NOW_MS},
        {"fromId": 1, "startTime": NOW_MS, "endTime": NOW_MS},
    ],
)
def test_trades_refuse_what_can_not_be_combined(ann: Client, params: dict[str, Any]) -> None:
    """The documented list of "supported combinations of all parameters", and -1128 for the others."""
    assert refusal(ann.ask("GET", "myTrades", symbol="BTCUSDT", **params)) == (
        400,
        -1128,
        "Combination of optional parameters invalid.",
    )


@pytest.mark.parametrize("path", ["allOrders", "myTrades"])
def test_a_range_is_a_day_at_most(ann: Client, path: str) -> None:
    """-1127 for more than 24 hours between startTime and endTime."""
    times = {"startTime": NOW_MS, "endTime": NOW_MS + 86_400_001}
    assert refusal(ann.ask("GET", path, symbol="BTCUSDT", **times)) == (
        400,
        -1127,
        "More than 24 hours between startTime and endTime.",
    )


def test_the_account_has_the_documented_fields(ann: Client) -> None:
    """Every listed asset, with zeros too, unless they are to be left out."""
    account = ann.get("account")
    assert list(account) == ACCOUNT
    assert (account["makerCommission"], account["takerCommission"]) == (10, 10)
    assert account["commissionRates"] == {
        "maker": "0.00100000",
        "taker": "0.00100000",
        "buyer": "0.00000000",
        "seller": "0.00000000",
    }
    assert (account["canTrade"], account["accountType"], account["permissions"]) == (True, "SPOT", ["SPOT"])
    bob = Client(ann.venue, BOB)
    usdt = {"asset": "USDT", "free": "500.00000000", "locked": "0.00000000"}
    assert bob.get("account")["balances"] == [{"asset": "BTC", "free": "0.00000000", "locked": "0.00000000"}, usdt]
    assert bob.get("account", omitZeroBalances="true")["balances"] == [usdt]
    assert bob.get("account")["uid"] != account["uid"]


def test_rates_are_the_venues_own() -> None:
    """2 and 5 basis points in a fee coin, which grants no discount here."""
    fees = FeeSchedule.of_bps("2", "5", "BNB", {"USDT": 600 * 10**8})
    ann = Client(flat_venue(fees=fees))
    commission = ann.get("account/commission", symbol="BTCUSDT")
    assert list(commission) == ["symbol", "standardCommission", "specialCommission", "taxCommission", "discount"]
    assert commission["standardCommission"] == {
        "maker": "0.00020000",
        "taker": "0.00050000",
        "buyer": "0.00000000",
        "seller": "0.00000000",
    }
    assert commission["discount"]["discountAsset"] == "BNB"
    assert ann.get("/sapi/v1/asset/tradeFee", symbol="BTCUSDT") == [
        {"symbol": "BTCUSDT", "makerCommission": "0.00020000", "takerCommission": "0.00050000"}
    ]
    assert "BNB" in [one["asset"] for one in ann.get("account")["balances"]]


def test_the_wallet_answers_what_clients_ask_before_they_trade(ann: Client) -> None:
    """Coins with balances and no networks, no margin pairs, a venue that works."""
    coins = {coin["coin"]: coin for coin in ann.get("/sapi/v1/capital/config/getall")}
    assert sorted(coins) == ["BTC", "USDT"]
    assert (coins["USDT"]["free"], coins["USDT"]["networkList"]) == ("10000.00000000", [])
    assert ann.get("/sapi/v1/margin/allPairs") == ann.get("/sapi/v1/margin/isolated/allPairs") == []
    assert ann.send("GET", "/sapi/v1/system/status").json() == {"status": 0, "msg": "normal"}
    assert refusal(ann.send("GET", "/sapi/v1/capital/config/getall")) == (401, -2014, "API-key format invalid.")


def test_users_trade_with_each_other(ann: Client) -> None:
    """Ann asks 100.01 for 0.5 as the house does; she is the maker of the first half of what Bob buys."""
    ann.limit("SELL", "0.5", "100.01")
    bought = Client(ann.venue, BOB).post("order", quantity="1", **MARKET)
    assert [(fill["price"], fill["qty"]) for fill in bought["fills"]] == [("100.01000000", "0.50000000")] * 2
    (sold,) = ann.get("myTrades", symbol="BTCUSDT")
    assert (sold["isMaker"], sold["qty"], sold["commission"], sold["commissionAsset"]) == (
        True,
        "0.50000000",
        "0.05000500",
        "USDT",
    )
    assert sold["id"] == bought["fills"][0]["tradeId"]


@pytest.mark.parametrize(("fill_pct", "parts"), [(100, 1), (50, 2)])
def test_a_resting_order_gets_its_share_of_each_trade(fill_pct: int, parts: int) -> None:
    """Half a minute of trades at 100.00 passes; half of each, in whole lots of 0.001, is all that it gets at 50 %."""
    ticks = [0]
    clock = RunningClock(NOW_MS, 1, time_ns=lambda: ticks[0])
    ann = Client(flat_venue(clock=clock, fill_pct=fill_pct))
    (seen,) = ann.send("GET", "/api/v3/trades?symbol=BTCUSDT&limit=1").json()
    ann.limit("BUY", "99", "100")
    ticks[0] = 29_000 * 10**6
    trades = ann.send("GET", f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={seen['id'] + 1}").json()
    assert len(trades) >= 2
    lots = [int(trade["qty"].replace(".", "")) // 100_000 // parts for trade in trades]
    order = ann.get("order", symbol="BTCUSDT", orderId=1)
    assert (order["status"], order["executedQty"]) == ("PARTIALLY_FILLED", f"{sum(lots) / 1000:.8f}")
    assert [fill["time"] for fill in ann.get("myTrades", symbol="BTCUSDT")] == [trade["time"] for trade in trades]

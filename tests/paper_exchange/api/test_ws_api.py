"""Messages of the websocket API are answered, and events are told, as the venue documents them.

web-socket-api.md ("Request format", "Response format", "Trading requests", "User Data Stream requests") and
user-data-stream.md of binance-spot-api-docs, as of July 2026. The market stands at 100.00; asks are 100.01 for 2.6.
"""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signed_tools import ANN, BOB, COIN, NOW_MS, WALL_MS, Client, flat_venue, hexdigest

from paper_exchange.api.accounts import Account
from paper_exchange.api.order_count import OrderCounts
from paper_exchange.api.request_weight import RequestWeights
from paper_exchange.api.venue import Venue
from paper_exchange.api.ws_api import Session

EXECUTION_REPORT = [
    *("e", "E", "s", "c", "S", "o", "f", "q", "p", "P", "F", "g", "C", "x", "X", "r", "i", "l", "z", "L", "n", "N"),
    *("T", "t", "I", "w", "m", "M", "O", "Z", "Y", "Q", "W", "V"),
]
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "99"}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}


class Talk:
    """One session with what the venue has said on it."""

    def __init__(self, venue: Venue, *, shows_limits: bool = False) -> None:
        self.said: list[dict[str, Any]] = []
        self.session = Session(venue, "1.2.3.4", self.hear, shows_limits=shows_limits)

    def hear(self, text: str) -> None:
        self.said.append(json.loads(text))

    def ask(self, method: str, account: Account | None = None, **params: Any) -> dict[str, Any]:
        """Send a message, signed if an account is given, and return the answer to it."""
        if account is not None:
            params = {"apiKey": account.api_key, "timestamp": WALL_MS} | params
            payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
            params["signature"] = hexdigest(account.secret.decode(), payload)
        return self.send(json.dumps({"id": 7, "method": method, "params": params}))

    def send(self, text: str) -> dict[str, Any]:
        self.session.take(text)
        return next(one for one in reversed(self.said) if "status" in one)

    def events(self) -> list[dict[str, Any]]:
        return [one for one in self.said if "event" in one]


@pytest.fixture
def talk() -> Talk:
    """A session with a venue of its own."""
    return Talk(flat_venue())


def test_an_order_is_placed_asked_for_and_cancelled(talk: Talk) -> None:
    """The results are those of REST; ids and methods are echoed and may name their version."""
    placed = talk.ask("order.place", ANN, newClientOrderId="mine", **LIMIT)
    assert list(placed) == ["id", "status", "result"]
    assert (placed["id"], placed["status"], placed["result"]["status"]) == (7, 200, "NEW")
    assert placed["result"]["fills"] == []
    status = talk.ask("v3/order.status", ANN, symbol="BTCUSDT", origClientOrderId="mine")["result"]
    assert talk.ask("openOrders.status", ANN)["result"] == [status]
    assert talk.ask("allOrders", ANN, symbol="BTCUSDT")["result"] == [status]
    cancelled = talk.ask("order.cancel", ANN, symbol="BTCUSDT", orderId=status["orderId"])["result"]
    assert (cancelled["status"], cancelled["origClientOrderId"]) == ("CANCELED", "mine")
    assert talk.ask("order.test", ANN, **MARKET)["result"] == {}
    traded = talk.ask("order.place", ANN, **MARKET)["result"]
    (trade,) = talk.ask("myTrades", ANN, symbol="BTCUSDT")["result"]
    assert (traded["fills"][0]["tradeId"], traded["fills"][0]["price"]) == (trade["id"], trade["price"])


def test_the_answers_agree_with_rest() -> None:
    """The same account, the same commission, the same market."""
    venue = flat_venue()
    talk, rest = Talk(venue), Client(venue)
    assert talk.ask("account.status", ANN)["result"] == rest.get("account")
    assert talk.ask("account.commission", ANN, symbol="BTCUSDT")["result"] == rest.get(
        "account/commission", symbol="BTCUSDT"
    )
    for method, path, params in (
        ("ping", "ping", {}),
        ("time", "time", {}),
        ("exchangeInfo", "exchangeInfo", {"symbol": "BTCUSDT"}),
        ("klines", "klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 3}),
        ("ticker.price", "ticker/price", {"symbol": "BTCUSDT"}),
    ):
        answer = talk.ask(method, None, **params)
        assert answer["result"] == rest.send("GET", f"/api/v3/{path}?{urlencode(params)}").json()


@pytest.mark.parametrize(
    ("text", "message_id", "code", "msg"),
    [
        ("{", None, -1135, "Invalid JSON Request"),
        ("[]", None, -1135, "Invalid JSON Request"),
        ('{"id": NaN, "method": "ping"}', None, -1135, "Invalid JSON Request"),
        ('{"id": [1], "method": "ping"}', None, -1135, "JSON sent for parameter 'id' is not valid"),
        ('{"id": true, "method": "ping"}', None, -1135, "JSON sent for parameter 'id' is not valid"),
        ('{"id": 9223372036854775808, "method": "ping"}', None, -1135, "JSON sent for parameter 'id' is not valid"),
        ('{"id": "\\ud800", "method": "ping"}', None, -1135, "JSON sent for parameter 'id' is not valid"),
        ('{"id": 1, "method": "time", "params": {"\\ud800": 1}}', None, -1135,
         "JSON sent for parameter 'params' is not valid"),
        ("[" * 100_000, None, -1135, "Invalid JSON Request"),
        ('{"id": 1}', None, -1135, "JSON sent for parameter 'method' is not valid"),
        ('{"id": 1, "method": "ping", "params": [1]}', None, -1135, "JSON sent for parameter 'params' is not valid"),
        ('{"id": "a", "method": "order.nothing"}', "a", -1020, "This operation is not supported."),
        ('{"id": "a", "method": "ping", "params": {"x": 1}}', "a", -1104,
         "Not all sent parameters were read; read '0' parameter(s) but was sent '1'."),
        ('{"id": "a", "method": "order.place", "params": {}}', "a", -1102,
         "Mandatory parameter 'apiKey' was not sent, was empty/null, or malformed."),
    ],
)  # fmt: skip
def test_a_bad_message_is_refused_in_the_documented_form(
    talk: Talk, text: str, message_id: Any, code: int, msg: str
) -> None:
    """{"id", "status", "error": {"code", "msg"}}; the connection goes on."""
    assert talk.send(text) == {"id": message_id, "status": 400, "error": {"code": code, "msg": msg}}
    assert talk.send('{"id": null, "method": "ping"}') == {"id": None, "status": 200, "result": {}}


def test_a_refused_order_is_an_error_with_its_status(talk: Talk) -> None:
    """400 for what the sender must change, 401 for a key that is not known."""
    answer = talk.ask("order.place", ANN, **(LIMIT | {"quantity": "500"}))
    words = "Account has insufficient balance for requested action."
    assert answer == {"id": 7, "status": 400, "error": {"code": -2010, "msg": words}}
    stranger = Account("x", "x-key", b"x")
    assert talk.ask("account.status", stranger)["status"] == 401
    forged = Account("ann", "ann-key", b"guessed")
    assert talk.ask("account.status", forged)["error"]["code"] == -1022


def test_numbers_are_signed_as_they_were_written(talk: Talk) -> None:
    """0.10 is not 0.1 to a signature, and JSON may hold either, as a number or as text."""
    price = "99.10"
    params = LIMIT | {"apiKey": "ann-key", "timestamp": WALL_MS, "price": "@"}
    signature = hexdigest(
        "ann-secret", "&".join(f"{name}={params[name]}" for name in sorted(params)).replace("@", price)
    )
    text = json.dumps({"id": 1, "method": "order.place", "params": params | {"signature": signature}})
    assert talk.send(text.replace('"@"', price))["result"]["price"] == "99.10000000"


def test_rate_limits_are_told_unless_they_are_declined() -> None:
    """ORDERS before REQUEST_WEIGHT for an order, the weight alone for the rest; returnRateLimits decides."""
    venue = flat_venue(counts=OrderCounts(50, time_s=lambda: 5.0), weights=RequestWeights(6000, time_s=lambda: 5.0))
    talk = Talk(venue, shows_limits=True)
    assert talk.ask("order.place", ANN, **LIMIT)["rateLimits"] == [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50, "count": 1},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 100_000, "count": 1},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 1},
    ]
    assert [limit["rateLimitType"] for limit in talk.ask("time")["rateLimits"]] == ["REQUEST_WEIGHT"]
    assert "rateLimits" not in talk.send('{"id": 1, "method": "time", "params": {"returnRateLimits": false}}')
    quiet = Talk(venue)
    assert "rateLimits" not in quiet.ask("time")
    assert "rateLimits" in quiet.send('{"id": 1, "method": "time", "params": {"returnRateLimits": true}}')


def test_past_a_limit_the_answer_says_when_to_come_back() -> None:
    """Status 429 with retryAfter in ms, as documented under "IP limits"."""
    talk = Talk(flat_venue(weights=RequestWeights(2, time_s=lambda: 30.0)))
    talk.ask("ping")
    talk.ask("ping")
    answer = talk.ask("ping")
    assert (answer["status"], answer["error"]["code"]) == (429, -1003)
    assert answer["error"]["data"] == {"serverTime": WALL_MS, "retryAfter": WALL_MS + 30_000}


def test_a_traded_order_is_told_in_three_events(talk: Talk) -> None:
    """executionReport NEW, executionReport TRADE, outboundAccountPosition: 1 BTC at 100.01, 0.1 % in BTC."""
    assert talk.ask("userDataStream.subscribe.signature", ANN)["result"] == {"subscriptionId": 0}
    talk.ask("order.place", ANN, newClientOrderId="mine", **MARKET)
    new, trade, position = (one["event"] for one in talk.events())
    assert [one["subscriptionId"] for one in talk.events()] == [0, 0, 0]
    assert list(new) == EXECUTION_REPORT
    assert new == {
        "e": "executionReport", "E": NOW_MS, "s": "BTCUSDT", "c": "mine", "S": "BUY", "o": "MARKET", "f": "GTC",
        "q": "1.00000000", "p": "0.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "NEW",
        "X": "NEW", "r": "NONE", "i": 1, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0", "N": None,
        "T": NOW_MS, "t": -1, "I": new["I"], "w": True, "m": False, "M": False, "O": NOW_MS, "Z": "0.00000000",
        "Y": "0.00000000", "Q": "0.00000000", "W": NOW_MS, "V": "EXPIRE_MAKER",
    }  # fmt: skip
    assert trade == new | {
        "x": "TRADE", "X": "FILLED", "l": "1.00000000", "z": "1.00000000", "L": "100.01000000", "n": "0.00100000",
        "N": "BTC", "t": 1, "I": trade["I"], "w": False, "M": True, "Z": "100.01000000", "Y": "100.01000000",
    }  # fmt: skip
    assert trade["I"] > new["I"]
    assert position == {
        "e": "outboundAccountPosition",
        "E": NOW_MS,
        "u": NOW_MS,
        "B": [
            {"a": "USDT", "f": "9899.99000000", "l": "0.00000000"},
            {"a": "BTC", "f": "10.99900000", "l": "0.00000000"},
        ],
    }


def test_a_cancel_is_told_with_both_names(talk: Talk) -> None:
    """c is the cancel's name and C the order's; what was locked is free again."""
    talk.ask("userDataStream.subscribe.signature", ANN)
    talk.ask("order.place", ANN, newClientOrderId="mine", **LIMIT)
    answer = talk.ask("order.cancel", ANN, symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="stop")
    assert answer["result"]["clientOrderId"] == "stop"
    new, locked, cancelled, freed = (one["event"] for one in talk.events())
    assert (new["w"], locked["B"]) == (True, [{"a": "USDT", "f": "9901.00000000", "l": "99.00000000"}])
    assert [cancelled[name] for name in "xXcCw"] == ["CANCELED", "CANCELED", "stop", "mine", False]
    assert freed["B"] == [{"a": "USDT", "f": "10000.00000000", "l": "0.00000000"}]


def test_a_cancel_without_a_name_gets_the_same_one_everywhere(talk: Talk) -> None:
    """In the answer and in the event."""
    talk.ask("userDataStream.subscribe.signature", ANN)
    talk.ask("order.place", ANN, **LIMIT)
    answer = talk.ask("order.cancel", ANN, symbol="BTCUSDT", orderId=1)
    (event,) = (one["event"] for one in talk.events() if one["event"].get("x") == "CANCELED")
    assert answer["result"]["clientOrderId"] == event["c"] != event["C"]


def test_an_expired_rest_is_told_with_its_reason(talk: Talk) -> None:
    """The house bids 1.115: an IOC for 2 trades and expires; eR is documented under "Order Expiry Reason"."""
    talk.ask("userDataStream.subscribe.signature", ANN)
    order = LIMIT | {"side": "SELL", "timeInForce": "IOC", "quantity": "2", "price": "100"}
    talk.ask("order.place", ANN, **order)
    reports = [one["event"] for one in talk.events() if one["event"]["e"] == "executionReport"]
    assert [(report["x"], report["X"], report["z"]) for report in reports] == [
        ("NEW", "NEW", "0.00000000"),
        ("TRADE", "PARTIALLY_FILLED", "1.11500000"),
        ("EXPIRED", "EXPIRED", "1.11500000"),
    ]
    assert reports[-1]["eR"] == "UNFILLED_IOC_QUANTITY_EXPIRED"


def test_orders_over_rest_and_deposits_are_told_too() -> None:
    """balanceUpdate, then the position; only the account's own listeners hear of them."""
    venue = flat_venue()
    talk, other = Talk(venue), Talk(venue)
    talk.ask("userDataStream.subscribe.signature", ANN)
    other.ask("userDataStream.subscribe.signature", BOB)
    venue.exchange.deposit("ann", "USDT", 5 * COIN, NOW_MS)
    update, position = (one["event"] for one in talk.events())
    assert update == {"e": "balanceUpdate", "E": NOW_MS, "a": "USDT", "d": "5.00000000", "T": NOW_MS}
    assert position["B"] == [{"a": "USDT", "f": "10005.00000000", "l": "0.00000000"}]
    Client(venue).limit("BUY", "1", "99")
    assert talk.events()[2]["event"]["x"] == "NEW"
    assert other.events() == []


def test_subscriptions_begin_and_end(talk: Talk) -> None:
    """One for each account, numbered; -2035 and -2036 for too many and too few; the end is told."""
    assert talk.ask("userDataStream.subscribe.signature", ANN)["result"] == {"subscriptionId": 0}
    again = talk.ask("userDataStream.subscribe.signature", ANN)["error"]
    assert again == {"code": -2035, "msg": "User Data Stream subscription already active."}
    assert talk.ask("userDataStream.subscribe.signature", BOB)["result"] == {"subscriptionId": 1}
    assert talk.ask("session.subscriptions")["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
    assert talk.ask("userDataStream.unsubscribe", subscriptionId=0)["result"] == {}
    assert talk.events()[-1] == {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": NOW_MS}}
    gone = talk.ask("userDataStream.unsubscribe", subscriptionId=0)["error"]
    assert gone == {"code": -2036, "msg": "User Data Stream subscription not active."}
    status = talk.ask("session.status")["result"]
    assert status == {
        "apiKey": None,
        "authorizedSince": None,
        "connectedSince": WALL_MS,
        "returnRateLimits": False,
        "serverTime": NOW_MS,
        "userDataStream": True,
    }
    assert talk.ask("userDataStream.unsubscribe")["result"] == {}
    assert talk.ask("session.status")["result"]["userDataStream"] is False


def test_a_closed_session_hears_nothing(talk: Talk) -> None:
    """Whoever has left is not told any more."""
    talk.ask("userDataStream.subscribe.signature", ANN)
    talk.session.close()
    talk.ask("order.place", ANN, **LIMIT)
    assert talk.events() == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
METHODS = st.sampled_from(
    ["order.place", "order.cancel", "klines", "session.status", "userDataStream.unsubscribe", "x"]
)
NAMES = st.sampled_from(["symbol", "limit", "apiKey", "timestamp", "signature", "recvWindow", "interval", "price"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text()
    | JSON.map(json.dumps)
    | st.fixed_dictionaries({"id": JSON, "method": METHODS | JSON, "params": st.dictionaries(NAMES, JSON)}).map(
        json.dumps
    )
)
def test_whatever_is_sent_gets_one_answer(talk: Talk, text: str) -> None:
    """A text that is no request, or a request that means nothing, ends no connection."""
    before = len(talk.said)
    answer = talk.send(text)
    assert len(talk.said) == before + 1
    assert answer["status"] in (200, 400, 401)

"""What a listener hears: every change once, in order, after it has happened, and what orders look like when asked."""

import pytest
from trading_tools import Desk, ScriptedMarket, u

from paper_exchange.trading.errors import Rejected
from paper_exchange.trading.events import BalanceEvent, DepositEvent, Kind, OrderEvent
from paper_exchange.trading.ledger import Balance
from paper_exchange.trading.order import Status


def heard(desk: Desk) -> list[tuple[str, str, str]]:
    """Account, kind and status of the order events so far, which are forgotten."""
    found = [(one.order.account, one.kind, one.order.status) for one in desk.events if isinstance(one, OrderEvent)]
    desk.events.clear()
    return found


def test_a_taker_is_new_before_it_trades_and_the_balances_come_last() -> None:
    """Each event holds the order as it was right then."""
    desk = Desk()
    desk.place("ann", "BUY", "2")
    orders = desk.events[:3]
    assert [(event.kind, event.order.status, event.order.filled) for event in orders] == [
        (Kind.NEW, Status.NEW, 0),
        (Kind.TRADE, Status.PARTIALLY_FILLED, u(1)),
        (Kind.TRADE, Status.FILLED, u(2)),
    ]
    assert [event.fill.price for event in orders[1:]] == [u(101), u(102)]
    own = BalanceEvent("ann", {"USDT": Balance(u(100_000 - 203), 0), "BTC": Balance(u(102), 0)}, 0)
    assert own in desk.events[3:]
    assert {type(event) for event in desk.events[3:]} == {BalanceEvent}


def test_both_sides_of_a_trade_are_told() -> None:
    """The maker first."""
    desk = Desk()
    desk.place("ann", "SELL", "1", "100")
    heard(desk)
    desk.place("bob", "BUY", "1", "100")
    assert heard(desk) == [
        ("bob", Kind.NEW, Status.NEW),
        ("ann", Kind.TRADE, Status.FILLED),
        ("bob", Kind.TRADE, Status.FILLED),
    ]


def test_cancels_and_expiries_are_told() -> None:
    """A cancel carries the name that the client gave it."""
    desk = Desk()
    order, _ = desk.place("ann", "BUY", "1", "99.5")
    desk.exchange.cancel("ann", "BTCUSDT", order_id=order.id, new_client_order_id="why", now_ms=0)
    assert desk.events[-2].cancel_id == "why"
    desk.place("ann", "BUY", "9", "101", tif="IOC")
    assert heard(desk) == [
        ("ann", Kind.NEW, Status.NEW),
        ("ann", Kind.CANCELED, Status.CANCELED),
        ("ann", Kind.NEW, Status.NEW),
        ("ann", Kind.TRADE, Status.PARTIALLY_FILLED),
        ("ann", Kind.EXPIRED, Status.EXPIRED),
    ]


def test_a_stop_is_new_again_when_it_starts_to_work() -> None:
    """The second time it is working."""
    desk = Desk(ScriptedMarket("100", (10, "95", "1")))
    desk.place("ann", "SELL", "1", "94", kind="STOP_LOSS_LIMIT", stop="95")
    desk.exchange.advance(10)
    new = [event for event in desk.events if isinstance(event, OrderEvent) and event.kind is Kind.NEW]
    assert [(event.order.is_working, event.time_ms) for event in new] == [(False, 0), (True, 10)]


def test_a_deposit_is_told_before_the_balance() -> None:
    """With its amount."""
    desk = Desk()
    desk.exchange.deposit("ann", "BTC", u(5), 7)
    assert desk.events == [
        DepositEvent("ann", "BTC", u(5), 7),
        BalanceEvent("ann", {"BTC": Balance(u(105), 0)}, 7),
    ]


def test_a_deposit_of_nothing_is_refused() -> None:
    """Nor can one take away."""
    with pytest.raises(ValueError, match="A deposit needs an amount above 0, found -1 of BTC for ann"):
        Desk().exchange.deposit("ann", "BTC", -1, 0)


def test_the_venues_own_accounts_take_no_deposit() -> None:
    """A user named @house would share its money."""
    with pytest.raises(ValueError, match="names with @ are the venue's own"):
        Desk().exchange.deposit("@house", "BTC", 1, 0)


def test_orders_are_found_by_number_and_by_name() -> None:
    """Only by their own account, in their own symbol."""
    desk = Desk()
    order, _ = desk.place("ann", "BUY", "1", "99.5", name="mine")
    assert desk.exchange.order("ann", "BTCUSDT", order_id=order.id) is order
    assert desk.exchange.order("ann", "BTCUSDT", client_order_id="mine") is order
    assert desk.exchange.order("ann", "BTCUSDT", order_id=order.id, client_order_id="mine") is order
    for account, symbol, names in (
        ("bob", "BTCUSDT", {"order_id": order.id}),
        ("ann", "ETHUSDT", {"order_id": order.id}),
        ("ann", "BTCUSDT", {"order_id": order.id, "client_order_id": "other"}),
        ("ann", "BTCUSDT", {"client_order_id": "other"}),
    ):
        with pytest.raises(Rejected, match="Order does not exist") as refused:
            desk.exchange.order(account, symbol, **names)
        assert refused.value.code == -2013


def test_the_venue_names_an_order_that_has_no_name() -> None:
    """With a name that no other order of the account has."""
    desk = Desk()
    desk.place("ann", "BUY", "1", "99.5", name="auto-2")
    order, _ = desk.place("ann", "BUY", "1", "99.5")
    assert order.client_order_id == "auto-2x"


def test_history_is_in_order_and_apart_by_account_and_symbol() -> None:
    """Orders by their number, fills by their trade."""
    desk = Desk()
    first, _ = desk.place("ann", "BUY", "2")
    second, _ = desk.place("ann", "BUY", "1", "99.5")
    desk.place("bob", "BUY", "1")
    other, _ = desk.place("ann", "BUY", "1", "99.5", symbol="ETHUSDT")
    assert desk.exchange.orders("ann", "BTCUSDT") == [first, second]
    assert desk.exchange.open_orders("ann", "BTCUSDT") == [second]
    assert desk.exchange.open_orders("ann") == [second, other]
    assert [fill.order_id for fill in desk.exchange.fills("ann", "BTCUSDT")] == [first.id, first.id]


def test_an_unlisted_symbol_is_invalid_everywhere() -> None:
    """Questions are refused as orders are."""
    exchange = Desk().exchange
    for ask in (exchange.orders, exchange.fills, exchange.open_orders, exchange.order):
        with pytest.raises(Rejected, match="Invalid symbol"):
            ask("ann", "XYZUSDT")

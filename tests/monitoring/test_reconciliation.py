"""Signals, receipts, fills and the venue's orders agree when nothing is missing and nothing double."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128

from monitoring.chain.reconciliation import VenueOrder, reconcile
from monitoring.chain.signal_chain import Stored

NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
PAIR = "BTC/USDT"


def at(minute: int) -> dict[str, Any]:
    """The part of the key that the documents share."""
    return {"pair": PAIR, "ts": NOON + timedelta(minutes=minute)}


def receipt(minute: int, decision: str, reason: str | None = None) -> dict[str, Any]:
    return at(minute) | {"decision": decision} | ({"reason": reason} if reason else {})


def fill(minute: int, side: str, order_id: str, amount: str = "0.5") -> dict[str, Any]:
    return at(minute) | {"side": side, "order_id": order_id, "amount": Decimal128(amount)}


def order(order_id: str, side: str, amount: str = "0.5") -> VenueOrder:
    return VenueOrder(order_id, PAIR, side, Decimal(amount), Decimal("100"))


SIGNALS = [at(0), at(5), at(7)]
RECEIPTS = [receipt(0, "entered"), receipt(5, "exited"), receipt(7, "skipped", "no_position")]
FILLS = [fill(0, "buy", "11"), fill(5, "sell", "12")]
ORDERS = [order("11", "buy"), order("12", "sell")]


def stored(signals: list[dict[str, Any]], receipts: list[dict[str, Any]], fills: list[dict[str, Any]]) -> Stored:
    """All fills were ordered in the scope's time; those that name a signal are its signals'."""
    return Stored(signals, receipts, [fill for fill in fills if "ts" in fill], fills)


def kinds(
    signals: list[dict[str, Any]] = SIGNALS,
    receipts: list[dict[str, Any]] = RECEIPTS,
    fills: list[dict[str, Any]] = FILLS,
    orders: list[VenueOrder] | None = ORDERS,
    due_before: datetime = LATER,
) -> list[str]:
    """Return the kinds of what does not fit."""
    return [found.kind for found in reconcile(stored(signals, receipts, fills), due_before, orders).findings]


def test_a_round_trip_and_a_skipped_signal_agree() -> None:
    """An entry and an exit, each with its receipt, fill and order, and a signal that was skipped with a reason."""
    result = reconcile(stored(SIGNALS, RECEIPTS, FILLS), LATER, ORDERS)
    assert result.agrees
    assert (result.signals, result.receipts, result.fills, result.venue_orders) == (3, 3, 2, 2)


def test_a_signal_that_nobody_saw_is_missing_once_it_is_due() -> None:
    """A signal without a receipt counts when its time is over, and not before."""
    assert kinds(receipts=RECEIPTS[:2]) == ["no receipt"]
    assert kinds(receipts=RECEIPTS[:2], due_before=NOON + timedelta(minutes=7)) == []


def test_a_signal_that_acted_must_have_been_filled() -> None:
    """A receipt that says entered, without a fill and without an order."""
    assert kinds(fills=FILLS[1:], orders=ORDERS[1:]) == ["no fill"]


def test_a_fill_must_have_a_receipt() -> None:
    """The fill names a signal of which no bot wrote what it did."""
    assert kinds(signals=SIGNALS[:1], receipts=RECEIPTS[:1]) == ["no receipt"]


def test_a_skipped_signal_must_not_have_been_filled() -> None:
    """The receipt says skipped, and yet an order was filled."""
    assert kinds(fills=[*FILLS, fill(7, "sell", "13")], orders=[*ORDERS, order("13", "sell")]) == ["skipped and filled"]


def test_two_orders_for_one_entry_are_double() -> None:
    """An entry acts once."""
    assert kinds(fills=[*FILLS, fill(0, "buy", "13")], orders=[*ORDERS, order("13", "buy")]) == ["double"]


def test_an_exit_may_take_two_orders() -> None:
    """An exit that was filled in part is tried again until the position is closed."""
    halves = [fill(5, "sell", "12", "0.2"), fill(5, "sell", "13", "0.3")]
    assert (
        kinds(fills=[FILLS[0], *halves], orders=[ORDERS[0], order("12", "sell", "0.2"), order("13", "sell", "0.3")])
        == []
    )


def test_an_order_of_which_the_store_knows_nothing_is_found() -> None:
    """The venue executed more than the fills say."""
    assert kinds(orders=[*ORDERS, order("99", "buy")]) == ["unknown order"]


def test_a_fill_that_the_venue_does_not_know_is_found() -> None:
    """The store holds a fill of an order that the venue never had."""
    assert kinds(orders=ORDERS[:1]) == ["unknown fill"]


def test_amounts_must_be_the_same_to_the_digit() -> None:
    """0.5 and 0.50 are one amount, 0.5 and 0.50000001 are two."""
    assert kinds(orders=[order("11", "buy", "0.50"), ORDERS[1]]) == []
    assert kinds(orders=[order("11", "buy", "0.50000001"), ORDERS[1]]) == ["amount"]


def test_the_fill_of_a_stop_needs_no_signal_but_an_order() -> None:
    """What a stop or a person did names no signal; the venue must know it all the same."""
    stop = {"pair": PAIR, "side": "sell", "order_id": "12", "amount": Decimal128("0.5")}
    assert kinds(SIGNALS[:1], RECEIPTS[:1], [FILLS[0], stop]) == []
    assert kinds(SIGNALS[:1], RECEIPTS[:1], [FILLS[0], stop], ORDERS[:1]) == ["unknown fill"]


def test_an_order_of_the_signal_before_the_scope_is_no_stranger() -> None:
    """Its bar closed when the scope began: the order lies in the scope's time, its signal does not."""
    before = fill(-1, "buy", "10")
    documents = Stored(SIGNALS, RECEIPTS, FILLS, [before, *FILLS])
    assert reconcile(documents, LATER, [order("10", "buy"), *ORDERS]).agrees


def test_a_signal_that_turns_a_position_around_has_two_orders() -> None:
    """It closes the long of trade 1 and opens the short of trade 2, both by selling; a third order would be double."""
    turned = [fill(0, "sell", "11") | {"trade_id": 1}, fill(0, "sell", "12") | {"trade_id": 2}]
    closed = [{"pair": PAIR, "exit_ts": NOON, "trade_id": 1}]
    assert reconcile(Stored(SIGNALS[:1], RECEIPTS[:1], turned, turned, closed), LATER).agrees
    thrice = [*turned, fill(0, "sell", "13") | {"trade_id": 3}]
    (found,) = reconcile(Stored(SIGNALS[:1], RECEIPTS[:1], thrice, thrice, closed), LATER).findings
    assert found.kind == "double"

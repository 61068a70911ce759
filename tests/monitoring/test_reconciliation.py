"""Signals, receipts, fills, Freqtrade and the venue agree when nothing is missing and nothing double."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest
from bson.decimal128 import Decimal128

from monitoring.chain.books import BotBook, BotOrder, BotTrade, VenueBook, VenueOrder
from monitoring.chain.findings import Finding, FindingKind
from monitoring.chain.order_findings import Span
from monitoring.chain.reconciliation import Reconciliation, Sides, reconcile
from monitoring.chain.signal_chain import Stored

NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
SPAN = Span(NOON - timedelta(minutes=1), LATER, LATER)
PAIR = "BTC/USDT"


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def at(minute: int) -> dict[str, Any]:
    """The part of the key that the documents share."""
    return {"strategy_id": "s", "pair": PAIR, "ts": after(minute)}


def receipt(minute: int, decision: str, reason: str | None = None) -> dict[str, Any]:
    """A signal is seen two seconds after its bar's close."""
    seen = after(minute + 1) + timedelta(seconds=2)
    return (
        at(minute)
        | {"decision": decision, "seen_at": seen, "updated_at": seen}
        | ({"reason": reason} if reason else {})
    )


def fill(minute: int, side: str, order_id: str, amount: str = "0.5") -> dict[str, Any]:
    placed = after(minute + 1) + timedelta(seconds=3)
    amounts = {"side": side, "order_id": order_id, "amount": Decimal128(amount)}
    return at(minute) | amounts | {"ordered_at": placed, "filled_at": placed}


def order(order_id: str, side: str, amount: str = "0.5", minute: float = 0, *, is_open: bool = False) -> VenueOrder:
    """By default it answers the signal of the bar that opened at noon."""
    placed = after(minute + 1) + timedelta(seconds=3)
    return VenueOrder(order_id, PAIR, side, Decimal(amount), Decimal("100"), placed, placed, is_open=is_open)


def bot_order(order_id: str, side: Any, amount: str = "0.5", minute: int | None = 0, **more: Any) -> BotOrder:
    """An order of Freqtrade for the signal of a minute; None for one that no signal caused."""
    placed = after((minute or 0) + 1) + timedelta(seconds=3)
    tag = None if minute is None else f"s@{after(minute):%Y-%m-%dT%H:%MZ}#1"
    return BotOrder(
        order_id, side, Decimal(amount), is_open=False, placed_at=placed, updated_at=placed, tag=tag, **more
    )


def trade(*orders: BotOrder, amount: str = "0.5", closed: bool = True, number: int = 1) -> BotTrade:
    first, last = orders[0], orders[-1]
    end = last.placed_at if closed else None
    return BotTrade(number, PAIR, not closed, False, Decimal(amount), first.placed_at, end, tuple(orders))


SIGNALS = [at(0), at(5), at(7)]
RECEIPTS = [receipt(0, "entered"), receipt(5, "exited"), receipt(7, "skipped", "no_position")]
FILLS = [fill(0, "buy", "11"), fill(5, "sell", "12")]
ORDERS = (order("11", "buy"), order("12", "sell", minute=5))
TRADE = trade(bot_order("11", "buy"), bot_order("12", "sell", minute=5))


def stored(
    signals: list[dict[str, Any]] = SIGNALS,
    receipts: list[dict[str, Any]] = RECEIPTS,
    fills: list[dict[str, Any]] = FILLS,
) -> Stored:
    """All fills were ordered in the scope's time; those that name a signal are its signals'."""
    return Stored(signals, receipts, [fill for fill in fills if "ts" in fill], fills)


def compared(
    documents: Stored | None = None,
    orders: tuple[VenueOrder, ...] | None = ORDERS,
    trades: tuple[BotTrade, ...] | None = (TRADE,),
    span: Span = SPAN,
    due_before: datetime = LATER,
    **more: Any,
) -> Reconciliation:
    """Hold all sides against each other; a side that is None was not asked."""
    bot = None if trades is None else BotBook(trades)
    venue = None if orders is None else VenueBook((PAIR,), orders)
    return reconcile(documents or stored(), span, due_before, sides=Sides(bot, venue, **more))


def kinds(*arguments: Any, **more: Any) -> list[str]:
    """Return the kinds of what does not fit."""
    return [found.kind for found in compared(*arguments, **more).findings]


@pytest.mark.parametrize("orders", [ORDERS, None])
@pytest.mark.parametrize("trades", [(TRADE,), None])
def test_a_round_trip_and_a_skipped_signal_agree(orders: Any, trades: Any) -> None:
    """An entry and an exit, each with its receipt, fill and order, whoever is asked."""
    result = compared(orders=orders, trades=trades)
    assert result.agrees
    assert (result.signals, result.receipts, result.fills) == (3, 3, 2)
    assert result.venue_orders == (None if orders is None else 2)
    assert result.freqtrade_orders == (None if trades is None else 2)


def test_a_signal_that_nobody_saw_is_missing_once_it_is_due() -> None:
    """A signal without a receipt counts when its time is over, and not before."""
    unseen = stored(receipts=RECEIPTS[:2])
    assert kinds(unseen) == ["signal without receipt"]
    assert kinds(unseen, due_before=after(7)) == []


@pytest.mark.parametrize(
    ("orders", "trades", "kind", "words"),
    [
        (None, None, "receipt without fill", "nothing was filled"),
        (ORDERS[1:], None, "receipt without order", "the venue does not have an order"),
        (None, (trade(bot_order("12", "sell", minute=5)),), "receipt without order", "Freqtrade does not have"),
        (ORDERS[1:], (trade(bot_order("12", "sell", minute=5)),), "receipt without order", "neither Freqtrade nor the"),
    ],
)
def test_a_signal_that_acted_must_have_been_ordered(orders: Any, trades: Any, kind: str, words: str) -> None:
    """The receipt says entered: whether there was an order only those can tell who were asked for orders."""
    (found,) = compared(stored(fills=FILLS[1:]), orders, trades).findings
    assert (found.kind, found.ts) == (kind, NOON)
    assert words in found.what


@pytest.mark.parametrize("trades", [(TRADE,), None])
@pytest.mark.parametrize("orders", [ORDERS, None])
def test_an_order_whose_fill_is_not_stored_is_told_once(orders: Any, trades: Any) -> None:
    """The receipt says entered, the order was executed, and the store has lost its fill."""
    if orders is None and trades is None:
        return
    (found,) = compared(stored(fills=FILLS[1:]), orders, trades).findings
    assert (found.kind, found.ts, found.order_id) == ("order without fill", NOON, "11")
    assert "executed 0.5, of which no fill is stored" in found.what


def test_an_order_that_executed_nothing_is_no_fill() -> None:
    """The bot ended before it could say that its order ran into the timeout."""
    nothing = order("11", "buy", "0")
    (found,) = compared(stored(fills=FILLS[1:]), (nothing, ORDERS[1]), None).findings
    assert (found.kind, found.order_id) == ("order without fill", "11")
    assert "executed nothing" in found.what


def test_an_order_that_is_open_is_on_its_way() -> None:
    """However long it lies in the book: neither the order nor the receipt is a finding."""
    waiting = order("11", "buy", "0.1", is_open=True)
    assert kinds(stored(fills=FILLS[1:]), (waiting, ORDERS[1]), None) == []


def test_what_happened_just_now_is_on_its_way() -> None:
    """Nothing of the last minute need have reached every side; a second later it must."""
    just_now = Span(SPAN.since, LATER, settled=after(1))
    late = Span(SPAN.since, LATER, settled=after(2))
    nothing_stored = stored(SIGNALS[:1], RECEIPTS[:1], [])
    assert kinds(nothing_stored, ORDERS[:1], (), just_now) == []
    assert kinds(nothing_stored, ORDERS[:1], (), late) == ["order without fill"]
    unwitnessed = stored(SIGNALS[:1], [], FILLS[:1])
    assert kinds(unwitnessed, ORDERS[:1], (), just_now, after(0)) == []
    assert sorted(kinds(unwitnessed, ORDERS[:1], (), late, after(0))) == [
        "fill unknown to Freqtrade",
        "fill without receipt",
    ]


def test_a_fill_must_have_a_receipt() -> None:
    """The fill names a signal of which no bot wrote what it did."""
    assert kinds(stored(SIGNALS[:1], RECEIPTS[:1])) == ["fill without receipt"]


def test_a_skipped_signal_must_not_have_been_filled() -> None:
    """The receipt says skipped, and yet an order was filled."""
    sold = stored(fills=[*FILLS, fill(7, "sell", "13")])
    assert kinds(sold, (*ORDERS, order("13", "sell", minute=7)), None) == ["skipped and filled"]


def test_two_orders_for_one_entry_are_double() -> None:
    """An entry acts once."""
    assert kinds(stored(fills=[*FILLS, fill(0, "buy", "13")]), (*ORDERS, order("13", "buy")), None) == ["double"]


def test_an_exit_may_take_two_orders() -> None:
    """An exit that was filled in part is tried again until the position is closed."""
    halves = [fill(5, "sell", "12", "0.2"), fill(5, "sell", "13", "0.3")]
    orders = (ORDERS[0], order("12", "sell", "0.2", 5), order("13", "sell", "0.3", 5))
    assert kinds(stored(fills=[FILLS[0], *halves]), orders, None) == []


def test_an_order_of_which_nobody_knows_is_found() -> None:
    """The venue executed more than the fills say; it is no signal's, as its time is another."""
    assert kinds(orders=(*ORDERS, order("99", "buy", minute=20))) == ["unknown order"]
    assert kinds(orders=(*ORDERS, order("99", "buy", "0", minute=20))) == []


def test_a_fill_that_the_venue_does_not_know_is_found() -> None:
    """The store holds a fill of an order that the venue never had."""
    assert kinds(orders=ORDERS[:1]) == ["unknown fill"]


def test_a_fill_that_freqtrade_does_not_know_is_found() -> None:
    """Freqtrade's database is older than the fill, or it ended before it wrote its trade."""
    (found,) = compared(trades=(trade(bot_order("11", "buy"), closed=False),), positions=[position("0.5")]).findings
    assert (found.kind, found.order_id, found.ts) == ("fill unknown to Freqtrade", "12", after(5))


def test_an_order_that_freqtrade_lost_sight_of_is_found() -> None:
    """It is open in its database and was executed at the venue long ago."""
    waiting = trade(replace(bot_order("11", "buy", "0"), is_open=True), amount="0", closed=False)
    (found,) = compared(stored(SIGNALS[:1], RECEIPTS[:1], []), ORDERS[:1], (waiting,)).findings
    assert (found.kind, found.order_id) == ("order without fill", "11")


def test_amounts_must_be_the_same_to_the_digit() -> None:
    """0.5 and 0.50 are one amount, 0.5 and 0.50000001 are two."""
    assert kinds(orders=(order("11", "buy", "0.50"), ORDERS[1])) == []
    assert kinds(orders=(order("11", "buy", "0.50000001"), ORDERS[1])) == ["amount"]


def test_the_fill_of_a_stop_needs_no_signal_but_an_order() -> None:
    """What a stop or a person did names no signal; the venue must know it all the same, and the store its fill."""
    stop = {name: value for name, value in fill(5, "sell", "12").items() if name != "ts"}
    once = stored(SIGNALS[:1], RECEIPTS[:1], [FILLS[0], stop])
    stopped = (trade(bot_order("11", "buy"), bot_order("12", "sell", minute=None)),)
    assert kinds(once, trades=stopped) == []
    assert kinds(once, ORDERS[:1], stopped) == ["unknown fill"]
    assert kinds(stored(SIGNALS[:1], RECEIPTS[:1], FILLS[:1]), trades=stopped) == ["order without fill"]


def test_an_order_of_the_signal_before_the_scope_is_no_stranger() -> None:
    """Its bar closed when the scope began: the order lies in the scope's time, its signal does not."""
    before = fill(-1, "buy", "10")
    documents = Stored(SIGNALS, RECEIPTS, FILLS, [before, *FILLS])
    assert kinds(documents, (order("10", "buy", minute=-1), *ORDERS), None) == []


def test_a_signal_that_turns_a_position_around_has_two_orders() -> None:
    """It closes the long of trade 1 and opens the short of trade 2, both by selling; a third order would be double."""
    turned = [fill(0, "sell", "11") | {"trade_id": 1}, fill(0, "sell", "12") | {"trade_id": 2}]
    closed = [{"pair": PAIR, "exit_ts": NOON, "trade_id": 1}]
    assert kinds(Stored(SIGNALS[:1], RECEIPTS[:1], turned, turned, closed), None, None) == []
    thrice = [*turned, fill(0, "sell", "13") | {"trade_id": 3}]
    assert kinds(Stored(SIGNALS[:1], RECEIPTS[:1], thrice, thrice, closed), None, None) == ["double"]


def position(amount: str, updated_at: datetime = NOON) -> dict[str, Any]:
    return {"pair": PAIR, "side": "long", "amount": Decimal128(amount), "updated_at": updated_at, "trade_id": 1}


HELD = (trade(bot_order("11", "buy"), closed=False),)
BOUGHT = stored(SIGNALS[:1], RECEIPTS[:1], FILLS[:1])


@pytest.mark.parametrize(
    ("positions", "trades", "words"),
    [
        ([], HELD, "0 is stored as open, and Freqtrade's open trades hold 0.5"),
        ([position("0.4")], HELD, "0.4 is stored as open, and Freqtrade's open trades hold 0.5"),
        ([position("0.5")], (TRADE,), "0.5 is stored as open, and Freqtrade's open trades hold 0"),
    ],
)
def test_open_positions_must_be_those_of_freqtrade(positions: Any, trades: Any, words: str) -> None:
    """One is missing, one has another amount, one is closed at Freqtrade."""
    documents = BOUGHT if trades is HELD else stored()
    (found,) = compared(documents, None, trades, positions=positions).findings
    assert (found.kind, found.what) == ("position differs", words)


def test_positions_are_compared_when_nothing_of_their_pair_is_on_its_way() -> None:
    """A position that was written just now, or an order that is open."""
    just_now = [position("0.4", LATER)]
    assert kinds(BOUGHT, None, HELD, positions=just_now) == []
    adding = (trade(bot_order("11", "buy"), replace(bot_order("13", "buy", "0"), is_open=True), closed=False),)
    assert kinds(BOUGHT, None, adding, positions=[position("0.4")]) == []


def test_an_order_that_rests_and_has_executed_nothing_holds_nothing_up() -> None:
    """A stop lies at the venue for as long as its trade is open; so may an entry far from the market."""
    stop = replace(bot_order("13", "sell", "0", None), is_open=True, is_stop=True)
    resting = order("13", "sell", "0", is_open=True)
    guarded = (trade(bot_order("11", "buy"), stop, closed=False),)
    assert kinds(BOUGHT, None, guarded, positions=[position("0.4")]) == ["position differs"]
    far = (trade(bot_order("11", "buy"), replace(stop, is_stop=False), closed=False),)
    assert kinds(BOUGHT, (ORDERS[0], resting), far, positions=[position("0.4")]) == ["position differs"]
    partly = replace(resting, amount=Decimal("0.1"))
    assert kinds(BOUGHT, (ORDERS[0], partly), far, positions=[position("0.4")]) == []


def test_a_finding_has_the_same_subject_each_time() -> None:
    """Kind, pair, signal and order tell it from others; its numbers may change."""
    found = Finding("order without fill", PAIR, NOON, "whatever", "11")
    assert found.subject == "order without fill BTC/USDT 2022-01-15T12:00Z 11"
    assert Finding("balance differs", PAIR, None, "1").subject == Finding("balance differs", PAIR, None, "2").subject
    assert len(set(get_args(FindingKind))) == 13

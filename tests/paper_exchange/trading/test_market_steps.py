"""What a move of the market does to orders that wait: fills at their price, within what was traded, and stops."""

from collections.abc import Sequence

import pytest
from trading_tools import Desk, ScriptedMarket, u

from paper_exchange.trading.errors import JournalError, Rejected
from paper_exchange.trading.liquidity import Level
from paper_exchange.trading.order import Side, Status


def test_a_trade_at_its_price_fills_a_resting_order() -> None:
    """As maker, at its own price, at the time of the step."""
    desk = Desk(ScriptedMarket("100", (10, "99.5", "3")))
    order, _ = desk.place("ann", "BUY", "2", "99.5")
    desk.exchange.advance(20)
    (fill,) = desk.exchange.fills("ann", "BTCUSDT")
    assert (fill.price, fill.quantity, fill.time_ms, fill.is_maker) == (u("99.5"), u(2), 10, True)
    assert (order.status, order.updated_ms) == (Status.FILLED, 10)


def test_a_trade_through_its_price_fills_at_its_price() -> None:
    """The market fell to 98; the buyer had offered 99.50 and pays that."""
    desk = Desk(ScriptedMarket("100", (10, "98", "3")))
    desk.place("ann", "BUY", "2", "99.5")
    desk.exchange.advance(10)
    assert desk.traded("ann") == [(u("99.5"), u(2))]
    assert desk.owns("ann", "USDT") == (u(100_000 - 199), 0)


def test_a_trade_that_stays_away_fills_nothing() -> None:
    """99.51 is above the bid and below the ask."""
    desk = Desk(ScriptedMarket("100", (10, "99.51", "3")))
    desk.place("ann", "BUY", "2", "99.5")
    desk.place("ann", "SELL", "2", "99.52", kind="LIMIT_MAKER")
    desk.exchange.advance(10)
    assert desk.traded("ann") == []


def test_resting_sells_fill_when_the_market_rises() -> None:
    """The mirror of a buy."""
    desk = Desk(ScriptedMarket("100", (10, "103", "3")))
    desk.place("ann", "SELL", "2", "100.5")
    desk.exchange.advance(10)
    assert desk.traded("ann") == [(u("100.5"), u(2))]
    assert desk.owns("ann", "USDT") == (u(100_201), 0)


def test_a_step_fills_no_more_than_it_traded() -> None:
    """One, then the rest of two and a half over two more steps."""
    desk = Desk(ScriptedMarket("100", (10, "99", "1"), (20, "99", "1"), (30, "99", "1")))
    order, _ = desk.place("ann", "BUY", "2.5", "99.5")
    desk.exchange.advance(10)
    assert (order.status, order.filled) == (Status.PARTIALLY_FILLED, u(1))
    assert desk.owns("ann", "USDT")[1] == u("149.25")
    desk.exchange.advance(30)
    assert [quantity for _, quantity in desk.traded("ann")] == [u(1), u(1), u("0.5")]


def test_a_share_of_the_step_is_cut_to_whole_lots() -> None:
    """A third of 1 is 0.333."""
    desk = Desk(ScriptedMarket("100", (10, "99", "1")), fill_share=u(1) // 3)
    desk.place("ann", "BUY", "2", "99.5")
    desk.exchange.advance(10)
    assert desk.traded("ann") == [(u("99.5"), u("0.333"))]


def test_a_share_of_nothing_never_fills() -> None:
    """Then resting orders trade with users only."""
    desk = Desk(ScriptedMarket("100", (10, "99", "1")), fill_share=0)
    desk.place("ann", "BUY", "2", "99.5")
    desk.exchange.advance(10)
    assert desk.traded("ann") == []


def test_a_step_serves_the_better_price_first_then_the_older_order() -> None:
    """Three were traded: bob's 99.60 whole, ann's older 99.50 whole, half of bob's younger one."""
    desk = Desk(ScriptedMarket("100", (10, "99", "3")))
    desk.place("ann", "BUY", "1", "99.5")
    younger, _ = desk.place("bob", "BUY", "2", "99.5")
    desk.place("bob", "BUY", "1", "99.6")
    desk.exchange.advance(10)
    assert desk.traded("ann") == [(u("99.5"), u(1))]
    assert desk.traded("bob") == [(u("99.6"), u(1)), (u("99.5"), u(1))]
    assert younger.filled == u(1)


def test_a_move_without_trades_fills_nothing() -> None:
    """In a bar without volume the price jumps and nobody sells."""
    desk = Desk(ScriptedMarket("100", (10, "90", "0")))
    desk.place("ann", "BUY", "1", "99.5")
    desk.exchange.advance(10)
    assert desk.traded("ann") == []


def test_the_house_never_quotes_through_a_resting_order() -> None:
    """After a fall without volume its asks up to ann's bid are held back, and the book is not crossed."""
    desk = Desk(ScriptedMarket("100", (10, "90", "0")))
    desk.place("ann", "BUY", "1", "93")
    desk.exchange.advance(10)
    bids, asks = desk.exchange.depth("BTCUSDT", 10, 9)
    assert bids[0] == (u(93), u(1))
    assert asks == [(u(94), u(1)), (u(95), u(1))]
    _, fills = desk.place("bob", "BUY", "1", at=10)
    assert [fill.price for fill in fills] == [u(94)]


def test_an_earlier_time_is_taken_as_the_latest() -> None:
    """Time does not go back; the order gets the time of the call before."""
    desk = Desk()
    desk.exchange.advance(50)
    order, _ = desk.place("ann", "BUY", "1", at=20)
    assert order.created_ms == 50


def test_the_next_step_is_told_while_an_order_waits() -> None:
    """Without one nobody needs to wake up."""
    desk = Desk(ScriptedMarket("100", (10, "99", "1")))
    assert desk.exchange.next_step_ms(0) is None
    desk.place("ann", "BUY", "1", "50")
    assert desk.exchange.next_step_ms(0) == 10
    assert desk.exchange.next_step_ms(10) is None


def test_symbols_are_played_in_the_order_of_their_steps() -> None:
    """Both fill at the first step, and the trade numbers follow the listing."""
    desk = Desk(ScriptedMarket("100", (10, "99", "1"), (20, "98", "1")))
    desk.place("ann", "BUY", "2", "99", symbol="ETHUSDT")
    desk.place("ann", "BUY", "2", "99")
    desk.exchange.advance(20)
    fills = desk.exchange.fills("ann", "BTCUSDT") + desk.exchange.fills("ann", "ETHUSDT")
    ordered = sorted(fills, key=lambda fill: fill.trade_id)
    assert [(fill.time_ms, fill.symbol) for fill in ordered] == [
        (10, "BTCUSDT"), (10, "ETHUSDT"), (20, "BTCUSDT"), (20, "ETHUSDT"),
    ]  # fmt: skip


def test_a_stop_loss_limit_works_from_its_stop_price_on() -> None:
    """At 95 it wakes, and takes the bids down to its limit of 93: 94 and 93 hold one each."""
    desk = Desk(ScriptedMarket("100", (10, "95.01", "1"), (20, "95", "1")))
    order, _ = desk.place("ann", "SELL", "3", "93", kind="STOP_LOSS_LIMIT", stop="95")
    assert (order.is_working, order.working_ms, desk.owns("ann", "BTC")) == (False, -1, (u(97), u(3)))
    desk.exchange.advance(15)
    assert not order.is_working
    desk.exchange.advance(30)
    assert (order.is_working, order.working_ms, order.status) == (True, 20, Status.PARTIALLY_FILLED)
    assert desk.traded("ann") == [(u(94), u(1)), (u(93), u(1))]
    assert desk.exchange.resting_levels("BTCUSDT", Side.SELL, 5) == [(u(93), u(1))]
    assert desk.owns("ann", "BTC") == (u(97), u(1))


@pytest.mark.parametrize(
    ("side", "kind", "stop", "wakes_at", "sleeps_at"),
    [
        ("SELL", "STOP_LOSS_LIMIT", "95", "95", "96"),
        ("BUY", "STOP_LOSS_LIMIT", "105", "105", "104"),
        ("SELL", "TAKE_PROFIT_LIMIT", "105", "106", "104"),
        ("BUY", "TAKE_PROFIT_LIMIT", "95", "94", "96"),
    ],
)
def test_stops_wake_on_their_own_side_of_the_price(
    side: str, kind: str, stop: str, wakes_at: str, sleeps_at: str
) -> None:
    """A loss is stopped against the position's will, a profit taken with it."""
    for price, wakes in ((sleeps_at, False), (wakes_at, True)):
        desk = Desk(ScriptedMarket("100", (10, price, "1")))
        order, _ = desk.place("ann", side, "1", "100", kind=kind, stop=stop)
        desk.exchange.advance(10)
        assert order.is_working is wakes


@pytest.mark.parametrize(
    ("side", "kind", "stop"),
    [
        ("SELL", "STOP_LOSS_LIMIT", "100"),
        ("BUY", "STOP_LOSS_LIMIT", "99"),
        ("SELL", "TAKE_PROFIT_LIMIT", "100"),
        ("BUY", "TAKE_PROFIT_LIMIT", "101"),
    ],
)
def test_a_stop_that_is_reached_already_is_refused(side: str, kind: str, stop: str) -> None:
    """The last price is 100, and standing on the stop price is reaching it."""
    with pytest.raises(Rejected, match="Stop price would trigger immediately") as refused:
        Desk().place("ann", side, "1", "100", kind=kind, stop=stop)
    assert refused.value.code == -2010


def test_a_stop_market_buy_spends_what_is_free_and_no_more() -> None:
    """It locked 2 at its stop of 105; at 110 it costs more, so what is left of ann's money decides."""
    desk = Desk(ScriptedMarket("100", (10, "110", "1"), depth=5))
    desk.exchange.deposit("cat", "USDT", u(212), 0)
    order, _ = desk.place("cat", "BUY", "2", kind="STOP_LOSS", stop="105")
    assert desk.owns("cat", "USDT") == (u(2), u(210))
    desk.exchange.advance(10)
    assert desk.traded("cat") == [(u(111), u(1)), (u(112), u("0.901"))]
    assert (order.status, desk.owns("cat", "USDT")) == (Status.EXPIRED, (u("212") - u("111") - u("100.912"), 0))


def test_a_stop_market_sell_sells_at_any_price() -> None:
    """Take profit at 105: the bid there is 104 at first."""
    desk = Desk(ScriptedMarket("100", (10, "105", "1")))
    order, _ = desk.place("ann", "SELL", "1.5", kind="TAKE_PROFIT", stop="105")
    desk.exchange.advance(10)
    assert (order.status, desk.traded("ann")) == (Status.FILLED, [(u(104), u(1)), (u(103), u("0.5"))])


def test_the_stop_that_was_passed_first_wakes_first() -> None:
    """A fall through both: bob's 97 takes the best bid before ann's older 95."""
    desk = Desk(ScriptedMarket("100", (10, "94", "1")))
    desk.place("ann", "SELL", "1", "90", kind="STOP_LOSS_LIMIT", stop="95")
    desk.place("bob", "SELL", "1", "90", kind="STOP_LOSS_LIMIT", stop="97")
    desk.exchange.advance(10)
    assert (desk.traded("bob"), desk.traded("ann")) == ([(u(93), u(1))], [(u(92), u(1))])


def test_a_waiting_stop_can_be_cancelled() -> None:
    """And never wakes."""
    desk = Desk(ScriptedMarket("100", (10, "90", "1")))
    order, _ = desk.place("ann", "SELL", "1", "90", kind="STOP_LOSS_LIMIT", stop="95")
    desk.exchange.cancel("ann", "BTCUSDT", order_id=order.id, now_ms=5)
    desk.exchange.advance(10)
    assert (order.status, desk.traded("ann"), desk.owns("ann", "BTC")) == (Status.CANCELED, [], (u(100), 0))


def test_a_fault_in_the_middle_of_an_operation_stops_the_venue() -> None:
    """The market breaks while a stop wakes: what is half done is neither told nor built upon."""

    class BrokenMarket(ScriptedMarket):
        def levels(self, symbol: str, side: Side, now_ms: int, limit: int) -> Sequence[Level]:
            if now_ms >= 10:
                raise OSError("the bars are gone")
            return super().levels(symbol, side, now_ms, limit)

    desk = Desk(BrokenMarket("100", (10, "95", "1")))
    desk.place("ann", "SELL", "1", "90", kind="STOP_LOSS_LIMIT", stop="95")
    desk.events.clear()
    with pytest.raises(OSError, match="the bars are gone"):
        desk.exchange.advance(10)
    assert desk.events == []
    for ask in (lambda: desk.place("bob", "BUY", "1"), lambda: desk.exchange.balances("ann")):
        with pytest.raises(JournalError, match=r"an operation broke off half-way .* Start it again"):
            ask()

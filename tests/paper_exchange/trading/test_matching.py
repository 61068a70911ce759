"""Who trades with whom, at what price and how much: by price, then time, users before the house."""

import pytest
from trading_tools import Desk, ScriptedMarket, u

from paper_exchange.trading.errors import Rejected
from paper_exchange.trading.order import Side, Status


def test_a_market_order_eats_the_ladder_from_its_best_price() -> None:
    """2.5 at levels of 1: 1 at 101, 1 at 102, half at 103."""
    desk = Desk()
    order, fills = desk.place("ann", "BUY", "2.5")
    assert [(fill.price, fill.quantity) for fill in fills] == [(u(101), u(1)), (u(102), u(1)), (u(103), u("0.5"))]
    assert (order.status, order.filled, order.filled_quote) == (Status.FILLED, u("2.5"), u("254.5"))
    assert desk.owns("ann", "USDT") == (u("99745.5"), 0)
    assert desk.owns("ann", "BTC") == (u("102.5"), 0)


def test_a_market_order_beyond_the_ladder_fills_what_is_there_and_expires() -> None:
    """The ladder holds five."""
    order, fills = Desk().place("ann", "SELL", "7")
    assert (order.status, order.filled, len(fills)) == (Status.EXPIRED, u(5), 5)


def test_a_market_order_into_an_empty_book_expires_without_a_fill() -> None:
    """The venue accepts it and finds nothing."""
    order, fills = Desk(ScriptedMarket(depth=0)).place("ann", "SELL", "1")
    assert (order.status, fills) == (Status.EXPIRED, [])


def test_what_was_eaten_stays_eaten_until_the_market_moves() -> None:
    """A second order starts where the first ended; after the next step the ladder is whole again."""
    desk = Desk(ScriptedMarket("100", (10, "100", "1")))
    desk.place("ann", "BUY", "1.5")
    assert desk.exchange.depth("BTCUSDT", 5, 2)[1] == [(u(102), u("0.5")), (u(103), u(1))]
    desk.place("bob", "BUY", "1", at=9)
    assert desk.traded("bob") == [(u(102), u("0.5")), (u(103), u("0.5"))]
    desk.place("bob", "BUY", "1", at=10)
    assert desk.traded("bob")[2:] == [(u(101), u(1))]


def test_a_limit_takes_what_its_price_allows_and_rests_with_the_remainder() -> None:
    """101 and 102 are taken; what remains of three stands in the book at 102 and is locked."""
    desk = Desk()
    order, fills = desk.place("ann", "BUY", "3", "102")
    assert [(fill.price, fill.quantity) for fill in fills] == [(u(101), u(1)), (u(102), u(1))]
    assert (order.status, order.remaining) == (Status.PARTIALLY_FILLED, u(1))
    assert desk.exchange.resting_levels("BTCUSDT", Side.BUY, 5) == [(u(102), u(1))]
    assert desk.owns("ann", "USDT") == (u(100_000 - 101 - 102 - 102), u(102))


def test_ioc_expires_with_what_it_can_not_fill_at_once() -> None:
    """One of three is filled, nothing rests, nothing stays locked."""
    desk = Desk()
    order, _ = desk.place("ann", "BUY", "3", "101", tif="IOC")
    assert (order.status, order.filled) == (Status.EXPIRED, u(1))
    assert desk.owns("ann", "USDT") == (u(100_000 - 101), 0)
    assert desk.exchange.open_orders("ann") == []


def test_fok_fills_all() -> None:
    """Two are there up to 102."""
    order, fills = Desk().place("ann", "BUY", "2", "102", tif="FOK")
    assert (order.status, len(fills)) == (Status.FILLED, 2)


def test_fok_that_can_not_fill_all_changes_nothing() -> None:
    """It expires, the ladder is untouched, and even its own order in the way stays."""
    desk = Desk()
    own, _ = desk.place("ann", "SELL", "1", "100.5")
    order, fills = desk.place("ann", "BUY", "2.001", "102", tif="FOK")
    assert (order.status, fills) == (Status.EXPIRED, [])
    assert own.status is Status.NEW
    assert desk.owns("ann", "USDT") == (u(100_000), 0)
    assert desk.exchange.depth("BTCUSDT", 0, 2)[1] == [(u("100.5"), u(1)), (u(101), u(1))]


def test_limit_maker_that_would_match_is_refused() -> None:
    """101 is the house's ask; one cent below it rests."""
    desk = Desk()
    with pytest.raises(Rejected, match="Order would immediately match and take") as refused:
        desk.place("ann", "BUY", "1", "101", kind="LIMIT_MAKER")
    assert refused.value.code == -2010
    order, fills = desk.place("ann", "BUY", "1", "100.99", kind="LIMIT_MAKER")
    assert (order.status, fills) == (Status.NEW, [])


def test_limit_maker_that_would_match_a_users_order_is_refused() -> None:
    """Even the account's own."""
    desk = Desk()
    desk.place("ann", "BUY", "1", "100")
    for account in ("ann", "bob"):
        with pytest.raises(Rejected, match="immediately match"):
            desk.place(account, "SELL", "1", "100", kind="LIMIT_MAKER")


def test_a_better_price_comes_before_an_older_order() -> None:
    """Bob's later 100.50 is hit before ann's 100."""
    desk = Desk()
    desk.place("ann", "BUY", "1", "100")
    desk.place("bob", "BUY", "1", "100.5")
    desk.exchange.deposit("cat", "BTC", u(10), 0)
    _, fills = desk.place("cat", "SELL", "1.5")
    assert [(fill.price, fill.quantity) for fill in fills] == [(u("100.5"), u(1)), (u(100), u("0.5"))]


def test_at_one_price_the_older_order_comes_first() -> None:
    """Ann's order is filled whole before bob's gets the rest."""
    desk = Desk()
    first, _ = desk.place("ann", "BUY", "1", "100")
    second, _ = desk.place("bob", "BUY", "1", "100")
    desk.exchange.deposit("cat", "BTC", u(10), 0)
    desk.place("cat", "SELL", "1.4")
    assert (first.status, second.status, second.filled) == (Status.FILLED, Status.PARTIALLY_FILLED, u("0.4"))


def test_at_one_price_users_come_before_the_house() -> None:
    """The house's quote is younger than any resting order."""
    desk = Desk()
    desk.place("ann", "SELL", "1", "101")
    _, fills = desk.place("bob", "BUY", "1.5", "101")
    assert [fill.quantity for fill in fills] == [u(1), u("0.5")]
    assert desk.traded("ann") == [(u(101), u(1))]


def test_a_taker_gets_the_makers_price() -> None:
    """Bob would pay 100.90, and ann asked for 100.10."""
    desk = Desk()
    desk.place("ann", "SELL", "1", "100.1")
    desk.place("bob", "BUY", "1", "100.9")
    assert desk.traded("bob") == [(u("100.1"), u(1))]
    assert desk.owns("bob", "USDT") == (u("99899.9"), 0)


def test_an_account_never_trades_with_itself() -> None:
    """Its resting order expires and gives back what it locked; the newer one goes on to the next."""
    desk = Desk()
    own, _ = desk.place("ann", "SELL", "1", "100.5")
    order, fills = desk.place("ann", "BUY", "1", "101")
    assert (own.status, own.filled) == (Status.EXPIRED, 0)
    assert [(fill.price, fill.quantity) for fill in fills] == [(u(101), u(1))]
    assert desk.owns("ann", "BTC") == (u(101), 0)
    assert order.status is Status.FILLED


def test_an_own_order_behind_the_last_fill_stays() -> None:
    """The taker never reaches it."""
    desk = Desk()
    own, _ = desk.place("ann", "SELL", "1", "101.5")
    desk.place("ann", "BUY", "1", "102")
    assert own.status is Status.NEW


def test_market_by_quote_spends_at_most_its_amount_in_whole_lots() -> None:
    """150 USDT buy 1 at 101 and 0.480 at 102 (48.96); 0.04 USDT pay for no further lot of 0.001."""
    desk = Desk()
    order, _ = desk.place("ann", "BUY", spend="150")
    assert (order.status, order.filled, order.filled_quote) == (Status.FILLED, u("1.480"), u("149.96"))
    assert (order.quantity, order.quote_quantity) == (u("1.480"), u(150))
    assert desk.owns("ann", "USDT") == (u("99850.04"), 0)


def test_market_by_quote_sells_for_at_most_its_amount() -> None:
    """50 USDT at a bid of 99 are 0.505 (49.995)."""
    order, fills = Desk().place("ann", "SELL", spend="50")
    assert [(fill.price, fill.quantity, fill.quote) for fill in fills] == [(u(99), u("0.505"), u("49.995"))]
    assert order.status is Status.FILLED


def test_market_by_quote_beyond_the_ladder_expires_with_what_it_got() -> None:
    """The five asks cost 515."""
    order, _ = Desk().place("ann", "BUY", spend="1000")
    assert (order.status, order.filled_quote, order.quantity) == (Status.EXPIRED, u(515), u(5))


def test_market_by_quote_below_one_lot_is_refused() -> None:
    """A lot of 0.001 at 100,000 costs 100; the least worth of an order is 5."""
    desk = Desk(ScriptedMarket("100000"))
    with pytest.raises(Rejected, match="Filter failure: LOT_SIZE"):
        desk.place("ann", "BUY", spend="6")


def test_a_cancel_gives_back_what_was_locked() -> None:
    """And the order is gone from the book."""
    desk = Desk()
    order, _ = desk.place("ann", "BUY", "1", "99.5", name="mine")
    cancelled = desk.exchange.cancel("ann", "BTCUSDT", client_order_id="mine", now_ms=3)
    assert cancelled is order
    assert (order.status, order.updated_ms) == (Status.CANCELED, 3)
    assert desk.owns("ann", "USDT") == (u(100_000), 0)
    assert desk.exchange.resting_levels("BTCUSDT", Side.BUY, 5) == []


def test_only_an_open_order_of_the_account_can_be_cancelled() -> None:
    """Filled, foreign, of another symbol, or never there: all are unknown."""
    desk = Desk()
    filled, _ = desk.place("ann", "BUY", "1")
    resting, _ = desk.place("ann", "BUY", "1", "99.5")
    for account, symbol, number in (
        ("ann", "BTCUSDT", filled.id),
        ("bob", "BTCUSDT", resting.id),
        ("ann", "ETHUSDT", resting.id),
        ("ann", "BTCUSDT", 99),
    ):
        with pytest.raises(Rejected, match="Unknown order sent") as refused:
            desk.exchange.cancel(account, symbol, order_id=number, now_ms=0)
        assert refused.value.code == -2011


def test_all_orders_of_a_symbol_are_cancelled_at_once() -> None:
    """Stops too; those of another symbol stay."""
    desk = Desk()
    resting, _ = desk.place("ann", "BUY", "1", "99.5")
    stop, _ = desk.place("ann", "SELL", "1", "90", kind="STOP_LOSS_LIMIT", stop="95")
    other, _ = desk.place("ann", "BUY", "1", "99.5", symbol="ETHUSDT")
    assert desk.exchange.cancel_all("ann", "BTCUSDT", 0) == [resting, stop]
    assert [order.id for order in desk.exchange.open_orders("ann")] == [other.id]
    with pytest.raises(Rejected, match="Unknown order sent"):
        desk.exchange.cancel_all("ann", "BTCUSDT", 0)


def test_a_dry_house_offers_nothing() -> None:
    """It had half a bitcoin to sell, and never owes one."""
    desk = Desk(house_funds=u("0.5"))
    order, _ = desk.place("ann", "BUY", "1")
    assert (order.status, order.filled) == (Status.EXPIRED, u("0.5"))
    assert desk.owns("@house", "BTC") == (0, 0)
    again, fills = desk.place("ann", "BUY", "1")
    assert (again.status, fills) == (Status.EXPIRED, [])
    maker, _ = desk.place("ann", "BUY", "1", "101", kind="LIMIT_MAKER")
    assert maker.status is Status.NEW


def test_a_house_without_quote_buys_what_it_can_pay() -> None:
    """It has 51 USDT once bob has paid for half a coin, which at a bid of 99 is 0.515 of one."""
    desk = Desk(house_funds=u("0.5"))
    desk.place("bob", "BUY", "0.5")
    order, _ = desk.place("ann", "SELL", "1")
    assert (order.status, order.filled) == (Status.EXPIRED, u("0.515"))
    assert desk.owns("@house", "USDT") == (u("51") - u("50.985"), 0)

"""What a trade costs, in which asset, and who gets it: every number here is computed by hand."""

import pytest
from trading_tools import BNB, Desk, ScriptedMarket, u

from paper_exchange.trading.fees import FeeSchedule

TENTH = 100_000  # 0.1 % in units of 1e-8


def test_the_default_fee_is_taken_from_what_is_received() -> None:
    """A buyer gets 1 - 0.001 bitcoin, a seller 99 - 0.099 USDT."""
    desk = Desk(fees=FeeSchedule())
    (bought,) = desk.place("ann", "BUY", "1")[1]
    (sold,) = desk.place("bob", "SELL", "1")[1]
    assert (bought.fee, bought.fee_asset) == (u("0.001"), "BTC")
    assert (sold.fee, sold.fee_asset) == (u("0.099"), "USDT")
    assert desk.owns("ann", "BTC") == (u("100.999"), 0)
    assert desk.owns("bob", "USDT") == (u("100098.901"), 0)
    assert desk.owns("@fees", "BTC") == (u("0.001"), 0)
    assert desk.owns("@fees", "USDT") == (u("0.099"), 0)


def test_maker_and_taker_pay_their_own_rates() -> None:
    """One trade between two users: bob takes at 0.2 %, ann makes at 0.05 %."""
    desk = Desk(fees=FeeSchedule(maker=TENTH // 2, taker=2 * TENTH))
    desk.place("ann", "SELL", "1", "100")
    desk.place("bob", "BUY", "1", "100")
    (made,) = desk.exchange.fills("ann", "BTCUSDT")
    (taken,) = desk.exchange.fills("bob", "BTCUSDT")
    assert (made.fee, made.fee_asset, made.is_maker) == (u("0.05"), "USDT", True)
    assert (taken.fee, taken.fee_asset, taken.is_maker) == (u("0.002"), "BTC", False)
    assert made.trade_id == taken.trade_id


def test_a_fee_is_rounded_down_for_the_payer() -> None:
    """A third of 1e-8 is nothing: 0.003 bitcoin at a rate of 1e-8 costs 0.3 units of 1e-8."""
    desk = Desk(ScriptedMarket("10000"), fees=FeeSchedule(taker=100))
    (fill,) = desk.place("ann", "BUY", "0.003")[1]
    assert fill.fee == 0
    (fill,) = desk.place("ann", "BUY", "0.019")[1]
    assert fill.fee == 1  # 1,900,000 * 100 / 1e8 = 1.9


def test_fees_in_the_quote_are_paid_besides_the_price() -> None:
    """A buyer of 1 at 101 pays 101.101 and gets all of it; a seller's fee comes from what he earns."""
    desk = Desk(fees=FeeSchedule(fee_in="quote"))
    (bought,) = desk.place("ann", "BUY", "1")[1]
    (sold,) = desk.place("bob", "SELL", "1")[1]
    assert (bought.fee, bought.fee_asset) == (u("0.101"), "USDT")
    assert desk.owns("ann", "USDT") == (u("99898.899"), 0)
    assert desk.owns("ann", "BTC") == (u(101), 0)
    assert (sold.fee, sold.fee_asset) == (u("0.099"), "USDT")


def test_a_buyer_without_money_for_the_fee_pays_it_from_what_is_received() -> None:
    """All 101.50 USDT go for the price, even while a first of several trades leaves some of them."""
    desk = Desk(ScriptedMarket(size="0.5"), fees=FeeSchedule(fee_in="quote"))
    desk.exchange.deposit("cat", "USDT", u("101.5"), 0)
    fills = desk.place("cat", "BUY", "1")[1]
    assert [(fill.fee, fill.fee_asset) for fill in fills] == [(u("0.0005"), "BTC")] * 2
    assert desk.owns("cat", "USDT") == (0, 0)


def test_a_fee_coin_pays_at_its_market_price() -> None:
    """0.1 % of 101 USDT at 100 USDT a coin: 0.00101."""
    desk = Desk(fees=FeeSchedule(fee_in=BNB.base))
    desk.exchange.deposit("ann", "BNB", u(1), 0)
    (fill,) = desk.place("ann", "BUY", "1")[1]
    assert (fill.fee, fill.fee_asset) == (u("0.00101"), "BNB")
    assert desk.owns("ann", "BNB") == (u("0.99899"), 0)
    assert desk.owns("ann", "BTC") == (u(101), 0)
    assert desk.owns("@fees", "BNB") == (u("0.00101"), 0)


def test_too_little_of_the_fee_coin_falls_back_to_what_is_received() -> None:
    """Just enough is enough; one unit less is too little."""
    desk = Desk(fees=FeeSchedule(fee_in=BNB.base))
    desk.exchange.deposit("bob", "BNB", u("0.00102"), 0)
    desk.exchange.deposit("ann", "BNB", u("0.00101") - 1, 0)
    (fill,) = desk.place("ann", "BUY", "1")[1]
    assert desk.place("bob", "BUY", "1")[1][0].fee_asset == "BNB"
    assert desk.owns("bob", "BNB") == (0, 0)
    assert (fill.fee, fill.fee_asset) == (u("0.001"), "BTC")
    assert desk.owns("ann", "BNB") == (u("0.00101") - 1, 0)


def test_a_coin_that_is_bought_pays_for_itself() -> None:
    """Its price is the trade's own."""
    desk = Desk(fees=FeeSchedule(fee_in=BNB.base))
    (fill,) = desk.place("ann", "BUY", "1", symbol="BNBUSDT")[1]
    assert (fill.fee, fill.fee_asset) == (u("0.001"), "BNB")


def test_a_coin_without_a_market_has_the_rate_it_was_given() -> None:
    """0.099 USDT at 50 USDT a coin; with no rate either, the fee comes from what is received."""
    desk = Desk(fees=FeeSchedule(fee_in="FEE", coin_prices={"USDT": u(50)}))
    desk.exchange.deposit("ann", "FEE", u(1), 0)
    (fill,) = desk.place("ann", "SELL", "1")[1]
    assert (fill.fee, fill.fee_asset) == (u("0.00198"), "FEE")
    desk = Desk(fees=FeeSchedule(fee_in="FEE"))
    desk.exchange.deposit("ann", "FEE", u(1), 0)
    (fill,) = desk.place("ann", "SELL", "1")[1]
    assert (fill.fee, fill.fee_asset) == (u("0.099"), "USDT")


def test_rates_are_read_from_basis_points_exactly() -> None:
    """7.5 bps are 75,000 of 1e-8; a rate finer than 0.0001 bps is refused."""
    schedule = FeeSchedule.of_bps("7.5", "10")
    assert (schedule.maker, schedule.taker) == (75_000, TENTH)
    for wrong in ("0.00001", "-1", "10001"):
        with pytest.raises(ValueError, match="fee needs 0 to 10000 bps"):
            FeeSchedule.of_bps(wrong, "10")

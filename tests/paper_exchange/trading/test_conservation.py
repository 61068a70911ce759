"""A million operations of random traders lose no unit of anything, and what must always hold holds after each."""

import pytest
from audit import audit
from random_traders import ASSETS, COINS, TRADERS, RandomTraders

from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.order import UNIT, Side

OPERATIONS = 250_000
AUDITED = (10_000, 100_000, OPERATIONS)

SCHEDULES = {
    "received": (FeeSchedule(maker=80_000, taker=100_001), UNIT),
    "quote": (FeeSchedule(maker=0, taker=123_457, fee_in="quote"), UNIT // 3),
    "coin": (FeeSchedule(maker=50_000, taker=75_000, fee_in="BNB"), UNIT),
    "fixed": (FeeSchedule(maker=99_999, taker=100_000, fee_in="ETH", coin_prices={"USDT": 7 * UNIT}), UNIT // 2),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_quarter_of_a_million_operations_lose_no_unit(name: str) -> None:
    """Four runs make a million. After each operation the sums are those of the deposits and no book is crossed.

    Several times in a run, and at its end, every balance, locked amount, order and book level is worked out anew from
    deposits, fills and open orders. The traders are poor enough to run out of money, too.
    """
    fees, share = SCHEDULES[name]
    traders = RandomTraders(len(name), fees, fill_share=share)
    traders.deposit(100 * UNIT, 60_000 * UNIT)
    exchange, act = traders.exchange, traders.act
    expected = [sum(amount for (_, coin), amount in traders.deposits.items() if coin == asset) for asset in COINS]
    supply, levels = exchange.supply, exchange.resting_levels
    for number in range(1, OPERATIONS + 1):
        act()
        if [supply(asset) for asset in COINS] != expected:
            pytest.fail(f"Operation {number} lost or made something.")
        order = traders.last
        if order is not None and order.is_open:
            bids, asks = levels(order.symbol, Side.BUY, 1), levels(order.symbol, Side.SELL, 1)
            if bids and asks and bids[0][0] >= asks[0][0]:
                pytest.fail(f"Operation {number} left the book of {order.symbol} crossed.")
        if number in AUDITED:
            audit(exchange, traders.deposits, ASSETS)
    fills = sum(len(exchange.fills(trader, symbol)) for trader in TRADERS for symbol in ASSETS)
    assert fills > OPERATIONS / 3
    assert {"Account has insufficient balance for requested action.", "Unknown order sent."} <= set(traders.refused)

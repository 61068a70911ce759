"""The engine and a slow second one, written apart from it, do the same with the same random orders."""

import random
from fractions import Fraction

import pytest
from random_traders import LOT, STEP_MS, TICK, TRADERS, SwingingMarket
from reference_venue import ReferenceVenue
from trading_tools import BTC

from paper_exchange.trading.errors import Rejected
from paper_exchange.trading.exchange import Exchange
from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.order import UNIT, OrderRequest, OrderType, Side, TimeInForce

WORDS = {
    "": "",
    "Stop price would trigger immediately.": "trigger",
    "Order would immediately match and take.": "match",
    "Account has insufficient balance for requested action.": "balance",
    "Unknown order sent.": "unknown",
    "Filter failure: MAX_NUM_ALGO_ORDERS": "stops",
}
TYPES = ("LIMIT",) * 8 + ("MARKET", "MARKET", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")


def request(toss: random.Random) -> OrderRequest:
    """Any order that the filters let pass, near enough to others to meet them."""
    kind = OrderType(toss.choice(TYPES))
    side = toss.choice(list(Side))
    quantity = toss.randrange(20, 150) * LOT
    if kind is OrderType.MARKET:
        return OrderRequest("BTCUSDT", side, kind, quantity=quantity)
    in_force = toss.choice(list(TimeInForce)) if kind is OrderType.LIMIT and toss.random() < 0.3 else TimeInForce.GTC
    price = (30_000 + toss.randrange(-12, 13) * 7) * TICK
    stop = (30_000 + toss.randrange(-120, 120)) * TICK if "_L" in kind.value and kind.value != "LIMIT_MAKER" else 0
    return OrderRequest("BTCUSDT", side, kind, in_force, quantity, 0, price, stop)


@pytest.mark.parametrize("seed", range(25))
def test_a_slow_engine_written_apart_agrees_on_everything(seed: int) -> None:
    """Refusals, every fill with its maker and fee, statuses, free and locked balances: after each of 400 operations."""
    toss = random.Random(seed)
    market = SwingingMarket()
    exchange = Exchange(
        {"BTCUSDT": BTC}, FeeSchedule(maker=50_000, taker=123_456), market, fill_share=UNIT * 3 // 4,
        house_funds=10**9 * UNIT,
    )  # fmt: skip
    owned = {(trader, base): (40 if base else 9_000) * UNIT for trader in TRADERS for base in (True, False)}
    for (trader, base), amount in owned.items():
        exchange.deposit(trader, "BTC" if base else "USDT", amount, 0)
    reference = ReferenceVenue(
        market, LOT, Fraction(50_000, UNIT), Fraction(123_456, UNIT), Fraction(3, 4), owned, {str(s): s for s in Side}
    )  # fmt: skip
    now, events = 0, 0
    exchange.advance(now)
    for _ in range(400):
        now += toss.choice((0, 0, 0, STEP_MS // 2, 3 * STEP_MS))
        reference.pass_time(now)
        refused = ""
        try:
            if reference.lines and toss.random() < 0.2:
                number = toss.randrange(1, len(reference.lines) + 1)
                expected = reference.cancel(number)
                exchange.cancel(reference.lines[number - 1].account, "BTCUSDT", order_id=number, now_ms=now)
            else:
                account, order = toss.choice(TRADERS), request(toss)
                expected = reference.place(account, order)
                exchange.place(account, order, now)
        except Rejected as answer:
            refused = str(answer)
        assert WORDS[refused] == expected
        events += not refused
        compare(exchange, reference)
    assert events > 250
    assert len(reference.trades) > 200


def compare(exchange: Exchange, reference: ReferenceVenue) -> None:
    """Fail unless both tell the same story."""
    fills = [fill for trader in TRADERS for fill in exchange.fills(trader, "BTCUSDT")]
    fills.sort(key=lambda fill: (fill.trade_id, not fill.is_maker))
    assert [(f.order_id, f.price, f.quantity, f.fee, f.is_maker, f.time_ms) for f in fills] == [
        (t.order, t.price, t.size, t.fee, t.is_maker, t.at) for t in reference.trades
    ]
    for line in reference.lines:
        order = exchange.order(line.account, "BTCUSDT", order_id=line.number)
        assert (order.status, order.filled, order.filled_quote) == (line.status, line.got, line.paid)
        assert order.is_working is not line.asleep
    for trader in TRADERS:
        balances = exchange.balances(trader)
        for base, coin in ((True, "BTC"), (False, "USDT")):
            assert balances[coin].free == reference.free(trader, base)
            assert balances[coin].total == reference.owned[trader, base]

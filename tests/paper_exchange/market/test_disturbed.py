"""Through a fault a market shows an earlier moment, wholly and in agreement with itself, and nothing is lost."""

from dataclasses import dataclass

import orjson
import pytest
from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.market.disturbed import DisturbedMarket, disturbed
from paper_exchange.market.market import Market

ROWS = [(m, 5000 + m, 5030 + m, 4990, 5020, 3000 + m) for m in range(30)]
FREEZE_MS = NEW_YEAR_MS + 10 * MINUTE_MS + 31_000
THAW_MS = FREEZE_MS + 3 * MINUTE_MS


@dataclass
class FixedView:
    """One freeze of three minutes, and a lag."""

    lag_ms: int = 0

    def seen_ms(self, symbol: str, at_ms: int) -> int:
        return FREEZE_MS if FREEZE_MS <= at_ms < THAW_MS else at_ms

    def thaw_ms(self, symbol: str, at_ms: int) -> int | None:
        return THAW_MS if FREEZE_MS <= at_ms < THAW_MS else None

    def kline_lag_ms(self, symbol: str) -> int:
        return self.lag_ms


@pytest.fixture
def plain() -> Market:
    """Half an hour."""
    return market_of(tape_of(ROWS))


@pytest.mark.parametrize("after_ms", [0, 1, 60_000, 3 * MINUTE_MS - 1])
def test_a_frozen_market_is_the_market_of_its_last_moment(plain: Market, after_ms: int) -> None:
    """In everything that can be asked of it."""
    frozen, now = DisturbedMarket(plain, FixedView()), FREEZE_MS + after_ms
    assert frozen.minute(now) == plain.minute(FREEZE_MS)
    assert frozen.next_trade_id(now) == plain.next_trade_id(FREEZE_MS)
    assert frozen.last_trade(now) == plain.last_trade(FREEZE_MS)
    assert frozen.update_id(now) == plain.update_id(FREEZE_MS)
    assert frozen.day(now) == plain.day(FREEZE_MS)
    assert frozen.average_price(now, 5) == plain.average_price(FREEZE_MS, 5)
    assert frozen.klines(now, "5m", 10, None, None) == plain.klines(FREEZE_MS, "5m", 10, None, None)
    ours, theirs = frozen.ladder(now, 20), plain.ladder(FREEZE_MS, 20)
    assert ours is not None
    assert theirs is not None
    assert ours.bid_price.tolist() == theirs.bid_price.tolist()
    assert ours.ask_quantity.tolist() == theirs.ask_quantity.tolist()
    assert frozen.next_change_ms(now) == THAW_MS


@pytest.mark.parametrize("now_ms", [FREEZE_MS - 1, THAW_MS, THAW_MS + 12_345])
def test_outside_of_a_freeze_it_is_the_market_of_now(plain: Market, now_ms: int) -> None:
    """With all that the freeze has hidden."""
    frozen = disturbed({"BTCUSDT": plain}, FixedView())["BTCUSDT"]
    assert frozen.minute(now_ms) == plain.minute(now_ms)
    assert frozen.trades(1, frozen.next_trade_id(now_ms)) == plain.trades(1, plain.next_trade_id(now_ms))
    assert frozen.next_change_ms(now_ms) == plain.next_change_ms(now_ms)


def test_late_klines_are_those_of_an_earlier_moment(plain: Market) -> None:
    """The page, the one that is forming included; trades and book are on time."""
    late, now = DisturbedMarket(plain, FixedView(lag_ms=45_000)), NEW_YEAR_MS + 5 * MINUTE_MS + 20_000
    assert late.klines(now, "1m", 5, None, None) == plain.klines(now - 45_000, "1m", 5, None, None)
    assert orjson.loads(late.klines(now, "1m", 1, None, None))[0][0] == NEW_YEAR_MS + 4 * MINUTE_MS
    assert late.kline_time_ms(now) == now - 45_000
    assert late.last_trade(now) == plain.last_trade(now)
    assert late.update_id(now) == plain.update_id(now)

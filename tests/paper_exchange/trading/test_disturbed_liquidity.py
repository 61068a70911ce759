"""A frozen house quotes as it did and plays its steps later; a capped one offers whole lots of a part."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.trading.disturbed import DisturbedLiquidity
from paper_exchange.trading.house import MarketLiquidity
from paper_exchange.trading.order import Side

SYMBOL, LOT = "BTCUSDT", 10**5
FREEZE_MS = NEW_YEAR_MS + 5 * MINUTE_MS + 10_000
THAW_MS = FREEZE_MS + 2 * MINUTE_MS


@dataclass
class Fault:
    """One freeze, and a part."""

    percent: int = 100
    generation: int = 0

    def seen_ms(self, symbol: str, at_ms: int) -> int:
        return FREEZE_MS if FREEZE_MS <= at_ms < THAW_MS else at_ms

    def thaw_ms(self, symbol: str, at_ms: int) -> int | None:
        return THAW_MS if FREEZE_MS <= at_ms < THAW_MS else None

    def share(self, symbol: str) -> tuple[int, int]:
        return self.percent, self.generation


@pytest.fixture
def plain() -> MarketLiquidity:
    """Twenty minutes."""
    return MarketLiquidity({SYMBOL: market_of(tape_of([(m, 5000 + m, 5030, 4990, 5020, 3000 + m) for m in range(20)]))})


def test_a_frozen_house_stands_and_plays_its_steps_at_the_end(plain: MarketLiquidity) -> None:
    """No step is lost and none is played twice."""
    frozen = DisturbedLiquidity(plain, Fault(), {SYMBOL: LOT})
    now = FREEZE_MS + MINUTE_MS
    assert list(frozen.levels(SYMBOL, Side.SELL, now, 5)) == list(plain.levels(SYMBOL, Side.SELL, FREEZE_MS, 5))
    assert frozen.last_price(SYMBOL, now) == plain.last_price(SYMBOL, FREEZE_MS)
    assert frozen.average_price(SYMBOL, now) == plain.average_price(SYMBOL, FREEZE_MS)
    assert frozen.quote_id(SYMBOL, now) == frozen.quote_id(SYMBOL, FREEZE_MS)
    assert frozen.next_step_ms(SYMBOL, now) == THAW_MS
    looks = [NEW_YEAR_MS, FREEZE_MS - 1, FREEZE_MS + 5, now, THAW_MS - 1, THAW_MS, THAW_MS + MINUTE_MS]
    played = [list(frozen.steps(SYMBOL, after, upto)) for after, upto in pairwise(looks)]
    assert [step for steps in played for step in steps] == list(plain.steps(SYMBOL, looks[0], looks[-1]))
    assert played[2] == played[3] == []
    assert len(played[4]) > 0


def test_a_part_of_the_liquidity_is_cut_down_to_lots(plain: MarketLiquidity) -> None:
    """Seven percent of each level and step, never more; and the quote is another one."""
    fault = Fault()
    capped = DisturbedLiquidity(plain, fault, {SYMBOL: LOT})
    now = NEW_YEAR_MS + MINUTE_MS
    before = capped.quote_id(SYMBOL, now)
    fault.percent, fault.generation = 7, 1
    assert capped.quote_id(SYMBOL, now) != before
    whole = plain.levels(SYMBOL, Side.BUY, now, 20)
    assert list(capped.levels(SYMBOL, Side.BUY, now, 20)) == [(p, q * 7 // 100 // LOT * LOT) for p, q in whole]
    steps = plain.steps(SYMBOL, now, now + MINUTE_MS)
    assert [step.quantity for step in capped.steps(SYMBOL, now, now + MINUTE_MS)] == [
        step.quantity * 7 // 100 // LOT * LOT for step in steps
    ]

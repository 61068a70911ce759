"""The house offers what the market data show: the same book, trades and prices, at every instant."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.market.market import Market
from paper_exchange.trading.house import MarketLiquidity
from paper_exchange.trading.liquidity import Step
from paper_exchange.trading.order import Side

# An hour with a gap of five minutes, in cents and thousandths.
ROWS = [(m, 5000 + m, 5030 + m, 4990, 5020, 3000 + m) for m in range(60) if not 20 <= m < 25]
CENT, THOUSANDTH = 10**6, 10**5


@pytest.fixture(scope="module")
def hour() -> Market:
    return market_of(tape_of(ROWS))


@pytest.fixture(scope="module")
def house(hour: Market) -> MarketLiquidity:
    return MarketLiquidity({"BTCUSDT": hour})


def test_the_levels_are_those_of_the_book(hour: Market, house: MarketLiquidity) -> None:
    """In units of 1e-8; fewer of them are the beginning of more."""
    now = NEW_YEAR_MS + 10 * MINUTE_MS + 12_345
    book = hour.ladder(now, 50)
    assert book is not None
    asks, bids = (house.levels("BTCUSDT", side, now, 50) for side in (Side.SELL, Side.BUY))
    assert [(p // CENT, q // THOUSANDTH) for p, q in asks] == list(
        zip(book.ask_price.tolist(), book.ask_quantity.tolist(), strict=True)
    )
    assert [(p // CENT, q // THOUSANDTH) for p, q in bids] == list(
        zip(book.bid_price.tolist(), book.bid_quantity.tolist(), strict=True)
    )
    assert list(house.levels("BTCUSDT", Side.SELL, now, 5)) == list(asks)[:5]


@settings(max_examples=60)
@given(st.integers(-MINUTE_MS, 62 * MINUTE_MS), st.integers(0, 30 * MINUTE_MS))
def test_the_steps_are_the_trades_of_the_market(hour: Market, house: MarketLiquidity, begin: int, length: int) -> None:
    """After the first time, up to and with the second; the bars have volume, so each step is a trade."""
    after, upto = NEW_YEAR_MS + begin, NEW_YEAR_MS + begin + length
    trades = hour.trades(hour.next_trade_id(after), hour.next_trade_id(upto))
    expected = [Step(trade.time_ms, trade.price * CENT, trade.quantity * THOUSANDTH) for trade in trades]
    assert list(house.steps("BTCUSDT", after, upto)) == expected


def test_from_step_to_step_is_the_whole_path(hour: Market, house: MarketLiquidity) -> None:
    """Over the gap too, and None at the end; the quote changes at each step and at no other time."""
    path = [step.time_ms for step in house.steps("BTCUSDT", 0, hour.tape.end_ms)]
    now, seen, quotes = NEW_YEAR_MS - 1, [], {house.quote_id("BTCUSDT", NEW_YEAR_MS - 1)}
    while (following := house.next_step_ms("BTCUSDT", now)) is not None:
        assert house.quote_id("BTCUSDT", following - 1) == house.quote_id("BTCUSDT", now)
        now = following
        seen.append(now)
        quotes.add(house.quote_id("BTCUSDT", now))
    assert seen == path
    assert len(quotes) == len(path) + 1


@given(st.integers(0, 62 * MINUTE_MS))
def test_prices_are_those_of_the_tickers(hour: Market, house: MarketLiquidity, at: int) -> None:
    """The last is the close of the newest minute as it stands; the average is avgPrice's."""
    now = NEW_YEAR_MS + at
    minute = hour.minute(now)
    assert minute is not None
    assert house.last_price("BTCUSDT", now) == minute.close * CENT
    assert house.average_price("BTCUSDT", now) == hour.average_price(now, 5)


def test_before_the_first_bar_there_is_nothing(house: MarketLiquidity) -> None:
    """No levels and no prices; the first step is the first bar's open."""
    now = NEW_YEAR_MS - 1
    assert house.levels("BTCUSDT", Side.BUY, now, 5) == ()
    assert house.last_price("BTCUSDT", now) is house.average_price("BTCUSDT", now) is None
    assert house.next_step_ms("BTCUSDT", now) == NEW_YEAR_MS

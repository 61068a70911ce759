"""Trades, book and day statistics agree with each other at every instant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.market.market import FIRST_TRADE_ID, Market
from paper_exchange.market.tape import Tape

DAY_MS = 86_400_000


@pytest.fixture
def hour(month: Market) -> Market:
    """The month's first hour, as a market of its own."""
    tape = month.tape
    columns = (tape.open_ms, tape.open, tape.high, tape.low, tape.close, tape.volume)
    return market_of(Tape(*(column[:60] for column in columns), tape.price_decimals, tape.quantity_decimals))


def test_trades_are_numbered_without_a_hole(hour: Market) -> None:
    """From 1 on, in the order of their times."""
    trades = hour.trades(0, 10**9)
    assert [trade.id for trade in trades] == list(range(FIRST_TRADE_ID, len(trades) + 1))
    times = [trade.time_ms for trade in trades]
    assert times == sorted(times)
    assert len(trades) == hour.next_trade_id(hour.tape.end_ms) - 1


@given(st.integers(1, 700), st.integers(0, 50))
def test_any_slice_of_trades_is_a_slice_of_all(begin: int, count: int) -> None:
    """Reading from the middle of a minute gives what reading everything gives there."""
    market = market_of(tape_of([(m, 100 + m, 130 + m, 90, 120, 3 * m) for m in range(60)]))
    everything = market.trades(0, 10**9)
    assert market.trades(begin, begin + count) == everything[begin - 1 : begin - 1 + count]


@given(st.integers(-5, 61 * MINUTE_MS))
def test_the_next_id_counts_the_trades_so_far(after_ms: int) -> None:
    """One more than the number of trades up to that instant, that instant included."""
    market = market_of(tape_of([(m, 100 + m, 130 + m, 90, 120, 3 * m) for m in range(60)]))
    now = NEW_YEAR_MS + after_ms
    happened = [trade for trade in market.trades(0, 10**9) if trade.time_ms <= now]
    assert market.next_trade_id(now) == len(happened) + 1
    assert market.last_trade(now) == (happened[-1] if happened else None)


def test_a_minute_without_volume_keeps_the_ids_and_moves_the_price() -> None:
    """The last trade is the one before, the last price is the bar's."""
    market = market_of(tape_of([(0, 100, 100, 100, 100, 50), (1, 200, 200, 200, 200, 0)]))
    trade = market.last_trade(market.tape.end_ms)
    assert trade is not None
    assert (trade.price, trade.time_ms < NEW_YEAR_MS + MINUTE_MS) == (100, True)
    minute = market.minute(market.tape.end_ms)
    assert minute is not None
    assert minute.close == 200


def test_day_statistics_are_those_of_the_last_day(month: Market) -> None:
    """At a midnight they are the finished day's kline plus the first trade of the new minute."""
    now = NEW_YEAR_MS + 9 * DAY_MS
    day = month.day(now - 1)
    begin, end = 8 * 1440, 9 * 1440
    tape = month.tape
    assert day.bar is not None
    assert (day.bar.open, day.bar.high) == (tape.open[begin], tape.high[begin:end].max())
    assert (day.bar.low, day.bar.close) == (tape.low[begin:end].min(), tape.close[end - 1])
    assert day.bar.volume == tape.volume[begin:end].sum()
    assert day.previous_close == tape.close[begin - 1]
    assert day.last_id - day.first_id + 1 == day.bar.count
    assert (day.first_id, day.last_id + 1) == (month.first_trade_id(now - DAY_MS), month.next_trade_id(now - 1))


def test_a_day_after_the_last_bar_there_are_no_statistics(hour: Market) -> None:
    """The window is empty then, and the last price stays."""
    now = hour.tape.end_ms + 2 * DAY_MS
    assert hour.day(now).bar is None
    minute = hour.minute(now)
    assert minute is not None
    assert minute.close == hour.tape.close[-1]


def test_the_average_price_is_weighted_by_volume() -> None:
    """By hand: (1.00 * 1 + 2.00 * 3) / 4 = 1.75."""
    market = market_of(tape_of([(0, 100, 100, 100, 100, 1000), (1, 200, 200, 200, 200, 3000)]))
    assert market.average_price(market.tape.end_ms, 5) == 175_000_000


@pytest.mark.parametrize("second", range(0, 60, 7))
def test_the_book_has_a_spread_round_the_last_price(month: Market, second: int) -> None:
    """Bids fall, asks rise, the best ask is above the best bid, and the last price is one of the two."""
    now = NEW_YEAR_MS + 3 * DAY_MS + second * 1000
    ladder, minute = month.ladder(now, 50), month.minute(now)
    assert ladder is not None
    assert minute is not None
    bids, asks = ladder.bid_price.tolist(), ladder.ask_price.tolist()
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert asks[0] - bids[0] == 1
    assert minute.close in (bids[0], asks[0])
    assert min(*ladder.bid_quantity.tolist(), *ladder.ask_quantity.tolist()) > 0


def test_the_book_is_the_same_at_every_look(month: Market) -> None:
    """The same instant gives the same ladder, a smaller limit its first levels."""
    now = NEW_YEAR_MS + 3 * DAY_MS + 12_345
    wide, narrow = month.ladder(now, 100), month.ladder(now, 5)
    assert wide is not None
    assert narrow is not None
    assert wide.ask_quantity[:5].tolist() == narrow.ask_quantity.tolist()


def test_a_penny_market_has_no_bids_below_its_tick() -> None:
    """At a price of one tick there is one bid at most, and no price of zero."""
    market = market_of(tape_of([(0, 1, 1, 1, 1, 5000)]))
    ladder = market.ladder(market.tape.end_ms, 10)
    assert ladder is not None
    assert ladder.bid_price.tolist() == [1]
    assert ladder.ask_price[0] == 2


def test_update_ids_rise_with_every_step(month: Market) -> None:
    """A client that keeps a book can tell a newer one from an older."""
    ids = [month.update_id(NEW_YEAR_MS + DAY_MS + ms) for ms in range(0, 180_000, 500)]
    assert ids == sorted(ids)
    assert len(set(ids)) > 15


def test_between_two_changes_nothing_is_different() -> None:
    """From change to change, over a gap and past the end: book, price and trades are another at it, and not before."""
    market = market_of(tape_of([(0, 100, 130, 90, 120, 300), (1, 120, 121, 119, 120, 0), (4, 200, 210, 190, 195, 40)]))
    now: int | None = NEW_YEAR_MS - 5
    changes = []
    while (now := market.next_change_ms(now)) is not None:
        changes.append(now)
        assert len(changes) < 100
    steps = {
        NEW_YEAR_MS + ms
        for ms in range(5 * MINUTE_MS + 1)
        if market.update_id(NEW_YEAR_MS + ms) != market.update_id(NEW_YEAR_MS + ms - 1)
    }
    closes = {NEW_YEAR_MS + minute * MINUTE_MS for minute in (2, 5)}
    assert changes == sorted(steps | closes)

"""Klines hold what their minutes hold, page as the venue's do, and form while the clock runs."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.market.intervals import LENGTH_MS
from paper_exchange.market.market import Market

DAY_MS = 86_400_000
PANDAS = {"5m": "5min", "15m": "15min", "1h": "1h", "4h": "4h", "1d": "1D", "1w": "W-MON", "1M": "MS"}


def page(
    market: Market, now: int, interval: str, limit: int = 1000, start: int | None = None, end: int | None = None
) -> list[list[Any]]:
    rows: list[list[Any]] = json.loads(market.klines(now, interval, limit, start, end))
    return rows


def test_a_minute_is_written_with_its_twelve_fields() -> None:
    """By hand: the bar's five values, and fields that its trades add up to."""
    market = market_of(tape_of([(0, 10_000, 10_000, 10_000, 10_000, 4_000)]))
    (row,) = page(market, NEW_YEAR_MS + MINUTE_MS, "1m")
    assert row[:9] == [
        NEW_YEAR_MS,
        *["100.00000000"] * 4,
        "4.00000000",
        NEW_YEAR_MS + 59_999,
        "400.00000000",  # 4 units at 100
        row[8],
    ]
    assert 6 <= row[8] <= 16
    assert float(row[10]) == pytest.approx(100 * float(row[9]), abs=1e-8)
    assert row[11] == "0"


@pytest.mark.parametrize("interval", PANDAS)
def test_intervals_hold_what_pandas_makes_of_the_minutes(month: Market, interval: str) -> None:
    """Every kline's open, high, low, close and volume agree with an independent resampling of the bars."""
    tape = month.tape
    frame = pd.DataFrame(
        {"open": tape.open, "high": tape.high, "low": tape.low, "close": tape.close, "volume": tape.volume},
        index=pd.to_datetime(tape.open_ms, unit="ms"),
    )
    aggregated = frame.resample(PANDAS[interval], closed="left", label="left").agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    rows: list[list[Any]] = []
    while len(rows) < len(aggregated):
        rows += page(month, tape.end_ms, interval, start=int(rows[-1][0]) + 1 if rows else 0)
    assert [row[0] for row in rows] == (aggregated.index.astype("datetime64[ms]").astype("int64")).tolist()
    got = np.array([[float(value) for value in row[1:6]] for row in rows])
    assert np.array_equal(np.rint(got[:, :4] * 100).astype(int), aggregated.iloc[:, :4].to_numpy())
    assert np.array_equal(np.rint(got[:, 4] * 1e5).astype(int), aggregated["volume"].to_numpy())


def test_one_row_and_many_rows_are_written_alike(month: Market) -> None:
    """A closed kline reads the same whether it was formed on the fly or taken from the table."""
    now = month.tape.end_ms
    formed = page(month, now - 1, "1d")[-1]  # its last ms is not over, all its trades are
    assert formed == page(month, now, "1d")[-1]


@pytest.mark.parametrize("interval", ["1m", "5m", "1h", "1d", "1w", "1M"])
@pytest.mark.parametrize("offset_ms", [0, 1, 29_999, 30_500, 59_999, 17 * MINUTE_MS + 3])
def test_the_forming_kline_is_what_has_traded_since_it_opened(month: Market, interval: str, offset_ms: int) -> None:
    """Its fields are those of the trades from its open up to now, added up one by one."""
    now = NEW_YEAR_MS + 20 * DAY_MS + 15 * MINUTE_MS + offset_ms
    row = page(month, now, interval, limit=1)[0]
    begin = month.first_trade_id(row[0])
    trades = month.trades(begin, month.next_trade_id(now))
    prices = [trade.price for trade in trades]
    assert [round(float(value) * 100) for value in row[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]
    assert round(float(row[5]) * 1e5) == sum(trade.quantity for trade in trades)
    assert round(float(row[7]) * 1e7) == pytest.approx(sum(t.price * t.quantity for t in trades), rel=1e-15)
    assert row[8] == len(trades)
    assert round(float(row[9]) * 1e5) == sum(t.quantity for t in trades if not t.buyer_is_maker)


def test_a_kline_is_there_at_the_instant_it_opens(month: Market) -> None:
    """Not 1 ms earlier; and the one before is complete at that instant."""
    boundary = NEW_YEAR_MS + 5 * DAY_MS
    before, at = page(month, boundary - 1, "1m", 2), page(month, boundary, "1m", 2)
    assert before[-1][0] == boundary - MINUTE_MS
    assert [row[0] for row in at] == [boundary - MINUTE_MS, boundary]
    assert at[-1][1] == at[-1][2] == at[-1][3] == at[-1][4]
    assert at[0] == page(month, boundary + 10 * DAY_MS, "1m", 1, start=boundary - MINUTE_MS)[0]


def test_the_future_is_not_told(month: Market) -> None:
    """Asked for what lies ahead, the venue has nothing; before its first bar it has nothing at all."""
    now = NEW_YEAR_MS + DAY_MS
    assert page(month, now, "1m", start=now + 1) == []
    assert page(month, now, "1m", start=now - MINUTE_MS, end=now + DAY_MS)[-1][0] == now
    assert page(month, NEW_YEAR_MS - 1, "1d") == []


def test_pages_start_at_the_time_asked_for_and_lose_nothing_at_their_edges(month: Market) -> None:
    """Pages of 7 from the beginning on give every minute of a day once."""
    now = NEW_YEAR_MS + DAY_MS
    seen: list[int] = []
    start = 0
    while rows := page(month, now, "1m", 7, start=start):
        seen += [row[0] for row in rows]
        start = rows[-1][0] + 1
    assert seen == list(range(NEW_YEAR_MS, now + 1, MINUTE_MS))


def test_both_ends_of_a_range_are_inclusive_and_mean_opens(month: Market) -> None:
    """As documented: oldest first from startTime, newest up to endTime, both bounded by the limit."""
    now = month.tape.end_ms
    first, last = NEW_YEAR_MS + 10 * MINUTE_MS, NEW_YEAR_MS + 15 * MINUTE_MS
    opens = [row[0] for row in page(month, now, "1m", start=first, end=last)]
    assert opens == list(range(first, last + 1, MINUTE_MS))
    assert [row[0] for row in page(month, now, "1m", 2, start=first, end=last)] == opens[:2]
    assert [row[0] for row in page(month, now, "1m", 2, end=last)] == opens[-2:]
    assert [row[0] for row in page(month, now, "1m", start=first + 1, end=last - 1)] == opens[1:-1]
    assert page(month, now, "1m", start=last, end=first) == []


def test_a_gap_stays_a_gap() -> None:
    """Minutes that the file lacks are not invented, in any interval."""
    flat = (100, 100, 100, 100, 10)
    market = market_of(tape_of([(0, *flat), (1, *flat), (7, *flat), (30, *flat)]))
    now = market.tape.end_ms
    minutes = [(row[0] - NEW_YEAR_MS) // MINUTE_MS for row in page(market, now, "1m")]
    fives = [((row[0] - NEW_YEAR_MS) // MINUTE_MS, row[5]) for row in page(market, now, "5m")]
    assert minutes == [0, 1, 7, 30]
    assert fives == [(0, "0.02000000"), (5, "0.01000000"), (30, "0.01000000")]


def test_sums_that_leave_64_bits_stay_exact() -> None:
    """Four minutes of 9.0e15 units at 9.0e8: a kline's quote volume is beyond any float or int64."""
    quantity, price = 9 * 10**18, 9 * 10**10
    market = market_of(tape_of([(m, price, price, price, price, quantity) for m in range(4)]))
    (row,) = page(market, market.tape.end_ms + DAY_MS, "5m")
    assert row[5] == f"{4 * quantity // 1000}.00000000"
    assert row[7] == f"{4 * quantity * price // 10**5}.00000000"


@pytest.mark.parametrize("interval", [*LENGTH_MS, "1M"])
def test_every_interval_covers_the_month(month: Market, interval: str) -> None:
    """The volumes of all its klines add up to that of the minutes."""
    rows: list[list[Any]] = []
    while more := page(month, month.tape.end_ms, interval, start=int(rows[-1][0]) + 1 if rows else 0):
        rows += more
    assert sum(round(float(row[5]) * 1e5) for row in rows) == int(month.tape.volume.sum())
    assert all(row[0] > before[6] for before, row in pairwise(rows))


def test_klines_of_a_time_zone_open_at_its_midnight(month: Market) -> None:
    """At +08:00 the venue's days open at 16:00 UTC."""
    rows = json.loads(month.klines(month.tape.end_ms, "1d", 3, None, None, 8 * 3_600_000))
    assert [row[0] % DAY_MS for row in rows] == [16 * 3_600_000] * 3


def test_a_kline_whose_first_minutes_are_missing_comes_with_its_first_bar() -> None:
    """Until then the page ends with the one before: a three-minute kline of which minute 2 alone exists."""
    market = market_of(tape_of([(0, 10, 10, 10, 10, 6), (1, 10, 10, 10, 10, 6), (5, 20, 20, 20, 20, 6)]))
    opens = [
        [row[0] - NEW_YEAR_MS for row in page(market, NEW_YEAR_MS + at, "3m")] for at in (180_000, 299_999, 300_000)
    ]
    assert opens == [[0], [0], [0, 180_000]]

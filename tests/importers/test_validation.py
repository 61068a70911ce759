"""Which rows are bars and which are refused, with which reason."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_samples import BTC, DAY, MINUTE, NOW_MS, START_MS, rising_bars

from importers.bars import Bars
from importers.validation import checked


def one_row(open_ms: int = START_MS, row: tuple[float, ...] = (10, 12, 9, 11, 5)) -> Bars:
    return Bars.of(BTC, MINUTE, np.array([open_ms]), np.array([row], float))


def test_good_bars_pass_unchanged() -> None:
    """Bars in order on the grid are all kept, with their values."""
    result = checked(rising_bars(5), NOW_MS)
    assert result.bars.close.tolist() == [100.5, 101.5, 102.5, 103.5, 104.5]
    assert (result.rejected, result.doubles) == ([], 0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((10, 12, 9, np.nan, 5), "not_finite"),
        ((10, np.inf, 9, 11, 5), "not_finite"),
        ((10, 12, 9, 11, np.nan), "not_finite"),
        ((10, 12, 10.5, 11, 5), "prices_out_of_order"),  # low above open
        ((10, 10.5, 9, 11, 5), "prices_out_of_order"),  # high below close
        ((10, 9, 12, 11, 5), "prices_out_of_order"),  # high below low
        ((0, 12, 0, 11, 5), "price_not_positive"),
        ((10, 12, -1, 11, 5), "price_not_positive"),
        ((10, 12, 9, 11, -0.1), "negative_volume"),
    ],
)
def test_bad_values_are_refused_with_their_reason(row: tuple[float, ...], reason: str) -> None:
    """Each kind of bad value has one reason."""
    result = checked(one_row(row=row), NOW_MS)
    assert [rejected.reason for rejected in result.rejected] == [reason]
    assert len(result.bars) == 0


@pytest.mark.parametrize(
    ("open_ms", "time"),
    [
        (-55_161_561_600_000, "0222-01-01T00:00:00.000Z"),
        (1_230_767_940_000, "2008-12-31T23:59:00.000Z"),
        (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        (np.iinfo(np.int64).min, ""),  # NaT, a missing time
    ],
)
def test_a_year_in_which_nothing_traded_is_refused(open_ms: int, time: str) -> None:
    """Bars open from 2009 on and before 2100: one mistyped year would make a gap of centuries."""
    (rejected,) = checked(one_row(open_ms), 2**62).rejected
    assert (rejected.reason, rejected.time) == ("time_out_of_range", time)
    for edge in (1_230_768_000_000, 4_102_444_740_000):
        assert len(checked(one_row(edge), 2**62).bars) == 1


@pytest.mark.parametrize("row", [(10, 10, 10, 10, 0), (10, 12, 10, 12, 0)])
def test_edges_are_good(row: tuple[float, ...]) -> None:
    """A bar without a trade, and one that opens at its low and closes at its high, are bars."""
    assert len(checked(one_row(row=row), NOW_MS).bars) == 1


def test_off_grid_is_refused_with_its_time() -> None:
    """A bar that opens a second into a minute is refused, and its time is kept to the millisecond."""
    (rejected,) = checked(one_row(START_MS + 1000), NOW_MS).rejected
    assert (rejected.reason, rejected.time) == ("off_grid", "2022-01-01T00:00:01.000Z")
    assert rejected.row == {"open": "10.0", "high": "12.0", "low": "9.0", "close": "11.0", "volume": "5.0"}


def test_a_daily_bar_opens_at_midnight() -> None:
    """One minute past midnight is off the grid of 1d."""
    bars = rising_bars(1, START_MS + 60_000, DAY)
    assert checked(bars, NOW_MS).rejected[0].reason == "off_grid"


@pytest.mark.parametrize(("now_ms", "kept"), [(START_MS + 59_999, 0), (START_MS + 60_000, 1)])
def test_a_bar_counts_from_the_millisecond_of_its_close(now_ms: int, kept: int) -> None:
    """A bar is stored from its close on, not a millisecond before."""
    result = checked(one_row(), now_ms)
    assert len(result.bars) == kept
    assert [rejected.reason for rejected in result.rejected] == ["not_closed"] * (1 - kept)


def test_same_time_and_values_is_one_bar() -> None:
    """A row sent twice is stored once, and counted as a double."""
    bars = rising_bars(2).take(np.array([0, 0, 1]))
    result = checked(bars, NOW_MS)
    assert (len(result.bars), result.doubles, result.rejected) == (2, 1, [])


def test_same_time_with_other_values_keeps_the_first() -> None:
    """Of two rows of one minute that differ the first is kept and the later one refused."""
    twice = Bars.of(BTC, MINUTE, np.array([START_MS] * 3), np.array([[10, 12, 9, 11, v] for v in (5.0, 6.0, 5.0)]))
    result = checked(twice, NOW_MS)
    assert result.bars.volume.tolist() == [5.0]
    assert [(rejected.reason, rejected.row["volume"]) for rejected in result.rejected] == [
        ("duplicate_with_other_values", "6.0")
    ]
    assert result.doubles == 1


def test_a_bad_row_does_not_hide_a_good_one_of_its_minute() -> None:
    """Where the first row of a minute is no bar, the second one is not its duplicate."""
    twice = Bars.of(BTC, MINUTE, np.array([START_MS] * 2), np.array([[10, 12, 9, np.nan, 5], [10, 12, 9, 11, 5]]))
    result = checked(twice, NOW_MS)
    assert result.bars.close.tolist() == [11.0]
    assert [rejected.reason for rejected in result.rejected] == ["not_finite"]


_VALUE = st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, float("nan"), float("inf")])


@given(st.lists(st.tuples(st.integers(0, 4), *[_VALUE] * 5), max_size=12))
def test_every_row_is_kept_or_refused_or_a_double(rows: list[tuple[float, ...]]) -> None:
    """No row is lost, and what is kept agrees with the rule checked one by one."""
    table = np.array(rows, float).reshape(-1, 6)
    bars = Bars.of(BTC, MINUTE, START_MS + table[:, 0].astype(int) * 60_000, table[:, 1:])
    result = checked(bars, NOW_MS)
    assert len(result.bars) + len(result.rejected) + result.doubles == len(rows)
    assert (np.diff(result.bars.open_ms) > 0).all()
    expected: dict[float, tuple[float, ...]] = {}
    for minute, o, h, low, c, v in rows:
        if np.isfinite([o, h, low, c, v]).all() and 0 < low <= min(o, c) and max(o, c) <= h and v >= 0:
            expected.setdefault(minute, (o, h, low, c, v))
    assert [tuple(row) for row in np.column_stack(result.bars.ohlcv)] == [expected[key] for key in sorted(expected)]

"""Which bars frames are taken, and the sentence for each that is not."""

import numpy as np
import pandas as pd
import pytest

from research.bars import check_bars, symbol_starts
from schemas.errors import InputError, TimeError


def test_finds_the_rows_of_each_symbol(make_bars):
    """Blocks come in the frame's order, with half-open row ranges."""
    bars = pd.concat([make_bars([1, 2], symbol="A"), make_bars([3], symbol="B")], ignore_index=True)
    checked = check_bars(bars)
    assert [(rows.symbol, rows.start, rows.stop) for rows in checked.blocks] == [("A", 0, 2), ("B", 2, 3)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_takes_every_unit_of_time(make_bars, unit):
    """The step of one-minute bars is 60 seconds in any unit."""
    bars = make_bars([1, 2, 3])
    bars["datetime"] = bars["datetime"].dt.as_unit(unit)
    checked = check_bars(bars)
    assert checked.step / checked.ticks_per_second == 60


def test_the_step_is_that_of_the_smallest_gap(make_bars):
    """Gaps and the seam between two symbols do not count."""
    bars = make_bars([1, 2, 3, 4]).drop(index=1)
    later = make_bars([1, 2, 3], symbol="C", start="2021-01-01")
    checked = check_bars(pd.concat([bars, later], ignore_index=True))
    assert checked.step / checked.ticks_per_second == 60


@pytest.mark.parametrize(
    "names",
    [
        ["A"],
        ["AAA"] * 50,
        ["BINANCE:BTCUSDT"] * 3,
        ["BINANCE:BTCUSDT"] * 64,
        ["BINANCE:BTCUSDT"] * 65 + ["BINANCE:ETHUSDT"],
        ["AB"] * 9 + ["AC"],
        ["AB"] * 7 + ["AC"] * 7,
        ["A", "AB"],
        ["AB", "BA"],
        [*"AAAAAAAABAAAAAAAC"],
        ["\u00c4B"] * 5 + ["\u00c4C"],
    ],
)
@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_starts_are_where_the_symbol_changes(names, dtype):
    """The quick look at the text buffer tells what a comparison of neighbours tells."""
    column = pd.Series(names, dtype=dtype)
    expected = [0] + [row for row in range(1, len(names)) if names[row] != names[row - 1]]
    assert symbol_starts(column).tolist() == expected
    if len(names) > 2:
        assert symbol_starts(column.iloc[1:]).tolist() == [0] + [row - 1 for row in expected if row > 1]


def test_refuses_a_frame_without_a_column(make_bars):
    """The missing column is named."""
    with pytest.raises(InputError, match=r"needs the columns \['close'\]"):
        check_bars(make_bars([1, 2]).drop(columns="close"), ("open", "close"))


def test_refuses_no_rows(make_bars):
    """An empty frame gives nothing to compute."""
    with pytest.raises(InputError, match="empty"):
        check_bars(make_bars([1]).iloc[:0])


def test_refuses_something_else():
    """A list is no frame."""
    with pytest.raises(InputError, match="must be a pandas DataFrame, found list"):
        check_bars([])


def test_refuses_times_that_run_backwards(make_bars):
    """The message names both times."""
    with pytest.raises(InputError, match=r"sorted.*00:00:00\+00:00 after 2022-01-01T00:01:00"):
        check_bars(make_bars([1, 2]).iloc[::-1])


def test_refuses_the_same_bar_twice(make_bars):
    """A doubled bar is named."""
    bars = make_bars([1, 2])
    with pytest.raises(InputError, match="found two of BINANCE:BTCUSDT 2022-01-01T00:01:00"):
        check_bars(pd.concat([bars, bars.iloc[1:]]))


@pytest.mark.parametrize("order", ["BA", "ABA"])
def test_refuses_symbols_out_of_order(make_bars, order):
    """A symbol comes once, and in the order of names."""
    parts = [make_bars([1, 2], symbol=name, start=f"2022-01-0{day + 1}") for day, name in enumerate(order)]
    with pytest.raises(InputError, match="found A after B"):
        check_bars(pd.concat(parts, ignore_index=True))


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_refuses_times_that_are_not_utc(make_bars, zone):
    """Naive times and other zones are refused: bars are in UTC."""
    bars = make_bars([1, 2])
    bars["datetime"] = bars["datetime"].dt.tz_convert(zone)
    with pytest.raises(TimeError, match="must hold aware UTC times"):
        check_bars(bars)


def test_refuses_a_missing_time(make_bars):
    """NaT is no time of a bar."""
    bars = make_bars([1, 2])
    bars.loc[1, "datetime"] = pd.NaT
    with pytest.raises(TimeError, match="NaT"):
        check_bars(bars)


def test_refuses_a_missing_symbol(make_bars):
    """A bar without a symbol is named by its row."""
    bars = make_bars([1, 2])
    bars.loc[1, "symbol"] = None
    with pytest.raises(InputError, match="found none in row 1"):
        check_bars(bars)


def test_refuses_text_for_numbers(make_bars):
    """A column of text is no price."""
    bars = make_bars([1, 2])
    bars["close"] = ["x", "y"]
    with pytest.raises(InputError, match="must hold numbers"):
        check_bars(bars).column("close")


def test_columns_of_other_number_types_become_floats(make_bars):
    """Integers and pandas' nullable floats are taken; what is missing there is NaN."""
    bars = make_bars([1, 2])
    bars["open"] = [1, 2]
    bars["close"] = pd.array([1.5, None], dtype="Float64")
    checked = check_bars(bars)
    assert checked.column("open").tolist() == [1.0, 2.0]
    assert np.isnan(checked.column("close")).tolist() == [False, True]

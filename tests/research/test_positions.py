"""How a position finds its bars, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest

from research.bars import check_bars
from research.positions import align_position, held_targets
from schemas.errors import InputError, TimeError

NAN = math.nan


@pytest.fixture
def bars(make_bars):
    """Two symbols, three bars and two."""
    return pd.concat([make_bars([1, 2, 3], symbol="A"), make_bars([4, 5], symbol="B")], ignore_index=True)


def position_frame(bars, values):
    """Return a position frame with the keys of the bars."""
    return bars[["symbol", "datetime"]].assign(position=values)


def test_a_frame_is_joined_on_its_keys(bars):
    """Rows may come in any order and may be missing: what is missing is NaN."""
    frame = position_frame(bars, [0.1, 0.2, 0.3, 0.4, 0.5]).iloc[[4, 0, 2]]
    assert align_position(check_bars(bars), frame).tolist() == pytest.approx([0.1, NAN, 0.3, NAN, 0.5], nan_ok=True)


def test_a_frame_in_the_order_of_the_bars_is_taken_as_it_is(bars):
    """The usual case: the same rows, for one symbol and for several."""
    assert align_position(check_bars(bars), position_frame(bars, [0, 1, 0, 1, 0])).tolist() == [0, 1, 0, 1, 0]
    one = bars.iloc[:3]
    assert align_position(check_bars(one), position_frame(one, [0, NAN, 1])).tolist() == pytest.approx(
        [0, NAN, 1], nan_ok=True
    )


def test_another_symbol_at_the_same_times_is_a_stranger(bars, make_bars):
    """Equal times do not make another symbol's position fit."""
    foreign = position_frame(make_bars([1, 2, 3], symbol="C"), [1, 1, 1])
    with pytest.raises(InputError, match=r"found C 2022-01-01T00:00:00\+00:00, which is not among the bars \(3 such"):
        align_position(check_bars(bars.iloc[:3]), foreign)


def test_a_frame_in_another_unit_of_time_fits(bars):
    """Nanoseconds and seconds name the same bar."""
    frame = position_frame(bars, [0, 1, 0, 1, 0])
    frame["datetime"] = frame["datetime"].dt.as_unit("s")
    assert align_position(check_bars(bars), frame).tolist() == [0, 1, 0, 1, 0]


def test_an_empty_frame_has_no_opinion(bars):
    """No row, NaN everywhere."""
    assert np.isnan(align_position(check_bars(bars), position_frame(bars, 1.0).iloc[:0])).all()


def test_a_position_without_a_bar_is_refused(bars):
    """A time between bars is named."""
    frame = position_frame(bars, 1.0)
    frame.loc[1, "datetime"] += pd.Timedelta("30s")
    with pytest.raises(InputError, match=r"found A 2022-01-01T00:01:30"):
        align_position(check_bars(bars), frame)


def test_a_position_given_twice_is_refused(bars):
    """Two opinions for one bar are no opinion."""
    frame = position_frame(bars, 1.0)
    with pytest.raises(InputError, match=r"found B 2022-01-01T00:01:00\+00:00 twice"):
        align_position(check_bars(bars), pd.concat([frame, frame.iloc[[4]]]))


def test_naive_times_are_refused(bars):
    """A position's time without a zone could be any bar."""
    frame = position_frame(bars, 1.0)
    frame["datetime"] = frame["datetime"].dt.tz_localize(None)
    with pytest.raises(TimeError, match="aware UTC"):
        align_position(check_bars(bars), frame)


def test_a_frame_without_its_column_is_refused(bars):
    """The missing column is named."""
    with pytest.raises(InputError, match=r"\['position'\] is missing"):
        align_position(check_bars(bars), bars)


def test_a_series_must_share_the_index(bars):
    """The same index fits; another one is refused even where the length fits."""
    series = pd.Series([0, 1, 0, 1, 0.5], index=bars.index)
    assert align_position(check_bars(bars), series).tolist() == series.tolist()
    with pytest.raises(InputError, match="must have the index of the bars frame"):
        align_position(check_bars(bars), series.set_axis(range(1, 6)))


@pytest.mark.parametrize("wrong", [[1.0], np.zeros((5, 1))])
def test_an_array_must_have_one_value_a_bar(bars, wrong):
    """Another shape is refused."""
    with pytest.raises(InputError, match="one value for each of the 5 bars"):
        align_position(check_bars(bars), wrong)


@pytest.mark.parametrize("wrong", [-0.1, 1.0000001, math.inf, -math.inf])
@pytest.mark.parametrize("gap", [0.0, NAN])
def test_a_value_outside_the_bounds_is_refused(bars, wrong, gap):
    """The first such bar is named."""
    with pytest.raises(InputError, match=r"\[0, 1\], found .* at A 2022-01-01T00:02:00"):
        align_position(check_bars(bars), [0, gap, wrong, 0, 0])


def test_text_is_refused(bars):
    """A position is a number."""
    with pytest.raises(InputError, match="must hold numbers"):
        align_position(check_bars(bars), list("abcde"))


def test_booleans_are_positions(bars):
    """True is fully invested."""
    assert align_position(check_bars(bars), np.array([True, False, True, False, True])).tolist() == [1, 0, 1, 0, 1]


def test_nan_carries_the_symbols_own_last_value(bars):
    """The second symbol does not inherit the first one's position."""
    assert held_targets(check_bars(bars), np.array([NAN, 1, NAN, NAN, 0.5])).tolist() == [0, 1, 1, 0, 0.5]


def test_dust_is_flat(bars):
    """Less than a billionth of the equity is not traded."""
    assert held_targets(check_bars(bars), np.array([1e-10, 1e-9, 0, 1, 1])).tolist() == [0, 1e-9, 0, 1, 1]

"""Thinning keeps every high and low, and merged bars tell the truth about theirs."""

import numpy as np
import pytest

from research.pages.downsample import merged_bars, telling_rows


def test_keeps_first_last_lowest_and_highest():
    """One stretch of eight values: rows 0, 7, the lowest and the highest."""
    assert telling_rows(np.array([5.0, 6, 1, 4, 9, 5, 5, 5]), 4).tolist() == [0, 2, 4, 7]


def test_short_curves_stay_whole():
    """Nothing is dropped where nothing need be."""
    assert telling_rows(np.array([1.0, 2, 3]), 4).tolist() == [0, 1, 2]


@pytest.mark.parametrize("count", [101, 1000, 45_031])
def test_extremes_survive(count):
    """The thinned curve has the same ends, the same minimum and maximum, and no more rows than asked for."""
    values = np.random.default_rng(count).normal(size=count)
    rows = telling_rows(values, 100)
    assert len(rows) <= 100
    assert (rows[0], rows[-1]) == (0, count - 1)
    assert (values[rows].min(), values[rows].max()) == (values.min(), values.max())


def test_merged_bars_by_hand(make_bars):
    """Five bars at most two: three and two of them, with their highest high and lowest low."""
    bars = make_bars([5, 9, 2, 4, 6], [9, 2, 4, 6, 7])
    merged, size = merged_bars(bars, 2)
    assert size == 3
    assert merged[["open", "high", "low", "close"]].to_numpy().tolist() == [[5, 9, 2, 4], [4, 7, 4, 7]]
    assert merged["datetime"].tolist() == [bars["datetime"][0], bars["datetime"][3]]


def test_few_bars_stay_as_they_are(make_bars):
    """No merging, size 1."""
    bars = make_bars([1, 2])
    merged, size = merged_bars(bars, 2)
    assert size == 1
    assert merged is bars

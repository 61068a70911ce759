"""Moving sums and deviations: exact for each window, whatever came before it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.factors.windows import rolling_deviation, rolling_mean, rolling_sum

LENGTHS = [1, 2, 31, 32, 33, 64, 100]


@pytest.mark.parametrize("window", LENGTHS)
@pytest.mark.parametrize("count", [0, 1, 32, 33, 65, 100, 199, 330])
def test_each_window_is_summed_from_its_own_values(window, count):
    """Whole numbers sum exactly; the first window − 1 values are NaN."""
    values = np.random.default_rng(count).integers(-9, 10, count).astype(float)
    found = rolling_sum(values, window)
    assert np.isnan(found[: window - 1]).all()
    expected = [values[i - window + 1 : i + 1].sum() for i in range(window - 1, count)]
    assert found[window - 1 :].tolist() == expected


@pytest.mark.parametrize("window", [2, 20, 40, 500])
def test_nothing_is_left_of_what_passed(window):
    """After a value of 1e20 a window of zeros sums to zero."""
    values = np.zeros(2000)
    values[0:10] = 1e20 / 3
    assert (rolling_sum(values, window)[10 + window :] == 0).all()


@given(st.lists(st.floats(1, 1000), min_size=2, max_size=150), st.integers(2, 60), st.sampled_from([0, 1]))
@settings(max_examples=200, deadline=None)
def test_deviation_agrees_with_numpy(values, window, ddof):
    """Each window's deviation is numpy's; the loss of long windows is relative to the largest move."""
    array = np.array(values)
    found = rolling_deviation(array, window, ddof)
    for i in range(len(array)):
        if i < window - 1:
            assert np.isnan(found[i])
        else:
            assert found[i] == pytest.approx(array[i - window + 1 : i + 1].std(ddof=ddof), rel=1e-8, abs=1e-4)


@pytest.mark.parametrize("window", [5, 50])
@pytest.mark.parametrize("level", [0.1, 1e5 / 3])
def test_a_level_window_deviates_by_nothing(window, level):
    """Equal values give exactly 0, also right after a jump."""
    values = np.concatenate([[1e6, 3e5], np.full(200, level)])
    assert (rolling_deviation(values, window, 1)[window + 1 :] == 0).all()


@pytest.mark.parametrize("window", [20, 1440])
def test_deviation_keeps_its_digits_far_from_zero(window):
    """Prices about 40,000 with moves of 0.01: numpy's two passes and the moving one agree to 1e-9."""
    values = 40_000 + np.random.default_rng(3).normal(0, 0.01, 5000)
    expected = np.lib.stride_tricks.sliding_window_view(values, window).std(axis=1, ddof=1)
    np.testing.assert_allclose(rolling_deviation(values, window, 1)[window - 1 :], expected, rtol=1e-9)


def test_mean_by_hand():
    """The mean is the sum over the window."""
    assert rolling_mean(np.array([1.0, 3, 8]), 2)[1:].tolist() == [2, 5.5]

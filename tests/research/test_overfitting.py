"""The deflated Sharpe ratio is the paper's, and does what it is for: the best of worthless trials does not pass."""

import math

import numpy as np
import pytest

from research.backtest import simulate_long_flat
from research.fills import Costs
from research.overfitting import deflate_sharpes, expected_maximum_sharpe, probabilistic_sharpe, return_shape
from research.sweeps.sweep import SweepBars, position_figures

# Bailey and López de Prado (2014), "A numerical example": 5 years of 250 days, 100 trials, an annual variance of 1/2
# between them, skewness −3, kurtosis 10, an annual Sharpe ratio of 2.5.
PAPER_TRIALS, PAPER_VARIANCE, PAPER_SHARPE = 100, 0.5 / 250, 2.5 / math.sqrt(250)


def test_expected_maximum_is_that_of_the_paper():
    """SR0 is 0.1132 a day."""
    assert expected_maximum_sharpe(PAPER_TRIALS, PAPER_VARIANCE) == pytest.approx(0.1132, abs=5e-5)


def test_deflated_sharpe_is_that_of_the_paper():
    """0.9004: below 95 %, though the plain ratio alone looks safe."""
    bar = expected_maximum_sharpe(PAPER_TRIALS, PAPER_VARIANCE)
    assert probabilistic_sharpe(PAPER_SHARPE, bar, 1250, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)
    assert probabilistic_sharpe(PAPER_SHARPE, 0.0, 1250, -3.0, 10.0) > 0.9999


def test_expected_maximum_is_near_that_of_a_simulation():
    """The mean of the largest of 1,000 normal numbers, drawn 2,000 times: the formula is within 1 %."""
    largest = np.random.default_rng(3).normal(0.0, 0.02, (2_000, 1_000)).max(axis=1)
    assert expected_maximum_sharpe(1_000, 0.02**2) == pytest.approx(largest.mean(), rel=0.01)


def test_normal_returns_follow_the_textbook():
    """Skewness 0 and kurtosis 3: the standard error is √((1 + SR²/2) / (T − 1)); one of them above 0 is 84.13 %."""
    sharpe, count = 0.1, 101
    error = math.sqrt((1 + sharpe**2 / 2) / (count - 1))
    assert probabilistic_sharpe(sharpe, sharpe - error, count, 0.0, 3.0) == pytest.approx(0.8413447, abs=1e-7)


def test_one_trial_is_not_deflated():
    """It is the best of itself: its bar is 0."""
    assert expected_maximum_sharpe(1, math.nan) == 0.0
    one = deflate_sharpes(np.array([0.1]), np.array([100]), np.array([0.0]), np.array([3.0]))
    assert one.deflated[0] == probabilistic_sharpe(0.1, 0.0, 100, 0.0, 3.0)


def test_a_trial_without_a_ratio_does_not_count():
    """A set that never trades has no Sharpe ratio, and makes no other set's worse."""
    sharpe = np.array([0.1, math.nan, 0.2])
    shape = [np.full(3, value) for value in (100.0, 0.0, 3.0)]
    found = deflate_sharpes(sharpe, *shape)
    without = deflate_sharpes(sharpe[[0, 2]], *(column[:2] for column in shape))
    assert (found.trials, found.variance) == (2, pytest.approx(0.005))
    assert math.isnan(found.deflated[1])
    assert found.deflated[[0, 2]].tolist() == without.deflated.tolist()


@pytest.mark.parametrize(("returns", "skewness", "kurtosis"), [(1, 0.0, 3.0), (100, math.nan, 3.0), (100, 12.0, 3.0)])
def test_what_can_not_be_judged_is_nan(returns, skewness, kurtosis):
    """Too few returns, an unknown shape, or one that no distribution with this ratio has."""
    assert math.isnan(probabilistic_sharpe(0.2, 0.0, returns, skewness, kurtosis))


def test_shape_by_hand():
    """Returns 0.1, 0.1, 0.1, −0.3: mean 0; m2 0.03, m3 −0.006, m4 0.0021."""
    equity = np.cumprod([100.0, 1.1, 1.1, 1.1, 0.7])
    shape = return_shape(equity)
    assert shape.returns == 4
    assert shape.skewness == pytest.approx(-0.006 / 0.03**1.5)
    assert shape.kurtosis == pytest.approx(0.0021 / 0.03**2)


def test_the_shape_is_that_of_a_sweep(make_bars):
    """One definition, to the last digit, for a set of many and for one backtest."""
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 500)))
    bars = make_bars(closes.tolist())
    found = position_figures(SweepBars.of(bars), np.ones(500), Costs(0.0, 0.0), 1e4, "numpy")
    shape = return_shape(simulate_long_flat(bars, fee=0.0).portfolio_equity.to_numpy())
    assert (found.skewness[0], found.kurtosis[0], found.returns[0]) == (shape.skewness, shape.kurtosis, 499)


def test_a_flat_curve_has_no_shape():
    """Nothing varies, so nothing is skewed."""
    assert math.isnan(return_shape(np.full(5, 100.0)).skewness)
    assert math.isnan(return_shape(np.array([100.0, 110.0])).kurtosis)


def test_the_best_of_a_thousand_worthless_strategies_does_not_pass():
    """A year of days: the plain ratio of the best is above 2 and nearly sure to be real; deflated it is far from it."""
    returns = np.random.default_rng(11).normal(0.0, 0.01, (1_000, 365))
    sharpe = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    equity = np.cumprod(np.hstack([np.ones((1_000, 1)), 1 + returns]), axis=1)
    shapes = [return_shape(curve) for curve in equity]
    count, skewness, kurtosis = (
        np.array([getattr(shape, name) for shape in shapes]) for name in ("returns", "skewness", "kurtosis")
    )
    best = int(sharpe.argmax())
    assert sharpe[best] * math.sqrt(365) > 2
    assert probabilistic_sharpe(sharpe[best], 0.0, 365, skewness[best], kurtosis[best]) > 0.99
    assert deflate_sharpes(sharpe, count, skewness, kurtosis).deflated[best] < 0.8


def test_worthless_trials_differ_by_luck_alone():
    """A thousand of a month of minutes: what their spread gives is what 1 / (T - 1) alone gives, and within 10 %."""
    count = 40_320
    sharpe = np.random.default_rng(5).normal(0.0, 1 / math.sqrt(count - 1), 1_000)
    found = deflate_sharpes(sharpe, np.full(1_000, count), np.zeros(1_000), np.full(1_000, 3.0))
    assert found.luck_maximum == pytest.approx(expected_maximum_sharpe(1_000, 1 / (count - 1)))
    assert found.expected_maximum == pytest.approx(found.luck_maximum, rel=0.1)
    assert not found.differs_by_more_than_luck


def test_ruined_trials_differ_by_more_than_luck():
    """Eight ruined sets beside forty that are not: the bar of the paper is several times that of luck."""
    count = 40_320
    sharpe = np.random.default_rng(5).normal(0.0, 1 / math.sqrt(count - 1), 48)
    sharpe[:8] = -0.06
    found = deflate_sharpes(sharpe, np.full(48, count), np.zeros(48), np.full(48, 3.0))
    assert found.expected_maximum > 3 * found.luck_maximum
    assert found.differs_by_more_than_luck

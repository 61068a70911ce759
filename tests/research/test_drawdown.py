"""The drawdown found block by block is the one that a running maximum over all bars shows."""

import numpy as np
import pytest
from reference import curve_metrics

from research.drawdown import drawdown_curve, worst_drawdown


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("drift", [-2e-4, 0.0, 2e-4])
def test_long_random_walks_agree_with_the_loop(seed, drift):
    """Walks over ten blocks, some with flat stretches, falling, level and rising."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(drift, 1e-3, 10_500) * (rng.random(10_500) < 0.4)
    equity, ticks = np.exp(np.cumsum(steps)), np.cumsum(rng.integers(1, 5, 10_500))
    expected = curve_metrics(equity.tolist(), ticks.tolist())
    found = worst_drawdown(equity, ticks)
    assert found.depth == expected["max_drawdown"]
    assert found.duration == expected["max_drawdown_duration"]


def test_the_fall_may_begin_blocks_before_the_low():
    """A high in the first block and the low in the fourth still belong together."""
    equity = np.full(4096, 100.0)
    equity[10], equity[4000] = 200.0, 50.0
    found = worst_drawdown(equity, np.arange(4096))
    assert (found.depth, found.duration) == (0.75, 4085)


def test_returning_exactly_to_the_high_ends_it():
    """A close at the old high counts as regained."""
    assert worst_drawdown(np.array([1.0, 2, 1, 2, 1]), np.arange(5)).duration == 2


def test_drawdown_curve_by_hand():
    """0 at highs, else the fraction lost."""
    assert drawdown_curve(np.array([100.0, 80, 120, 90])).tolist() == pytest.approx([0, 0.2, 0, 0.25])

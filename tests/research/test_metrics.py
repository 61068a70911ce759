"""Each metric by hand, and the curve's figures against loops over the definitions."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import curve_metrics

from research.backtest import simulate_long_flat
from research.metrics import curve_figures, trade_figures

MINUTE = 60
YEAR_MINUTES = 365 * 24 * 60


def figures(equity, step=MINUTE, ticks=None):
    """Return the figures of an equity curve on bars of `step` seconds."""
    times = np.arange(len(equity)) * step if ticks is None else np.array(ticks)
    return curve_figures(np.array(equity, dtype=float), times.astype(np.int64), step, 1)


def test_ratios_by_hand():
    """100, 110, 99: returns 0.1 and −0.1, mean 0, deviation √0.02, downside √0.005."""
    found = figures([100, 110, 99])
    assert found.annual_volatility == pytest.approx(math.sqrt(0.02 * YEAR_MINUTES), rel=1e-12)
    assert found.sharpe == pytest.approx(0, abs=1e-9)
    assert found.total_return == pytest.approx(-0.01, rel=1e-12)


def test_sharpe_and_sortino_by_hand():
    """Returns 0.2 and −0.1: mean 0.05, deviation √0.045, downside √0.005."""
    found = figures([100, 120, 108])
    assert found.sharpe == pytest.approx(0.05 / math.sqrt(0.045) * math.sqrt(YEAR_MINUTES), rel=1e-12)
    assert found.sortino == pytest.approx(0.05 / math.sqrt(0.005) * math.sqrt(YEAR_MINUTES), rel=1e-12)


def test_cagr_counts_from_the_first_open_to_the_last_close():
    """73 daily bars are a fifth of a year: growth 1.1 compounds to 1.1 ^ 5."""
    found = figures(np.linspace(100, 110, 73), step=86_400)
    assert found.cagr == pytest.approx(1.1**5 - 1, rel=1e-12)


def test_cagr_beyond_a_float_is_infinite():
    """Doubling in three minutes has no annual rate that a float holds."""
    assert figures([1, 1, 2]).cagr == math.inf


def test_cagr_of_all_but_nothing_is_a_total_loss():
    """Fees that ate more than a float can tell from zero leave nothing to compound."""
    assert figures([100, 50, 0]).cagr == -1.0


def test_a_gap_does_not_change_the_annual_factor():
    """The bar's length is the smallest step, so a hole of an hour leaves the volatility alone."""
    gapped = figures([100, 110, 99], ticks=[0, 60, 3660])
    assert gapped.annual_volatility == figures([100, 110, 99]).annual_volatility


def test_drawdown_and_calmar_by_hand():
    """From 120 down to 90 is a quarter; 365 daily bars make the CAGR the total return."""
    equity = np.full(365, 110.0)
    equity[:4] = [100, 120, 90, 108]
    found = figures(equity, step=86_400)
    assert found.max_drawdown == pytest.approx(0.25, rel=1e-15)
    assert found.calmar == pytest.approx(0.1 / 0.25, rel=1e-12)
    assert found.max_drawdown_duration == timedelta(days=363)  # never regained, so up to the last bar


def test_a_curve_that_never_falls_has_no_sortino_and_no_calmar():
    """What would divide by zero is NaN, not 0."""
    found = figures([100, 101, 103])
    assert math.isnan(found.sortino)
    assert math.isnan(found.calmar)
    assert (found.max_drawdown, found.max_drawdown_duration) == (0, timedelta(0))


def test_a_constant_curve_has_no_sharpe():
    """Without any deviation the ratio is undefined."""
    found = figures([100, 100, 100])
    assert math.isnan(found.sharpe)
    assert found.annual_volatility == 0


def test_trade_figures_by_hand():
    """Profits 30, −10, −5, 0: one of four wins, 30 / 15, and the mean ratio."""
    found = trade_figures(np.array([30.0, -10, -5, 0]), np.array([0.3, -0.1, -0.05, 0]))
    assert (found.trades, found.win_rate, found.profit_factor) == (4, 0.25, 2.0)
    assert found.avg_profit_ratio == pytest.approx(0.0375, rel=1e-15)


def test_profit_factor_without_a_loss_is_undefined():
    """Gains over nothing are no number."""
    assert math.isnan(trade_figures(np.array([1.0]), np.array([0.1])).profit_factor)


def test_turnover_and_exposure_by_hand(make_bars):
    """Bought 1000, sold 2000, mean equity (1000 + 1000 + 2000 + 2000) / 4 = 1500; held at one close of four."""
    metrics = simulate_long_flat(
        make_bars([100, 100, 200, 200], [100, 100, 200, 200]), [1, 0, 0, 0], fee=0, initial_cash=1000
    ).metrics
    assert metrics.turnover == pytest.approx(2.0, rel=1e-15)
    assert metrics.exposure == 0.25
    assert (metrics.first, metrics.last) == (datetime(2022, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, 0, 3, tzinfo=UTC))


def test_as_dict_is_plain_json(make_bars):
    """NaN becomes None, times ISO text, durations seconds."""
    plain = simulate_long_flat(make_bars([100, 100, 100]), [0, 0, 0]).metrics.as_dict()
    assert plain["sharpe"] is None
    assert plain["win_rate"] is None
    assert plain["first"] == "2022-01-01T00:00:00+00:00"
    assert plain["max_drawdown_duration_s"] == 0.0
    assert all(type(value) in (int, float, str, type(None)) for value in plain.values())


@given(st.lists(st.floats(1, 100), min_size=3, max_size=60), st.integers(1, 120))
@settings(max_examples=200, deadline=None)
def test_agrees_with_loops_over_the_definitions(values, repeats):
    """Short and long curves (over several blocks) give what the definitions give."""
    equity = np.tile(values, repeats)
    found, expected = figures(equity), curve_metrics(equity.tolist(), (np.arange(len(equity)) * MINUTE).tolist())
    assert found.max_drawdown == pytest.approx(expected["max_drawdown"], rel=1e-12)
    assert found.max_drawdown_duration.total_seconds() == expected["max_drawdown_duration"]
    for name in ("annual_volatility", "sharpe", "sortino"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-9, abs=1e-7, nan_ok=True), name

"""A sweep gives for each parameter set what one backtest of that set gives."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.backtest import simulate_long_flat
from research.bars import check_bars
from research.factors.compute import compute_factor
from research.fills import Costs
from research.sweeps.sweep import SweepBars, SweepFigures, momentum_figures, position_figures, threshold_figures
from schemas.errors import InputError

NAN = math.nan
COSTS = Costs(0.001, 0.0002)
EXACT = ("trades", "win_rate", "exposure")


def random_bars(make_bars, count, seed=7, deviation=5e-3):
    """Return a random walk whose opens are near the close before."""
    random = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(random.normal(0, deviation, count)))
    opens = np.concatenate([[100.0], closes[:-1]]) * np.exp(random.normal(0, deviation / 5, count))
    return make_bars(opens.tolist(), closes.tolist())


def assert_figures(found: SweepFigures, row: int, bars: pd.DataFrame, position, costs=COSTS, cash=10_000.0):
    """Compare one set with one backtest, the shape of its returns with the definitions."""
    result = simulate_long_flat(bars, position, costs.fee, costs.slippage, cash)
    frame = found.frame().iloc[row]
    for name in frame.index.drop(["skewness", "kurtosis", "returns"]):
        expected = getattr(result.metrics, name)
        if name in EXACT:
            assert frame[name] == pytest.approx(expected, abs=0, rel=0, nan_ok=True), name
        else:
            rounding = 1e-9 if name in ("sharpe", "sortino") else 1e-13  # a mean may be all but 0
            assert frame[name] == pytest.approx(expected, rel=1e-9, abs=rounding, nan_ok=True), name
    equity = result.portfolio_equity.to_numpy()
    returns = equity[1:] / equity[:-1] - 1
    assert frame["returns"] == len(returns)
    if len(returns) > 1 and returns.std() > 0:
        away = returns - returns.mean()
        assert frame["skewness"] == pytest.approx((away**3).mean() / returns.std() ** 3, rel=1e-7, abs=1e-7)
        assert frame["kurtosis"] == pytest.approx((away**4).mean() / returns.std() ** 4, rel=1e-7)
    else:
        assert math.isnan(frame["skewness"])
        assert math.isnan(frame["kurtosis"])


@pytest.fixture(params=["numpy", "compiled"])
def engine(request):
    """Each way to go over the bars."""
    return request.param


def test_positions_of_one_or_many_sets(make_bars, engine):
    """A row of positions is one set; rows of rows are many, NaN and weights among them."""
    bars = random_bars(make_bars, 200)
    random = np.random.default_rng(1)
    flips = random.choice([0.0, 1.0, NAN], size=200)
    rows = np.array([flips, random.choice([0.0, 0.25, 1.0], size=200), np.full(200, NAN), np.ones(200)])
    prepared = SweepBars.of(bars)
    many = position_figures(prepared, rows, COSTS, 10_000.0, engine)
    for row in range(4):
        assert_figures(many, row, bars, rows[row])
    alone = position_figures(prepared, flips, COSTS, 10_000.0, engine)
    pd.testing.assert_frame_equal(alone.frame(), many.frame().iloc[[0]])


def test_momentum_sets_are_the_factor_and_its_thresholds(make_bars, engine):
    """Each set gives what compute_factor and the rule of threshold_position give, one after the other."""
    bars = random_bars(make_bars, 3000)
    lookback, enter, leave = [1, 5, 60, 60, 2999], [0.0, 0.004, 0.01, 0.02, 0.0], [0.0, -0.004, 0.0, -0.01, 0.0]
    sets = np.array(lookback), np.array(enter), np.array(leave)
    found = momentum_figures(SweepBars.of(bars), *sets, COSTS, 500.0, engine)
    for row, (bars_back, above, below) in enumerate(zip(lookback, enter, leave, strict=True)):
        factor = compute_factor(bars, "momentum", lookback_bars=bars_back)["factor"].to_numpy()
        position = np.where(factor > above, 1.0, np.where(factor < below, 0.0, NAN))
        assert_figures(found, row, bars, position, cash=500.0)


def test_figures_by_hand(make_bars, engine):
    """Bought at 100, marked at 110 and 99, sold at 121: two of the returns are 0.1 and −0.1, one is 121 / 99 − 1."""
    bars = make_bars([50, 100, 105, 121, 60], [50, 110, 99, 125, 60])
    found = position_figures(SweepBars.of(bars), np.array([1.0, 1, 0, 0, 0]), Costs(0.0, 0.0), 1000.0, engine)
    returns = np.array([0.1, -0.1, 121 / 99 - 1, 0.0])
    away = returns - returns.mean()
    assert found.final_equity.tolist() == [pytest.approx(1210, rel=1e-14)]
    assert found.total_return[0] == pytest.approx(0.21, rel=1e-14)
    assert found.max_drawdown[0] == pytest.approx(0.1, rel=1e-14)
    assert (found.trades[0], found.exposure[0], found.returns[0]) == (1, 0.4, 4)
    assert found.skewness[0] == pytest.approx((away**3).mean() / (away**2).mean() ** 1.5, rel=1e-12)
    assert found.kurtosis[0] == pytest.approx((away**4).mean() / (away**2).mean() ** 2, rel=1e-12)


@pytest.mark.parametrize(
    ("start", "deviation", "drift"),
    [
        (1e-8, 5e-3, 0.0),
        (1e12, 5e-3, 0.0),
        (100.0, 0.0, 0.0),
        (100.0, 1e-9, 0.0),
        (100.0, 0.3, 0.0),
        (100.0, 1e-9, 1e-5),  # all but a straight line: the square of the mean swallows the variance
    ],
)
def test_many_trades_of_any_market(make_bars, start, deviation, drift):
    """Tiny and huge prices, a market that stands still, wild ones, and up to a thousand trades and more a set."""
    random = np.random.default_rng(3)
    walk = np.clip(np.cumsum(random.normal(drift, deviation, 6000)), -60, 60)
    closes = start * np.exp(walk)
    bars = make_bars(np.concatenate([[start], closes[:-1]]).tolist(), closes.tolist())
    positions = np.array(
        [np.cumsum(random.random(6000) < share) % 2 for share in (0.0003, 0.004, 0.4)] + [np.ones(6000)], dtype=float
    )
    found = position_figures(SweepBars.of(bars), positions, COSTS, 1e4, "compiled")
    assert found.trades[2] > 1000
    for row in range(4):
        assert_figures(found, row, bars, positions[row])


def test_a_quiet_stretch_after_a_wild_one_keeps_its_digits(make_bars):
    """Prices that leap by twelve orders of magnitude while flat say nothing about what is held afterwards."""
    random = np.random.default_rng(5)
    closes = np.concatenate([[1.0, 1e12, 1.0] * 400, np.exp(np.cumsum(random.normal(0, 1e-6, 3000)))])
    bars = make_bars(closes.tolist(), closes.tolist())
    position = np.concatenate([np.zeros(1300), np.ones(1000), np.zeros(200), np.ones(1700)])
    found = position_figures(SweepBars.of(bars), position, Costs(0.0, 0.0), 1e4, "compiled")
    assert_figures(found, 0, bars, position, Costs(0.0, 0.0))
    assert found.annual_volatility[0] < 1e-3


def test_a_set_that_loses_everything_has_the_figures_of_its_backtest(make_bars):
    """A thousand trades at a fee of nine tenths leave an equity of 0, which sums of stretches can not tell."""
    bars = SweepBars.of(random_bars(make_bars, 2_000))
    position = np.resize([1.0, 0.0], 2_000)
    with np.errstate(invalid="ignore"):
        found, plain = (
            position_figures(bars, position, Costs(0.9, 0.0), 1e4, engine).frame() for engine in ("compiled", "numpy")
        )
    pd.testing.assert_frame_equal(found, plain)
    assert found["final_equity"].tolist() == [0.0]


FACTOR = st.one_of(st.just(NAN), st.floats(-1, 1), st.sampled_from([0.0, 0.5, -0.5]))


@given(
    st.lists(st.tuples(st.floats(1, 1000), st.floats(1, 1000), FACTOR), min_size=1, max_size=60),
    st.floats(-0.6, 0.6),
    st.floats(0, 0.6),
)
@settings(max_examples=100, deadline=None)
def test_thresholds_agree_with_one_backtest(make_bars, rows, enter, between):
    """Any factor with holes, and thresholds that values may lie upon."""
    opens, closes, factor = (list(column) for column in zip(*rows, strict=True))
    bars, values = make_bars(opens, closes), np.array(factor)
    leave = enter - between
    position = np.where(values > enter, 1.0, np.where(values < leave, 0.0, NAN))
    prepared, sets = SweepBars.of(check_bars(bars)), (np.array([0]), np.array([enter]), np.array([leave]))
    for engine in ("numpy", "compiled"):
        assert_figures(threshold_figures(prepared, values, *sets, COSTS, 1e4, engine), 0, bars, position)


@pytest.mark.parametrize(
    ("lookback", "enter", "leave", "sentence"),
    [
        ([0], [0.0], [0.0], "must lie between 1 and 4"),
        ([5], [0.0], [0.0], "must lie between 1 and 4"),
        ([1], [0.0], [0.1], "exit_below must not lie above enter_above"),
        ([1, 2], [0.0], [0.0], "arrays of one length"),
    ],
)
def test_refuses_sets_that_can_not_be(make_bars, lookback, enter, leave, sentence):
    """The bound that was violated is named."""
    with pytest.raises(InputError, match=sentence):
        momentum_figures(
            SweepBars.of(make_bars([1, 2, 3, 4, 5])), np.array(lookback), np.array(enter), np.array(leave), COSTS, 1.0
        )


def test_the_memory_of_bars_counts_what_is_kept_beside_them(make_bars):
    """The bound of a sweep's memory asks before compiled code has made it."""
    bars = SweepBars.of(random_bars(make_bars, 20_000))
    told = bars.memory_bytes
    beside = bars.stretches.returns.nbytes + bars.stretches.rows.nbytes
    assert told == pytest.approx(bars.checked.frame.memory_usage().sum() + beside, rel=1e-3)


def test_refuses_what_does_not_fit_the_bars(make_bars, engine):
    """One value a bar, rows that are there, one symbol."""
    one = make_bars([1, 2, 3])
    bars = SweepBars.of(one)
    with pytest.raises(InputError, match="for each of the 3 bars"):
        position_figures(bars, np.ones(4), COSTS, 1.0)
    with pytest.raises(InputError, match="must name rows of factors"):
        threshold_figures(bars, np.ones(3), np.array([1]), np.zeros(1), np.zeros(1), COSTS, 1.0)
    with pytest.raises(InputError, match=r"must lie in \[0, 1\], found 2.0"):
        position_figures(bars, np.array([0, 2.0, 0]), COSTS, 1.0, engine)
    with pytest.raises(InputError, match="one symbol, found A, B"):
        SweepBars.of(pd.concat([make_bars([1, 2], symbol="A"), make_bars([1, 2], symbol="B")], ignore_index=True))

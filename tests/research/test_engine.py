"""Both engines give the same backtest, and the compiled one is loaded only where it pays."""

import importlib
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.backtest import BacktestResult, simulate_long_flat
from research.bars import check_bars
from research.engines.chosen import BARS_BEFORE_COMPILED, chosen_engine
from research.engines.numpy_engine import NUMPY
from schemas.errors import InputError

NAN = math.nan
PRICES = st.floats(1, 1000)
ZERO_OR_ONE = st.lists(st.tuples(PRICES, PRICES, st.sampled_from([0.0, 1.0, NAN])), min_size=1, max_size=40)
SHARE = st.one_of(st.sampled_from([0.0, 0.25, 1.0, 1e-10, NAN]), st.floats(0.01, 1))
WEIGHTS = st.lists(st.tuples(PRICES, PRICES, SHARE), min_size=1, max_size=40)
SUMS = ("annual_volatility", "sharpe", "sortino", "turnover")


def assert_same(found: BacktestResult, plain: BacktestResult) -> None:
    """Trades, equity and drawdown to the last bit; what sums over bars to the order of adding."""
    pd.testing.assert_frame_equal(found.trades, plain.trades, check_exact=True)
    pd.testing.assert_frame_equal(found.equity, plain.equity, check_exact=True)
    for name, value in plain.metrics.as_dict().items():
        other = found.metrics.as_dict()[name]
        if name in SUMS and value is not None:
            assert other == pytest.approx(value, rel=1e-9, abs=1e-9), name
        else:
            assert other == value, name


@st.composite
def several_symbols(draw):
    """Bars of one to three symbols that may start late, have holes and end early, and a position for each bar."""
    rows, frames, wishes = draw(st.one_of(ZERO_OR_ONE, WEIGHTS)), [], []
    for number in range(draw(st.integers(1, 3))):
        at = draw(st.sets(st.integers(0, 99), min_size=len(rows), max_size=len(rows)))
        opens, closes, wish = zip(*rows, strict=True)
        times = pd.to_datetime([60 * minute for minute in sorted(at)], unit="s", utc=True)
        frames.append(pd.DataFrame({"symbol": f"S{number}", "datetime": times, "open": opens, "close": closes}))
        wishes += wish
        rows = draw(st.one_of(ZERO_OR_ONE, WEIGHTS))
    return pd.concat(frames, ignore_index=True), wishes, draw(st.floats(0, 0.05)), draw(st.floats(0, 0.05))


@given(several_symbols())
@settings(max_examples=200, deadline=None)
def test_engines_agree(case):
    """Any position with NaN, dust and weights, several symbols, gaps, one bar."""
    bars, wishes, fee, slippage = case
    checked = check_bars(bars)
    assert_same(
        simulate_long_flat(checked, wishes, fee, slippage, engine="compiled"),
        simulate_long_flat(checked, wishes, fee, slippage, engine="numpy"),
    )


@pytest.mark.parametrize("deviation", [0.0, 1e-9, 1e-3, 0.5])
@pytest.mark.parametrize("flips", [3, 300, 20_000])
def test_engines_agree_on_long_series(make_bars, deviation, flips):
    """Over many blocks of bars: a market that stands still, one that hardly moves, a wild one; few and many trades."""
    random = np.random.default_rng(flips)
    steps = random.normal(0, deviation, 20_000)
    closes = 1e9 * np.exp(np.clip(np.cumsum(steps), -50, 50))
    bars = make_bars(np.concatenate([[1e9], closes[:-1]]).tolist(), closes.tolist())
    position = np.zeros(20_000)
    position[random.integers(0, 20_000, flips)] = 1.0
    position = np.cumsum(position) % 2
    found = simulate_long_flat(bars, position, engine="compiled")
    assert_same(found, simulate_long_flat(bars, position, engine="numpy"))


def test_the_compiled_engine_names_a_wrong_position(make_bars):
    """The sentence is that of the plain way."""
    with pytest.raises(InputError, match=r"must lie in \[0, 1\], found 1.5 at BINANCE:BTCUSDT 2022-01-01T00:02:00"):
        simulate_long_flat(make_bars([1, 2, 3, 4]), [0, NAN, 1.5, 0], engine="compiled")


def test_refuses_an_engine_that_is_none(make_bars):
    """The names are told."""
    with pytest.raises(InputError, match="engine must be one of auto, numpy, compiled, found 'fast'"):
        simulate_long_flat(make_bars([1, 2]), engine="fast")


def test_auto_compiles_after_many_bars():
    """A process that simulated what numpy does in a second goes on compiled; what was asked for by name counts not."""
    source = f"""
import sys
from research.engines.chosen import chosen_engine
from research.engines.numpy_engine import NUMPY
assert chosen_engine("numpy", {BARS_BEFORE_COMPILED}) is NUMPY
assert chosen_engine("auto", {BARS_BEFORE_COMPILED - 1}) is NUMPY
assert chosen_engine("auto", 1) is NUMPY
assert "numba" not in sys.modules
assert chosen_engine("auto", 1) is not NUMPY
"""
    subprocess.run([sys.executable, "-c", source], check=True)
    assert chosen_engine("numpy", 1) is NUMPY


@pytest.mark.parametrize("name", ["engines.bar_kernels", "sweeps.crossing_kernels", "sweeps.stretch_kernels"])
def test_compiled_functions_call_none_of_another_file(name):
    """numba keeps machine code until the function's own file changes: what it took from others would be stale."""
    module = importlib.import_module(f"research.{name}")
    compiled = [function for function in vars(module).values() if hasattr(function, "py_func")]
    assert compiled
    assert {function.py_func.__module__ for function in compiled} == {module.__name__}


def test_checked_bars_stand_in_for_their_frame(make_bars):
    """They give the same, and their prices are looked at once."""
    bars = make_bars([100, 101, 99, 103, 104])
    checked = check_bars(bars)
    assert simulate_long_flat(checked, [1, 1, 0, 1, 0]).metrics == simulate_long_flat(bars, [1, 1, 0, 1, 0]).metrics
    assert checked.prices("close") is checked.prices("close")
    assert check_bars(checked, ("open",)) is checked
    with pytest.raises(InputError, match=r"needs the columns \['vwap'\]"):
        check_bars(checked, ("vwap",))

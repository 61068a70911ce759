"""Each factor by hand, and against its formula written again as a plain loop."""

import math

import factor_reference
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.factors import FACTORS, compute_factor, rank_across_symbols
from research.factors.averages import ema, macd, sma
from research.factors.price import momentum, returns, volatility, zscore
from research.factors.ranges import atr, bollinger, donchian, rsi
from research.factors.volume import volume_ratio
from schemas.errors import InputError

NAN = math.nan


def close_to(values):
    """Compare with NaN equal to NaN."""
    return pytest.approx(values, rel=1e-12, abs=1e-12, nan_ok=True)


def test_momentum_by_hand():
    """110 after 100 two bars before is a tenth more."""
    assert momentum([100, 120, 110, 60], 2).tolist() == close_to([NAN, NAN, 0.1, -0.5])


def test_returns_by_hand():
    """Simple and logarithmic over one bar."""
    assert returns([100, 150, 75]).tolist() == close_to([NAN, 0.5, -0.5])
    assert returns([1, math.e, 1], kind="log").tolist() == close_to([NAN, 1, -1])


def test_sma_by_hand():
    """The mean of three."""
    assert sma([1, 2, 6, 10], 3).tolist() == close_to([NAN, NAN, 3, 6])


def test_ema_by_hand():
    """Starts at 2 with the mean of 1, 2, 3; the weight is 2 / 4."""
    assert ema([1, 2, 3, 6, 0], 3).tolist() == close_to([NAN, NAN, 2, 4, 2])


def test_rsi_by_hand():
    """Changes +2, −1, then +3: means 1 and 0.5, then (1 + 3) / 2 = 2 and 0.25."""
    assert rsi([10, 12, 11, 14], 2).tolist() == close_to([NAN, NAN, 100 / 1.5, 100 * 2 / 2.25])


def test_rsi_of_what_never_moved_is_not_known():
    """No rise and no fall: NaN, not oversold; it begins with the first move."""
    assert rsi([5, 5, 5, 5, 5, 4, 5], 2).tolist() == close_to([NAN] * 5 + [0, 100 * 0.5 / 0.75])


def test_rsi_stays_while_the_price_stands_still():
    """Both means fade alike, so the value keeps; TA-Lib 0.6 alone drops to 0 after some hundred bars."""
    prices = np.concatenate([[10, 12, 11, 14], np.full(2000, 14.0), [13.0]])
    values = rsi(prices, 14)
    assert values[14] > 0
    np.testing.assert_allclose(values[14:-1], values[14], rtol=1e-9)
    assert values[-1] == pytest.approx(0, abs=1e-9)


def test_rsi_of_a_bar_is_the_same_whatever_comes_after():
    """To the last bit: a value of exactly 0 later on must not choose how bars without a move before it are computed."""
    close = random_bars(1, 300)["close"].to_numpy()
    fall = close[-1] * np.linspace(1e9, 1, 4000)  # so deep that the mean of the rises is none beside that of the falls
    values = rsi(np.concatenate([close, fall]), 5)
    assert values[-1] == 0
    np.testing.assert_array_equal(values[:300], rsi(close, 5))


def test_rsi_of_tiny_prices_is_that_of_large_ones():
    """A coin priced 1e-13 moves by less than old TA-Lib's bound, and has an RSI all the same."""
    prices = np.array([10.0, 12, 11, 14, 13, 12])
    np.testing.assert_allclose(rsi(prices * 1e-14, 2), rsi(prices, 2), rtol=1e-9)


def test_macd_by_hand():
    """Fast 2, slow 3, signal 2 on 1 2 3 2 2: both start at bar 2 with 2.5 and 2, the line there is 0.5.

    Bar 3: fast 2.5 + 2/3 × (2 − 2.5) = 13/6, slow 2 + (2 − 2) / 2 = 2, line 1/6; the signal starts with the mean 1/3.
    Bar 4: fast 13/6 + 2/3 × (2 − 13/6) = 37/18, slow 2, line 1/18; signal 1/3 + 2/3 × (1/18 − 1/3) = 4/27.
    """
    prices = [1, 2, 3, 2, 2]
    assert macd(prices, 2, 3, 2, "line").tolist() == close_to([NAN] * 3 + [1 / 6, 1 / 18])
    assert macd(prices, 2, 3, 2, "signal").tolist() == close_to([NAN] * 3 + [1 / 3, 4 / 27])
    assert macd(prices, 2, 3, 2, "hist").tolist() == close_to([NAN] * 3 + [-1 / 6, 1 / 18 - 4 / 27])


def test_atr_by_hand():
    """Ranges 3 (a gap up counts) and 5 give 4; then (4 + 2) / 2."""
    assert atr([10, 12, 11, 9], [8, 11, 6, 7], [9, 11, 8, 8], 2).tolist() == close_to([NAN, NAN, 4, 3])


def test_bollinger_by_hand():
    """1 and 3: mean 2, population deviation 1, so bands of two deviations at 0 and 4."""
    assert bollinger([1, 3], 2, 2.0, "upper").tolist() == close_to([NAN, 4])
    assert bollinger([1, 3], 2, 2.0, "lower").tolist() == close_to([NAN, 0])
    assert bollinger([1, 3], 2, 2.0, "percent_b").tolist() == close_to([NAN, 0.75])
    assert bollinger([1, 3], 2, 2.0, "bandwidth").tolist() == close_to([NAN, 2])


def test_bollinger_of_tiny_prices_is_that_of_large_ones():
    """A variance of 1e-20 is not zero."""
    prices = np.array([1.0, 3, 2, 5, 4])
    expected = bollinger(prices, 3)
    np.testing.assert_allclose(bollinger(prices * 1e-10, 3), expected, rtol=1e-9)


def test_zscore_by_hand():
    """1, 2, 3: mean 2, sample deviation 1."""
    assert zscore([1, 2, 3], 3).tolist() == close_to([NAN, NAN, 1])


def test_volatility_by_hand():
    """Log returns 1 and −1: mean 0, sample deviation √2."""
    assert volatility([1, math.e, 1], 2).tolist() == close_to([NAN, NAN, math.sqrt(2)])


def test_volume_ratio_by_hand():
    """30 after 10 and 20 is twice the usual 15."""
    assert volume_ratio([10, 20, 30], 2).tolist() == close_to([NAN, NAN, 2])


def test_volume_ratio_recovers_from_a_huge_bar():
    """A running sum would still hold 1e22's rounding; bars without volume before give NaN, not noise."""
    volume = [1e22, 3.0, 0.1, 0, 0, 0, 5, 5, 10]
    assert volume_ratio(volume, 3)[5:].tolist() == close_to([0, NAN, 3, 3])


def test_donchian_by_hand():
    """The close 9 in a channel from 6 to 12."""
    assert donchian([12, 11], [8, 6], [10, 9], 2).tolist() == close_to([NAN, 0.5])


@pytest.mark.parametrize(
    "flat", [zscore, bollinger, lambda x, n: donchian(x, x, x, n), lambda x, n: volume_ratio(x * 0, n)]
)
def test_what_divides_by_zero_is_not_known(flat):
    """A level price has no z-score, no %b, no place in its channel; no volume has no ratio."""
    assert np.isnan(flat(np.full(50, 0.1), 40)).all()


PARAMETERS = [
    ("momentum", {"lookback_bars": 7}),
    ("returns", {"lookback_bars": 3, "kind": "log"}),
    ("returns", {"lookback_bars": 3, "kind": "simple"}),
    ("sma", {"lookback_bars": 5}),
    ("sma", {"lookback_bars": 40}),
    ("ema", {"lookback_bars": 6}),
    ("rsi", {"lookback_bars": 5}),
    ("macd", {"fast_bars": 3, "slow_bars": 7, "signal_bars": 4, "output": "line"}),
    ("macd", {"fast_bars": 3, "slow_bars": 7, "signal_bars": 4, "output": "signal"}),
    ("macd", {"fast_bars": 3, "slow_bars": 7, "signal_bars": 4, "output": "hist"}),
    ("atr", {"lookback_bars": 5}),
    ("bollinger", {"lookback_bars": 6, "deviations": 1.5, "output": "percent_b"}),
    ("bollinger", {"lookback_bars": 40, "deviations": 2.0, "output": "bandwidth"}),
    ("bollinger", {"lookback_bars": 6, "deviations": 2.0, "output": "upper"}),
    ("bollinger", {"lookback_bars": 6, "deviations": 2.0, "output": "lower"}),
    ("zscore", {"lookback_bars": 6}),
    ("zscore", {"lookback_bars": 40}),
    ("volatility", {"lookback_bars": 5}),
    ("volatility", {"lookback_bars": 37}),
    ("volume_ratio", {"lookback_bars": 4}),
    ("volume_ratio", {"lookback_bars": 40}),
    ("donchian", {"lookback_bars": 6}),
]


def random_bars(seed, count, symbol="BINANCE:BTCUSDT"):
    """Return a random walk with flat stretches and bars without volume."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, 0.01, count) * (rng.random(count) < 0.7)
    close = 40_000 * np.exp(np.cumsum(moves))
    opens = np.concatenate([[40_000.0], close[:-1]])
    spread = 1 + rng.random(count) * 0.005
    return pd.DataFrame(
        {
            "symbol": symbol,
            "datetime": pd.date_range("2022-01-01", periods=count, freq="min", tz="UTC"),
            "open": opens,
            "high": np.maximum(opens, close) * spread,
            "low": np.minimum(opens, close) / spread,
            "close": close,
            "volume": rng.random(count) * (rng.random(count) < 0.8),
        }
    )


def test_every_factor_is_looked_at_here():
    """No factor escapes the loops below."""
    assert {name for name, _ in PARAMETERS} == set(FACTORS)


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
@pytest.mark.parametrize("count", [60, 250])
def test_equals_its_formula_as_a_loop(name, params, count):
    """The fast factor and the plain one agree, NaN included."""
    bars = random_bars(count, count)
    expected = getattr(factor_reference, name)({c: bars[c].tolist() for c in bars}, **params)
    found = compute_factor(bars, name, **params)["factor"]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
def test_lookback_is_exact(name, params):
    """The first value stands at bar `lookback_bars`, none before; one bar fewer gives the sentence."""
    bars = random_bars(5, 300).assign(volume=1.0)
    lookback = FACTORS[name].lookback_bars(params)
    known = np.flatnonzero(~np.isnan(compute_factor(bars, name, **params)["factor"]))
    assert known[0] == lookback
    assert len(known) == 300 - lookback
    assert not np.isnan(compute_factor(bars.iloc[: lookback + 1], name, **params)["factor"].iloc[-1])
    with pytest.raises(InputError, match=rf"{name} needs {lookback + 1} bars of BINANCE:BTCUSDT, found {lookback}"):
        compute_factor(bars.iloc[:lookback], name, **params)


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
def test_never_sees_the_future(name, params):
    """The value at t is the same to the last bit when all bars after t are cut off, for every t."""
    bars = random_bars(11, 120)
    whole = compute_factor(bars, name, **params)["factor"].to_numpy()
    for t in range(FACTORS[name].lookback_bars(params), 120):
        cut = compute_factor(bars.iloc[: t + 1], name, **params)["factor"].iloc[-1]
        assert np.array_equal(cut, whole[t], equal_nan=True), t


@given(st.sampled_from(PARAMETERS), st.integers(0, 2**32 - 1), st.integers(45, 89), st.floats(1, 1e6))
@settings(max_examples=150, deadline=None)
def test_another_future_changes_nothing(case, seed, t, price):
    """Whatever comes after t, a constant price or another walk, leaves the values up to t alone."""
    name, params = case
    bars = random_bars(seed, 90)
    other = bars.copy()
    other.loc[t + 1 :, ["open", "high", "low", "close", "volume"]] = price
    one, two = (compute_factor(frame, name, **params)["factor"].to_numpy()[: t + 1] for frame in (bars, other))
    assert np.array_equal(one, two, equal_nan=True)


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
def test_each_symbol_is_on_its_own(name, params):
    """A second symbol before or after changes no value."""
    mine = random_bars(1, 100, "M")
    alone = compute_factor(mine, name, **params)["factor"].to_numpy()
    bars = pd.concat([random_bars(2, 80, "A"), mine, random_bars(3, 10, "Z")], ignore_index=True)
    together = compute_factor(bars, name, **params)
    assert np.array_equal(together.loc[together["symbol"] == "M", "factor"], alone, equal_nan=True)
    assert list(together.columns) == ["symbol", "datetime", "factor"]
    assert together["datetime"].equals(bars["datetime"])


def test_rank_by_hand():
    """Three symbols: lowest 0, highest 1; a tie shares; a NaN has no rank; one alone has none."""
    times = pd.to_datetime(["2022-01-01"] * 3 + ["2022-01-02"] * 3 + ["2022-01-03"] * 2, utc=True)
    frame = pd.DataFrame(
        {"symbol": [*"ABCABCAB"], "datetime": times, "factor": [5.0, 1.0, 3.0, 2.0, 2.0, 9.0, NAN, 4.0]}
    )
    assert rank_across_symbols(frame)["factor"].tolist() == close_to([1, 0, 0.5, 0.25, 0.25, 1, NAN, NAN])


def test_cross_sectional_rank_ranks_a_factor():
    """By name, with the ranked factor's own parameters, it is the rank of that factor's frame."""
    bars = pd.concat([random_bars(seed, 50, name) for seed, name in enumerate("ABC")], ignore_index=True)
    expected = rank_across_symbols(compute_factor(bars, "zscore", lookback_bars=9))
    found = compute_factor(bars, "cross_sectional_rank", of="zscore", lookback_bars=9)
    pd.testing.assert_frame_equal(found, expected)


def test_cross_sectional_rank_never_sees_the_future():
    """Ranks up to t are the same without the bars after t."""
    bars = pd.concat([random_bars(seed, 60, name) for seed, name in enumerate("ABC")], ignore_index=True)
    whole = compute_factor(bars, "cross_sectional_rank", lookback_bars=5).dropna()
    for minute in (10, 33, 58):
        end = pd.Timestamp("2022-01-01", tz="UTC") + pd.Timedelta(minutes=minute)
        cut = compute_factor(bars[bars["datetime"] <= end], "cross_sectional_rank", lookback_bars=5).dropna()
        pd.testing.assert_frame_equal(cut, whole[whole["datetime"] <= end])


def test_real_bars_have_every_factor(real_bars):
    """With default parameters each factor of the real file is known from its lookback on."""
    for name, spec in FACTORS.items():
        values = compute_factor(real_bars, name)["factor"].to_numpy()
        lookback = spec.lookback_bars()
        assert np.isnan(values[:lookback]).all()
        assert np.isfinite(values[lookback:]).mean() > 0.999, name

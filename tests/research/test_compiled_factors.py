"""Compiled factors: those of the plain path to the last bit, whatever the bars, and started only where that pays."""

import os
import subprocess
import sys
from threading import Barrier, get_ident

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_factors import PARAMETERS, random_bars

from research.factors import FACTORS, FactorSpec, Whole, compute_factor, compute_factors
from research.factors.compiled import KERNELS
from schemas.errors import InputError

LENGTHS = (2, 31, 32, 33, 39)
PRICES = ("open", "high", "low", "close")


def every_choice():
    """Each factor and output, with look-backs on both sides of where windows are summed in blocks."""
    for name, params in PARAMETERS:
        for length in LENGTHS if "lookback_bars" in params else (0,):
            yield {"name": name, **params, **({"lookback_bars": length} if length else {})}


CHOICES = {f"column {number}": choice for number, choice in enumerate(every_choice())}


def scaled(bars, scale):
    """Return the bars at another level of prices."""
    return bars.assign(**{column: bars[column] * scale for column in PRICES})


def level(bars, price=0.1):
    """Return the bars with one price and no volume, but for a jump at the first and in the middle."""
    close = np.full(len(bars), price)
    close[[0, len(bars) // 2]] = 7e5 / 3
    return bars.assign(**dict.fromkeys(PRICES, close), volume=np.where(close == price, 0.0, 1e22 / 3))


ADVERSARIAL = {
    "walk": lambda bars: bars,
    "tiny prices": lambda bars: scaled(bars, 1e-17),
    "huge prices": lambda bars: scaled(bars, 1e60),
    "one price": lambda bars: level(bars).assign(volume=0.0, **dict.fromkeys(PRICES, 0.1)),
    "level with jumps": level,
    "far from zero": lambda bars: bars.assign(close=4e4 + (bars["close"] - 4e4) * 1e-9),
}


def assert_same_bits(frame, expected):
    """Compare every column, NaN equal to NaN."""
    assert list(frame.columns) == list(expected.columns)
    for column in frame.columns[2:]:
        np.testing.assert_array_equal(frame[column], expected[column], err_msg=str(CHOICES.get(column, column)))


def test_every_factor_has_its_kernel():
    """No factor of ours is left to the plain path in large frames."""
    assert set(KERNELS) == {spec.function for spec in FACTORS.values()}


@pytest.mark.parametrize("kind", ADVERSARIAL)
@pytest.mark.parametrize("count", [41, 66, 1500])
def test_equals_the_plain_path_to_the_last_bit(kind, count):
    """Several symbols, some of them too short for some factors, in one frame."""
    parts = [random_bars(count + number, max(count - 33 * number, 1), f"S{number}") for number in range(3)]
    bars = pd.concat([ADVERSARIAL[kind](part) for part in parts], ignore_index=True)
    assert_same_bits(compute_factors(bars, CHOICES, compiled=True), compute_factors(bars, CHOICES, compiled=False))


@given(st.integers(0, 2**32 - 1), st.integers(41, 200), st.integers(2, 40), st.floats(1e-9, 1e9))
@settings(max_examples=40, deadline=None)
def test_equals_the_plain_path_with_any_length(seed, count, length, scale):
    """Whatever the window, the number of bars and the level of prices."""
    names = ("sma", "bollinger", "zscore", "volatility", "volume_ratio", "donchian")
    choices = {name: {"name": name, "lookback_bars": length} for name in names}
    bars = scaled(random_bars(seed, count), scale)
    assert_same_bits(compute_factors(bars, choices, compiled=True), compute_factors(bars, choices, compiled=False))


def test_never_sees_the_future():
    """The compiled values at t are the same to the last bit when all bars after t are cut off, for every t."""
    bars = random_bars(11, 120)
    whole = compute_factors(bars, CHOICES, compiled=True).to_numpy()
    for t in range(41, 120):
        cut = compute_factors(bars.iloc[: t + 1], CHOICES, compiled=True).to_numpy()
        np.testing.assert_array_equal(cut[-1, 2:].astype(float), whole[t, 2:].astype(float), err_msg=str(t))


@pytest.mark.parametrize("compiled", [True, False])
def test_columns_are_those_of_one_factor_each(compiled):
    """Ranks included, the same factor twice included, in the order of the choices and with the bars' index."""
    bars = pd.concat([random_bars(seed, 60, name) for seed, name in enumerate("ABC")], ignore_index=True)
    bars.index = pd.RangeIndex(500, 680)
    choices = {
        "slow": {"name": "ema", "lookback_bars": 40},
        "rank": {"name": "cross_sectional_rank", "of": "zscore", "lookback_bars": 9},
        "hist": {"name": "macd"},
        "line": {"name": "macd", "output": "line"},
        "again": {"name": "macd"},
    }
    found = compute_factors(bars, choices, compiled=compiled)
    assert list(found.columns) == ["symbol", "datetime", *choices]
    for column, choice in choices.items():
        expected = compute_factor(bars, **choice)
        pd.testing.assert_series_equal(found[column], expected["factor"], check_names=False)
        pd.testing.assert_frame_equal(found[["symbol", "datetime"]], expected[["symbol", "datetime"]])


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", ["rsi", "range_share"])
def test_a_factor_of_ones_own_keeps_its_function(monkeypatch, compiled, name):
    """Also where it bears a name that has a kernel."""

    def range_share(high, low, close, lookback_bars=1):
        return (high - low) / close

    length = (Whole("lookback_bars", 1, 1, 1, "this bar"),)
    own = FactorSpec(name, range_share, ("high", "low", "close"), length, lambda params: 0, "own", "own")
    monkeypatch.setitem(FACTORS, name, own)
    bars = random_bars(1, 50)
    found = compute_factors(bars, {"own": {"name": name}}, compiled=compiled)["own"]
    np.testing.assert_array_equal(found, (bars["high"] - bars["low"]) / bars["close"])


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_as_many_as_asked_for(monkeypatch, threads):
    """One is the caller's own; of two, both have work at the same time."""
    meeting, at_work = Barrier(threads, timeout=60), set()

    def met(close):
        meeting.wait()
        at_work.add(get_ident())
        return close

    monkeypatch.setitem(FACTORS, "met", FactorSpec("met", met, ("close",), (), lambda params: 0, "met", "met"))
    bars = pd.concat([random_bars(seed, 10, name) for seed, name in enumerate("ABCD")], ignore_index=True)
    compute_factors(bars, {"own": {"name": "met"}}, compiled=True, threads=threads)
    assert len(at_work) == threads
    assert (get_ident() in at_work) == (threads == 1)


def test_columns_that_lie_apart_are_read_as_they_are():
    """Prices in one table row by row, as some readers give them."""
    bars = random_bars(3, 100)
    table = pd.DataFrame(np.ascontiguousarray(bars[[*PRICES, "volume"]]), columns=[*PRICES, "volume"])
    apart = pd.concat([bars[["symbol", "datetime"]], table], axis=1)
    assert_same_bits(compute_factors(apart, CHOICES, compiled=True), compute_factors(bars, CHOICES, compiled=True))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("volume", np.nan, r"volume must hold finite numbers, found nan in row 7"),
        ("close", np.nan, r"Every close must be a finite price above zero, found nan at BINANCE:BTCUSDT .*T00:07"),
        ("low", 0.0, r"Every low must be a finite price above zero, found 0.0"),
    ],
)
def test_a_value_that_is_no_number_is_refused(compiled, column, value, sentence):
    """By either path with the same sentence: a recursion would carry it to the end."""
    bars = random_bars(1, 100)
    bars.loc[7, column] = value
    with pytest.raises(InputError, match=sentence):
        compute_factors(bars, CHOICES, compiled=compiled)


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({}, r"needs at least one factor, such as .* found none\."),
        ({"fast": {"lookback_bars": 3}}, r"The column fast needs a factor such as .* found \{'lookback_bars': 3\}\."),
        ({"symbol": {"name": "ema"}}, r"No factor can stand in the column symbol"),
        ({"fast": {"name": "emma"}}, r"Did you mean ema\?"),
        ({"fast": {"name": "ema", "lookback_bars": 500}}, r"ema needs 500 bars of BINANCE:BTCUSDT, found 100\."),
    ],
)
def test_says_what_would_fit(choices, sentence):
    """A choice that can not be computed ends with a sentence."""
    with pytest.raises(InputError, match=sentence):
        compute_factors(random_bars(1, 100), choices)


def test_numba_starts_with_the_first_large_frame():
    """Below 10,000,000 values nobody pays for it, and a command that only imports us does not either."""
    program = """
import sys
import numpy as np, pandas as pd
import quantflow_nodes.cli, quantflow_nodes.nodes.factor
from research.factors import compute_factor, compute_factors

def bars(count):
    close = np.linspace(1.0, 2.0, count)
    times = pd.date_range("2000-01-01", periods=count, freq="min", tz="UTC")
    return pd.DataFrame({"symbol": "BINANCE:BTCUSDT", "datetime": times, "close": close})

compute_factor(bars(1_000_000), "momentum")
assert "numba" not in sys.modules
compute_factors(bars(1_000_000), {str(n): {"name": "momentum", "lookback_bars": n} for n in range(1, 11)})
assert "numba" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_computes_where_machine_code_can_not_be_kept():
    """Without a folder to keep it in, each process compiles for itself; a read-only file system has none."""
    program = """
import numpy as np, pandas as pd
from research.factors import compute_factors

close = np.linspace(1.0, 2.0, 100)
times = pd.date_range("2000-01-01", periods=100, freq="min", tz="UTC")
bars = pd.DataFrame({"symbol": "BINANCE:BTCUSDT", "datetime": times, "close": close})
choices = {"momentum": {"name": "momentum", "lookback_bars": 1}}
found = compute_factors(bars, choices, compiled=True)["momentum"]
assert np.array_equal(found[1:], close[1:] / close[:-1] - 1.0)
"""
    nowhere = {**os.environ, "NUMBA_CACHE_DIR": "", "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    subprocess.run([sys.executable, "-c", program], env=nowhere, check=True)

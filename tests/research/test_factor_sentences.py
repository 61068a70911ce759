"""What is said when a factor is asked for wrongly."""

import math

import numpy as np
import pytest

from research.factors import FACTORS, compute_factor, factor_lookback_bars, factor_spec
from research.factors.price import momentum
from schemas.errors import InputError


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [
        ("momentun", {}, r"no factor 'momentun'; known are momentum, .* Did you mean momentum\?"),
        ("qqq", {}, r"known are .*cross_sectional_rank\.$"),
        (
            "momentum",
            {"lookback": 3},
            r"takes lookback_bars, found .*'lookback'.* Did you mean lookback_bars\?",
        ),
        ("momentum", {"lookback_bars": 0}, "whole number from 1 to 100000, found 0"),
        ("momentum", {"lookback_bars": 2.5}, "whole number from 1 to 100000, found 2.5"),
        ("momentum", {"lookback_bars": True}, "found True"),
        ("momentum", {"lookback_bars": "60"}, "found '60'"),
        ("sma", {"lookback_bars": 1}, "whole number from 2"),
        ("returns", {"kind": "lgo"}, r"one of simple, log, found 'lgo'\. Did you mean log\?"),
        ("bollinger", {"deviations": 0}, "number above 0, at most 100, found 0"),
        ("bollinger", {"deviations": math.nan}, "found nan"),
        ("macd", {"fast_bars": 26, "slow_bars": 12}, "macd needs fast_bars below slow_bars, found 26 and 12"),
        ("cross_sectional_rank", {"of": "momentos"}, r"needs of as one of .* Did you mean momentum\?"),
        ("cross_sectional_rank", {"of": "cross_sectional_rank"}, "needs of as one of"),
        ("cross_sectional_rank", {"of": "sma", "kind": "log"}, "sma takes lookback_bars"),
    ],
)
def test_says_what_would_fit(make_bars, name, params, sentence):
    """The name, the bound or the nearest spelling is in the message."""
    with pytest.raises(InputError, match=sentence):
        compute_factor(make_bars([1, 2, 3]), name, **params)


def test_names_the_symbol_with_most_bars_where_none_has_enough(make_bars):
    """Too few bars everywhere is an error that says how many were needed."""
    with pytest.raises(InputError, match=r"momentum needs 13 bars of A, found 4\. Import an earlier start or lower"):
        compute_factor(make_bars([1, 2, 3, 4], symbol="A"), "momentum", lookback_bars=12)


def test_names_the_missing_column(make_bars):
    """A factor of the high needs the high."""
    with pytest.raises(InputError, match=r"needs the columns \['high'\]"):
        compute_factor(make_bars([1, 2, 3]).drop(columns="high"), "atr", lookback_bars=2)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0])
def test_refuses_a_price_that_would_poison_the_rest(make_bars, bad):
    """A NaN would spread to the end in a recursion: the bar is named instead."""
    with pytest.raises(InputError, match=r"Every close must be a finite price .* 2022-01-01T00:01:00"):
        compute_factor(make_bars([1, 2, 3], [1, bad, 3]), "ema", lookback_bars=2)


def test_functions_refuse_arrays_that_are_not_finite():
    """Called directly, too."""
    with pytest.raises(InputError, match="found nan in row 1"):
        momentum([1, np.nan, 2], 1)
    with pytest.raises(InputError, match="found 2 dimensions"):
        momentum(np.ones((2, 2)), 1)
    with pytest.raises(InputError, match="must hold numbers"):
        momentum(["a"], 1)


def test_lookback_by_name():
    """Known before any bar is read: the MACD needs slow + signal − 2."""
    assert factor_lookback_bars("macd") == 33
    assert factor_lookback_bars("cross_sectional_rank", of="rsi", lookback_bars=9) == 9
    assert factor_spec("momentum").lookback_bars() == 60


def test_every_factor_is_described():
    """A formula, a source, and a meaning for each parameter."""
    for spec in FACTORS.values():
        assert spec.formula
        assert spec.source
        assert all(parameter.meaning for parameter in spec.parameters)
        assert spec.function.__name__ == spec.name
        assert (spec.function.__doc__ or "").startswith("Return ")

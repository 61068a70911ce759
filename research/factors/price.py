"""Factors of the close alone: what it changed by, and how far it is from its recent mean."""

import numpy as np
import numpy.typing as npt

from research.bars import Floats
from research.factors.arrays import divided, finite, shifted
from research.factors.windows import rolling_deviation, rolling_mean


def momentum(close: npt.ArrayLike, lookback_bars: int = 60) -> Floats:
    """Return close_t / close_t−L − 1, L = lookback_bars; NaN for the first L bars. (Jegadeesh and Titman 1993)"""
    values = finite(close, "close")
    return values / shifted(values, lookback_bars) - 1.0


def returns(close: npt.ArrayLike, lookback_bars: int = 1, kind: str = "simple") -> Floats:
    """Return the return over L = lookback_bars bars; NaN for the first L.

    'simple' is close_t / close_t−L − 1, 'log' is ln(close_t / close_t−L). (Campbell, Lo and MacKinlay 1997, ch. 1.4)
    """
    values = finite(close, "close")
    ratio = values / shifted(values, lookback_bars)
    return np.log(ratio) if kind == "log" else ratio - 1.0


def zscore(close: npt.ArrayLike, lookback_bars: int = 60) -> Floats:
    """Return (close − mean) / s over the last L bars, this one included; NaN for the first L − 1 and where s is 0.

    s is the sample deviation, L − 1 in its divisor. (Avellaneda and Lee 2010, there of a spread)
    """
    values = finite(close, "close")
    away = values - rolling_mean(values, lookback_bars)
    return divided(away, rolling_deviation(values, lookback_bars, ddof=1))


def volatility(close: npt.ArrayLike, lookback_bars: int = 60) -> Floats:
    """Return the sample deviation of the last L log returns, per bar; NaN for the first L bars.

    For a yearly figure multiply by √(bars in 365 days). (Hull, Options, Futures and Other Derivatives, ch. 15.4)
    """
    values = finite(close, "close")
    result = np.full(len(values), np.nan)
    if len(values) > lookback_bars:
        result[1:] = rolling_deviation(np.log(values[1:] / values[:-1]), lookback_bars, ddof=1)
    return result

"""Moving averages of the close, and the MACD that is made of two of them."""

import numpy as np
import numpy.typing as npt
import talib

from research.bars import Floats
from research.factors.arrays import finite
from research.factors.windows import rolling_mean


def sma(close: npt.ArrayLike, lookback_bars: int = 20) -> Floats:
    """Return the mean of the last L closes, this one included; NaN for the first L − 1 bars. (TA-Lib: SMA)"""
    return rolling_mean(finite(close, "close"), lookback_bars)


def ema(close: npt.ArrayLike, lookback_bars: int = 20) -> Floats:
    """Return the exponential mean e_t = e_t−1 + 2 / (L + 1) × (close_t − e_t−1); NaN for the first L − 1 bars.

    It starts at bar L − 1 with the mean of the first L closes. (TA-Lib: EMA)

    Notes
    -----
    Unstable period: the value depends on where the bars begin. The start's weight is (1 − 2 / (L + 1))^k after k bars:
    0.13 after L, 0.0003 after 4 L, below a float's precision after about 18 L. Give more bars than you look at.
    """
    return np.asarray(talib.EMA(finite(close, "close"), timeperiod=lookback_bars), dtype=np.float64)


def macd(
    close: npt.ArrayLike,
    fast_bars: int = 12,
    slow_bars: int = 26,
    signal_bars: int = 9,
    output: str = "hist",
) -> Floats:
    """Return one line of the MACD; NaN for the first slow_bars + signal_bars − 2 bars, whichever line it is.

    'line' is EMA(fast) − EMA(slow), 'signal' the EMA of the line over signal_bars, 'hist' line − signal. Both means
    start at the same bar, the fast one with the mean of the fast_bars closes up to there. (Appel 1979; TA-Lib: MACD)

    Notes
    -----
    Unstable period: that of the slow mean, then that of the signal; see `ema`.
    """
    line, signal, hist = talib.MACD(
        finite(close, "close"), fastperiod=fast_bars, slowperiod=slow_bars, signalperiod=signal_bars
    )
    return np.asarray({"line": line, "signal": signal, "hist": hist}[output], dtype=np.float64)

"""Factors that tell how far the price moves and where in its range it stands."""

import numpy as np
import numpy.typing as npt
import talib

from research.bars import Floats
from research.factors.arrays import divided, finite
from research.factors.windows import rolling_deviation, rolling_mean


def rsi(close: npt.ArrayLike, lookback_bars: int = 14) -> Floats:
    """Return 100 × G / (G + D), G and D Wilder's means of rises and falls; NaN for the first L bars.

    The first means are plain ones over L changes, then m_t = (m_t−1 × (L − 1) + change_t) / L. Where the price never
    moved there is neither, and the value is NaN. (Wilder 1978; TA-Lib: RSI)

    Notes
    -----
    Unstable period: the start's weight is (1 − 1 / L)^k after k bars, 0.37 after L and 0.02 after 4 L.

    TA-Lib answers 0, oversold, where nothing ever moved, and its releases 0.6 also where moves are below 1e-14. So the
    closes are divided by the first one, which changes no RSI but keeps coins of tiny prices clear of that bound; and
    where a price stands still for so long that both means fade below it, the value stays, as by the formula.
    """
    values = finite(close, "close")
    if len(values) == 0:
        return values
    result = np.array(talib.RSI(values / values[0], timeperiod=lookback_bars), dtype=np.float64)
    moved = np.concatenate([[False], values[1:] != values[:-1]])
    first = int(moved.argmax()) if moved.any() else len(values)
    result[:first] = np.nan
    bar = np.arange(len(values))
    kept = np.maximum.accumulate(np.where(moved | (bar <= max(lookback_bars, first)), bar, 0))
    return result[kept]


def atr(high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike, lookback_bars: int = 14) -> Floats:
    """Return Wilder's mean of the true range, in quote currency; NaN for the first L bars.

    The true range is max(high, close_t−1) − min(low, close_t−1). The first mean is a plain one over L ranges, then
    a_t = (a_t−1 × (L − 1) + range_t) / L. (Wilder 1978; TA-Lib: ATR)

    Notes
    -----
    Unstable period: the start's weight is (1 − 1 / L)^k after k bars.
    """
    arrays = (finite(high, "high"), finite(low, "low"), finite(close, "close"))
    return np.asarray(talib.ATR(*arrays, timeperiod=lookback_bars), dtype=np.float64)


def bollinger(
    close: npt.ArrayLike, lookback_bars: int = 20, deviations: float = 2.0, output: str = "percent_b"
) -> Floats:
    """Return one figure of the Bollinger bands; NaN for the first L − 1 bars.

    upper and lower = mean ± deviations × s, both over the last L closes, s with L in its divisor. 'percent_b' is
    (close − lower) / (upper − lower), NaN where s is 0; 'bandwidth' is (upper − lower) / mean. (Bollinger 2001)

    Notes
    -----
    TA-Lib's BBANDS is not used: its releases 0.6 take a variance below 1e-14 for 0, which a coin priced 0.00001 has.
    """
    values = finite(close, "close")
    mean = rolling_mean(values, lookback_bars)
    half = deviations * rolling_deviation(values, lookback_bars, ddof=0)
    if output == "percent_b":
        return divided(values - (mean - half), 2.0 * half)
    if output == "bandwidth":
        return 2.0 * half / mean
    return mean + half if output == "upper" else mean - half


def donchian(high: npt.ArrayLike, low: npt.ArrayLike, close: npt.ArrayLike, lookback_bars: int = 20) -> Floats:
    """Return (close − lowest low) / (highest high − lowest low) over the last L bars, this one included.

    0 is the channel's floor and 1 its top. NaN for the first L − 1 bars, and where the channel has no height.
    (Donchian's channel; position in it as in Williams' %R 1973, counted from the floor)
    """
    top = np.asarray(talib.MAX(finite(high, "high"), timeperiod=lookback_bars), dtype=np.float64)
    floor = np.asarray(talib.MIN(finite(low, "low"), timeperiod=lookback_bars), dtype=np.float64)
    return divided(finite(close, "close") - floor, top - floor)

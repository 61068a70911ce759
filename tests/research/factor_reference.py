"""Every factor again, from its formula, in plain Python loops: slow and plain, to hold the fast ones against."""

import math
from itertools import pairwise
from statistics import fmean, pstdev, stdev

NAN = math.nan


def window(values, i, length):
    """Return the last `length` values up to bar i, None where there are fewer."""
    return values[i - length + 1 : i + 1] if i >= length - 1 else None


def over_windows(values, length, formula):
    """Apply a formula to each whole window."""
    return [NAN if i < length - 1 else formula(window(values, i, length)) for i in range(len(values))]


def momentum(bars, lookback_bars):
    close = bars["close"]
    return [NAN if i < lookback_bars else close[i] / close[i - lookback_bars] - 1 for i in range(len(close))]


def returns(bars, lookback_bars, kind):
    simple = momentum(bars, lookback_bars)
    return simple if kind == "simple" else [math.log1p(r) for r in simple]


def sma(bars, lookback_bars):
    return over_windows(bars["close"], lookback_bars, fmean)


def exponential(values, length, start):
    """EMA over a list whose first mean ends at bar `start`."""
    result = [NAN] * len(values)
    if len(values) <= start:
        return result
    result[start] = fmean(values[start - length + 1 : start + 1])
    for i in range(start + 1, len(values)):
        result[i] = result[i - 1] + 2 / (length + 1) * (values[i] - result[i - 1])
    return result


def ema(bars, lookback_bars):
    return exponential(bars["close"], lookback_bars, lookback_bars - 1)


def macd(bars, fast_bars, slow_bars, signal_bars, output):
    close, start = bars["close"], slow_bars - 1
    fast, slow = exponential(close, fast_bars, start), exponential(close, slow_bars, start)
    line = [a - b for a, b in zip(fast, slow, strict=True)]
    signal = [NAN] * start + exponential(line[start:], signal_bars, signal_bars - 1)
    signal = signal[: len(close)]
    if output == "line":
        return [NAN if math.isnan(s) else value for value, s in zip(line, signal, strict=True)]
    if output == "signal":
        return signal
    return [value - s for value, s in zip(line, signal, strict=True)]


def wilder(values, length):
    """Wilder's mean of a list, first known where `length` values are."""
    result = [NAN] * len(values)
    if len(values) < length:
        return result
    result[length - 1] = fmean(values[:length])
    for i in range(length, len(values)):
        result[i] = (result[i - 1] * (length - 1) + values[i]) / length
    return result


def rsi(bars, lookback_bars):
    close = bars["close"]
    changes = [b - a for a, b in pairwise(close)]
    rises = wilder([max(c, 0.0) for c in changes], lookback_bars)
    falls = wilder([max(-c, 0.0) for c in changes], lookback_bars)
    values = [NAN if not g + d > 0 else 100 * g / (g + d) for g, d in zip(rises, falls, strict=True)]
    return [NAN, *values]


def atr(bars, lookback_bars):
    high, low, close = bars["high"], bars["low"], bars["close"]
    ranges = [max(high[i], close[i - 1]) - min(low[i], close[i - 1]) for i in range(1, len(close))]
    return [NAN, *wilder(ranges, lookback_bars)]


def bollinger(bars, lookback_bars, deviations, output):
    def figure(values):
        mean, half = fmean(values), deviations * pstdev(values)
        if output == "percent_b":
            return (values[-1] - mean + half) / (2 * half) if half else NAN
        return {"bandwidth": 2 * half / mean, "upper": mean + half, "lower": mean - half}[output]

    return over_windows(bars["close"], lookback_bars, figure)


def zscore(bars, lookback_bars):
    def figure(values):
        return (values[-1] - fmean(values)) / stdev(values) if stdev(values) else NAN

    return over_windows(bars["close"], lookback_bars, figure)


def volatility(bars, lookback_bars):
    logs = [math.log(b / a) for a, b in pairwise(bars["close"])]
    return [NAN, *over_windows(logs, lookback_bars, stdev)]


def volume_ratio(bars, lookback_bars):
    volume = bars["volume"]
    result = [NAN] * len(volume)
    for i in range(lookback_bars, len(volume)):
        before = fmean(volume[i - lookback_bars : i])
        result[i] = volume[i] / before if before else NAN
    return result


def donchian(bars, lookback_bars):
    result = [NAN] * len(bars["close"])
    for i in range(lookback_bars - 1, len(result)):
        top, floor = max(window(bars["high"], i, lookback_bars)), min(window(bars["low"], i, lookback_bars))
        result[i] = (bars["close"][i] - floor) / (top - floor) if top > floor else NAN
    return result

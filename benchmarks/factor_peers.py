"""The twenty factors that bench_factors.py measures: ours by name, and as quants write them with other libraries."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Columns = dict[str, Floats]

TWENTY: dict[str, dict[str, int | float | str]] = {
    "momentum": {"name": "momentum", "lookback_bars": 60},
    "return": {"name": "returns", "lookback_bars": 1},
    "log_return": {"name": "returns", "lookback_bars": 1, "kind": "log"},
    "sma_20": {"name": "sma", "lookback_bars": 20},
    "sma_60": {"name": "sma", "lookback_bars": 60},
    "ema_12": {"name": "ema", "lookback_bars": 12},
    "ema_26": {"name": "ema", "lookback_bars": 26},
    "rsi": {"name": "rsi", "lookback_bars": 14},
    "macd_line": {"name": "macd", "output": "line"},
    "macd_signal": {"name": "macd", "output": "signal"},
    "macd_hist": {"name": "macd", "output": "hist"},
    "atr": {"name": "atr", "lookback_bars": 14},
    "percent_b": {"name": "bollinger", "output": "percent_b"},
    "bandwidth": {"name": "bollinger", "output": "bandwidth"},
    "upper": {"name": "bollinger", "output": "upper"},
    "lower": {"name": "bollinger", "output": "lower"},
    "zscore": {"name": "zscore", "lookback_bars": 60},
    "volatility": {"name": "volatility", "lookback_bars": 60},
    "volume_ratio": {"name": "volume_ratio", "lookback_bars": 20},
    "donchian": {"name": "donchian", "lookback_bars": 20},
}
"""All twelve factors of one symbol with every output, and second look-backs for two of them."""

MOVING_WINDOWS = ("sma_20", "sma_60", "percent_b", "upper", "lower", "zscore", "volatility", "volume_ratio", "donchian")
"""Those that bottleneck's moving functions can compute."""


def make_bars(symbols: int, count: int) -> pd.DataFrame:
    """Return random walks, one frame, sorted by symbol and time."""
    random = np.random.default_rng(7)
    times = pd.Series(pd.date_range("2022-01-01", periods=count, freq="1min", tz="UTC"))
    close = np.concatenate([40_000 * np.exp(np.cumsum(random.normal(0, 5e-4, count))) for _ in range(symbols)])
    names = pd.array([f"BINANCE:S{number:03}USDT" for number in range(symbols)], dtype="str")
    return pd.DataFrame(
        {
            "symbol": names.repeat(count),
            "datetime": pd.concat([times] * symbols, ignore_index=True),
            "open": close,
            "high": close * (1 + random.random(len(close)) * 1e-3),
            "low": close * (1 - random.random(len(close)) * 1e-3),
            "close": close,
            "volume": random.random(len(close)) + 0.1,
        }
    )


def by_pandas(bars: pd.DataFrame) -> dict[str, Floats]:
    """Group by symbol, rolling and ewm."""
    parts = [pandas_factors(group) for _, group in bars.groupby("symbol", sort=False)]
    return {name: np.concatenate([part[name] for part in parts]) for name in TWENTY}


def pandas_factors(bars: pd.DataFrame) -> "dict[str, pd.Series[float]]":
    """The twenty of one symbol. `ewm` starts with the first value: what it gives agrees once that is forgotten."""
    close, high, low, volume = bars["close"], bars["high"], bars["low"], bars["volume"]
    before, change = close.shift(), close.diff()
    ema_12, ema_26 = close.ewm(span=12, adjust=False).mean(), close.ewm(span=26, adjust=False).mean()
    line = ema_12 - ema_26
    signal = line.ewm(span=9, adjust=False).mean()
    rises = change.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
    falls = (-change).clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
    true_range = np.maximum(high, before) - np.minimum(low, before)
    mean_20, mean_60 = close.rolling(20).mean(), close.rolling(60).mean()
    half = 2 * close.rolling(20).std(ddof=0)
    log_return = np.log(close / before)
    floor, top = low.rolling(20).min(), high.rolling(20).max()
    return {
        "momentum": close / close.shift(60) - 1,
        "return": close / before - 1,
        "log_return": log_return,
        "sma_20": mean_20,
        "sma_60": mean_60,
        "ema_12": ema_12,
        "ema_26": ema_26,
        "rsi": 100 * rises / (rises + falls),
        "macd_line": line,
        "macd_signal": signal,
        "macd_hist": line - signal,
        "atr": true_range.ewm(alpha=1 / 14, adjust=False).mean(),
        "percent_b": (close - (mean_20 - half)) / (2 * half),
        "bandwidth": 2 * half / mean_20,
        "upper": mean_20 + half,
        "lower": mean_20 - half,
        "zscore": (close - mean_60) / close.rolling(60).std(),
        "volatility": log_return.rolling(60).std(),
        "volume_ratio": volume / volume.rolling(20).mean().shift(),
        "donchian": (close - floor) / (top - floor),
    }


def talib_factors(bars: Columns) -> Columns:
    """The twenty of one symbol by TA-Lib, numpy for what it lacks; what gives several lines is called once."""
    import talib

    close, high, low, volume = bars["close"], bars["high"], bars["low"], bars["volume"]
    line, signal, hist = talib.MACD(close, 12, 26, 9)
    upper, mean_20, lower = talib.BBANDS(close, 20, 2, 2)
    mean_60 = talib.SMA(close, 60)
    simple = talib.ROCP(close, 1)
    log_return = np.log(close[1:] / close[:-1])
    floor, top = talib.MIN(low, 20), talib.MAX(high, 20)
    sample = np.sqrt(60 / 59)  # TA-Lib divides by the window
    return {
        "momentum": talib.ROCP(close, 60),
        "return": simple,
        "log_return": log_return,
        "sma_20": talib.SMA(close, 20),
        "sma_60": mean_60,
        "ema_12": talib.EMA(close, 12),
        "ema_26": talib.EMA(close, 26),
        "rsi": talib.RSI(close, 14),
        "macd_line": line,
        "macd_signal": signal,
        "macd_hist": hist,
        "atr": talib.ATR(high, low, close, 14),
        "percent_b": (close - lower) / (upper - lower),
        "bandwidth": (upper - lower) / mean_20,
        "upper": upper,
        "lower": lower,
        "zscore": (close - mean_60) / talib.STDDEV(close, 60, sample),
        "volatility": talib.STDDEV(log_return, 60, sample),
        "volume_ratio": volume[1:] / talib.SMA(volume, 20)[:-1],
        "donchian": (close - floor) / (top - floor),
    }


def bottleneck_factors(bars: Columns) -> Columns:
    """The moving windows of one symbol by bottleneck."""
    import bottleneck

    close, high, low, volume = bars["close"], bars["high"], bars["low"], bars["volume"]
    mean_20, mean_60 = bottleneck.move_mean(close, 20), bottleneck.move_mean(close, 60)
    half = 2 * bottleneck.move_std(close, 20)
    floor, top = bottleneck.move_min(low, 20), bottleneck.move_max(high, 20)
    return {
        "sma_20": mean_20,
        "sma_60": mean_60,
        "percent_b": (close - (mean_20 - half)) / (2 * half),
        "upper": mean_20 + half,
        "lower": mean_20 - half,
        "zscore": (close - mean_60) / bottleneck.move_std(close, 60, ddof=1),
        "volatility": bottleneck.move_std(np.log(close[1:] / close[:-1]), 60, ddof=1),
        "volume_ratio": volume[1:] / bottleneck.move_mean(volume, 20)[:-1],
        "donchian": (close - floor) / (top - floor),
    }


def check_equal(ours: pd.DataFrame, theirs: Columns, name: str, settled: int = 2_000) -> None:
    """Compare one column of one symbol, once the start of recursions is forgotten; running sums drift a little."""
    column = ours[name].to_numpy()[settled:]
    np.testing.assert_allclose(theirs[name][-len(column) :], column, rtol=2e-6, atol=2e-8, err_msg=name)


Way = Callable[[Columns], Columns]

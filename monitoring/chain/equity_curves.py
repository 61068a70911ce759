"""Draws what live trades and those of the backtest were worth, bar by bar, from the same closes."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from monitoring.chain.comparison import Comparison
from monitoring.chain.profit_split import Rates


def equity_curves(found: Comparison, bars: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the sum of profit ratios at each bar's close, as if every trade had the same stake.

    Columns `live` and `backtest`, indexed by the bars' closes (UTC). A trade counts from its opening on with what it is
    worth, from its closing on with what it earned: at the end the columns are the totals of the comparison.

    Parameters
    ----------
    found : Comparison
    bars : mapping of str to DataFrame
        For each pair, as in the `TradedSpan` that was compared.
    """
    curves = []
    for pair, frame in bars.items():
        index = pd.DatetimeIndex(frame["datetime"] + found.scope.timeframe.delta, name="close")
        closes, times = frame["close"].to_numpy(np.float64), index.tz_localize(None).to_numpy("datetime64[ms]")
        sides = {"live": np.zeros(len(frame)), "backtest": np.zeros(len(frame))}
        for trade in found.trades:
            if trade.pair != pair:
                continue
            if trade.live is not None:
                _add(sides["live"], times, closes, trade.live.rates, trade.live.opened_at, trade.live.closed_at)
            if trade.backtest is not None:
                made = trade.backtest
                _add(sides["backtest"], times, closes, made.rates, made.opened_at, made.closed_at)
        curves.append(pd.DataFrame(sides, index=index))
    if not curves:
        return pd.DataFrame({"live": [], "backtest": []}, index=pd.DatetimeIndex([], tz="UTC", name="close"))
    together = pd.concat(curves, axis="columns", keys=range(len(curves)), sort=True).ffill().fillna(0.0)
    return together.T.groupby(level=1).sum().T[["live", "backtest"]]


def _add(
    curve: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    times: "np.ndarray[tuple[int], np.dtype[np.datetime64]]",
    closes: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    rates: Rates,
    opened_at: datetime,
    closed_at: datetime | None,
) -> None:
    """Add one trade: its worth at the closes after its opening, then what it earned, at the latest at the last one."""
    first = int(np.searchsorted(times, _naive(opened_at), side="right"))
    end = len(times) if closed_at is None else int(np.searchsorted(times, _naive(closed_at), side="left"))
    first, end = min(first, len(times) - 1), min(end, len(times) - 1)
    curve[first:end] += closes[first:end] / (rates.open_rate * rates.open_factor) - 1.0
    curve[max(first, end) :] += rates.profit_ratio


def _naive(time: datetime) -> np.datetime64:
    return np.datetime64(round(time.timestamp() * 1000), "ms")

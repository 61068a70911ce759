"""Asks research's own backtest what stored signals would have given: the trades of each pair, by entry signal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd

from monitoring.chain.live_trades import LastMark
from monitoring.chain.profit_split import Rates
from research.backtest import simulate_long_flat
from schemas.signal_actions import LONG, ActionRules, Signals, chosen_signals, decisions
from schemas.signal_rule import NO_SIGNAL, SignalWindow
from schemas.timeframes import Timeframe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class BacktestTrade:
    """A trade of the backtest.

    Attributes
    ----------
    ts, exit_ts : datetime or None
        The signals that opened and closed it; `exit_ts` is None where it is still held at the end.
    opened_at, closed_at : datetime or None
        Opens of the bars at which it was filled.
    rates : Rates
        With the backtest's fee; where it is still held it is worth the last close, and nothing was paid for a sale.
    """

    pair: str
    ts: datetime
    exit_ts: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    rates: Rates


def last_mark(bars: pd.DataFrame, timeframe: Timeframe) -> LastMark:
    """Return where a comparison on the bars of one pair ends: a signal counts where the bar that fills it is there."""
    last = bars.iloc[-1]
    opened: datetime = last["datetime"].to_pydatetime()
    return LastMark(opened, opened + timeframe.delta, Decimal(repr(float(last["close"]))))


def backtest_trades(
    pair: str, signals: Signals, bars: pd.DataFrame, timeframe: Timeframe, fee: float
) -> list[BacktestTrade]:
    """Return what `simulate_long_flat` makes of one pair's signals, oldest first.

    Each candle is decided at its close, by the rule and the default settings with which Freqtrade's backtest decides
    it; the backtest begins without a position.

    Parameters
    ----------
    pair : str
    signals : Signals
        As stored now, by ts.
    bars : DataFrame
        Columns symbol, datetime, open, close of this pair alone; signals of the last bar come too late for it.
    timeframe : Timeframe
    fee : float
        Fraction of each fill.
    """
    opens = bars["datetime"].dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
    bar_ms = timeframe.seconds * 1000
    candles = opens[:-1]
    chosen = chosen_signals(signals, candles, candles + bar_ms, SignalWindow(bar_ms))
    decided = decisions(signals, chosen, candles, ActionRules(bar_ms))
    position = np.full(len(opens) + 1, np.nan)  # neither the last bar nor the mark after it decides anything
    position[np.flatnonzero(decided.leave_long)] = 0.0
    position[np.flatnonzero(decided.enter == LONG)] = 1.0
    if not (position == 1.0).any():
        return []
    (sleeve,) = simulate_long_flat(_with_mark(bars, timeframe), position, fee=fee).sleeves
    made, trades = sleeve.trades, []
    for row in range(len(made.opened)):
        opened, closed, is_held = int(made.opened[row]), int(made.closed[row]), bool(made.forced[row])
        trades.append(
            BacktestTrade(
                pair=pair,
                ts=_time(signals.ts[_acting(decided.signal, opened)]),
                exit_ts=None if is_held else _time(signals.ts[_acting(decided.signal, closed)]),
                opened_at=_time(opens[opened]),
                closed_at=None if is_held else _time(opens[closed]),
                rates=Rates(
                    float(made.open_rate[row]), float(made.close_rate[row]), 1.0 + fee, 1.0 if is_held else 1.0 - fee
                ),
            )
        )
    return trades


def merged_bars(bars: pd.DataFrame, timeframe: Timeframe) -> pd.DataFrame:
    """Return bars of 1m as bars of a longer timeframe, each with its first open and last close; whole ones only."""
    opens = bars["datetime"].dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
    step = timeframe.seconds * 1000
    origin = _ms(timeframe.floor(_EPOCH))
    begun = opens - (opens - origin) % step
    table = bars.assign(datetime=pd.to_datetime(begun, unit="ms", utc=True).as_unit("ms"))
    merged = table.groupby(["symbol", "datetime"], as_index=False).agg({"open": "first", "close": "last"})
    newest = bars.groupby("symbol")["datetime"].max() + timedelta(minutes=1)
    ended = merged["datetime"] + timeframe.delta <= merged["symbol"].map(newest)
    return merged[ended].reset_index(drop=True)


def missing_bars(bars: Mapping[str, pd.DataFrame], timeframe: Timeframe) -> int:
    """Return how many bars lack between the first and the last of each pair."""
    spans = [(frame["datetime"].iloc[-1] - frame["datetime"].iloc[0]) // timeframe.delta for frame in bars.values()]
    return sum(int(span) + 1 - len(frame) for span, frame in zip(spans, bars.values(), strict=True))


def _with_mark(bars: pd.DataFrame, timeframe: Timeframe) -> pd.DataFrame:
    """Add a bar that trades at the last close, so that the forced sale at the end is the mark and no bar is lost."""
    last = bars.iloc[[-1]]
    mark = last.assign(datetime=last["datetime"] + timeframe.delta, open=last["close"])
    return pd.concat([bars, mark], ignore_index=True)


def _acting(acting: "np.ndarray[tuple[int], np.dtype[np.int64]]", filled: int) -> int:
    """Return the signal that decided a fill: that of the candle before it."""
    signal = int(acting[filled - 1])
    if signal == NO_SIGNAL:
        raise ValueError(f"The fill of bar {filled} was decided by no signal.")
    return signal


def _time(ms: "np.int64") -> datetime:
    return _EPOCH + timedelta(milliseconds=int(ms))


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)

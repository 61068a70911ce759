"""Draws the report's charts as plotly figures, thinned so that a year of minutes still opens in a browser."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from research.backtest import BacktestResult
from research.bars import Floats
from research.drawdown import drawdown_curve
from research.pages.downsample import merged_bars, telling_rows

MOST_POINTS = 4_000
MOST_CANDLES = 1_500
MOST_TRADES = 4_000

_EQUITY, _HOLD, _FALL = "#2f6fdb", "#8a8f98", "#d1495b"
_RISE, _BUY, _SELL = "#2a9d8f", "#1f9d55", "#d1495b"


def equity_figure(equity: "pd.Series[float]", hold: "pd.Series[float]") -> go.Figure:
    """Return the equity beside that of holding all along."""
    figure = go.Figure()
    for name, curve, colour in (("Buy & hold", hold, _HOLD), ("Strategy", equity, _EQUITY)):
        figure.add_trace(_line(name, curve, colour))
    figure.update_layout(yaxis={"tickformat": ",.0f"}, height=340)
    return figure


def drawdown_figure(equity: "pd.Series[float]") -> go.Figure:
    """Return the loss from the highest equity so far, drawn downwards."""
    fallen = pd.Series(-drawdown_curve(_values(equity)), index=equity.index)
    line = _line("Drawdown", fallen, _FALL)
    line.update(fill="tozeroy", hovertemplate="%{y:.2%}<extra></extra>")
    figure = go.Figure(line)
    figure.update_layout(yaxis={"tickformat": ".0%"}, height=200, showlegend=False)
    return figure


def price_figure(result: BacktestResult, symbol: str) -> tuple[go.Figure, str]:
    """Return one symbol's price with the fills on it, and a sentence that says what was merged or left out."""
    rows = next(rows for rows in result.bars.blocks if rows.symbol == symbol)
    bars = result.bars.frame.iloc[rows.rows]
    if not {"high", "low"} <= set(bars.columns):
        bars = bars.assign(high=bars[["open", "close"]].max(axis=1), low=bars[["open", "close"]].min(axis=1))
    candles, size = merged_bars(bars, MOST_CANDLES)
    trades = result.trades[result.trades["symbol"] == symbol]
    figure = go.Figure(_candles(candles))
    shown = trades.tail(MOST_TRADES)
    figure.add_trace(_fills("Buy", shown["open_time"], shown["open_rate"], "triangle-up", _BUY, None))
    ratios = _values(shown["profit_ratio"])
    figure.add_trace(_fills("Sell", shown["close_time"], shown["close_rate"], "triangle-down", _SELL, ratios))
    figure.update_layout(yaxis={"tickformat": ","}, height=420, xaxis={"rangeslider": {"visible": False}})
    note = f"Each candle holds {size:,} bars" if size > 1 else "Each candle is one bar"
    left_out = f"; the latest {len(shown):,} of {len(trades):,} trades" if len(shown) < len(trades) else ""
    return figure, f"{note}{left_out or f'; {len(trades):,} trades'}."


def figure_json(figure: go.Figure) -> str:
    """Return the figure as JSON that is safe inside a script element."""
    return str(figure.to_json()).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _line(name: str, curve: "pd.Series[float]", colour: str) -> go.Scatter:
    rows = telling_rows(_values(curve), MOST_POINTS)
    thinned = curve.iloc[rows]
    return go.Scatter(name=name, x=_naive(thinned.index), y=thinned.to_numpy(), line={"color": colour, "width": 1.4})


def _candles(bars: pd.DataFrame) -> go.Candlestick:
    prices = {name: _values(bars[name]) for name in ("open", "high", "low", "close")}
    return go.Candlestick(
        name="Price",
        x=_naive(bars["datetime"]),
        **prices,
        increasing={"line": {"color": _RISE, "width": 1}, "fillcolor": _RISE},
        decreasing={"line": {"color": _HOLD, "width": 1}, "fillcolor": _HOLD},
    )


def _fills(
    name: str,
    times: "pd.Series[pd.Timestamp]",
    rates: "pd.Series[float]",
    mark: str,
    colour: str,
    ratios: Floats | None,
) -> go.Scatter:
    hover = "%{y:,.8~g}" if ratios is None else "%{y:,.8~g} (%{customdata:+.2%})"
    return go.Scatter(
        name=name,
        mode="markers",
        x=_naive(times),
        y=_values(rates),
        customdata=ratios,
        marker={"symbol": mark, "color": colour, "size": 6, "opacity": 0.7},
        hovertemplate=f"{name} {hover}<extra></extra>",
    )


def _values(column: "pd.Series[float]") -> Floats:
    return np.asarray(column, dtype=np.float64)


def _naive(times: "pd.Series[pd.Timestamp] | pd.Index[pd.Timestamp]") -> npt.NDArray[np.datetime64]:
    """Plotly draws times as they are written; without a zone these stay UTC in every browser."""
    return pd.DatetimeIndex(times).tz_localize(None).to_numpy()

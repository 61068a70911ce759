"""Draws the charts of the page about a span: latency, exports, the split of the difference, equity."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from monitoring.chain.comparison import ComparedTrade, Comparison
from monitoring.chain.signal_chain import STAGES, SignalChain
from monitoring.facts import ExportFacts
from monitoring.report.comparison_table import PARTS
from research.pages.downsample import telling_rows
from schemas.timeframes import Timeframe

MOST_POINTS = 3_000
MOST_BARS = 80

STAGE_NAMES = {
    "available": "bars there",
    "exported": "exported",
    "seen": "seen by the bot",
    "ordered": "ordered",
    "filled": "filled",
}
_STAGE_COLOURS = {
    "available": "#8a8f98",
    "exported": "#2a9d8f",
    "seen": "#2f6fdb",
    "ordered": "#8e6fd1",
    "filled": "#e08e2b",
}
_PART_COLOURS = {
    "delay": "#2f6fdb",
    "other_exit": "#8e6fd1",
    "price": "#e08e2b",
    "fees": "#8a8f98",
    "skipped": "#d1495b",
    "only_live": "#2a9d8f",
}
_LIVE, _BACKTEST, _LATE = "#2f6fdb", "#8a8f98", "#d1495b"
_LEAST_S = 0.001  # a logarithm has no place for what took less than the clocks' resolution
_WIDE = 10  # times the median: beyond that a linear axis shows the latest export and nothing of the others
_LINEAR_SECONDS = {"title": {"text": "seconds after the close"}, "rangemode": "tozero"}
_LOG_SECONDS = {"title": {"text": "seconds after the close"}, "type": "log", "tickformat": "~g"}


def latency_figure(chains: Sequence[SignalChain]) -> go.Figure:
    """Return when after its bar's close each signal reached each stage, in seconds on a logarithmic axis."""
    figure = go.Figure()
    for stage in STAGES:
        reached = [(chain, ms) for chain in chains if chain.seen is not None and (ms := chain.ms(stage)) is not None]
        if not reached:
            continue
        seconds = np.maximum(np.array([ms for _, ms in reached]) / 1000, _LEAST_S)
        rows = telling_rows(seconds, MOST_POINTS)
        figure.add_trace(
            go.Scatter(
                name=STAGE_NAMES[stage],
                mode="markers",
                x=_naive([reached[row][0].close for row in rows.tolist()]),
                y=seconds[rows],
                customdata=[reached[row][0].pair for row in rows.tolist()],
                marker={"color": _STAGE_COLOURS[stage], "size": 5, "opacity": 0.75},
                hovertemplate="%{customdata} %{y:.3f} s",
            )
        )
    figure.update_layout(yaxis=_LOG_SECONDS, height=320)
    return figure


def exports_figure(recorded: Sequence[ExportFacts], timeframe: Timeframe) -> go.Figure:
    """Return how long after the close each export ended, and the half bar that it has.

    The axis is logarithmic where the latest one would press all others to the ground of a linear one.
    """
    live = [(one.exported_at, one.delay_s) for one in recorded if one.delay_s is not None]
    delays = np.maximum(np.array([delay for _, delay in live]), _LEAST_S)
    rows = telling_rows(delays, MOST_POINTS).tolist()
    limit = timeframe.seconds / 2
    figure = go.Figure(
        go.Scatter(
            name="export",
            mode="markers",
            x=_naive([live[row][0] for row in rows]),
            y=delays[rows],
            marker={"color": np.where(delays[rows] > limit, _LATE, _LIVE).tolist(), "size": 5, "opacity": 0.75},
            hovertemplate="%{y:.3f} s<extra></extra>",
        )
    )
    is_wide = len(delays) > 0 and delays.max() > _WIDE * np.median(delays)
    if len(delays) and (is_wide or delays.max() > limit / 4):  # else the line would press all points to the ground
        figure.add_hline(y=limit, line={"color": _LATE, "width": 1, "dash": "dot"})
    seconds = _LOG_SECONDS | {"dtick": 1} if is_wide else _LINEAR_SECONDS  # low: one tick a power of ten
    figure.update_layout(yaxis=seconds, height=240, showlegend=False)
    return figure


def split_figure(found: Comparison) -> tuple[go.Figure, str]:
    """Return the parts of each trade's difference as stacked bars, in basis points, and a sentence on what a bar is."""
    groups = [rows.tolist() for rows in np.array_split(np.arange(len(found.trades)), MOST_BARS) if len(rows)]
    parts = {name: np.zeros(len(groups)) for name in PARTS}
    for at, rows in enumerate(groups):
        for row in rows:
            for name, value in _parts(found.trades[row]).items():
                parts[name][at] += value * 1e4
    names = [_name(found.trades, rows) for rows in groups]
    labels = [f"{found.trades[rows[0]].opened_at.astimezone(UTC):%m-%d %H:%M}" for rows in groups]
    figure = go.Figure(
        [
            go.Bar(
                name=PARTS[name],
                x=names,
                y=values,
                marker={"color": _PART_COLOURS[name], "line": {"width": 0}},
                hovertemplate="%{y:+.2f} bps",
            )
            for name, values in parts.items()
            if values.any()
        ]
    )
    every = max(1, -(-len(groups) // 6))
    ticks = list(range(0, len(groups), every))
    figure.update_layout(
        barmode="relative",
        bargap=0.25,
        yaxis={"title": {"text": "basis points"}, "zeroline": True},
        xaxis={
            "type": "category",
            "tickvals": ticks,
            "ticktext": [labels[at] for at in ticks],
            "tickangle": 0,
            "range": [-0.6, max(len(groups), 4) - 0.4],
        },
        height=320,
    )
    most = max((len(rows) for rows in groups), default=1)
    return figure, "Each bar is one trade." if most == 1 else f"Each bar is {most:,} trades or fewer, added up."


def equity_figure(curves: pd.DataFrame) -> go.Figure:
    """Return both curves of profit."""
    figure = go.Figure()
    for name, column, colour in (("Backtest", "backtest", _BACKTEST), ("Live", "live", _LIVE)):
        values = curves[column].to_numpy(np.float64)
        rows = telling_rows(values, MOST_POINTS)
        figure.add_trace(
            go.Scatter(
                name=name,
                x=_naive([time.to_pydatetime() for time in curves.index[rows]]),
                y=values[rows],
                line={"color": colour, "width": 1.5},
                hovertemplate="%{y:+.3%}",
            )
        )
    figure.update_layout(yaxis={"tickformat": "+.2~%"}, height=300)
    return figure


def _parts(trade: ComparedTrade) -> dict[str, float]:
    if trade.split is None:
        return {"skipped" if trade.live is None else "only_live": trade.difference}
    split = trade.split
    return {"delay": split.delay, "other_exit": split.other_exit, "price": split.price, "fees": split.fees}


def _name(trades: Sequence[ComparedTrade], rows: Sequence[int]) -> str:
    """Return what a bar is called when it is pointed at; the number makes it differ from every other."""
    first, last = trades[rows[0]], trades[rows[-1]]
    if len(rows) == 1:
        return f"{rows[0] + 1}: {first.pair} {first.opened_at.astimezone(UTC):%m-%d %H:%M:%S}"
    times = f"{first.opened_at.astimezone(UTC):%m-%d %H:%M} to {last.opened_at.astimezone(UTC):%m-%d %H:%M}"
    return f"{rows[0] + 1} to {rows[-1] + 1}: {times}"


def _naive(times: Sequence[datetime]) -> npt.NDArray[Any]:
    """Plotly draws times as they are written; without a zone these stay UTC in every browser."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return np.array([(time - epoch) // timedelta(milliseconds=1) for time in times], "datetime64[ms]")

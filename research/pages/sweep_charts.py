"""Draws what a sweep found: its metric over two parameters, over one, and the curve of a walk-forward."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from research.bars import Floats
from research.metrics import PERCENTAGES
from research.pages.downsample import telling_rows
from research.pages.report_charts import MOST_POINTS

_LINE = "#2f6fdb"
_FALLING_TO_RISING = [[0.0, "#b2394d"], [0.5, "#f1f1ee"], [1.0, "#1d7f57"]]
_LEFT = 90  # pixels beside the cells, for the values of the parameter that goes up
_SHADED = (5.0, 95.0)  # percentiles of the cells; what lies outside has the last colour, and its value on hover
_AROUND_ZERO = {
    "sharpe", "sortino", "calmar", "total_return", "cagr", "avg_profit_ratio",
}  # fmt: skip


def surface_figure(ranked: pd.DataFrame, params: list[str], metric: str, beside: str) -> go.Figure:
    """Return the metric over the parameters.

    Parameters
    ----------
    ranked : DataFrame
        One row a set, best first; sets without the metric are not among them.
    params : list of str
        The columns that are parameters. One gives a line; two a heat map; of more, two can be chosen, and each cell is
        its best set, the others at their best.
    metric, beside : str
        The figure that is drawn, and one that is shown with it.
    """
    if len(params) == 1:
        return _line_over(ranked, params[0], metric, beside)
    pairs = list(combinations(params, 2))
    figure = go.Figure()
    for number, (across, up) in enumerate(pairs):
        others = [name for name in params if name not in (across, up)]
        figure.add_trace(_heat_map(ranked, across, up, others, metric, beside, visible=number == 0))
    figure.update_layout(
        height=max(390, min(770, 170 + 26 * ranked[pairs[0][1]].nunique())),
        hovermode="closest",
        margin={"l": _LEFT, "r": 12, "t": 66 if len(pairs) > 1 else 32, "b": 106},
        xaxis={"type": "category", "nticks": 24, "title": {"text": pairs[0][0]}},
        yaxis={"type": "category", "automargin": True, "title": {"text": pairs[0][1], "standoff": 14}},
    )
    if len(pairs) > 1:
        figure.update_layout(updatemenus=[_menu(pairs)])
    return figure


def stitched_figure(equity: "pd.Series[float]") -> go.Figure:
    """Return the equity of the test windows one after the other."""
    values = np.asarray(equity, dtype=np.float64)
    rows = telling_rows(values, MOST_POINTS)
    times = pd.DatetimeIndex(equity.index[rows]).tz_localize(None).to_numpy()
    line = go.Scatter(name="Out of sample", x=times, y=values[rows], line={"color": _LINE, "width": 1.4})
    figure = go.Figure(line)
    figure.update_layout(yaxis={"tickformat": ",.0f"}, height=300, showlegend=False)
    return figure


def _line_over(ranked: pd.DataFrame, param: str, metric: str, beside: str) -> go.Figure:
    rows = ranked.sort_values(param, kind="stable")
    shown = rows[beside].map(_short)
    line = go.Scatter(
        x=rows[param].map(str),
        y=np.asarray(rows[metric], dtype=np.float64),
        customdata=shown,
        mode="lines+markers",
        line={"color": _LINE, "width": 1.4},
        hovertemplate=f"{_words(metric)} %{{y:{_hover(metric)}}}, {_words(beside)} %{{customdata}}<extra></extra>",
    )
    figure = go.Figure(line)
    figure.update_layout(
        height=340,
        showlegend=False,
        margin={"l": 64, "r": 12, "t": 12, "b": 56},
        xaxis={"type": "category", "nticks": 24, "title": {"text": param}},
        yaxis={"title": {"text": _words(metric)}, "tickformat": _ticks(metric)},
    )
    return figure


def _heat_map(
    ranked: pd.DataFrame, across: str, up: str, others: list[str], metric: str, beside: str, *, visible: bool
) -> go.Heatmap:
    best = ranked.drop_duplicates([across, up])
    columns, rows = sorted(best[across].unique()), sorted(best[up].unique())
    told = [_told(row, others, beside) for row in best[[beside, *others]].to_dict("records")]
    cells = best.assign(told=told).set_index([up, across])
    values = cells[metric].unstack().reindex(index=rows, columns=columns).to_numpy(dtype=np.float64)
    texts = cells["told"].unstack().reindex(index=rows, columns=columns)
    diverging = metric in _AROUND_ZERO
    low, high = _shades(values, around_zero=diverging)
    return go.Heatmap(
        x=[str(value) for value in columns],
        y=[str(value) for value in rows],
        z=values,
        zmin=low,
        zmax=high,
        customdata=texts.to_numpy(),
        colorscale=_FALLING_TO_RISING if diverging else "Viridis",
        colorbar={
            # below the cells: beside them it is cut off on a phone
            **{"orientation": "h", "thickness": 12, "yref": "container", "y": 0.0, "yanchor": "bottom", "ypad": 4},
            **{"tickformat": _ticks(metric), "nticks": 6},
        },
        hoverongaps=False,
        visible=visible,
        hovertemplate=(
            f"{across} %{{x}}<br>{up} %{{y}}<br>"
            f"{_words(metric)} %{{z:{_hover(metric)}}}<br>%{{customdata}}<extra></extra>"
        ),
    )


def _shades(values: Floats, *, around_zero: bool) -> tuple[float | None, float | None]:
    """Return the values at which the colours end: a few far-off cells must not make all others look alike."""
    known = values[np.isfinite(values)]
    if not known.size:
        return None, None
    low, high = np.percentile(known, _SHADED)
    bound = max(abs(low), abs(high))
    return (-bound, bound) if around_zero else (low, high)


def _told(row: Mapping[Any, Any], others: list[str], beside: str) -> str:
    """Say what belongs to a cell besides its place and value."""
    parts = [f"{_words(beside)} {_short(row[beside])}", *(f"{name} {row[name]}" for name in others)]
    return "<br>".join(part.replace("<", "&lt;") for part in parts)


def _menu(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    buttons = [
        {
            "label": f"{across} × {up}",
            "method": "update",
            "args": [
                {"visible": [other == number for other in range(len(pairs))]},
                {"xaxis.title.text": across, "yaxis.title.text": up},
            ],
        }
        for number, (across, up) in enumerate(pairs)
    ]
    return {
        "buttons": buttons,
        "x": 0,
        "xanchor": "left",
        "y": 1.0,
        "yanchor": "bottom",
        "pad": {"b": 10, "l": 8 - _LEFT},  # from the edge of the chart: names are long and a phone is narrow
        "font": {"size": 11},
        "bgcolor": "rgba(128, 128, 128, 0.15)",
    }


def _ticks(metric: str) -> str | None:
    """Return how a metric is written along an axis, None as the chart likes."""
    return ",.2~%" if metric in PERCENTAGES else None


def _hover(metric: str) -> str:
    return ",.2%" if metric in PERCENTAGES else ".4~g"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _short(value: Any) -> str:
    return "–" if pd.isna(value) else f"{value:.3g}"

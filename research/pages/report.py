"""Writes a backtest as one HTML file that needs no network: figures, charts, months and trades."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from research.backtest import BacktestResult, simulate_buy_and_hold
from research.metrics import Metrics
from research.pages.monthly import monthly_returns
from research.pages.page import render_page
from research.pages.report_charts import drawdown_figure, equity_figure, price_figure

MOST_ROWS = 50
MOST_PRICE_CHARTS = 6

_UNKNOWN = "–"


def render_report(
    result: BacktestResult,
    title: str,
    facts: Mapping[str, object] | None = None,
    warnings: Sequence[str] = (),
) -> str:
    """Return the report as one HTML text.

    Parameters
    ----------
    result : BacktestResult
        The simulation; it carries its bars and costs.
    title : str
        The heading, the graph's name for example.
    facts : mapping, optional
        What else to print of the run, such as its id; times and versions are the caller's to give.
    warnings : sequence of str
        Sentences that a reader must see first: open gaps in the bars, for example.

    Notes
    -----
    Curves and candles are thinned for drawing only (`research.pages.downsample`); figures and tables use every bar.
    """
    hold = simulate_buy_and_hold(result)
    symbols = [rows.symbol for rows in result.bars.blocks]
    equity = result.portfolio_equity
    charts = {"equity": equity_figure(equity, hold.portfolio_equity), "drawdown": drawdown_figure(equity)}
    prices = []
    for number, symbol in enumerate(symbols[:MOST_PRICE_CHARTS], 1):
        charts[f"price{number}"], note = price_figure(result, symbol)
        prices.append({"symbol": symbol, "note": note})
    first, last, total = _trade_rows(result.trades)
    return render_page(
        "research.pages",
        "report.html.j2",
        charts,
        title=title,
        facts={**_own_facts(result), **{str(name): str(value) for name, value in (facts or {}).items()}},
        warnings=list(warnings),
        headline=_headline(result.metrics),
        figures=_figures(result.metrics),
        prices=prices,
        symbols_left_out=symbols[MOST_PRICE_CHARTS:],
        months=_month_rows(equity),
        trades_first=first,
        trades_last=last,
        trades_total=total,
        several_symbols=len(symbols) > 1,
    )


def _own_facts(result: BacktestResult) -> dict[str, str]:
    metrics, bars = result.metrics, result.bars
    length = timedelta(seconds=bars.step / bars.ticks_per_second)
    symbols = [rows.symbol for rows in bars.blocks]
    shown = ", ".join(symbols[:8]) + (f" and {len(symbols) - 8} more" if len(symbols) > 8 else "")
    return {
        "Symbols": shown,
        "Data": f"{metrics.first:%Y-%m-%d %H:%M} to {metrics.last:%Y-%m-%d %H:%M} UTC (bar opens)",
        "Bars": f"{metrics.bars:,}" + (f" of {_span(length)}" if length else ""),
        "Initial cash": f"{metrics.initial_cash:,.2f}",
        "Fee": f"{result.fee * 1e4:g} bps a fill",
        "Slippage": f"{result.slippage * 1e4:g} bps a fill",
        "Fills": "at the open of the next bar",
    }


def _headline(metrics: Metrics) -> list[dict[str, str]]:
    tiles = [
        ("Total return", _percent(metrics.total_return, signed=True), metrics.total_return),
        ("Buy & hold", _percent(metrics.buy_and_hold_return, signed=True), metrics.buy_and_hold_return),
        ("Max drawdown", _percent(metrics.max_drawdown), -metrics.max_drawdown),
        ("Sharpe", _number(metrics.sharpe), metrics.sharpe),
        ("Trades", f"{metrics.trades:,}", 0.0),
        ("Win rate", _percent(metrics.win_rate), 0.0),
    ]
    return [{"name": name, "value": value, "tone": _tone(sign)} for name, value, sign in tiles]


def _figures(metrics: Metrics) -> list[tuple[str, str]]:
    return [
        ("Final equity", f"{metrics.final_equity:,.2f}"),
        ("CAGR", _percent(metrics.cagr, signed=True)),
        ("Annual volatility", _percent(metrics.annual_volatility)),
        ("Sortino", _number(metrics.sortino)),
        ("Calmar", _number(metrics.calmar)),
        ("Longest drawdown", _span(metrics.max_drawdown_duration)),
        ("Profit factor", _number(metrics.profit_factor)),
        ("Average profit of a trade", _percent(metrics.avg_profit_ratio, signed=True, digits=3)),
        ("Exposure", _percent(metrics.exposure)),
        ("Turnover", f"{_number(metrics.turnover)} × mean equity"),
        ("Fees paid", f"{metrics.fees_paid:,.2f}"),
    ]


def _month_rows(equity: "pd.Series[float]") -> list[dict[str, Any]]:
    table = monthly_returns(equity)
    strongest = float(np.nanmax(np.abs(table[list(range(1, 13))].to_numpy()))) or 1.0
    return [
        {
            "year": year,
            "cells": [
                {"text": _percent(value, signed=True), "tone": _tone(value), "shade": _shade(value, strongest)}
                for value in row.tolist()
            ],
        }
        for year, row in zip(table.index.tolist(), table.to_numpy(), strict=True)
    ]


def _trade_rows(trades: pd.DataFrame) -> tuple[list[dict[str, str]], list[dict[str, str]], int]:
    total = len(trades)
    head = trades if total <= 2 * MOST_ROWS else trades.head(MOST_ROWS)
    tail = trades.iloc[:0] if total <= 2 * MOST_ROWS else trades.tail(MOST_ROWS)
    return _rows_of(head, 1), _rows_of(tail, total - len(tail) + 1), total


def _rows_of(trades: pd.DataFrame, number: int) -> list[dict[str, str]]:
    return [
        {
            "number": f"{number + offset:,}",
            "symbol": str(row["symbol"]),
            "opened": f"{row['open_time']:%Y-%m-%d %H:%M}",
            "closed": f"{row['close_time']:%Y-%m-%d %H:%M}",
            "open_rate": f"{row['open_rate']:,.8g}",
            "close_rate": f"{row['close_rate']:,.8g}",
            "amount": f"{row['amount']:,.6g}",
            "bars": f"{row['bars_held']:,}",
            "profit": f"{row['profit_abs']:+,.2f}",
            "ratio": _percent(row["profit_ratio"], signed=True),
            "tone": _tone(row["profit_ratio"]),
            "reason": str(row["exit_reason"]).replace("_", " "),
        }
        for offset, row in enumerate(trades.to_dict("records"))
    ]


def _percent(value: float, signed: bool = False, digits: int = 2) -> str:
    if not math.isfinite(value):
        return _UNKNOWN if math.isnan(value) else "beyond measure"
    if abs(value) >= 1e4:
        return f"{value * 100:+.2e} %"
    return f"{value * 100:{'+' if signed else ''},.{digits}f} %"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return _UNKNOWN if math.isnan(value) else "beyond measure"
    return f"{value:,.2f}"


def _span(duration: timedelta) -> str:
    seconds = round(duration.total_seconds())
    parts = [(seconds // 86_400, "d"), (seconds % 86_400 // 3600, "h"), (seconds % 3600 // 60, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or f"{seconds} s"


def _tone(value: float) -> str:
    return "gain" if value > 0 else "loss" if value < 0 else "even"


def _shade(value: float, strongest: float) -> str:
    return "0" if math.isnan(value) else f"{min(abs(value) / strongest, 1.0) * 0.45:.2f}"

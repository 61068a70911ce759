"""The figures of one set of a sweep, and the plain way to them: one backtest."""

import math
from typing import NamedTuple

from research.backtest import simulate_long_flat
from research.bars import CheckedBars, Floats
from research.fills import Costs


class SetFigures(NamedTuple):
    """The figures of one parameter set; see `research.sweep.SweepFigures`."""

    total_return: float
    cagr: float
    annual_volatility: float
    sharpe: float
    sortino: float
    max_drawdown: float
    calmar: float
    trades: int
    win_rate: float
    profit_factor: float
    avg_profit_ratio: float
    exposure: float
    fees_paid: float
    final_equity: float
    skewness: float
    kurtosis: float
    returns: int


def backtested(bars: CheckedBars, position: Floats, costs: Costs, cash: float, engine: str) -> SetFigures:
    """Return the figures of one position from its whole backtest."""
    result = simulate_long_flat(bars, position, costs.fee, costs.slippage, cash, engine=engine)
    metrics = result.metrics
    (sleeve,) = result.sleeves
    skewness, kurtosis = _shape(sleeve.equity)
    return SetFigures(
        total_return=metrics.total_return,
        cagr=metrics.cagr,
        annual_volatility=metrics.annual_volatility,
        sharpe=metrics.sharpe,
        sortino=metrics.sortino,
        max_drawdown=metrics.max_drawdown,
        calmar=metrics.calmar,
        trades=metrics.trades,
        win_rate=metrics.win_rate,
        profit_factor=metrics.profit_factor,
        avg_profit_ratio=metrics.avg_profit_ratio,
        exposure=metrics.exposure,
        fees_paid=metrics.fees_paid,
        final_equity=metrics.final_equity,
        skewness=skewness,
        kurtosis=kurtosis,
        returns=metrics.bars - 1,
    )


def shape_of(squares: float, cubes: float, fourths: float, returns: int) -> tuple[float, float]:
    """Return skewness and kurtosis from the sums of (r − mean)², (r − mean)³ and (r − mean)⁴."""
    if returns < 2 or squares == 0.0:
        return math.nan, math.nan
    variance = squares / returns
    return cubes / returns / variance**1.5, fourths / returns / variance**2


def _shape(equity: Floats) -> tuple[float, float]:
    away = equity[1:] / equity[:-1]
    away -= 1.0
    if len(away) < 2:
        return math.nan, math.nan
    away -= away.mean()
    square = away * away
    away *= square
    cubes = float(away.sum())
    squares = float(square.sum())
    square *= square
    return shape_of(squares, cubes, float(square.sum()), len(away))

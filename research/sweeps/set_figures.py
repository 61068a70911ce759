"""The figures of one set of a sweep, and the plain way to them: one backtest."""

from typing import NamedTuple

from research.backtest import simulate_long_flat
from research.bars import CheckedBars, Floats
from research.fills import Costs
from research.overfitting import return_shape


class SetFigures(NamedTuple):
    """The figures of one parameter set; see `research.sweeps.sweep.SweepFigures`."""

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
    shape = return_shape(sleeve.equity)
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
        skewness=shape.skewness,
        kurtosis=shape.kurtosis,
        returns=shape.returns,
    )

"""Defines every figure that a backtest is judged by, once, with its formula."""

import math
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from research.bars import Floats, Ints
from research.drawdown import Drawdown, worst_drawdown
from research.moments import ReturnMoments, return_moments

YEAR_SECONDS = 365 * 24 * 3600
"""A year has 365 days of 24 hours: crypto venues never close."""
PERCENTAGES = frozenset(
    {
        "total_return", "cagr", "annual_volatility", "max_drawdown", "win_rate", "avg_profit_ratio", "exposure",
        "buy_and_hold_return",
    }
)  # fmt: skip
"""The figures that people read in percent; their values are fractions."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one backtest; what is not defined is NaN, never 0.

    Let E_0 … E_n-1 be the equity at the bars' closes, r_i = E_i / E_i-1 − 1 its n − 1 returns, and Y the bars in a
    year: 365 days / the smallest step between two bars. The risk-free rate is 0.

    Attributes
    ----------
    initial_cash, final_equity : float
        Cash at the start; equity after the last bar, in which nothing is held any more.
    total_return : float
        final_equity / initial_cash − 1.
    cagr : float
        (final_equity / initial_cash) ^ (1 / years) − 1; years from the first bar's open to the last one's close.
        Infinite where that is beyond a float, as happens in samples of minutes.
    annual_volatility : float
        s × √Y, s the standard deviation of r with n − 2 degrees of freedom. NaN below three bars.
    sharpe : float
        mean(r) / s × √Y. NaN where s is 0. (Sharpe 1994)
    sortino : float
        mean(r) / √mean(min(r, 0)²) × √Y. NaN where no return is negative. (Sortino and Price 1994)
    max_drawdown : float
        The largest 1 − E_i / max(E_0 … E_i): 0.25 says that a quarter was lost from the high.
    max_drawdown_duration : timedelta
        The longest time from a high to the first close at or above it, or to the last bar.
    calmar : float
        cagr / max_drawdown. NaN where the drawdown is 0. (Young 1991)
    trades : int
        Trades from flat to flat.
    win_rate : float
        Share of trades with a profit ratio above 0. NaN without trades.
    profit_factor : float
        Sum of the profits of winning trades / sum of the losses of losing ones. NaN without a loss.
    avg_profit_ratio : float
        Mean profit ratio of the trades. NaN without trades.
    exposure : float
        Share of bars at whose close something was held.
    fees_paid : float
        Sum of all fees, in quote currency.
    turnover : float
        Notional bought and sold / mean(E).
    buy_and_hold_return : float
        total_return of holding all along, with the same costs and the same first and last fill.
    bars : int
        Bars simulated, over all symbols.
    first, last : datetime
        Open times of the first and the last bar, UTC.
    """

    initial_cash: float
    final_equity: float
    total_return: float
    cagr: float
    annual_volatility: float
    sharpe: float
    sortino: float
    max_drawdown: float
    max_drawdown_duration: timedelta
    calmar: float
    trades: int
    win_rate: float
    profit_factor: float
    avg_profit_ratio: float
    exposure: float
    fees_paid: float
    turnover: float
    buy_and_hold_return: float
    bars: int
    first: datetime
    last: datetime

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can hold them: NaN and infinity as None, times as ISO text, durations in s."""
        plain: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, timedelta):
                plain[f"{field.name}_s"] = value.total_seconds()
            elif isinstance(value, datetime):
                plain[field.name] = value.isoformat()
            elif isinstance(value, float) and not math.isfinite(value):
                plain[field.name] = None
            else:
                plain[field.name] = value
        return plain


class CurveSums(NamedTuple):
    """What one look at every bar of an equity curve gives; its figures follow from that alone."""

    first: float
    last: float
    mean: float
    moments: ReturnMoments
    worst: Drawdown


def curve_sums(equity: Floats, ticks: Ints) -> CurveSums:
    """Return the sums of an equity curve; arrays as for `curve_figures`."""
    return CurveSums(
        first=float(equity[0]),
        last=float(equity[-1]),
        mean=float(equity.mean()),
        moments=return_moments(equity),
        worst=worst_drawdown(equity, ticks),
    )


@dataclass(frozen=True, slots=True)
class CurveFigures:
    """The part of the metrics that follows from the equity curve alone."""

    total_return: float
    cagr: float
    annual_volatility: float
    sharpe: float
    sortino: float
    max_drawdown: float
    max_drawdown_duration: timedelta
    calmar: float
    mean_equity: float


def curve_figures(equity: Floats, ticks: Ints, step: int, ticks_per_second: int) -> CurveFigures:
    """Return what the equity curve says; formulas in `Metrics`.

    Parameters
    ----------
    equity : array
        Positive, one value a bar; its first value is the cash at the start.
    ticks : array
        The bars' open times, increasing.
    step : int
        The bars' length in ticks, 0 where there is one bar only.
    ticks_per_second : int
        What one second is in `ticks`.
    """
    return sums_figures(curve_sums(equity, ticks), int(ticks[-1]) - int(ticks[0]), step, ticks_per_second)


def sums_figures(sums: CurveSums, span: int, step: int, ticks_per_second: int) -> CurveFigures:
    """Return what the sums of an equity curve say; `span` is from the first bar's open to the last one's, in ticks."""
    growth = sums.last / sums.first
    step_s, span_s = step / ticks_per_second, (span + step) / ticks_per_second
    volatility, sharpe, sortino = _ratios(sums.moments, math.sqrt(YEAR_SECONDS / step_s) if step else math.nan)
    cagr = _compound(growth, YEAR_SECONDS / span_s) if span_s else math.nan
    worst = sums.worst
    return CurveFigures(
        total_return=growth - 1.0,
        cagr=cagr,
        annual_volatility=volatility,
        sharpe=sharpe,
        sortino=sortino,
        max_drawdown=worst.depth,
        max_drawdown_duration=timedelta(seconds=worst.duration / ticks_per_second),
        calmar=cagr / worst.depth if worst.depth else math.nan,
        mean_equity=sums.mean,
    )


@dataclass(frozen=True, slots=True)
class TradeFigures:
    """The part of the metrics that follows from the trades alone."""

    trades: int
    win_rate: float
    profit_factor: float
    avg_profit_ratio: float


def trade_figures(profit_abs: Floats, profit_ratio: Floats) -> TradeFigures:
    """Return what the trades say; formulas in `Metrics`."""
    count = len(profit_ratio)
    if count == 0:
        return TradeFigures(0, math.nan, math.nan, math.nan)
    won, lost = float(profit_abs[profit_abs > 0].sum()), float(-profit_abs[profit_abs < 0].sum())
    return TradeFigures(
        trades=count,
        win_rate=float((profit_ratio > 0).mean()),
        profit_factor=won / lost if lost else math.nan,
        avg_profit_ratio=float(profit_ratio.mean()),
    )


def _ratios(moments: ReturnMoments, root_year: float) -> tuple[float, float, float]:
    """Return annual volatility, Sharpe and Sortino ratio."""
    if moments.size < 2:
        return math.nan, math.nan, math.nan
    deviation = math.sqrt(moments.squared_deviations / (moments.size - 1))
    downside = math.sqrt(moments.squared_falls / moments.size)
    sharpe = moments.mean / deviation * root_year if deviation else math.nan
    sortino = moments.mean / downside * root_year if downside else math.nan
    return deviation * root_year, sharpe, sortino


def _compound(growth: float, power: float) -> float:
    if growth == 0.0:  # so little is left that no float holds it
        return -1.0
    try:
        return math.exp(math.log(growth) * power) - 1.0
    except OverflowError:
        return math.inf

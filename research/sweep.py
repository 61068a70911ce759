"""Backtests many positions on the same bars at once, for the figures alone: what a search over parameters asks for."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from research.backtest import simulate_long_flat
from research.bars import CheckedBars, Floats, Ints, check_bars
from research.factors.price import momentum
from research.fills import Costs
from schemas.errors import InputError


@dataclass(frozen=True, slots=True)
class SweepBars:
    """One symbol's bars, prepared once for many sets of parameters.

    Attributes
    ----------
    checked : CheckedBars
        The bars as they were checked.
    opens, closes : array
        Prices, finite and above zero.
    ticks : array
        The bars' open times, `checked.ticks_per_second` a second.
    """

    checked: CheckedBars
    opens: Floats
    closes: Floats
    ticks: Ints

    @classmethod
    def of(cls, bars: pd.DataFrame | CheckedBars) -> "SweepBars":
        """Return the bars of one symbol, ready for sweeps.

        Raises
        ------
        InputError
            Where the bars can not be used, or hold several symbols.
        """
        checked = check_bars(bars, ("open", "close"))
        if len(checked.blocks) != 1:
            names = ", ".join(block.symbol for block in checked.blocks)
            raise InputError(f"A sweep needs the bars of one symbol, found {names}. Sweep each symbol by itself.")
        return cls(checked, checked.prices("open"), checked.prices("close"), checked.ticks)


@dataclass(frozen=True, slots=True)
class SweepFigures:
    """The figures of each parameter set, as arrays with one entry a set; formulas in `research.metrics.Metrics`.

    `returns` counts the bars' returns, the number of bars less one. `skewness` is m3 / m2^1.5 and `kurtosis` m4 / m2²
    (3 for a normal distribution), m_k the mean of (r − mean(r))^k; both are NaN where s is 0 or not known, as the
    Sharpe ratio is.
    """

    total_return: Floats
    cagr: Floats
    annual_volatility: Floats
    sharpe: Floats
    sortino: Floats
    max_drawdown: Floats
    calmar: Floats
    trades: Ints
    win_rate: Floats
    profit_factor: Floats
    avg_profit_ratio: Floats
    exposure: Floats
    fees_paid: Floats
    final_equity: Floats
    skewness: Floats
    kurtosis: Floats
    returns: Ints

    def frame(self) -> pd.DataFrame:
        """Return the figures as a frame with one row a parameter set, one column a figure."""
        return pd.DataFrame({field.name: getattr(self, field.name) for field in fields(self)})


def position_figures(bars: SweepBars, position: Floats, costs: Costs, initial_cash: float) -> SweepFigures:
    """Return the figures of each position, those of `simulate_long_flat`.

    Parameters
    ----------
    bars : SweepBars
    position : array, shape (bars,) or (sets, bars)
        Shares of the equity in [0, 1], each decided at its bar's close; NaN keeps what was decided before.
    costs : Costs
        Fee and slippage of each fill, as fractions.
    initial_cash : float
        Cash of each set at the start, in quote currency.

    Raises
    ------
    InputError
        Where a shape does not fit the bars, or a value is outside of its bounds.
    """
    positions = np.atleast_2d(np.asarray(position, dtype=np.float64))
    _check_width(bars, positions, "position")
    return _plain_figures(bars, iter(positions), costs, initial_cash)


def threshold_figures(
    bars: SweepBars,
    factors: Floats,
    which: Ints,
    enter_above: Floats,
    exit_below: Floats,
    costs: Costs,
    initial_cash: float,
) -> SweepFigures:
    """Return the figures of each set whose position is 1 above `enter_above`, 0 below `exit_below`, else as it was.

    Parameters
    ----------
    bars : SweepBars
    factors : array, shape (factors, bars)
        Factor values at the bars' closes, NaN where they are not known: NaN keeps.
    which : array of int, shape (sets,)
        The row of `factors` that each set uses.
    enter_above, exit_below : array, shape (sets,)
        The thresholds of each set; `exit_below` may not lie above `enter_above`.
    costs, initial_cash
        As for `position_figures`.

    Raises
    ------
    InputError
        Where a shape does not fit, a row of `factors` is not there, or thresholds are not in order.
    """
    rows = np.atleast_2d(np.asarray(factors, dtype=np.float64))
    _check_width(bars, rows, "factors")
    chosen, enter, leave = _checked_sets(which, enter_above, exit_below)
    if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(rows):
        raise InputError(
            f"which must name rows of factors, 0 to {len(rows) - 1}, found {chosen.min()}..{chosen.max()}."
        )
    positions = (
        _crossed(rows[row], above, below)
        for row, above, below in zip(chosen.tolist(), enter.tolist(), leave.tolist(), strict=True)
    )
    return _plain_figures(bars, positions, costs, initial_cash)


def momentum_figures(
    bars: SweepBars,
    lookback_bars: Ints,
    enter_above: Floats,
    exit_below: Floats,
    costs: Costs,
    initial_cash: float,
) -> SweepFigures:
    """Return the figures of each set that trades the factor `momentum` by thresholds, as `threshold_figures` does.

    Parameters
    ----------
    bars : SweepBars
    lookback_bars : array of int, shape (sets,)
        Bars that each set's momentum looks back, at least 1 and fewer than there are bars.
    enter_above, exit_below, costs, initial_cash
        As for `threshold_figures`.

    Raises
    ------
    InputError
        Where a look-back is out of bounds, or shapes or thresholds do not fit.
    """
    lookbacks, enter, leave = _checked_sets(lookback_bars, enter_above, exit_below)
    count = len(bars.closes)
    if len(lookbacks) and not 1 <= lookbacks.min() <= lookbacks.max() < count:
        raise InputError(
            f"lookback_bars must lie between 1 and {count - 1}, as there are {count} bars; found "
            f"{lookbacks.min()} to {lookbacks.max()}. Use more bars or shorter look-backs."
        )
    positions = (
        _crossed(momentum(bars.closes, lookback), above, below)
        for lookback, above, below in zip(lookbacks.tolist(), enter.tolist(), leave.tolist(), strict=True)
    )
    return _plain_figures(bars, positions, costs, initial_cash)


def _check_width(bars: SweepBars, rows: Floats, what: str) -> None:
    if rows.ndim != 2 or rows.shape[1] != len(bars.closes):
        raise InputError(f"{what} must have one value for each of the {len(bars.closes)} bars, found {rows.shape}.")


def _checked_sets(first: Ints, enter_above: Floats, exit_below: Floats) -> tuple[Ints, Floats, Floats]:
    chosen = np.asarray(first, dtype=np.int64)
    enter, leave = np.asarray(enter_above, dtype=np.float64), np.asarray(exit_below, dtype=np.float64)
    if chosen.ndim != 1 or not chosen.shape == enter.shape == leave.shape:
        raise InputError(
            "Parameter sets need arrays of one length, found shapes "
            f"{chosen.shape}, enter_above {enter.shape}, exit_below {leave.shape}."
        )
    wrong = np.flatnonzero(~(leave <= enter))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"exit_below must not lie above enter_above, found {leave[row]} above {enter[row]} in set {row}."
        )
    return chosen, enter, leave


def _crossed(factor: Floats, enter_above: float, exit_below: float) -> Floats:
    return np.where(factor > enter_above, 1.0, np.where(factor < exit_below, 0.0, np.nan))


def _plain_figures(bars: SweepBars, positions: Iterator[Floats], costs: Costs, initial_cash: float) -> SweepFigures:
    """One backtest after the other: the plain way, which tests compare with."""
    rows = []
    for position in positions:
        result = simulate_long_flat(bars.checked, position, costs.fee, costs.slippage, initial_cash)
        figures = result.metrics
        rows.append([getattr(figures, name) for name in _FROM_METRICS] + list(_shape(result.sleeves[0].equity)))
    names = [*_FROM_METRICS, "skewness", "kurtosis", "returns"]
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), len(names)).T
    arrays: dict[str, Any] = dict(zip(names, columns, strict=True))
    for name in ("trades", "returns"):
        arrays[name] = arrays[name].astype(np.int64)
    return SweepFigures(**arrays)


_FROM_METRICS = [field.name for field in fields(SweepFigures) if field.name not in ("skewness", "kurtosis", "returns")]


def _shape(equity: Floats) -> tuple[float, float, int]:
    """Return skewness, kurtosis and number of the returns."""
    returns = equity[1:] / equity[:-1] - 1.0
    if len(returns) < 2:
        return np.nan, np.nan, len(returns)
    away = returns - returns.mean()
    square = float((away**2).mean())
    if square == 0.0:
        return np.nan, np.nan, len(returns)
    return float((away**3).mean()) / square**1.5, float((away**4).mean()) / square**2, len(returns)

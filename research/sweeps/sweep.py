"""Backtests many positions on the same bars at once, for the figures alone: what a search over parameters asks for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from research.bars import CheckedBars, Floats, Ints, check_bars
from research.engines.chosen import is_compiled
from research.factors.price import momentum
from research.fills import Costs
from research.sweeps.set_figures import SetFigures, backtested
from schemas.errors import InputError

if TYPE_CHECKING:
    from research.sweeps.compiled_sweep import Stretches

_STRETCHES_BYTES_A_BAR = 16


@dataclass(frozen=True, eq=False)
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

    @property
    def memory_bytes(self) -> int:
        """How much the bars hold, with what compiled sweeps keep beside them once they have asked."""
        return int(self.checked.frame.memory_usage().sum()) + _STRETCHES_BYTES_A_BAR * len(self.closes)

    @cached_property
    def stretches(self) -> "Stretches":
        """What compiled sweeps ask about stretches of the bars."""
        from research.sweeps.compiled_sweep import stretches_of  # numba takes a second to load

        return stretches_of(self.opens, self.closes)


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

    @classmethod
    def of(cls, sets: Iterable[SetFigures]) -> "SweepFigures":
        """Return the figures of all sets, in their order."""
        rows = list(sets)
        columns: dict[str, Any] = {
            name: np.array([row[index] for row in rows], dtype=np.int64 if kind is int else np.float64)
            for index, (name, kind) in enumerate(SetFigures.__annotations__.items())
        }
        return cls(**columns)

    def frame(self) -> pd.DataFrame:
        """Return the figures as a frame with one row a parameter set, one column a figure."""
        return pd.DataFrame({field.name: getattr(self, field.name) for field in fields(self)})


def position_figures(
    bars: SweepBars,
    position: Floats,
    costs: Costs,
    initial_cash: float,
    engine: str = "auto",
    threads: int | None = None,
) -> SweepFigures:
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
    engine : str
        As for `simulate_long_flat`; here each set's bars count.
    threads : int, optional
        How many threads compiled code works on, as many as there are processors by default; 1 is the caller's own.

    Raises
    ------
    InputError
        Where a shape does not fit the bars, or a value is outside of its bounds.
    """
    positions = np.atleast_2d(np.asarray(position, dtype=np.float64))
    _check_width(bars, positions, "position")

    def found() -> Floats:
        from research.sweeps.compiled_sweep import positions_found

        return positions_found(bars.stretches, positions, costs, initial_cash, threads)

    return _figures(bars, len(positions), lambda number: positions[number], found, costs, initial_cash, engine)


def threshold_figures(
    bars: SweepBars,
    factors: Floats,
    which: Ints,
    enter_above: Floats,
    exit_below: Floats,
    costs: Costs,
    initial_cash: float,
    engine: str = "auto",
    threads: int | None = None,
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
    costs, initial_cash, engine, threads
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

    def position(number: int) -> Floats:
        return _crossed(rows[chosen[number]], enter[number], leave[number])

    def found() -> Floats:
        from research.sweeps.compiled_sweep import row_of, thresholds_found

        return thresholds_found(bars.stretches, row_of(rows), chosen, enter, leave, costs, initial_cash, threads)

    return _figures(bars, len(chosen), position, found, costs, initial_cash, engine)


def momentum_figures(
    bars: SweepBars,
    lookback_bars: Ints,
    enter_above: Floats,
    exit_below: Floats,
    costs: Costs,
    initial_cash: float,
    engine: str = "auto",
    threads: int | None = None,
) -> SweepFigures:
    """Return the figures of each set that trades the factor `momentum` by thresholds, as `threshold_figures` does.

    Parameters
    ----------
    bars : SweepBars
    lookback_bars : array of int, shape (sets,)
        Bars that each set's momentum looks back, at least 1 and fewer than there are bars.
    enter_above, exit_below, costs, initial_cash, engine, threads
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

    def position(number: int) -> Floats:
        return _crossed(momentum(bars.closes, int(lookbacks[number])), enter[number], leave[number])

    def found() -> Floats:
        from research.sweeps.compiled_sweep import momentum_of, thresholds_found

        made = bars.stretches
        return thresholds_found(made, momentum_of(made), lookbacks, enter, leave, costs, initial_cash, threads)

    return _figures(bars, len(lookbacks), position, found, costs, initial_cash, engine)


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


def _figures(
    bars: SweepBars,
    sets: int,
    position: Callable[[int], Floats],
    found: Callable[[], Floats],
    costs: Costs,
    cash: float,
    engine: str,
) -> SweepFigures:
    """Return the figures of all sets: one backtest after the other, or what compiled code found, which equals them.

    Sets that compiled code can not be sure of are backtested by themselves. `found` is asked only where code is
    compiled, as numba takes a second to load.
    """
    if not is_compiled(engine, sets * len(bars.closes)):
        plain = (backtested(bars.checked, position(number), costs, cash, "numpy") for number in range(sets))
        return SweepFigures.of(plain)
    from research.sweeps.compiled_sweep import figures_of, unsure

    rows = found()
    left = unsure(rows, len(bars.closes) - 1)
    return SweepFigures.of(
        backtested(bars.checked, position(number), costs, cash, "compiled")
        if left[number]
        else figures_of(row, bars.checked, cash)
        for number, row in enumerate(rows.tolist())
    )
